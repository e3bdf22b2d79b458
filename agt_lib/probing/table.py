"""The labels' shares side by side: training, probed, estimated, true (figure 3)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation import paper
from agt_lib.probing.leaderboard import Leaderboard
from agt_lib.probing.metrics import METRICS
from agt_lib.probing.probe import Probed, infer, probe
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


def distances(table: pd.DataFrame) -> pd.DataFrame:
    """How far each column of shares is from each column of true ones, named `true_...`.

    A row a column of a table of `prior_table`, with what it cost in submissions. The distance is
    total variation: the share of clips, 0 to 1, that would have to change their label.
    """
    truths = [column for column in table if column.startswith("true_")]
    known = table.drop(columns=[*truths, "probed_low", "probed_high", "count", "submissions"])
    known = known.dropna(axis=1)
    gaps = {f"to {t}": known.sub(table[t], axis=0).abs().sum() / 2 for t in truths}
    cost = np.where(known.columns == "probed", table["submissions"].max(), 0)
    return pd.DataFrame(gaps | {"submissions": pd.Series(cost, known.columns)})


def betrayed(
    answers: pd.Series, labels: Sequence[str] = EMOTIONS, digits: Sequence[int] = (1, 2, 3, 4)
) -> pd.DataFrame:
    """What leaderboards of every metric and number of digits betray of `answers`, by clip name.

    Columns metric, digits, solutions (sets of counts that fit, the number of clips being known;
    1 is unique) and widest (the widest bounds of a label's share, 0 to 1).
    """
    rows = []
    for metric in METRICS:
        for d in digits:
            board = Leaderboard(answers, metric, d, labels=labels)
            found = probe(board, answers.index, labels, n=board.n_scored)
            rows.append((metric, d, found.counts.solutions, (found.high - found.low).max()))
    return pd.DataFrame(rows, columns=["metric", "digits", "solutions", "widest"])


def paper_scores() -> dict[str, Score]:
    """The six scores that the paper prints, angry's taken as truncated."""
    return {label: Score(*printed) for label, printed in paper.PROBE_SCORES.items()}


def paper_prior() -> pd.DataFrame:
    """The paper's own figure 3: the table of `prior_table` from its printed numbers alone."""
    counts = np.array([paper.TRAIN_COUNTS[label] for label in EMOTIONS])
    probed = infer(paper_scores(), EMOTIONS, n=paper.N_TEST)
    return prior_table(EMOTIONS, counts / counts.sum(), probed)
