"""Temperature scaling: make a model's confidence mean how often it is right (Guo et al. 2017).

Letters: S seeds, N clips, K folds, C classes.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from agt_lib.evaluation.checks import check_probabilities, labelled

COLDEST, HOTTEST = 0.05, 20.0
"""A temperature at either end says that the clips it was fitted on are too few or all alike."""
SMALLEST = 1e-30


def fit_temperature(true: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature under which `true` (N,) is likeliest; above 1 if a model is too confident.

    `probabilities` is (N, C) or (S, N, C), of clips that the model was not trained on. Raises
    ValueError as `checks.labelled` does.
    """
    true, probabilities = labelled(true, probabilities)
    logs = np.log(np.maximum(probabilities, SMALLEST))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logs / np.exp(log_temperature), axis=-1)
        return -scaled[..., np.arange(len(true)), true].mean()

    bounds = np.log(COLDEST), np.log(HOTTEST)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def with_temperature(probabilities: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """softmax(log p / temperature) of probabilities (..., C), in float64; the order stays.

    `temperature` is one number, or an array that broadcasts against `probabilities`. Raises
    ValueError unless it is above 0, and for what are no probabilities.
    """
    if not (np.asarray(temperature) > 0).all():
        raise ValueError(f"a temperature is a number above 0; got {temperature}")
    probabilities = check_probabilities(probabilities, "probabilities")
    logs = np.log(np.maximum(probabilities, SMALLEST))
    return np.exp(log_softmax(logs / temperature, axis=-1))


def fold_temperatures(true: np.ndarray, folds: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """One temperature per fold, (K,), fitted on the out-of-fold clips of all the others.

    So no temperature is fitted to the labels of the clips that its model is scored on. One weak
    dependence remains: the other folds' models were trained on them. `folds` (N,) number the fold
    that holds each clip out, -1 if none does; `probabilities` are out of fold, (N, C). Raises
    ValueError for a single fold.
    """
    n_folds = int(folds.max()) + 1
    if n_folds < 2:
        raise ValueError(
            "calibration takes each fold's temperature from the other folds, and there is one "
            "fold alone: use raw confidence, or a corpus without a dev split of its own"
        )
    others = [(folds >= 0) & (folds != fold) for fold in range(n_folds)]
    return np.array([fit_temperature(true[rows], probabilities[rows]) for rows in others])


def calibrated_out_of_fold(
    true: np.ndarray, folds: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Out-of-fold probabilities (N, C), each clip's at its fold's temperature, else NaN."""
    temperatures = fold_temperatures(true, folds, probabilities)
    held_out = folds >= 0
    scaled = np.full(probabilities.shape, np.nan)
    of_clip = temperatures[folds[held_out], None]
    scaled[held_out] = with_temperature(probabilities[held_out], of_clip)
    return scaled
