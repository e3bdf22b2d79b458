"""The protocol: one model per fold and seed, scored on clips that it was not trained on.

Letters: S seeds, K folds, N clips, C classes.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import Sample, votes
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.fits import fit_kept
from agt_lib.fusion.model import FittedModel, predict_each
from agt_lib.fusion.train import FitTask, Joined, fit_each

NOISE = (0.5, 1.0, 2.0, 4.0)
N_BOOTSTRAP = 500


@dataclass(frozen=True)
class CrossValidated:
    """Predictions of models that were fitted in every fold.

    `out_of_fold` are of single models, each for the clips that it was not trained on. `test`
    averages the K fold models of a seed, so its scores do not compare with the out-of-fold ones;
    where a dev split is the fold it is of a model of train and dev together. None without test
    clips. `folds` number, by clip name, the fold that holds each clip out (-1:
    none). `models` are the fitted models of a configuration, by seed and fold; `final` are those
    that predicted the test clips, or would. A method that keeps none has no entry.
    """

    out_of_fold: Predictions
    test: Predictions | None
    folds: pd.Series
    models: dict[Hashable, tuple[tuple[FittedModel, ...], ...]] = field(default_factory=dict)
    final: dict[Hashable, tuple[tuple[FittedModel, ...], ...]] = field(default_factory=dict)

    def labelled(self, data: FusionData) -> tuple[np.ndarray, np.ndarray]:
        """The labels (n,) and folds (n,) of the clips of `data` that a fold holds out."""
        names = list(self.out_of_fold.names)
        return self.out_of_fold.numbers(data.truth), self.folds.loc[names].to_numpy()

    def __or__(self, other: "CrossValidated") -> "CrossValidated":
        """The models of both, on the same clips. Raises ValueError if clips or seeds differ."""
        return replace(
            self,
            out_of_fold=self.out_of_fold | other.out_of_fold,
            test=None if self.test is None or other.test is None else self.test | other.test,
            models=self.models | other.models,
            final=self.final | other.final,
        )

    def of(self, *models: Hashable) -> "CrossValidated":
        """Those of `models` alone, in that order. Raises ValueError for one that is not there."""
        return replace(
            self,
            out_of_fold=self.out_of_fold.of(*models),
            test=None if self.test is None else self.test.of(*models),
            models={model: self.models[model] for model in models if model in self.models},
            final={model: self.final[model] for model in models if model in self.final},
        )


def fit_folds(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[Hashable, FusionConfig | Sequence[FusionConfig]],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    test: FusionData | None = None,
    pool: FusionData | None = None,
    joined: Mapping[tuple[int, int], Joined] | None = None,
    keep: bool = True,
    **options: Any,
) -> CrossValidated:
    """Fit every configuration in every fold with every seed.

    A configuration may be one a fold, as `choice.choose` gives them.

    `folds` numbers the fold, from 0, that holds out each clip of `data`; -1 marks clips that all
    models train on (see `corpora.folds.folds_of`). `joined` are the clips of `pool` that join the
    training, by seed and fold. With `keep` every fitted model is kept on disk (`fits.fit_kept`).
    `options` are those of `train.fit_each`. Raises ValueError if `folds` misses a clip, and as
    `fit_each` does.
    """
    numbers = fold_numbers(data.names, folds)
    seeds = [int(seed) for seed in seeds]  # numpy's integers are none of JSON's
    trained_on = training_rows(numbers, test)
    sizes = [*map(len, trained_on[: numbers.max() + 1])]
    tasks = [
        FitTask(own.settled(*sizes), rows, seed, (joined or {}).get((seed, fold)))
        for config in configs.values()
        for seed in seeds
        for fold, rows in enumerate(trained_on)
        for own in [config if isinstance(config, FusionConfig) else config[fold % len(config)]]
    ]
    fitted = (fit_kept if keep else fit_each)(data, tasks, pool=pool, **options)
    models = {
        name: tuple(tuple(next(fitted) for _ in trained_on) for _ in seeds) for name in configs
    }
    return assembled(data, numbers, models, seeds, test)


def training_rows(numbers: np.ndarray, test: FusionData | None) -> list[np.ndarray]:
    """The rows that each fold's model is trained on, by the clips' folds `numbers` (N,).

    Where a dev split is the fold and there are `test` clips, one more model, of all clips, is for
    these.
    """
    rows = [np.flatnonzero(numbers != fold) for fold in range(int(numbers.max()) + 1)]
    return [*rows, np.arange(len(numbers))] if test is not None and numbers.min() < 0 else rows


def assembled(
    data: FusionData,
    numbers: np.ndarray,
    models: Mapping[Hashable, Sequence[Sequence]],
    seeds: Sequence[int],
    test: FusionData | None,
) -> CrossValidated:
    """What `models`, by configuration, seed and fold, predict of the clips of `data` and `test`.

    A model is anything that predicts as `FittedModel.predict` does. `numbers` (N,) are the folds
    that hold the clips out, -1 if none does. The models are those of `training_rows`.
    """
    n_folds = int(numbers.max()) + 1
    names = tuple(np.array(data.names, dtype=object)[numbers >= 0])
    last = {name: [of[n_folds:] or of for of in by_seed] for name, by_seed in models.items()}
    tested = None if test is None else predicted(last, test, seeds)
    models = {name: tuple(of[:n_folds] for of in by_seed) for name, by_seed in models.items()}
    own = {
        name: np.stack([out_of_fold(data, numbers, of_seed) for of_seed in by_seed])
        for name, by_seed in models.items()
    }
    folds = pd.Series(numbers, index=list(data.names), name="fold")
    held_out = Predictions(names, data.label_set, own, tuple(seeds))
    return CrossValidated(held_out, tested, folds, models, last)


def out_of_fold(data: FusionData, numbers: np.ndarray, models: Sequence) -> np.ndarray:
    """Probabilities (n, C) of the clips that a fold holds out, by the model of that fold."""
    rows = [np.flatnonzero(numbers == fold) for fold in range(len(models))]
    parts = [model.predict(data.rows(mine)) for model, mine in zip(models, rows, strict=True)]
    return np.concatenate(parts)[np.argsort(np.concatenate(rows))]


def predicted(
    models: Mapping[Hashable, Sequence[Sequence]], data: FusionData, seeds: Sequence[int]
) -> Predictions:
    """Predictions of clips that no model was trained on: each seed's mean over the fold models."""
    means = {
        name: np.stack([predict_mean(of_seed, data) for of_seed in by_seed])
        for name, by_seed in models.items()
    }
    return Predictions(data.names, data.label_set, means, tuple(seeds))


