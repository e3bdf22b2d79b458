"""The labels' shares side by side: training, probed, estimated, true (figure 3)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agt_lib import paper
from agt_lib.emotions import EMOTIONS
from agt_lib.probing.probe import Probed, infer
from agt_lib.probing.scores import Score


def prior_table(
    labels: Sequence[str],
    train: np.ndarray,
    probed: Probed | None = None,
    others: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """A row a label: shares of `train`, `probed` with its bounds and count, and `others` by name.

    Columns train, probed, probed_low, probed_high, count (missing where not unique), submissions
    (what probing cost, 0 without) and those of `others` (shares (C,) each).
    """
    index = pd.Index(labels, name="label")
    columns = dict.fromkeys(("probed", "probed_low", "probed_high", "count"), np.nan)
    if probed is not None:
        columns = {"probed": probed.prior, "probed_low": probed.low, "probed_high": probed.high}
        columns["count"] = probed.counts.low if probed.unique else np.nan
    table = pd.DataFrame({"train": np.asarray(train, float)} | columns, index=index)
    table["submissions"] = 0 if probed is None else probed.submissions
    return table.assign(**(others or {}))


def distances(table: pd.DataFrame, truth: str, columns: Sequence[str]) -> pd.Series:
    """Total variation between the shares of each of `columns` and of the column `truth`.

    It is the share of clips, 0 to 1, that would have to change their label.
    """
    gaps = table[list(columns)].sub(table[truth], axis=0)
    return (gaps.abs().sum() / 2).rename("distance")


def paper_scores() -> dict[str, Score]:
    """The six scores that the paper prints, angry's taken as truncated."""
    return {label: Score(*printed) for label, printed in paper.PROBE_SCORES.items()}


def paper_prior() -> pd.DataFrame:
    """The paper's own figure 3: the table of `prior_table` from its printed numbers alone."""
    counts = np.array([paper.TRAIN_COUNTS[label] for label in EMOTIONS])
    probed = infer(paper_scores(), EMOTIONS, n=paper.N_TEST)
    return prior_table(EMOTIONS, counts / counts.sum(), probed)
