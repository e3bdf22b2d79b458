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
from agt_lib.fusion.choice import best, inner_folds
from agt_lib.fusion.crossval import CrossValidated, assembled, training_rows
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.scaling import fit_scaler

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""scikit-learn's C among which the inner folds choose: small, since features outnumber clips."""


@threadpool_limits.wrap(limits=1)
def logistic_regression(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[Hashable, Sequence[str]],
    *,
    test: FusionData | None = None,
    strengths: Sequence[float] = STRENGTHS,
    scale: str = "fold",
) -> CrossValidated:
    """Fit scikit-learn's logistic regression in every fold, in the protocol of `fit_folds`.

    `configs` are the modalities that each model reads, by its name. Features are scaled as those of
    the networks (`FusionConfig.scale`) and concatenated; an absent modality is at its mean. In each
    fold its strength, scikit-learn's C, is the best of `strengths` in the inner folds (see
    `choice.inner_folds`). It has no seed, so S is 1. It runs on one thread: on matrices this small
    more of them wait for one another.
    """
    numbers = fold_numbers(data.names, folds)
    trained_on = training_rows(numbers, test)
    inner = inner_folds(data, folds)[0] if len(strengths) > 1 else []
    models = {}
    for name, modalities in configs.items():
        chosen = data.only(modalities)
        tried = [[_Regression(chosen, f.train, c, scale) for f in inner] for c in strengths]
        picked = best(chosen, inner, tried) if inner else [0]
        models[name] = [
            [
                _Regression(chosen, rows, strengths[picked[fold % len(picked)]], scale)
                for fold, rows in enumerate(trained_on)
            ]
        ]
    return replace(assembled(data, numbers, models, (0,), test), models={})


class _Regression:
    """Logistic regression on all modalities of `data`, fitted on its clips `rows`."""

    def __init__(self, data: FusionData, rows: np.ndarray, strength: float, scale: str):
        self.modalities, self.n_classes = data.modalities, len(data.label_set)
        self.scale = scale
        read = data.rows(rows).scaled(scale)
        self.scalers = {
            m: fit_scaler(x[read.is_present(m)], scale != "none") for m, x in read.features.items()
        }
        self.model = LogisticRegression(C=strength, max_iter=2000)
        self.model.fit(self._matrix(read), read.labels)

    def predict(self, data: FusionData) -> np.ndarray:
        """Probabilities (N, C); zero for a class that the training fold does not have."""
        probabilities = np.zeros((len(data.names), self.n_classes))
        if len(data.names):
            read = data.only(self.modalities).scaled(self.scale)
            probabilities[:, self.model.classes_] = self.model.predict_proba(self._matrix(read))
        return probabilities

    def _matrix(self, data: FusionData) -> np.ndarray:
        """Standardised features side by side, (N, sum of D), zero if absent."""
        parts = [
            np.where(data.is_present(m)[:, None], self.scalers[m](x), 0)
            for m, x in data.features.items()
        ]
        return np.concatenate(parts, axis=1)
