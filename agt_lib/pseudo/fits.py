"""One training of all models and folds with one seed, as an artefact on disk.

What it is made from is the data, the configurations and what joins, not the rule that chose it: two
rules that choose the same clips share it, and all rules share the first training.

K folds, N labelled clips, P clips of the pool, C classes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib import artefact, saved
from agt_lib.crossval import out_of_fold
from agt_lib.fitted import FittedModel
from agt_lib.fusion_config import FusionConfig
from agt_lib.fusion_data import FusionData
from agt_lib.training import FitTask, Joined, fit_each

VERSION = 1
"""Raised when the same inputs give other numbers."""
PREDICTIONS, JOINED, MODELS = "predictions.npz", "joined.csv", "models"


@dataclass(frozen=True)
class Fits:
    """Predictions by model, `out_of_fold` (N, C) and `pool` (K, P, C), and what had `joined`."""

    folder: Path
    out_of_fold: dict[str, np.ndarray]
    pool: dict[str, np.ndarray]
    joined: pd.DataFrame


@dataclass(frozen=True)
class Trainer:
    """Fits every configuration in every fold, with clips of the pool that join.

    `folds` (N,) numbers the fold that holds each clip out.
    """

    data: FusionData
    folds: np.ndarray
    pool: FusionData
    configs: Mapping[str, FusionConfig]
    device: str = "auto"
    workers: int | None = None
    progress: bool = True

    @property
    def n_folds(self) -> int:
        """K."""
        return int(self.folds.max()) + 1

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What every training is made from."""
        return {
            "version": VERSION,
            "data": _digest(self.data),
            "folds": artefact.digest(self.folds.tolist()),
            "pool": _digest(self.pool),
            "configs": {name: config.plain() for name, config in self.configs.items()},
        }

    def fits(
        self,
        seed: int,
        joined: pd.DataFrame | None = None,
        *,
        soft: bool = False,
        start: Fits | None = None,
    ) -> Fits:
        """Train with `joined` clips, or load what was trained before.

        Their columns are fold, name, label, confidence and one per class. Targets are the labels,
        or the columns of the classes where `soft`; `start` has the weights to go on from. Every
        fitted model is kept, so that a killed training goes on.
        """
        labels = list(self.data.label_set)
        if joined is None:
            joined = pd.DataFrame(columns=["fold", "name", "label", "confidence", *labels])
        targets = joined[labels].to_numpy(np.float32)
        if not soft:
            chosen = pd.Index(labels).get_indexer(joined["label"])
            targets = np.eye(len(labels), dtype=np.float32)[chosen]
        made_from = self.inputs | {
            "seed": seed,
            "joined": artefact.digest(joined[["fold", "name"]].to_numpy().tolist()),
            "targets": hashlib.sha256(targets.tobytes()).hexdigest(),
            "start": None if start is None else start.folder.name,
        }

        def make(folder: Path) -> dict[str, Any]:
            tasks = self._tasks(seed, joined, targets, start)
            self._predict(folder, self._fitted(folder, tasks))
            artefact.write_atomic(folder / JOINED, joined.to_csv(index=False))
            return {"joined": len(joined), "models": len(tasks)}

        folder = artefact.made("pseudo", made_from, make)
        with np.load(folder / PREDICTIONS, allow_pickle=False) as file:
            held_out = {name: file[f"{name}/out_of_fold"] for name in self.configs}
            pool = {name: file[f"{name}/pool"] for name in self.configs}
        return Fits(folder, held_out, pool, joined)

    def _tasks(
        self, seed: int, joined: pd.DataFrame, targets: np.ndarray, start: Fits | None
    ) -> dict[tuple[str, int], FitTask]:
        rows = pd.Index(self.pool.names).get_indexer(joined["name"])
        of_fold = [(joined["fold"] == fold).to_numpy(bool) for fold in range(self.n_folds)]
        return {
            (name, fold): FitTask(
                config,
                np.flatnonzero(self.folds != fold),
                seed,
                Joined(rows[of_fold[fold]], targets[of_fold[fold]]),
                None if start is None else load_model(start.folder, name, fold).state,
            )
            for name, config in self.configs.items()
            for fold in range(self.n_folds)
        }

    def _fitted(
        self, folder: Path, tasks: Mapping[tuple[str, int], FitTask]
    ) -> dict[tuple[str, int], FittedModel]:
        places = {key: _place(folder, *key) for key in tasks}
        missing = [key for key, place in places.items() if artefact.read_manifest(place) is None]
        fitted = fit_each(
            self.data,
            [tasks[key] for key in missing],
            pool=self.pool,
            device=self.device,
            workers=self.workers,
            progress=self.progress,
        )
        for key, model in zip(missing, fitted, strict=True):
            saved.save(model, places[key])
        return {key: saved.load(place) for key, place in places.items()}

    def _predict(self, folder: Path, models: Mapping[tuple[str, int], FittedModel]) -> None:
        arrays = {}
        for name in self.configs:
            of_folds = [models[name, fold] for fold in range(self.n_folds)]
            arrays[f"{name}/out_of_fold"] = out_of_fold(self.data, self.folds, of_folds)
            arrays[f"{name}/pool"] = np.stack([model.predict(self.pool) for model in of_folds])
        np.savez(folder / PREDICTIONS, **arrays)


def load_model(folder: Path, name: str, fold: int) -> FittedModel:
    """The model `name` of the training in `folder` that never saw what fold `fold` holds out."""
    return saved.load(_place(folder, name, fold))


def _place(folder: Path, name: str, fold: int) -> Path:
    return folder / MODELS / f"{name}-fold{fold}"


def _digest(data: FusionData) -> str:
    """A hash of all that a fit reads of `data`."""
    arrays = [*data.features.values(), *data.lengths.values(), data.present, data.labels]
    content = hashlib.sha256()
    for array in arrays:
        content.update(f"{array.dtype} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).data)
    groups = None if data.groups is None else [str(group) for group in data.groups]
    about = [list(data.names), list(data.label_set), data.fingerprints, groups]
    return artefact.digest([content.hexdigest(), about])
