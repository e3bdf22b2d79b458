"""Fitted models kept on disk: no fit is done twice, and a killed run goes on where it stopped.

A fit is kept under the hash of all that it reads: clips, labels, its task, the code that fits and
the versions of packages. So the notebooks share the fits that they have in common.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agt_lib.fusion import VERSION, saved
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.fitted import FittedModel
from agt_lib.fusion.train import FitTask, fit_each
from agt_lib.workspace import kept
from agt_lib.workspace.machine import pick_device

KIND = "fit"


def fit_or_load(
    data: FusionData,
    tasks: Sequence[FitTask],
    *,
    pool: FusionData | None = None,
    device: str = "auto",
    **options: Any,
) -> Iterator[tuple[FittedModel, Path]]:
    """Each task's model, and the folder that `saved.load` reads it from, in the order of `tasks`.

    Models that are on disk are loaded. The others are fitted by `training.fit_each`, which takes
    the same options and says what is raised, and written as soon as they are there.
    """
    made_from = [*_made_from(data, tasks, pool, pick_device(device).type)]
    folders = [kept.folder_of(KIND, content) for content in made_from]
    there = [kept.read_manifest(folder) is not None for folder in folders]
    missing = [task for task, known in zip(tasks, there, strict=True) if not known]
    fitted = fit_each(data, missing, pool=pool, device=device, **options)
    for content, folder, known in zip(made_from, folders, there, strict=True):
        if known:
            model = saved.load(folder)
        else:
            model = next(fitted)
            kept.kept(KIND, content, lambda place, model=model: saved.write(model, place))
        yield model, folder


def digest(data: FusionData) -> str:
    """A hash of all that a fit can read of `data`."""
    arrays = [*data.features.values(), data.present, data.labels]
    groups = None if data.groups is None else [str(group) for group in data.groups]
    about = [list(data.names), list(data.label_set), data.fingerprints, groups]
    return kept.digest([_bytes_digest(arrays), about])


def _made_from(
    data: FusionData, tasks: Sequence[FitTask], pool: FusionData | None, device: str
) -> Iterator[dict[str, Any]]:
    always = {
        "version": VERSION,
        "versions": kept.versions(),
        "device": device,
    }
    known: dict[tuple[str, ...], str] = {}

    def of(clips: FusionData, role: str, modalities: tuple[str, ...]) -> str:
        if (role, *modalities) not in known:
            known[role, *modalities] = digest(clips.only(modalities))
        return known[role, *modalities]

    for task in tasks:
        modalities, joined = task.config.modalities, None
        if task.joined is not None and len(task.joined.index):
            content = _bytes_digest([task.joined.index, task.joined.targets])
            joined = [of(pool, "pool", modalities), content]
        yield always | {
            "data": of(data, "data", modalities),
            "rows": _bytes_digest([np.asarray(task.train_index)]),
            "config": task.config.plain(),
            "seed": task.seed,
            "joined": joined,
            "start": None if task.start is None else _state_digest(task.start),
        }


def _state_digest(state: Mapping[str, torch.Tensor]) -> str:
    return kept.digest([list(state), _bytes_digest([x.numpy() for x in state.values()])])


def _bytes_digest(arrays: Sequence[np.ndarray]) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(f"{array.dtype} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
