"""Features of clips in memory: a matrix, the clips' names and which of them are present."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from agt_lib.workspace.shards import StoredRows

FAILURE_COLUMNS = ("name", "stage", "reason")


def no_failures() -> pd.DataFrame:
    """An empty ledger of unreadable clips."""
    return pd.DataFrame(columns=list(FAILURE_COLUMNS), dtype="str")


@dataclass(frozen=True)
class Features:
    """One modality's features of N clips.

    `values` is float32 (N, D), in memory or on disk until rows are asked for. Rows that are not
    `present` hold zeros and mean nothing; `failures` says why they are absent, `remarks` what there
    is to say of present ones. `fingerprint` is a hash of what made the numbers. Raises
    ValueError if shapes disagree or a name is repeated.
    """

    modality: str
    names: tuple[str, ...]
    values: np.ndarray | StoredRows
    present: np.ndarray
    fingerprint: str
    failures: pd.DataFrame = field(default_factory=no_failures)
    remarks: pd.DataFrame = field(default_factory=no_failures)

    def __post_init__(self) -> None:
        n = len(self.names)
        if self.values.ndim != 2 or len(self.values) != n or self.present.shape != (n,):
            raise ValueError(
                f"{self.modality} features: {n} names, values of shape {self.values.shape}, present"
                f" of shape {self.present.shape}; expected (N, D) and (N,) for N names"
            )
        index = pd.Index(self.names)
        if not index.is_unique:
            repeated = index[index.duplicated()].unique().tolist()
            raise ValueError(f"{self.modality} features: repeated clip names {repeated[:5]}")

    @property
    def dim(self) -> int:
        """The width D of a feature."""
        return self.values.shape[-1]

    def in_memory(self) -> "Features":
        """The same with all `values` read."""
        return replace(self, values=np.asarray(self.values))

    def select(self, names: Sequence[str]) -> "Features":
        """The same features for `names`, in that order; clips unknown here are absent.

        `failures` keeps the rows of `names` and gains one for each unknown clip.
        """
        index = pd.Index(self.names).get_indexer(list(names))
        known = index >= 0
        if isinstance(self.values, StoredRows):
            values = self.values.take(index)
        else:
            values = np.zeros((len(index), self.dim), dtype=np.float32)
            values[known] = self.values[index[known]]
        present = np.zeros(len(index), dtype=bool)
        present[known] = self.present[index[known]]
        reason = f"the {self.modality} features do not have this clip"
        unknown = [(name, "select", reason) for name in np.array(names, dtype=object)[~known]]
        kept = self.failures[self.failures["name"].isin(names)]
        failures = pd.concat([kept, pd.DataFrame(unknown, columns=list(FAILURE_COLUMNS))])
        failures = failures.astype("str").reset_index(drop=True)
        return replace(self, names=tuple(names), values=values, present=present, failures=failures)
