"""The tuned models of a corpus: one for each fold, or one on all labelled clips, each an artefact.

K folds, N labelled clips.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from agt_lib.clip_tuning import frames
from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.tune import TuneTask, tune
from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.labels import to_numbers
from agt_lib.features.clip import Source
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest, file_digest, read_manifest
from agt_lib.workspace.kept import kept as keep_model
from agt_lib.workspace.machine import pick_device, pick_precision
from agt_lib.workspace.progress import bar

VERSION = 2  # raised when the same clips and configuration give another model
KIND = "tuned_clip"
ALL = None
"""In the place of a fold: the model that is tuned on all labelled clips."""


@dataclass(frozen=True)
class Job:
    """One model to tune, and what names its artefact."""

    task: TuneTask
    source: Source
    config: TuneConfig
    cpu: bool
    made_from: dict[str, Any]

    @property
    def done(self) -> bool:
        """Whether the model is there."""
        folder = paths.derived() / f"{KIND}-{digest(self.made_from)}"
        return read_manifest(folder) is not None


def tuned_models(
    corpus: Corpus,
    folds: pd.Series,
    model: str,
    config: TuneConfig,
    *,
    which: Sequence[int | None],
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    max_failures: float = 0.05,
    progress: bool = True,
) -> list[Path]:
    """The checkpoint folder of each of `which`: a fold that the model never saw, or `ALL`.

    Arguments are those of `jobs`. A folder is open_clip's: `ClipEncoder("local-dir:FOLDER")` reads
    it. Models that are there are not tuned again; on a CPU `workers` processes of one thread share
    the rest (by default one per core). Warns of a model whose tuning stopped early.
    """
    planned = jobs(
        corpus, folds, model, config, which=which, seed=seed, device=device,
        max_failures=max_failures, progress=progress,
    )  # fmt: skip
    todo = [job for job in planned if not job.done]
    if workers is None:
        workers = os.cpu_count() or 1 if planned[0].cpu else 1
    workers = max(1, min(workers, len(todo)))
    pool = joblib.Parallel(n_jobs=workers, return_as="generator")
    calls = (joblib.delayed(run)(job, progress=progress and workers == 1) for job in planned)
    folders = []
    with bar(len(planned), "tuned CLIPs", "model", shown=progress and workers > 1) as shown:
        for folder in pool(calls):
            folders.append(folder)
            shown.update()
    for fold, folder in zip(which, folders, strict=True):
        if stopped := read_manifest(folder)["stopped"]:
            name = "all clips" if fold is ALL else f"fold {fold}"
            warnings.warn(f"tuning CLIP for {name} stopped: {stopped}", stacklevel=2)
    return folders


def jobs(
    corpus: Corpus,
    folds: pd.Series,
    model: str,
    config: TuneConfig,
    *,
    which: Sequence[int | None],
    seed: int = 0,
    device: str = "auto",
    max_failures: float = 0.05,
    progress: bool = True,
) -> list[Job]:
    """What is to be tuned for each of `which`; decodes the labelled clips' frames where needed.

    `folds` numbers the fold that holds out each labelled clip, -1 where none does (see
    `folds.make_folds`, `folds.dev_fold`); `model` is `ClipEncoder`'s. Clips that can't be read
    are left out. Raises ValueError where no labelled clip has a video or a training fold has one
    class alone, ExtractionError where more than the share `max_failures` can't be read; warns of a
    class that a training fold lacks.
    """
    source = Source.find(model, None)
    clips = corpus.clips.loc[folds.index]
    clips = clips[clips["emotion"].notna()]
    if clips.empty:
        raise ValueError(f"corpus {corpus.name!r} has no labelled clips: nothing to tune CLIP on")
    kept = frames.keep(
        clips, source.preprocessing, config, max_failures=max_failures, progress=progress
    )
    if not kept.names:
        raise ValueError(
            f"corpus {corpus.name!r} has no labelled clip with a video that can be read: nothing "
            "to tune CLIP on"
        )
    target = pick_device(device)
    clips = clips.loc[list(kept.names)]
    labels = to_numbers(clips["emotion"], corpus.labels)
    held_out = folds.loc[clips.index].to_numpy()
    # How a step is fitted into memory names no other model, as the number of processes does not.
    made_with = asdict(config) | {"accumulate": 1, "gradient_checkpointing": False}
    planned = []
    for fold in which:
        chosen = np.arange(len(clips)) if fold is ALL else np.flatnonzero(held_out != fold)
        _check_classes(labels[chosen], corpus.labels, fold)
        task = TuneTask(kept, chosen, labels[chosen], corpus.labels, seed)
        seen = clips.iloc[chosen]
        made_from = {
            "version": [VERSION, frames.VERSION, frames.MEDIA_VERSION],
            "model": [digest(source.config), file_digest(source.weights)],
            "preprocessing": {k: str(v) for k, v in vars(source.preprocessing).items()},
            "config": made_with,
            "precision": str(pick_precision(config.precision, target)),
            "labels": list(corpus.labels),
            "clips": digest(
                [
                    [*frames.source(name, video), emotion]
                    for name, video, emotion in zip(
                        seen.index, seen["video"], seen["emotion"], strict=True
                    )
                ]
            ),
            "seed": seed,
        }
        planned.append(Job(task, source, config, target.type == "cpu", made_from))
    return planned


def run(job: Job, *, progress: bool = True) -> Path:
    """The folder of the job's model, tuned first where it is not there.

    Launched by `accelerate` in several processes, all of them must call this; they share the work
    and the folder, which must lie on a disk that all of them see. Alone on a CPU, one thread.
    """
    accelerator = Accelerator(cpu=job.cpu)

    def work(folder: Path) -> dict[str, Any]:
        return tune(
            job.task, job.source, job.config, folder, accelerator=accelerator, progress=progress
        )

    if accelerator.num_processes > 1:
        return _together(job, work, accelerator)
    threads = torch.get_num_threads()
    if job.cpu:
        torch.set_num_threads(1)
    try:
        return keep_model(KIND, job.made_from, work)
    finally:
        torch.set_num_threads(threads)


def _together(job: Job, work: Callable[[Path], dict[str, Any]], accelerator: Accelerator) -> Path:
    """The first process keeps the artefact and tells the others the folder to work on."""
    told = []

    def lead(folder: Path) -> dict[str, Any]:
        told.extend(broadcast_object_list([str(folder), False]))
        return work(folder)

    if not accelerator.is_main_process:
        folder, there = broadcast_object_list([None, None])
        if not there:
            work(Path(folder))
        return Path(folder)
    folder = keep_model(KIND, job.made_from, lead)
    if not told:
        broadcast_object_list([str(folder), True])
    return folder


def _check_classes(labels: np.ndarray, label_set: Sequence[str], fold: int | None) -> None:
    where = "the labelled clips" if fold is ALL else f"the training fold of fold {fold}"
    found = set(np.unique(labels))
    missing = [label for number, label in enumerate(label_set) if number not in found]
    if len(found) < 2:
        raise ValueError(f"{where} show one class alone; tuning needs two: lack {missing}")
    if missing:
        warnings.warn(f"{where} have no clip of {', '.join(missing)}", stacklevel=3)
