"""Features of clips in memory: a matrix, the clips' names and which of them are present."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

FAILURE_COLUMNS = ("name", "stage", "reason")


def no_failures() -> pd.DataFrame:
    """An empty ledger of unreadable clips."""
    return pd.DataFrame(columns=list(FAILURE_COLUMNS), dtype="str")


@dataclass(frozen=True)
class Features:
    """One modality's features of N clips.

    `values` is float32 (N, D) at utterance level, or (N, T, D) at frame level with `lengths` (N,)
    and zeros behind each clip's end. Rows where `present` is False hold zeros and mean nothing;
    `failures` says why they are absent. `fingerprint` names whatever made the numbers.
    """

    modality: str
    names: tuple[str, ...]
    values: np.ndarray
    present: np.ndarray
    fingerprint: str
    lengths: np.ndarray | None = None
    failures: pd.DataFrame = field(default_factory=no_failures)

    def __post_init__(self) -> None:
        if self.values.shape[0] != len(self.names) or self.present.shape != (len(self.names),):
            raise ValueError(
                f"{self.modality} features: {len(self.names)} names, values of shape "
                f"{self.values.shape}, present of shape {self.present.shape}: these must agree"
            )

    @property
    def dim(self) -> int:
        """The width D of a feature."""
        return self.values.shape[-1]

    def select(self, names: Sequence[str]) -> "Features":
        """The same features for `names`, in that order; clips unknown here are absent."""
        index = pd.Index(self.names).get_indexer(list(names))
        known = index >= 0
        values = np.zeros((len(index), *self.values.shape[1:]), dtype=np.float32)
        values[known] = self.values[index[known]]
        present = np.zeros(len(index), dtype=bool)
        present[known] = self.present[index[known]]
        lengths = None
        if self.lengths is not None:
            lengths = np.zeros(len(index), dtype=np.int64)
            lengths[known] = self.lengths[index[known]]
        return Features(
            self.modality, tuple(names), values, present, self.fingerprint, lengths, self.failures
        )
