"""Whole numbers of clips that agree with intervals of shares and with their sum.

Letters: C classes, N clips. The counts of one class that agree with its interval are consecutive,
so all sums between the least and the greatest are reached and no search is needed.
"""

from dataclasses import dataclass

import numpy as np

# Shares come from square roots: an edge that should fall on a whole number may miss it by this.
EDGE = 1e-7


@dataclass(frozen=True)
class Counts:
    """The counts (C,) of each class, least and greatest, among all `solutions` that sum to N."""

    low: np.ndarray
    high: np.ndarray
    solutions: int


def candidates(low: np.ndarray, high: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and greatest count (C,) in each interval of shares; least > greatest if none."""
    least = np.ceil(low * n - EDGE).astype(int)
    return np.maximum(least, 0), np.minimum(np.floor(high * n + EDGE).astype(int), n)


def joint(low: np.ndarray, high: np.ndarray, n: int) -> Counts | None:
    """All counts of N clips with shares between `low` and `high` (C,); None without any."""
    least, most = candidates(low, high, n)
    if (least > most).any() or not least.sum() <= n <= most.sum():
        return None
    from_rest = n - (most.sum() - most), n - (least.sum() - least)
    widths = np.minimum(most, n) - least
    return Counts(
        np.maximum(least, from_rest[0]),
        np.minimum(most, from_rest[1]),
        _ways(widths, n - int(least.sum())),
    )


def sizes(low: np.ndarray, high: np.ndarray, up_to: int) -> list[int]:
    """The numbers of clips from 1 to `up_to` that some counts fit."""
    n = np.arange(1, up_to + 1)[:, None]
    least, most = candidates(low, high, n)  # (up_to, C)
    fits = (least <= most).all(1) & (least.sum(1) <= n[:, 0]) & (n[:, 0] <= most.sum(1))
    return n[fits, 0].tolist()


def _ways(widths: np.ndarray, rest: int) -> int:
    """In how many ways numbers from 0 to each of `widths` (C,) sum to `rest`."""
    ways = np.zeros(rest + 1, dtype=object)  # Python's integers: the number may be huge
    ways[0] = 1
    for width in widths:
        running = np.cumsum(ways)
        ways = running.copy()
        if width < rest:
            ways[width + 1 :] -= running[: rest - width]
    return int(ways[rest])
