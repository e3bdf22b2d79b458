"""A plain reference beside the fusion networks: logistic regression on the same features.

Letters: S seeds, K folds, N clips, C classes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from agt_lib.corpora.folds import fold_numbers
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData, fit_scalers

STRENGTH = 0.01
"""scikit-learn's C: small, since features outnumber clips."""


@threadpool_limits.wrap(limits=1)
def logistic_regression(
    data: FusionData,
    folds: pd.Series,
    modalities: Sequence[str],
    *,
    test: FusionData | None = None,
    strength: float = STRENGTH,
) -> CrossValidated:
    """Fit scikit-learn's logistic regression in every fold, in the protocol of `cross_validate`.

    Features are standardised on the training fold and concatenated; an absent modality is at its
    mean. It has no seed, so S is 1, and it trains on the whole training fold
    since it has no epoch to choose. It runs on one thread: on matrices this small more of them wait
    for one another.
    """
    data = data.only(modalities)
    numbers = fold_numbers(data.names, folds)
    n_classes = len(data.label_set)
    out_of_fold = np.full((len(data.names), n_classes), np.nan)
    tests = []
    for fold in range(numbers.max() + 1):
        train, held_out = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)
        scalers = fit_scalers(data, train)
        model = LogisticRegression(C=strength, max_iter=2000)
        model.fit(_matrix(data.rows(train), scalers), data.labels[train])
        out_of_fold[held_out] = _predict(model, _matrix(data.rows(held_out), scalers), n_classes)
        if test is not None:
            only = _matrix(test.only(modalities), scalers)
            tests.append(_predict(model, only, n_classes))
    return CrossValidated(
        names=data.names,
        label_set=data.label_set,
        folds=numbers,
        seeds=(0,),
        out_of_fold=out_of_fold[None],
        test_names=() if test is None else test.names,
        test=None if test is None else np.mean(tests, axis=0)[None],
    )


def _matrix(data: FusionData, scalers: dict) -> np.ndarray:
    """Standardised features side by side, (N, sum of D), zero where absent."""
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
