"""What a ranker gives: each clip's labels from the most to the least likely, and how good it is.

N clips, C labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import to_numbers
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.tables import scores
from agt_lib.features.features import FAILURE_COLUMNS
from agt_lib.workspace.kept import digest, read_manifest, write_atomic

TABLE = "rankings.csv"
NO_WORDS = "the clip has no words"


@dataclass(frozen=True)
class Rankings:
    """The ranked labels of N clips.

    `table` is indexed by clip name with the columns rank1 (the likeliest) to rankC. A row is
    missing throughout if the clip has no words or could not be ranked; `failures` (name, stage,
    reason) says why (stage "absent": no words). `made_by` is JSON-able and names all that decides a
    clip's ranking beside its words. Made by `build`.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    made_by: Mapping[str, Any]
    failures: pd.DataFrame

    @classmethod
    def build(
        cls,
        found: Mapping[str, Sequence[str] | None],
        labels: Sequence[str],
        made_by: Mapping[str, Any],
        failures: Iterable[tuple[str, str, str]] = (),
    ) -> "Rankings":
        """From each clip's labels in order, or None; `failures` are rows of name, stage, reason.

        Raises ValueError for an order that does not hold each label of `labels` once.
        """
        for name, order in found.items():
            if order is not None and sorted(order) != sorted(labels):
                raise ValueError(
                    f"the ranking of {name!r} is {list(order)}; expected each of "
                    f"{', '.join(labels)} once"
                )
        rows = [[None] * len(labels) if order is None else list(order) for order in found.values()]
        table = pd.DataFrame(
            rows,
            index=pd.Index(list(found), name="name", dtype="str"),
            columns=[f"rank{i}" for i in range(1, len(labels) + 1)],
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

    def places(self, true: pd.Series) -> pd.Series:
        """The rank (1 to C) of each clip's true label, for the clips that have a ranking."""
        known = self.ranked.reindex(true.index, fill_value=False)
        true = true[known]
        hits = self.table.loc[true.index].eq(true, axis=0).to_numpy()  # (N, C)
        return pd.Series(hits.argmax(axis=1) + 1, index=true.index, name="rank")

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the table into a kept `folder`; returns what its manifest should say."""
        write_atomic(folder / TABLE, self.table.to_csv())
        return {"made_by": dict(self.made_by), "failures": self.failures.to_numpy().tolist()}

    @classmethod
    def load(cls, folder: Path, labels: Sequence[str]) -> "Rankings":
        """Read what `save` wrote."""
        about = read_manifest(folder)
        table = pd.read_csv(folder / TABLE, dtype="str", keep_default_na=False).set_index("name")
        rows = zip(table.index, table.to_numpy(), strict=True)
        found = {name: list(row) if all(row) else None for name, row in rows}
        return cls.build(found, labels, about["made_by"], about["failures"])


def by_share(true: pd.Series, labels: Sequence[str]) -> list[str]:
    """The labels from the most to the least frequent in `true`: what a ranker without words says.

    Labels of equal share stay in their order.
    """
    counts = true.value_counts()
    return sorted(labels, key=lambda label: -counts.get(label, 0))


def place_shares(rankings: Rankings, true: pd.Series) -> pd.DataFrame:
    """Of each true label's clips (rows), the share whose label stands at each rank (columns).

    NaN in the rows of labels that no ranked clip has.
    """
    places, labels = rankings.places(true), list(rankings.labels)
    counts = pd.crosstab(true[places.index], places).astype(float)
    counts = counts.reindex(index=labels, columns=range(1, len(labels) + 1), fill_value=0)
    shares = counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0)
    return shares.rename_axis(index="true", columns="rank")


def quality(
    rankings: Rankings, truth: Mapping[str, pd.Series], speakers: pd.Series
) -> pd.DataFrame:
    """How good the rankings are, a line for each set of true labels (by clip name) in `truth`.

    The label ranked first is scored as a prediction: waf with its interval, %, over the `speakers`
    if all are known. `mrr` is the mean reciprocal rank of the true label (1 if it is always first),
    `mrr_by_luck` that of a random order, `mrr_by_share` that of the labels by their frequency in
    the first set. Sets without a ranked clip have no line.
    """
    lines, labels = [], rankings.labels
    order = by_share(next(iter(truth.values())), labels)
    for name, true in truth.items():
        true = true[true.index.isin(rankings.ranked.index[rankings.ranked])]
        if true.empty:
            continue
        who = speakers.reindex(true.index)
        first = to_numbers(rankings.table.loc[true.index, "rank1"], labels)
        votes = np.eye(len(labels))[first][None]  # (1, N, C)
        given = Predictions(tuple(true.index), labels, {"ranker": votes})
        score = scores(given, true, None if who.isna().any() else who).iloc[0]
        line = {"set": name} | score[["waf", "waf_low", "waf_high"]].to_dict()
        line["mrr"] = (1 / rankings.places(true)).mean()
        line["mrr_by_luck"] = (1 / np.arange(1, len(labels) + 1)).mean()
        line["mrr_by_share"] = (1 / (true.map(order.index) + 1)).mean()
        lines.append(line | {"clips": len(true)})
    return pd.DataFrame(lines)
