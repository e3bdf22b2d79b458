"""One training of all models and folds with one seed, and its predictions as an artefact on disk.

What it is made from is the fitted models, not the rule that chose what joins: two rules that choose
the same clips share it, and all rules share the first training.

K folds, N labelled clips, P clips of the pool, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib import fusion
from agt_lib.fusion import fit_cache, saved
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import out_of_fold
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.fitted import FittedModel
from agt_lib.fusion.train import FitTask, Joined
from agt_lib.workspace import kept

PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Fits:
    """Predictions by model, `out_of_fold` (N, C) and `pool` (K, P, C), and what had `joined`.

    `models` are the folders of the fitted models, by model and fold.
    """

    models: dict[str, tuple[Path, ...]]
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
    def predicted(self) -> dict[str, Any]:
        """What all predictions are made from, beside the models."""
        return {
            "version": fusion.VERSION,
            "data": fit_cache.digest(self.data),
            "folds": kept.digest(self.folds.tolist()),
            "pool": fit_cache.digest(self.pool),
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
        fitted = fit_cache.fit_or_load(
            self.data,
            self._tasks(seed, joined, targets, start),
            pool=self.pool,
            device=self.device,
            workers=self.workers,
            progress=self.progress,
        )
        by_name = {name: [next(fitted) for _ in range(self.n_folds)] for name in self.configs}
        models = {name: [model for model, _ in found] for name, found in by_name.items()}
        folders = {name: tuple(place for _, place in found) for name, found in by_name.items()}

        def make(folder: Path) -> dict[str, Any]:
            np.savez(folder / PREDICTIONS, **self._predictions(models))
            return {"joined": len(joined)}

        names = {name: [place.name for place in found] for name, found in folders.items()}
        folder = kept.kept("pseudo", self.predicted | {"models": names}, make)
        with np.load(folder / PREDICTIONS, allow_pickle=False) as file:
            held_out = {name: file[f"{name}/out_of_fold"] for name in self.configs}
            pool = {name: file[f"{name}/pool"] for name in self.configs}
        return Fits(folders, held_out, pool, joined)

    def _tasks(
        self, seed: int, joined: pd.DataFrame, targets: np.ndarray, start: Fits | None
    ) -> list[FitTask]:
        rows = pd.Index(self.pool.names).get_indexer(joined["name"])
        of_fold = [(joined["fold"] == fold).to_numpy(bool) for fold in range(self.n_folds)]
        return [
            FitTask(
                config,
                np.flatnonzero(self.folds != fold),
                seed,
                Joined(rows[of_fold[fold]], targets[of_fold[fold]]),
                None if start is None else saved.load(start.models[name][fold]).state,
            )
            for name, config in self.configs.items()
            for fold in range(self.n_folds)
        ]

    def _predictions(self, models: Mapping[str, list[FittedModel]]) -> dict[str, np.ndarray]:
        arrays = {}
        for name, of_folds in models.items():
            arrays[f"{name}/out_of_fold"] = out_of_fold(self.data, self.folds, of_folds)
            arrays[f"{name}/pool"] = np.stack([model.predict(self.pool) for model in of_folds])
        return arrays