def predict_mean(models: Sequence, data: FusionData) -> np.ndarray:
    """The mean of the models' probabilities, (N, C)."""
    if all(isinstance(model, FittedModel) for model in models):
        return predict_each(models, data).mean(0)
    return np.mean([model.predict(data) for model in models], axis=0)


def histories(result: CrossValidated) -> pd.DataFrame:
    """Every fit's history: columns model, fit, epoch, train_loss, inner_waf."""
    parts = []
    for name, by_seed in result.models.items():
        for number, fitted in enumerate(model for models in by_seed for model in models):
            parts.append(fitted.history.reset_index().assign(model=title(name), fit=number))
    return pd.concat(parts, ignore_index=True)


def title(model: Hashable) -> Hashable:
    """A model's name without its features."""
    return model[-1] if isinstance(model, tuple) else model


def robustness(result: CrossValidated, data: FusionData, seed: int = 0) -> pd.DataFrame:
    """Out-of-fold WAF of fitted models as modalities are taken away or drowned in noise.

    Columns model, modality, condition ("noise", "absent", "alone"), noise (in standard deviations
    of each feature), waf, waf_low, waf_high, in per cent, clips. Nothing is fitted again. A
    condition that leaves no clip with anything has no line.
    """
    conditions = []
    for m in data.modalities:
        conditions.append((m, "noise", 0.0, data))
        conditions += [(m, "noise", sd, data.with_noise(m, sd, seed)) for sd in NOISE]
        conditions.append((m, "absent", np.nan, data.without(m)))
        others = [other for other in data.modalities if other != m]
        conditions.append((m, "alone", np.nan, data.without(*others)))
    numbers = fold_numbers(data.names, result.folds)
    held_out = numbers >= 0
    lines = []
    for model, by_seed in result.models.items():
        for modality, condition, noise, changed in conditions:
            left = changed.present.any(1)
            if not left[held_out].any():
                continue
            again = np.stack([out_of_fold(changed, numbers, models) for models in by_seed])
            rows = held_out & left
            known = data.groups is not None and not pd.isna(data.groups[rows]).any()
            groups = data.groups[rows] if known else None
            sample = Sample.of(data.labels[rows], groups, n_bootstrap=N_BOOTSTRAP)
            score = tables.score_line(sample, votes(again[:, left[held_out]]))
            line = {"model": title(model), "modality": modality, "condition": condition}
            line |= {"noise": noise}
            lines.append(line | {c: score[c] for c in ("waf", "waf_low", "waf_high", "clips")})
    return pd.DataFrame(lines)
