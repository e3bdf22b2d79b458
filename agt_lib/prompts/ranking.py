"""What a ranker gives: each clip's labels from the likeliest to the least likely.

N clips, C labels.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.features.features import FAILURE_COLUMNS, no_failures
from agt_lib.workspace.kept import digest, write_atomic

TABLE, FAILURES, MADE_BY = "rankings.csv", "failures.csv", "made_by.json"


@dataclass(frozen=True)
class Rankings:
    """The ranked labels of N clips.

    `table` is indexed by clip name with the columns rank1 (the likeliest) to rankC; a row is
    missing throughout where the clip has no words or could not be ranked. `failures` (name, stage,
    reason) says why, clips without words included (stage "absent"). `made_by` is JSON-able and
    names all that decides a clip's ranking beside its words. Raises ValueError for a row that does
    not hold each label of `labels` once.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    made_by: Mapping[str, Any]
    failures: pd.DataFrame = field(default_factory=no_failures)

    def __post_init__(self) -> None:
        expected = columns(len(self.labels))
        if list(self.table.columns) != expected or not self.table.index.is_unique:
            raise ValueError(
                f"rankings have one row a clip and the columns {', '.join(expected)}; got "
                f"{len(self.table)} rows and {', '.join(map(str, self.table.columns))}"
            )
        for name, row in zip(self.table.index, self.table.to_numpy(dtype=object), strict=True):
            if not pd.isna(row).all():
                _check(name, list(row), self.labels)

    @classmethod
    def build(
        cls,
        found: Mapping[str, Sequence[str] | None],
        labels: Sequence[str],
        made_by: Mapping[str, Any],
        failures: Iterable[tuple[str, str, str]] = (),
    ) -> "Rankings":
        """From each clip's labels in order, or None; `failures` are rows of name, stage, reason."""
        for name, order in found.items():
            if order is not None:
                _check(name, list(order), labels)
        rows = [[None] * len(labels) if order is None else list(order) for order in found.values()]
        table = pd.DataFrame(
            np.array(rows, dtype=object).reshape(len(rows), len(labels)),
            index=pd.Index(list(found), name="name", dtype="str"),
            columns=columns(len(labels)),
            dtype="str",
        )
        listed = pd.DataFrame(list(failures), columns=list(FAILURE_COLUMNS), dtype="str")
        return cls(table, tuple(labels), dict(made_by), listed)

    @property
    def ranked(self) -> pd.Series:
        """Which clips have a ranking, bool by clip name."""
        return self.table["rank1"].notna()

    @property
    def fingerprint(self) -> str:
        """A hash of what made the rankings; more clips ranked by the same do not change it."""
        return digest(dict(self.made_by))

    def of(self, name: str) -> tuple[str, ...] | None:
        """The ranked labels of clip `name`, or None where it has no ranking."""
        row = self.table.loc[name]
        return None if pd.isna(row["rank1"]) else tuple(row)

    def reciprocal(self, names: Sequence[str]) -> np.ndarray:
        """One over each label's rank, scaled to sum 1: (N, C) in the order of `labels`.

        The largest of a row is the label ranked first. Zero where a clip has no ranking.
        """
        table = self.table.reindex(list(names))
        values = np.zeros((len(table), len(self.labels)))
        for rank, column in enumerate(table, 1):
            for i, label in enumerate(self.labels):
                values[(table[column] == label).to_numpy(), i] = 1 / rank
        return values / (1 / np.arange(1, len(self.labels) + 1)).sum()

    def places(self, true: pd.Series) -> pd.Series:
        """The rank (1 to C) of each clip's true label, for the clips that have a ranking."""
        known = self.ranked.reindex(true.index, fill_value=False)
        true = true[known]
        hits = self.table.loc[true.index].eq(true, axis=0).to_numpy()  # (N, C)
        return pd.Series(hits.argmax(axis=1) + 1, index=true.index, name="rank")

    def save(self, folder: Path) -> None:
        """Write the table, the failures (CSV) and `made_by` (JSON) into `folder`."""
        write_atomic(folder / MADE_BY, json.dumps(dict(self.made_by), indent=1))
        write_atomic(folder / TABLE, self.table.to_csv())
        write_atomic(folder / FAILURES, self.failures.to_csv(index=False))

    @classmethod
    def load(cls, folder: Path, labels: Sequence[str]) -> "Rankings":
        """Read what `save` wrote."""
        made_by = json.loads((folder / MADE_BY).read_text())
        options = {"dtype": "str", "keep_default_na": False}
        table = pd.read_csv(folder / TABLE, **options).set_index("name")
        failures = pd.read_csv(folder / FAILURES, **options)
        return cls(table.where(table != ""), tuple(labels), made_by, failures)


def _check(name: str, order: list[object], labels: Sequence[str]) -> None:
    if len(order) != len(labels) or set(order) != set(labels):
        raise ValueError(
            f"the ranking of {name!r} is {order}; expected each of {', '.join(labels)} once"
        )


def columns(n_labels: int) -> list[str]:
    """rank1 to rankC."""
    return [f"rank{i}" for i in range(1, n_labels + 1)]


def mean_reciprocal_rank(places: pd.Series) -> float:
    """The mean of one over the true label's rank: 1 if always first; (1 + ... + 1/C) / C by luck.

    NaN without clips.
    """
    return float((1 / places).mean())


def by_share(true: pd.Series, labels: Sequence[str]) -> list[str]:
    """The labels from the most to the least frequent in `true`: what a ranker without words says.

    Labels of equal share stay in their order.
    """
    counts = true.value_counts()
    return sorted(labels, key=lambda label: -counts.get(label, 0))


def place_shares(places: pd.Series, true: pd.Series, labels: Sequence[str]) -> pd.DataFrame:
    """Of each true label's clips (rows), the share whose label stands at each rank (columns).

    NaN in the rows of labels that no clip has.
    """
    counts = pd.crosstab(true[places.index], places).astype(float)
    counts = counts.reindex(index=list(labels), columns=range(1, len(labels) + 1), fill_value=0)
    return counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0).rename_axis(
        index="true", columns="rank"
    )
