"""A plain reference beside the fusion networks: logistic regression on the same features.

Letters: S seeds, K folds, N clips, C classes.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from agt_lib.corpora.folds import fold_numbers
from agt_lib.evaluation.predictions import Predictions
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData, fit_scalers

STRENGTH = 0.01
"""scikit-learn's C: small, since features outnumber clips."""


@threadpool_limits.wrap(limits=1)
def logistic_regression(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[Hashable, Sequence[str]],
    *,
    test: FusionData | None = None,
    strength: float = STRENGTH,
) -> CrossValidated:
    """Fit scikit-learn's logistic regression in every fold, in the protocol of `fit_folds`.

    `configs` are the modalities that each model reads, by its name. Features are standardised on
    the training fold and concatenated; an absent modality is at its mean. It has no seed, so S is
    1, and it trains on the whole training fold since it has no epoch to choose. It runs on one
    thread: on matrices this small more of them wait for one another.
    """
    numbers = fold_numbers(data.names, folds)
    out_of_fold, tests = {}, {}
    for name, modalities in configs.items():
        chosen = data.only(modalities)
        of_test = None if test is None else test.only(modalities)
        out_of_fold[name], tests[name] = _fit(chosen, numbers, of_test, strength)
    held_out = numbers >= 0
    names = tuple(np.array(data.names, dtype=object)[held_out])
    own = {name: p[None, held_out] for name, p in out_of_fold.items()}
    return CrossValidated(
        Predictions(names, data.label_set, own),
        None if test is None else Predictions(test.names, data.label_set, tests),
        pd.Series(numbers, index=list(data.names), name="fold"),
    )


def _fit(
    data: FusionData, numbers: np.ndarray, test: FusionData | None, strength: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Out-of-fold probabilities (N, C) and the fold models' mean on the test clips (1, N, C)."""
    n_classes = len(data.label_set)
    out_of_fold, tests = np.zeros((len(data.names), n_classes)), []
    for fold in range(numbers.max() + 1):
        train, held_out = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)
        scalers = fit_scalers(data, train)
        model = LogisticRegression(C=strength, max_iter=2000)
        model.fit(_matrix(data.rows(train), scalers), data.labels[train])
        out_of_fold[held_out] = _predict(model, _matrix(data.rows(held_out), scalers), n_classes)
        if test is not None:
            tests.append(_predict(model, _matrix(test, scalers), n_classes))
    return out_of_fold, np.mean(tests, axis=0)[None] if tests else None


def _matrix(data: FusionData, scalers: dict) -> np.ndarray:
    """Standardised features side by side, (N, sum of D), zero if absent."""
    parts = []
    for modality, values in data.features.items():
        scaled = scalers[modality](values)
        parts.append(np.where(data.is_present(modality)[:, None], scaled, 0))
    return np.concatenate(parts, axis=1)


def _predict(model: LogisticRegression, matrix: np.ndarray, n_classes: int) -> np.ndarray:
    """Probabilities (N, C); zero for a class that the training fold does not have."""
    probabilities = np.zeros((len(matrix), n_classes))
    if len(matrix):
        probabilities[:, model.classes_] = model.predict_proba(matrix)
    return probabilities
