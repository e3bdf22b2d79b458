"""How alike feature spaces are, and turning one onto another.

N clips, D features.
"""

from dataclasses import dataclass

import numpy as np


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear centred kernel alignment of features (N, D) and (N, D') of the same clips.

    Kornblith et al. 2019, equation in section 3: 1 for spaces that are turned, moved and scaled
    copies of one another, 0 for unrelated ones (with few clips, above 0).
    """
    a, b = a - a.mean(0), b - b.mean(0)
    shared = np.linalg.norm(a.T @ b) ** 2
    return float(shared / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)))


@dataclass(frozen=True)
class Rotation:
    """Takes features (N, D) of one space to another by moving and turning; lengths stay."""

    from_mean: np.ndarray
    turn: np.ndarray
    to_mean: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, onto: np.ndarray) -> "Rotation":
        """Orthogonal Procrustes (Schönemann 1966) of the same clips' `features` and `onto` (N, D).

        Labels play no part.
        """
        from_mean, to_mean = features.mean(0), onto.mean(0)
        left, _, right = np.linalg.svd((features - from_mean).T @ (onto - to_mean))
        return cls(from_mean, left @ right, to_mean)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (N, D) in the other space."""
        return (features - self.from_mean) @ self.turn + self.to_mean
