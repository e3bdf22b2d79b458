"""Estimates of unlabelled clips' label shares from posteriors alone, by QuaPy.

All assume label shift: the classes look the same in training and in the unlabelled clips, only
their shares differ. Letters: M labelled clips, N unlabelled ones, C classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from quapy.method.aggregative import EMQ, PCC, BBSEhard, BBSEsoft
from sklearn.base import BaseEstimator, ClassifierMixin

METHODS = {
    "mean": PCC,  # the mean posterior: no correction, what the others have to beat
    "em": EMQ,  # Saerens, Latinne and Decaestecker 2002; wants calibrated posteriors
    "bbse": BBSEsoft,  # Lipton, Wang and Smola 2018, the confusion matrix of posteriors
    "bbse_hard": BBSEhard,  # the same of predicted labels
}


class _Posteriors(ClassifierMixin, BaseEstimator):
    """A classifier whose input is its output: what QuaPy aggregates."""

    def __init__(self, n_classes: int = 2):
        self.n_classes = n_classes

    def fit(self, x: np.ndarray, y: np.ndarray) -> "_Posteriors":
        self.classes_ = np.arange(self.n_classes)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x.argmax(axis=1)


def shares(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """The share (C,) of each class among numbered `labels` (M,)."""
    return np.bincount(labels, minlength=n_classes) / len(labels)


def estimate(
    method: str, unlabelled: np.ndarray, out_of_fold: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """The label shares (C,) of the clips whose posteriors are `unlabelled` (N, C).

    `out_of_fold` (M, C) are posteriors of labelled clips by models that never saw them, `labels`
    (M,) their numbered labels. Both kinds of posteriors come from the same kind of model: to
    estimate with K fold models stack each one's posteriors of the unlabelled clips, (K N, C), for
    their mean is less sure than each. Raises ValueError for an unknown method, posteriors that are
    not finite or don't sum to one, shapes that disagree, and a class without a labelled clip,
    whose share of training is zero.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; there are {', '.join(METHODS)}")
    unlabelled = _checked("unlabelled", unlabelled)
    out_of_fold = _checked("out-of-fold", out_of_fold)
    n_classes = unlabelled.shape[1]
    if out_of_fold.shape != (len(labels), n_classes):
        raise ValueError(
            f"{len(labels)} labels of {n_classes} classes, out-of-fold posteriors of shape "
            f"{out_of_fold.shape}: these must agree"
        )
    if set(np.unique(labels)) != set(range(n_classes)):
        raise ValueError(
            f"labels number the classes 0 to {n_classes - 1}, each at least once; got "
            f"{np.unique(labels).tolist()}: of a class whose share of training is zero nothing is "
            "known"
        )
    posteriors = _Posteriors(n_classes).fit(out_of_fold, labels)
    quantifier = METHODS[method](posteriors, fit_classifier=False, val_split=None)
    quantifier.fit(out_of_fold, labels)
    return np.asarray(quantifier.predict(unlabelled), float)


def estimates(
    posteriors: np.ndarray,
    groups: Mapping[str, np.ndarray],
    out_of_fold: np.ndarray,
    labels: np.ndarray,
    methods: Sequence[str] = tuple(METHODS),
) -> dict[str, np.ndarray]:
    """The label shares (C,) of each group of clips by each method, named `method_group`.

    `posteriors` (K, N, C) are those of K fold models for the same N clips, `groups` say by name
    which clips (N,) bool are meant. Raises ValueError as `estimate` does.
    """
    n_classes = posteriors.shape[-1]
    return {
        f"{method}_{group}": estimate(
            method, posteriors[:, rows].reshape(-1, n_classes), out_of_fold, labels
        )  # (K, n, C) -> (K n, C)
        for group, rows in groups.items()
        for method in methods
    }


def _checked(name: str, posteriors: np.ndarray) -> np.ndarray:
    posteriors = np.asarray(posteriors, np.float64)
    if posteriors.ndim != 2 or not len(posteriors):
        raise ValueError(f"{name} posteriors are (clips, classes); got {posteriors.shape}")
    if not np.isfinite(posteriors).all():
        row = int((~np.isfinite(posteriors)).any(axis=1).argmax())
        raise ValueError(f"{name} posteriors hold NaN or infinity, the first in row {row}")
    if (posteriors < 0).any() or np.abs(posteriors.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError(f"{name} posteriors are probabilities: none below 0, each row sums to 1")
    return posteriors
