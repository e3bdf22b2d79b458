"""The tuned models of a corpus, each kept: one for each fold, and one on all labelled clips.

K folds, N labelled clips, F frames kept of each, P the side of a kept picture.
"""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from agt_lib import corpora
from agt_lib.clip_tuning import VERSION
from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.network import side
from agt_lib.clip_tuning.tune import STATE, Job, tune
from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.labels import to_numbers
from agt_lib.corpora.media import MAX_SECONDS, MediaError
from agt_lib.features.clip import MARGIN, Source
from agt_lib.features.extraction import RETRIED, key_of
from agt_lib.features.frames import NONE, clip_frames, face_fingerprint, reads
from agt_lib.workspace.kept import digest, file_digest, folder_of, is_whole, kept, read_manifest
from agt_lib.workspace.machine import pick_device, pick_precision, shared
from agt_lib.workspace.progress import bar
from agt_lib.workspace.shards import Shards

KIND = "tuned_clip"
ALL = None
"""In the place of a fold: the model that is tuned on all labelled clips."""
SHARD = 64  # clips
CROP = 0.125  # pictures are kept larger by this share, and cropped at random


def jobs(
    corpus: Corpus,
    folds: pd.Series,
    model: str,
    config: TuneConfig,
    *,
    which: Sequence[int | None],
    seed: int = 0,
    face: str = NONE,
    max_seconds: float = MAX_SECONDS,
    device: str = "auto",
    max_failures: float = 0.05,
    progress: bool = True,
) -> list[Job]:
    """What is to be tuned for each of `which`; decodes the labelled clips' frames first.

    `folds` numbers the fold that holds out each labelled clip, -1 if none does. `which` are folds
    that a model shall not see, or `ALL`. `model`, `face` and `max_seconds` are `ClipEncoder`'s.
    Clips that can't be read are left out.

    Raises ValueError for a fold that holds out no clip, if no labelled clip has a video or if a
    training fold has one class alone.
    Raises ExtractionError if more than the share `max_failures` can't be read. Warns of a class
    that a training fold lacks.
    """
    there = sorted(set(folds[folds >= 0]))
    if unknown := [fold for fold in which if fold is not ALL and fold not in there]:
        raise ValueError(f"there is no fold {unknown[0]}; there are {', '.join(map(str, there))}")
    source, target = Source.find(model), pick_device(device)
    clips = corpus.clips.loc[folds.index].dropna(subset="emotion")
    frames, keys = keep_frames(
        clips, source.preprocessing, config, max_failures, progress, face, max_seconds
    )
    if keys.empty:
        raise ValueError(
            f"corpus {corpus.name!r} has no labelled clip with a video that can be read: nothing "
            "to tune CLIP on"
        )
    emotions, held_out = clips.loc[keys.index, "emotion"], folds[keys.index]
    made_from = {
        "version": [VERSION, corpora.VERSION],
        "model": [digest(source.config), file_digest(source.weights)],
        "preprocessing": {key: str(value) for key, value in vars(source.preprocessing).items()},
        # How a step is fitted into memory changes no model, as the number of processes does not.
        "config": asdict(replace(config, accumulate=1, gradient_checkpointing=False)),
        "precision": str(pick_precision(config.precision, target)),
        "labels": list(corpus.labels),
        "seed": seed,
    } | face_fingerprint(face, MARGIN)
    planned = []
    for fold in which:
        seen = keys if fold is ALL else keys[held_out != fold]
        labels = to_numbers(emotions[seen.index], corpus.labels)
        _check_classes(labels, corpus.labels, fold)
        of_fold = {"clips": digest(list(zip(seen, emotions[seen.index], strict=True)))}
        job = Job(
            name="all clips" if fold is ALL else f"fold {fold}", source=source, config=config,
            frames=frames, keys=tuple(seen), labels=labels, label_set=corpus.labels, seed=seed,
            cpu=target.type == "cpu", made_from=made_from | of_fold,
        )  # fmt: skip
        planned.append(job)
    return planned


def tuned_models(
    planned: Sequence[Job], *, workers: int | None = None, progress: bool = True
) -> list[Path]:
    """The checkpoint folder of each job, as open_clip reads it: `ClipEncoder("local-dir:FOLDER")`.

    Models that are there are not tuned again. On a CPU `workers` processes of one thread share the
    others (by default one per core). Warns of a model whose tuning stopped early.
    """
    todo = sum(not is_whole(folder_of(KIND, job.made_from)) for job in planned)
    if workers is None:
        workers = os.cpu_count() or 1 if planned[0].cpu else 1
    workers = max(1, min(workers, todo))
    calls = (joblib.delayed(run)(job, progress=progress and workers == 1) for job in planned)
    folders = []
    with bar(len(planned), "tuned CLIPs", "model", shown=progress and workers > 1) as shown:
        for job, folder in zip(planned, shared(calls, workers), strict=True):
            folders.append(folder)
            shown.update()
            if stopped := (read_manifest(folder) or {}).get("stopped"):
                warnings.warn(f"tuning CLIP for {job.name} stopped: {stopped}", stacklevel=2)
    return folders


