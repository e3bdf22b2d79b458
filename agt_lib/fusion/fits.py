"""Fitted models kept on disk: no fit is done twice, and a killed run goes on where it stopped."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agt_lib.fusion import VERSION
from agt_lib.fusion.data import AT_ONCE, FusionData
from agt_lib.fusion.model import FittedModel
from agt_lib.fusion.networks import SOURCES
from agt_lib.fusion.train import FitTask, fit_stacks, in_order, stacks
from agt_lib.workspace import kept
from agt_lib.workspace.machine import pick_device

KIND = "fit"


def fit_kept(
    data: FusionData,
    tasks: Sequence[FitTask],
    *,
    pool: FusionData | None = None,
    device: str = "auto",
    **options: Any,
) -> Iterator[FittedModel]:
    """Each task's model as `fit_each` fits it, kept on disk: no fit is done twice.

    A fit is kept under the hash of all that it reads (clips, labels, its task, those of its stack,
    versions), so the notebooks share their fits, and a killed run loses at most the stacks under
    way. A stack with a damaged fit is fitted again, and that is said. Two processes at once fit
    nothing twice. Raises StoreError if the disk takes no more.
    """
    division = stacks(data, tasks)
    made_from = [*_made_from(data, tasks, pool, pick_device(device).type)]
    for numbers in division:
        beside = kept.digest([made_from[number] for number in numbers])
        for place, number in enumerate(numbers):
            made_from[number] = made_from[number] | {"stack": beside, "place": place}
    places = [kept.folder_of(KIND, content) for content in made_from]
    found = [_read(place) for place in places]
    missing = [part for part in division if any(found[number] is None for number in part)]
    keep = [partial(_keep, [(places[n], made_from[n]) for n in part]) for part in missing]
    fitted = fit_stacks(data, tasks, missing, pool=pool, device=device, keep=keep, **options)

    def models() -> Iterator[list[FittedModel | FloatingPointError]]:
        for numbers in division:
            own = [found[number] for number in numbers]
            if any(model is None for model in own):
                own = next(fitted)
            yield own

    yield from in_order(division, models())


def _keep(
    named: Sequence[tuple[Path, dict[str, Any]]],
    fit: Callable[[], list[FittedModel | FloatingPointError]],
) -> list[FittedModel | FloatingPointError]:
    """The models of a stack, which `fit` finds, kept in their folders; `named` says of what."""
    with kept.locked(named[0][0]):
        models = [_read(place) for place, _ in named]
        if all(model is not None for model in models):  # by the process that was waited for
            return models
        models = fit()
        for (place, content), model in zip(named, models, strict=True):
            if isinstance(model, FittedModel):
                kept.kept_at(place, KIND, content, model.write)
    return models


def _read(folder: Path) -> FittedModel | None:
    """The model kept in `folder`; what is damaged is discarded."""
    if not kept.is_whole(folder):
        return None
    try:
        return FittedModel.load(folder)
    except FileNotFoundError:  # another process makes it again at this moment
        return None
    except kept.DAMAGE as error:
        kept.discard(folder, f"is damaged ({error})")
        return None


def _made_from(
    data: FusionData, tasks: Sequence[FitTask], pool: FusionData | None, device: str
) -> Iterator[dict[str, Any]]:
    read = {task.config.modalities for task in tasks}
    own = {modalities: _data_digest(data.only(modalities)) for modalities in read}
    speakers = {modalities: _speakers_digest(data, modalities) for modalities in read}
    joining = {task.config.modalities for task in tasks if task.joined is not None}
    used = [task.joined.index for task in tasks if task.joined is not None]
    used = np.unique(np.concatenate(used)) if used else np.array([], int)
    clips = {modalities: _clip_digests(pool.only(modalities), used) for modalities in joining}
    for task in tasks:
        joined, modalities = task.joined, task.config.modalities
        if joined is not None:
            rows = np.searchsorted(used, joined.index)
            of_clips = [clips[modalities][row] for row in rows]
            joined = [pool.only(modalities).fingerprints, of_clips, _bytes_digest([joined.targets])]
        yield {
            "version": VERSION,
            "versions": kept.versions(),
            "device": device,
            "data": own[modalities],
            "speakers": speakers[modalities] if task.config.scale == "speaker" else None,
            "rows": _bytes_digest([np.asarray(task.train_index)]),
            "choosing": None if task.choosing is None else _bytes_digest([task.choosing]),
            "config": task.config.plain(),
            "seed": task.seed,
            "joined": joined,
            "network": SOURCES.get(task.config.model),
        }


def _data_digest(data: FusionData) -> str:
    """A hash of all that a fit can read of `data`."""
    groups = None if data.groups is None else [str(group) for group in data.groups]
    about = [list(data.names), list(data.label_set), data.fingerprints, groups]
    return kept.digest([_bytes_digest([*data.features.values(), data.present, data.labels]), about])


def _clip_digests(data: FusionData, index: np.ndarray) -> list[str]:
    """A hash of each of the clips `index` of `data`, as far as a fit reads it."""
    found = []
    for start in range(0, len(index), AT_ONCE):
        part = data.rows(index[start : start + AT_ONCE])
        columns = [*part.features.values(), part.present]
        who = [None] * len(part.names) if part.groups is None else map(str, part.groups)
        found += [
            kept.digest([_bytes_digest([x[row] for x in columns]), speaker])
            for row, speaker in enumerate(who)
        ]
    return found


def _speakers_digest(data: FusionData, modalities: Sequence[str]) -> str | None:
    """A hash of the statistics by speaker, of which the labelled clips are but a part."""
    scaler = data.by_speaker
    if scaler is None:
        return None
    arrays = [part[m] for m in modalities for part in (scaler.mean, scaler.sd)]
    return kept.digest([_bytes_digest(arrays), [str(speaker) for speaker in scaler.speakers]])


def _bytes_digest(arrays: Sequence[np.ndarray]) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(f"{array.dtype} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
