"""Logistic regression on all modalities: scikit-learn's, for training parts and strengths at once.

Letters: N clips, D features of all modalities, C classes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from agt_lib.fusion.data import FusionData
from agt_lib.fusion.scaling import Scaler, fit_scaler

MAX_STEPS, TOLERANCE = 1000, 1e-5


@dataclass(frozen=True)
class Regression:
    """A fitted model: `weights` (D, C) of standardised features, and `bias` (C,), -inf for a class
    that the training clips lack."""

    modalities: tuple[str, ...]
    scale: str
    scalers: dict[str, Scaler]
    weights: np.ndarray
    bias: np.ndarray

    def predict(self, data: FusionData) -> np.ndarray:
        """Probabilities (N, C); zero for a class that the training fold does not have."""
        matrix = _matrix(data.only(self.modalities).scaled(self.scale), self.scalers)
        return softmax((matrix @ self.weights + self.bias).astype(np.float64), axis=1)


@threadpool_limits.wrap(limits=1)
def fit_regressions(
    data: FusionData, rows: Sequence[np.ndarray], strengths: Sequence[Sequence[float]], scale: str
) -> list[list[Regression]]:
    """For each training part `rows` (n,) of `data` a model at each of its `strengths`.

    These are scikit-learn's C, from the smallest up: each model starts where the one before it
    ended. Features are standardised as `scale` says and concatenated; an absent modality is at its
    mean. A thread fits one part at a time.
    """
    read = data.scaled(scale)
    parallel = joblib.Parallel(n_jobs=os.cpu_count(), prefer="threads")
    return parallel(
        joblib.delayed(_fit)(read, own, values, scale)
        for own, values in zip(rows, strengths, strict=True)
    )


def _fit(
    data: FusionData, rows: np.ndarray, strengths: Sequence[float], scale: str
) -> list[Regression]:
    scalers, matrix = _standardised(data.rows(rows), scale)
    labels, n_classes, found = data.labels[rows], len(data.label_set), []
    model = LogisticRegression(max_iter=MAX_STEPS, tol=TOLERANCE, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength).fit(matrix, labels)
        weights = np.zeros((matrix.shape[1], n_classes), matrix.dtype)
        bias = np.full(n_classes, -np.inf, matrix.dtype)
        own, at = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # scikit-learn has the second one's alone
            own, at = np.stack([0 * own[0], own[0]]), np.array([0, at[0]])
        weights[:, model.classes_], bias[model.classes_] = own.T, at
        found.append(Regression(data.modalities, scale, scalers, weights, bias))
    return found


def _standardised(data: FusionData, scale: str) -> tuple[dict[str, Scaler], np.ndarray]:
    """The scalers of training clips, and these side by side (N, D)."""
    scalers = {
        m: fit_scaler(x[data.is_present(m)], scale != "none") for m, x in data.features.items()
    }
    return scalers, _matrix(data, scalers)


def _matrix(data: FusionData, scalers: dict[str, Scaler]) -> np.ndarray:
    """Standardised features side by side, (N, D), zero where a modality is absent."""
    ends = np.cumsum([*data.dims.values()])
    matrix = np.empty((len(data.names), ends[-1]), np.float32)
    for m, part in zip(data.modalities, np.split(matrix, ends[:-1], axis=1), strict=True):
        part[:] = data.features[m]
        part -= scalers[m].mean  # in place: at MER2024's size a copy takes 80 MB
        part /= scalers[m].sd
        part[~data.is_present(m)] = 0
    return matrix
