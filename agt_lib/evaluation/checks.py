"""Whether probabilities are such, and whether labels belong to them.

S seeds, N clips, C classes.
"""

from collections.abc import Sequence

import numpy as np

from agt_lib.corpora.labels import MISSING

TOLERANCE = 1e-3
"""How far from 1 a clip's probabilities may add up: tables are saved with few digits."""


def check_probabilities(
    probabilities: np.ndarray, what: str, names: Sequence[str] | None = None
) -> np.ndarray:
    """`probabilities` (..., N, C) in float64.

    Raises ValueError, naming the first clip, unless each is finite and not negative, and each
    clip's add up to 1. Without `names` clips are named by their row.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    shape = probabilities.shape
    given = probabilities.reshape(int(np.prod(shape[:-2])), *shape[-2:])
    unknown = ~np.isfinite(given).all(-1)  # (S, N)
    wrong = unknown | (given < 0).any(-1) | (np.abs(given.sum(-1) - 1) > TOLERANCE)
    if wrong.any():
        seed, row = np.argwhere(wrong)[0]
        kind = "NaN or infinity" if unknown[seed, row] else "no probabilities adding up to 1"
        clip = f"row {row}" if names is None else repr(names[row])
        raise ValueError(
            f"{what} hold {kind}: {wrong.any(0).sum()} of {given.shape[1]} clips, the first is "
            f"{clip}: {given[seed, row].round(4).tolist()}. Predict these clips again or leave "
            "them out"
        )
    return probabilities


def labelled(
    true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`true` (N,) and `probabilities` as (S, N, C), if they belong together.

    Raises ValueError unless each clip has a label, numbered 0 to C - 1, and as
    `check_probabilities` does; with `labels` C is their number.
    """
    stacked = check_probabilities(by_seed(probabilities), "probabilities")
    n_clips, n_labels = stacked.shape[1:]
    if labels is not None and len(labels) != n_labels:
        raise ValueError(f"probabilities of {n_labels} labels; expected {', '.join(labels)}")
    true = np.asarray(true)
    if true.shape != (n_clips,) or not n_clips:
        raise ValueError(
            f"labels of shape {true.shape} and probabilities of {n_clips} clips: expected one "
            "label for each of at least one clip"
        )
    if missing := int((true == MISSING).sum()):
        raise ValueError(f"{missing} of {n_clips} clips have no label")
    if true.dtype.kind not in "iu" or true.min() < 0 or true.max() >= n_labels:
        raise ValueError(f"labels are numbers from 0 to {n_labels - 1}; got {np.unique(true)}")
    return true, stacked


def by_seed(probabilities: np.ndarray) -> np.ndarray:
    """(N, C) or (S, N, C) -> (S, N, C)."""
    probabilities = np.asarray(probabilities, float)
    if probabilities.ndim not in (2, 3):
        raise ValueError(f"probabilities are (S, N, C) or (N, C); got {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities hold NaN or infinity")
    return probabilities if probabilities.ndim == 3 else probabilities[None]
