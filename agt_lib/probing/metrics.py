"""What a submission that calls every clip c scores, and the share of c that such a score betrays.

p is the share of class c among the scored clips, C the number of classes. The precision of c is p
and its recall 1, so its F1 is 2p / (1 + p), and all other classes have F1 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Metric(NamedTuple):
    """`score` maps the share p and C to the constant submission's score, `share` maps it back."""

    score: Callable[[np.ndarray, int], np.ndarray]
    share: Callable[[np.ndarray, int], np.ndarray]


METRICS = {
    "waf": Metric(  # F1 of c weighted by its share; the paper's metric
        lambda p, c: 2 * p**2 / (1 + p), lambda s, c: (s + np.sqrt(s**2 + 8 * s)) / 4
    ),
    "accuracy": Metric(lambda p, c: p, lambda s, c: s),
    "macro_f1": Metric(lambda p, c: 2 * p / (1 + p) / c, lambda s, c: c * s / (2 - c * s)),
    "class_f1": Metric(lambda p, c: 2 * p / (1 + p), lambda s, c: s / (2 - s)),
}


def metric(name: str) -> Metric:
    """The metric called `name`. Raises ValueError listing those there are."""
    if name not in METRICS:
        raise ValueError(f"no metric {name!r}; there are {', '.join(METRICS)}")
    return METRICS[name]


def share(name: str, score: np.ndarray, n_classes: int) -> np.ndarray:
    """The share p of the class whose constant submission has `score`, clipped to [0, 1].

    `score` is clipped to what a constant submission can have.
    """
    chosen = metric(name)
    attainable = np.clip(score, 0.0, chosen.score(1.0, n_classes))
    return np.clip(chosen.share(attainable, n_classes), 0.0, 1.0)