def run(job: Job, *, progress: bool = True) -> Path:
    """The folder of the job's model, tuned first if it is not there.

    Launched by `accelerate` in several processes, all of them must call this; they share the work
    and the folder, which must lie on a disk that all of them see. Alone on a CPU, one thread.
    """
    accelerator, threads = Accelerator(cpu=job.cpu), torch.get_num_threads()
    work = partial(tune, job, accelerator=accelerator, progress=progress)
    folder, made = folder_of(KIND, job.made_from), [False]

    def make(folder: Path) -> dict[str, Any]:
        made[0] = True
        broadcast_object_list(made)
        return work(folder)

    if job.cpu and accelerator.num_processes == 1:
        torch.set_num_threads(1)
    try:
        if accelerator.is_main_process:
            kept(KIND, job.made_from, make)
            if (folder / STATE).is_file():  # a disk that is only read has none
                (folder / STATE).unlink(missing_ok=True)
            if not made[0]:
                broadcast_object_list(made)
        elif broadcast_object_list(made)[0]:  # all do what the first process does
            work(folder)
        return folder
    finally:
        torch.set_num_threads(threads)


def keep_frames(
    clips: pd.DataFrame,
    preprocessing: PreprocessCfg,
    config: TuneConfig,
    max_failures: float,
    progress: bool,
    face: str = NONE,
    max_seconds: float = MAX_SECONDS,
) -> tuple[Shards, pd.Series]:
    """The frames of `clips` (rows of `Corpus.clips`), each decoded once, and the clips' keys.

    Under each key stand uint8 (F, P, P, 3), F = `n_frames` x `frames_per_segment` at segment
    centres, resized as CLIP's preprocessing does but larger by `CROP`. Clips that can't be read
    have no key. Raises ExtractionError if they are more than the share `max_failures`. After a stop
    it goes on at the last whole shard of 64 clips. Takes N F P^2 3 bytes of disk: 190 MB for 504
    clips at 72 pixels, 45 GB for 5030 clips of 48 frames at 252.
    """
    larger = replace(preprocessing, size=round(side(preprocessing) * (1 + CROP)))
    n_frames = config.n_frames * config.frames_per_segment
    made_from = {
        "version": [VERSION, corpora.VERSION],
        "n_frames": n_frames,
        "preprocessing": {key: str(value) for key, value in vars(larger).items()},
    } | face_fingerprint(face, MARGIN)
    frames = Shards(folder_of("frames", made_from))
    videos = clips["video"].dropna()
    keys = {name: key_of(name, reads(face, name, v), "video") for name, v in videos.items()}
    keys = pd.Series(keys, dtype="str")
    # Without its last two steps, to a tensor and to mean 0: pictures stay bytes.
    steps = image_transform_v2(larger, is_train=False).transforms[:-2]

    def missing() -> pd.Series:
        ledger = frames.failures()
        known = frames.keys() | set(ledger["key"][~ledger["stage"].isin(RETRIED)])
        return keys[~keys.isin(known)]

    how = {"n_frames": n_frames, "max_seconds": max_seconds, "face": face, "margin": MARGIN}
    load = partial(_pictures, steps=steps, **how)
    # Where nothing is missing the disk may be one that is only read.
    with frames.locked() if len(missing()) else nullcontext(), ThreadPoolExecutor() as pool:
        todo = missing()
        with bar(len(todo), "frames for tuning", "clip", shown=progress and len(todo)) as shown:
            for start in range(0, len(todo), SHARD):
                part = todo[start : start + SHARD]
                rows = [row for _, row in clips.loc[part.index].iterrows()]
                made = dict(zip(part.index, pool.map(load, rows), strict=True))
                bad = {name: x for name, x in made.items() if isinstance(x, MediaError)}
                frames.append({part[n]: x for n, x in made.items() if n not in bad})
                frames.record([(part[n], n, e.stage, e.reason) for n, e in bad.items()])
                shown.update(len(part))
    unread = keys[~keys.isin(frames.keys())]
    frames.check_share(unread, len(clips), max_failures, "video")
    return frames, keys.drop(unread.index)


def _pictures(clip: pd.Series, steps: Sequence, **how: Any) -> np.ndarray | MediaError:
    """A clip's frames after `steps`, uint8 (F, P, P, 3), or why it can't be read."""
    try:
        pictures = [Image.fromarray(frame) for frame in clip_frames(clip, **how)[0]]
    except MediaError as error:
        return error
    for step in steps:
        pictures = [step(picture) for picture in pictures]
    return np.stack([np.asarray(picture) for picture in pictures])


def _check_classes(labels: np.ndarray, label_set: Sequence[str], fold: int | None) -> None:
    where = "the labelled clips" if fold is ALL else f"the training fold of fold {fold}"
    found = set(np.unique(labels))
    missing = [label for number, label in enumerate(label_set) if number not in found]
    if len(found) < 2:
        raise ValueError(f"{where} show one class alone; tuning needs two: lack {missing}")
    if missing:
        warnings.warn(f"{where} have no clip of {', '.join(missing)}", stacklevel=3)
