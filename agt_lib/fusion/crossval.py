"""The protocol: one model per fold and seed, scored on clips it never saw.

Letters: S seeds, K folds, N labelled clips, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.fusion import fit_cache
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.fitted import FittedModel
from agt_lib.fusion.train import FitTask, fit_each


@dataclass(frozen=True)
class CrossValidated:
    """Predictions of one configuration by all folds and seeds.

    `out_of_fold` (S, N, C) are probabilities of single models, each for the clips its fit never
    saw; NaN for clips that no fold holds out. `test` (S, N_test, C) averages the K fold models of
    a seed, so its scores do not compare with the out-of-fold ones; None without test clips.
    `models` are the fitted models, by seed and fold; none for a method that keeps none.
    """

    names: tuple[str, ...]
    label_set: tuple[str, ...]
    folds: np.ndarray
    seeds: tuple[int, ...]
    out_of_fold: np.ndarray
    test_names: tuple[str, ...] = ()
    test: np.ndarray | None = None
    models: tuple[tuple[FittedModel, ...], ...] = ()

    def out_of_fold_table(self, seed: int) -> pd.DataFrame:
        """Out-of-fold probabilities of one of `seeds`, for the clips that a fold holds out."""
        held_out = self.folds >= 0
        names = np.array(self.names, dtype=object)[held_out]
        return _table(names, self.label_set, self.out_of_fold[self.seeds.index(seed)][held_out])

    def test_table(self, seed: int) -> pd.DataFrame:
        """Test probabilities of one of `seeds`. Raises ValueError where there was no test set."""
        if self.test is None:
            raise ValueError("cross_validate was given no test clips: pass them as `test`")
        return _table(self.test_names, self.label_set, self.test[self.seeds.index(seed)])


def cross_validate(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[str, FusionConfig],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    test: FusionData | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = True,
    keep: bool = True,
) -> dict[str, CrossValidated]:
    """Fit every configuration in every fold with every seed.

    `folds` numbers the fold, from 0, that holds out each clip of `data`; -1 marks clips that all
    models train on (`dev_fold`). With `keep` every fitted model is written to disk at once and
    read from there the next time (see `fit_cache`). Raises ValueError where `folds` misses a clip,
    and as `training.fit_each` does.
    """
    numbers = fold_numbers(data.names, folds)
    n_folds = int(numbers.max()) + 1
    tasks = [
        FitTask(config, np.flatnonzero(numbers != fold), seed)
        for config in configs.values()
        for seed in seeds
        for fold in range(n_folds)
    ]
    options = {"device": device, "workers": workers, "progress": progress}
    if keep:
        models = (model for model, _ in fit_cache.fit_or_load(data, tasks, **options))
    else:
        models = fit_each(data, tasks, **options)
    results = {}
    for name in configs:
        by_seed = tuple(tuple(next(models) for _ in range(n_folds)) for _ in seeds)
        results[name] = CrossValidated(
            names=data.names,
            label_set=data.label_set,
            folds=numbers,
            seeds=tuple(seeds),
            out_of_fold=np.stack([out_of_fold(data, numbers, fitted) for fitted in by_seed]),
            test_names=() if test is None else test.names,
            test=None
            if test is None
            else np.stack([predict_mean(fitted, test) for fitted in by_seed]),
            models=by_seed,
        )
    return results


def histories(results: Mapping[str, CrossValidated]) -> pd.DataFrame:
    """Every fit's history: columns model, fit, epoch, train_loss, inner_loss, inner_waf, chosen."""
    tables = []
    for name, result in results.items():
        fits = [fitted for models in result.models for fitted in models]
        for number, fitted in enumerate(fits):
            history = fitted.history.reset_index()
            chosen = history["epoch"] == fitted.epoch
            tables.append(history.assign(model=name, fit=number, chosen=chosen))
    return pd.concat(tables, ignore_index=True)


def predict_mean(models: Sequence[FittedModel], data: FusionData) -> np.ndarray:
    """The mean of the models' probabilities, (N, C)."""
    return np.mean([model.predict(data) for model in models], axis=0)


def out_of_fold(data: FusionData, numbers: np.ndarray, models: Sequence[FittedModel]) -> np.ndarray:
    """Probabilities (N, C) of each clip by the model of the fold that holds it out, else NaN."""
    probabilities = np.full((len(data.names), len(data.label_set)), np.nan, np.float32)
    for fold, model in enumerate(models):
        held_out = np.flatnonzero(numbers == fold)
        probabilities[held_out] = model.predict(data.rows(held_out))
    return probabilities


def _table(
    names: Sequence[str], label_set: Sequence[str], probabilities: np.ndarray
) -> pd.DataFrame:
    index = pd.Index(names, name="name", dtype="str")
    return pd.DataFrame(probabilities, index=index, columns=list(label_set))
