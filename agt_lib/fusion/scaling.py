"""Bringing features to one scale: by speaker, without a label, and on the training fold.

Letters: N clips, D feature, S speakers, n a speaker's clips.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

SCALES = ("fold", "speaker", "none")
SHRINKAGE = 3.0
"""k of n / (n + k): with three clips a speaker's own statistics and those of all weigh the same."""
FEW_CLIPS = 5
"""Statistics of fewer clips are hardly a speaker's own."""
PART = 64
"""Clips whose squares are summed at once."""
ROUNDING = np.finfo(np.float32)
"""A feature that varies by less than float32's rounding of its largest value is constant."""


@dataclass(frozen=True)
class Scaler:
    """What brings one modality's features to mean 0 and standard deviation 1, both (D,)."""

    mean: np.ndarray
    sd: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Standardise features (..., D)."""
        return (x - self.mean) / self.sd


def fit_scaler(x: np.ndarray, scale: bool = True) -> Scaler:
    """Standardise as the clips x (N, D) ask for; without a clip, or not `scale`, change nothing.

    A feature that is constant there is only centred.
    """
    mean, sd = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if scale and len(x):
        mean = x.mean(0, dtype=np.float64)
        parts = np.array_split(x, math.ceil(len(x) / PART))  # small enough for a core's cache
        sd = np.sqrt(sum(np.square(part - mean).sum(0) for part in parts) / len(x))
        sd = _without_zeros(sd, np.maximum(x.max(0), -x.min(0)))
    return Scaler(mean.astype(np.float32), np.asarray(sd, np.float32))


@dataclass(frozen=True)
class SpeakerScaler:
    """Each modality's mean and standard deviation of each speaker, both (S + 1, D).

    They are drawn towards those of all clips by n / (n + k). The last row are those of
    all clips: an unknown speaker has n = 0. No label has a part in them. After Busso et al. 2013
    (https://doi.org/10.1109/T-AFFC.2013.26) and Kaya & Karpov 2018 (Neurocomputing 275), who
    standardise by speaker.
    """

    speakers: pd.Index
    mean: Mapping[str, np.ndarray]
    sd: Mapping[str, np.ndarray]

    def __call__(self, modality: str, x: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
        """Standardise features (N, D) of the speakers `groups` (N,), None or NaN if unknown."""
        rows = _numbers(self.speakers, groups, len(x))
        return ((x - self.mean[modality][rows]) / self.sd[modality][rows]).astype(np.float32)

    def joined(
        self,
        clips: Mapping[str, tuple[np.ndarray, np.ndarray]],
        shrinkage: float = SHRINKAGE,
    ) -> "SpeakerScaler":
        """These and the statistics of the speakers of `clips` that are not here.

        `clips` are as in `fit_speakers`. New speakers are drawn towards all clips of these.
        """
        new, mean, sd = _speakers(clips).difference(self.speakers, sort=False), {}, {}
        for modality, (x, who) in clips.items():
            of_all = self.mean[modality][-1:], self.sd[modality][-1:]
            start = of_all[0][0].astype(np.float64), of_all[1][0].astype(np.float64) ** 2
            found = _drawn(x, _numbers(new, who, len(x)), len(new), *start, shrinkage)
            mean[modality], sd[modality] = (
                np.concatenate([known[:-1], added[:-1], last])
                for known, added, last in zip(
                    (self.mean[modality], self.sd[modality]), found, of_all, strict=True
                )
            )
        return SpeakerScaler(self.speakers.append(new), mean, sd)

    def back(self, modality: str, z: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
        """The features (N, D) that are standardised to z (N, D) for the speakers `groups`."""
        rows = _numbers(self.speakers, groups, len(z))
        return (z * self.sd[modality][rows] + self.mean[modality][rows]).astype(np.float32)


def fit_speakers(
    clips: Mapping[str, tuple[np.ndarray, np.ndarray]], shrinkage: float = SHRINKAGE
) -> SpeakerScaler:
    """Statistics of the present `clips` of each modality: features (N, D) and speakers (N,).

    A speaker is None or NaN if unknown. A feature that is constant is only centred.
    """
    speakers = _speakers(clips)
    mean, sd = {}, {}
    for modality, (x, who) in clips.items():
        start = np.zeros(x.shape[1]), np.ones(x.shape[1])
        if len(x):
            start = x.mean(0, dtype=np.float64), x.var(0, dtype=np.float64)
        rows = _numbers(speakers, who, len(x))
        mean[modality], sd[modality] = _drawn(x, rows, len(speakers), *start, shrinkage)
    return SpeakerScaler(speakers, mean, sd)


def _speakers(clips: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pd.Index:
    """The known speakers of `clips`, in their order."""
    return pd.Index(pd.unique(np.concatenate([who for _, who in clips.values()]))).dropna()


def _drawn(
    x: np.ndarray,
    rows: np.ndarray,
    n_speakers: int,
    mean: np.ndarray,
    variance: np.ndarray,
    shrinkage: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Each speaker's mean and standard deviation, drawn towards `mean` and `variance` (D,).

    Both (S + 1, D) in float32; the last row is what they are drawn to. `rows` (N,) number the
    speakers of x (N, D), S if unknown.
    """
    means, variances = np.tile(mean, (n_speakers + 1, 1)), np.tile(variance, (n_speakers + 1, 1))
    of_speaker = pd.Series(rows).groupby(rows).indices
    for row in set(of_speaker) - {n_speakers}:
        own = x[of_speaker[row]]
        share = len(own) / (len(own) + shrinkage)
        means[row] += share * (own.mean(0, dtype=np.float64) - means[row])
        variances[row] += share * (own.var(0, dtype=np.float64) - variances[row])
    sd = _without_zeros(np.sqrt(variances), np.abs(x).max(0, initial=0))
    return means.astype(np.float32), sd


def scale_for(groups: Sequence) -> tuple[str, str]:
    """The scale for clips of the speakers `groups` (N,), None or NaN if unknown, and why.

    "speaker" if most clips have a known speaker, there are two or more of them, and most of them
    have at least `FEW_CLIPS` clips; else "fold".
    """
    who = pd.Series(list(groups), dtype=object)
    counts = who.value_counts()
    if 2 * len(who.dropna()) <= len(who):
        return "fold", "the speakers of most clips are not known"
    if len(counts) < 2:
        return "fold", "there is only one speaker"
    if (counts < FEW_CLIPS).mean() > 0.5:
        return "fold", f"most speakers have fewer than {FEW_CLIPS} clips"
    return "speaker", f"{len(counts)} speakers have {counts.median():.0f} clips each (median)"


def _numbers(speakers: pd.Index, groups: np.ndarray | None, n_clips: int) -> np.ndarray:
    """The row of each clip's speaker, (N,): the last for one that is not known."""
    if groups is None:
        return np.full(n_clips, len(speakers))
    found = speakers.get_indexer(groups)
    return np.where(found < 0, len(speakers), found)


def _without_zeros(sd: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Standard deviations (..., D) in float32, 1 for features that are constant."""
    constant = sd <= ROUNDING.eps * largest + ROUNDING.tiny
    return np.where(constant, 1, sd).astype(np.float32)
