"""How sure the models must be for a clip to join, read off clips whose label is known.

M models, N clips, K folds, C classes.
"""

from collections.abc import Mapping

import numpy as np

from agt_lib.pseudo.selection import agreement

FEWEST = 10
"""Fewer labelled clips that would join are too few to say how many of such clips are right."""
NEVER = 1.0
"""No confidence is above it: nothing joins."""


def fold_thresholds(
    true: np.ndarray,
    folds: np.ndarray,
    out_of_fold: Mapping[str, np.ndarray],
    precision: float,
) -> np.ndarray:
    """One threshold per fold, (K,): the lowest above which enough is right, on the other folds.

    Of the labelled clips that the other folds hold out, and that would join (all models agree, each
    surer than the threshold), a share of at least `precision` is right. `NEVER` where no ten clips
    are so. A fold's own labels are not counted; they reach its threshold, as one number, by way of
    the other folds' models, which learnt from them. `out_of_fold` are probabilities (N, C)
    by model, `folds` (N,) the fold that holds each clip out, -1 where none does. Raises ValueError
    for a single fold.
    """
    n_folds = int(folds.max()) + 1
    if n_folds < 2:
        raise ValueError(
            "a threshold by precision is read off the other folds, and there is one fold alone: "
            "give the threshold itself"
        )
    others = [(folds >= 0) & (folds != fold) for fold in range(n_folds)]
    probabilities = np.stack([*out_of_fold.values()])  # (M, N, C)
    return np.array(
        [lowest_threshold(true[rows], probabilities[:, rows], precision) for rows in others]
    )


def lowest_threshold(true: np.ndarray, probabilities: np.ndarray, precision: float) -> float:
    """The lowest threshold above which at least `precision` of (M, N, C) is right, or `NEVER`."""
    agree, chosen, confidence = agreement(probabilities)
    order = np.flatnonzero(agree)[np.argsort(-confidence[agree], kind="stable")]
    right = np.cumsum(chosen[order] == true[order])
    number = np.arange(1, len(order) + 1)
    below = np.append(confidence[order][1:], 0.0)  # the threshold that keeps so many
    is_edge = confidence[order] > below  # clips of one confidence join together
    enough = np.flatnonzero((right >= precision * number) & (number >= FEWEST) & is_edge)
    return float(below[enough[-1]]) if len(enough) else NEVER
