"""Standardising features: mean and standard deviation over the present clips of a training fold.

Letters: N clips, T time, D feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agt_lib.fusion.data import FusionData

SMALLEST = 1e-6
"""A feature that varies less than this over the training fold is only centred."""


@dataclass(frozen=True)
class Scaler:
    """What brings one modality's features to mean 0 and standard deviation 1, both (D,)."""

    mean: np.ndarray
    sd: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Standardise features (..., D)."""
        return (x - self.mean) / self.sd


def fit_scaler(data: FusionData, modality: str, index: np.ndarray) -> Scaler:
    """Fit on the clips `index` that have `modality`; frames behind a clip's end do not count.

    A modality that none of them has is left as it is.
    """
    index = index[data.is_present(modality)[index]]
    x = data.features[modality][index]
    if modality in data.lengths:
        inside = np.arange(x.shape[1]) < data.lengths[modality][index, None]
        x = x[inside]  # (N, T, D) -> (frames, D)
    if not len(x):
        return unscaled(x.shape[-1])
    mean, sd = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    sd[sd < SMALLEST] = 1
    return Scaler(mean.astype(np.float32), sd.astype(np.float32))


def unscaled(dim: int) -> Scaler:
    """A scaler that changes nothing."""
    return Scaler(np.zeros(dim, np.float32), np.ones(dim, np.float32))


def fit_scalers(
    data: FusionData, modalities: Sequence[str], index: np.ndarray, scale: bool = True
) -> dict[str, Scaler]:
    """One scaler per modality, fitted on the clips `index`; none of effect where not `scale`."""
    return {m: fit_scaler(data, m, index) if scale else unscaled(data.dims[m]) for m in modalities}
