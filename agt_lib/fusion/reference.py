"""A plain reference beside the fusion networks: logistic regression on the same features.

Letters: S seeds, K folds, N clips, C classes.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from agt_lib.corpora.folds import fold_numbers
from agt_lib.fusion.crossval import CrossValidated, assembled
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
    models = {}
    for name, modalities in configs.items():
        chosen = data.only(modalities)
        trained_on = [np.flatnonzero(numbers != fold) for fold in range(numbers.max() + 1)]
        models[name] = [[_Regression(chosen, rows, strength) for rows in trained_on]]
    return replace(assembled(data, numbers, models, (0,), test), models={})


class _Regression:
    """Logistic regression on all modalities of `data`, fitted on its clips `rows`."""

    def __init__(self, data: FusionData, rows: np.ndarray, strength: float):
        self.modalities, self.n_classes = data.modalities, len(data.label_set)
        self.scalers = fit_scalers(data, rows)
        self.model = LogisticRegression(C=strength, max_iter=2000)
        self.model.fit(self._matrix(data.rows(rows)), data.labels[rows])

    def predict(self, data: FusionData) -> np.ndarray:
        """Probabilities (N, C); zero for a class that the training fold does not have."""
        probabilities = np.zeros((len(data.names), self.n_classes))
        if len(data.names):
            given = self.model.predict_proba(self._matrix(data))
            probabilities[:, self.model.classes_] = given
        return probabilities

    def _matrix(self, data: FusionData) -> np.ndarray:
        """Standardised features side by side, (N, sum of D), zero if absent."""
        parts = []
        for modality, values in data.only(self.modalities).features.items():
            scaled = self.scalers[modality](values)
            parts.append(np.where(data.is_present(modality)[:, None], scaled, 0))
        return np.concatenate(parts, axis=1)
