"""From the scores of constant submissions to the labels' shares and counts (section 2.3, figure 3).

Letters: C classes, N scored clips. The counts of one class that agree with a printed score are
consecutive, so all sums between the least and the greatest are reached: no search is needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import listed
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation import paper
from agt_lib.probing.leaderboard import METRICS, Leaderboard, PrintedScore, share

SIZES_UP_TO = 3000
SHOWN_SIZES = 5

# Shares come from square roots: an edge that should fall on a whole number may miss it by this.
EDGE = 1e-7


@dataclass(frozen=True, repr=False)
class Probed:
    """What the scores of constant submissions say of the labels; prints as a sentence and a table.

    `low` and `high` (C,) bound each label's share by the digits of the scores and by the sum of
    one. With `n` clips known, `count_low` and `count_high` (C,) are the least and greatest count of
    each label among all `solutions`, the sets of counts that agree with all scores; without it,
    `sizes` are the numbers of clips up to `SIZES_UP_TO` that some counts fit.
    """

    labels: tuple[str, ...]
    metric: str
    scores: dict[str, PrintedScore]
    low: np.ndarray
    high: np.ndarray
    n: int | None = None
    count_low: np.ndarray | None = None
    count_high: np.ndarray | None = None
    solutions: int = 0
    sizes: tuple[int, ...] = ()

    @property
    def submissions(self) -> int:
        """What it cost: a submission for each score."""
        return len(self.scores)

    @property
    def unique(self) -> bool:
        """Whether one set of counts alone agrees with all scores."""
        return self.solutions == 1

    @property
    def prior(self) -> np.ndarray:
        """The labels' shares (C,), which sum to one: exact if the counts are unique."""
        if self.unique:
            return self.count_low / self.n
        printed = [self.scores[k].value if k in self.scores else np.nan for k in self.labels]
        exact = share(self.metric, np.array(printed), len(self.labels))
        exact[np.isnan(exact)] = 1 - np.nansum(exact)
        shares = np.clip(exact, self.low, self.high)
        return shares / shares.sum()

    @property
    def verdict(self) -> str:
        """In a sentence: what is known of the counts."""
        cost = f"{self.submissions} submissions"
        if self.n is None:
            fit = listed(self.sizes, SHOWN_SIZES) or "none"
            return f"{cost}; numbers of clips up to {SIZES_UP_TO} that fit: {fit}"
        if self.unique:
            return f"{cost}; the counts are unique for {self.n} clips"
        return f"{cost}; ambiguous: {self.solutions} sets of counts fit {self.n} clips"

    def table(self) -> pd.DataFrame:
        """A row a label: score, share with its bounds and, with `n`, count with its bounds.

        `count` is missing if several sets of counts fit.
        """
        columns = {
            "score": [str(self.scores.get(label, "from the sum")) for label in self.labels],
            "share": self.prior,
            "share_low": self.low,
            "share_high": self.high,
        }
        if self.n is not None:
            count = pd.array(self.count_low if self.unique else [pd.NA] * len(self.low), "Int64")
            columns |= {"count": count, "count_low": self.count_low, "count_high": self.count_high}
        return pd.DataFrame(columns, index=pd.Index(self.labels, name="label"))

    def __repr__(self) -> str:
        return f"{self.verdict}\n{self.table().round(4).to_string()}"


def probe(
    scores: Mapping[str, str | float | PrintedScore],
    n: int | None = None,
    labels: Sequence[str] = (),
    *,
    metric: str = "waf",
    rounding: str = "round",
    remaining: str | None = None,
) -> Probed:
    """Invert the scores of constant submissions, one per label: their shares and counts.

    `scores` lie between 0 and 1 and are given as printed: the digits of a text are counted
    ("0.0350" has four), a number has those that Python prints. `n` is the number of scored clips,
    if known. `labels` are all labels; by default these are the six emotions, or, if no score is of
    one of them, those of `scores` and `remaining`. `metric` is one of `METRICS`, `rounding` is
    "round" or "truncate". The label `remaining` was not submitted: it follows from the sum, which
    then checks nothing.

    Raises ValueError if scores are missing, are no scores or are of no label. Raises it too if the
    shares can't sum to one, or if no counts of `n` clips agree with all digits (noise, another
    metric, another number of clips, a label that the test set lacks): the message says what to
    suspect.
    """
    if not (n is None or (isinstance(n, Integral) and n >= 1)):
        raise ValueError(f"n is the number of scored clips, a whole number of 1 or more; got {n!r}")
    if not labels:
        named = dict.fromkeys([*scores, *filter(None, [remaining])])
        labels = EMOTIONS if named.keys() & set(EMOTIONS) else named
    labels = tuple(labels)
    _check_labels(scores, labels, remaining)
    given = {
        label: score
        if isinstance(score := scores[label], PrintedScore)
        else PrintedScore.read(str(score), rounding)
        for label in labels
        if label in scores
    }
    low, high = _shares(given, labels, metric)
    if not _sum_to_one(low, high):
        raise ValueError(_no_sum(given, labels, metric))
    # What remains of the bounds because all shares sum to one.
    bounds = np.maximum(low, 1 - (high.sum() - high)), np.minimum(high, 1 - (low.sum() - low))
    if n is None:
        sizes = tuple(_sizes(low, high, SIZES_UP_TO))
        return Probed(labels, metric, given, *bounds, sizes=sizes)
    least, most, fits = _counts(low, high, n)
    if not fits:
        raise ValueError(_no_counts(given, labels, metric, n))
    solutions = _ways(most - least, n - least.sum())
    least, most = (
        np.maximum(least, n - (most.sum() - most)),
        np.minimum(most, n - (least.sum() - least)),
    )
    return Probed(labels, metric, given, *bounds, n, least, most, solutions)


def probe_leaderboard(board: Leaderboard, names: Sequence[str], n: int | None = None) -> Probed:
    """Submit each label of `board` for all clips `names` and invert the scores (see `probe`).

    `n` is the number of scored clips, if known.
    """
    scores = {}
    for label in board.labels:
        printed = board.submit(pd.Series(label, index=pd.Index(names), dtype="str"))
        scores[label] = printed if isinstance(printed, PrintedScore) else printed[label]
    return probe(scores, n, board.labels, metric=board.metric)


def paper_scores() -> dict[str, PrintedScore]:
    """The six scores that the paper prints, angry's taken as truncated."""
    return {k: PrintedScore.read(*printed) for k, printed in paper.PROBE_SCORES.items()}


def _check_labels(scores: Mapping, labels: Sequence[str], remaining: str | None) -> None:
    if not labels:
        raise ValueError("no scores are given: probing needs that of each label")
    if unknown := sorted(set(scores) - set(labels)):
        raise ValueError(f"scores of {unknown}, which are none of the labels {list(labels)}")
    if remaining is not None and (remaining not in labels or remaining in scores):
        raise ValueError(f"remaining={remaining!r} must be a label that has no score")
    if missing := [label for label in labels if label not in scores and label != remaining]:
        raise ValueError(
            f"{len(scores)} of {len(labels)} scores are given; missing: {', '.join(missing)}. "
            f"Submit these too; one label alone may follow from the sum (for instance, "
            f"remaining={missing[0]!r}), which then checks nothing"
        )


def _shares(
    scores: Mapping[str, PrintedScore], labels: Sequence[str], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest share (C,) of each label alone; 0 and 1 for one without a score."""
    edges = np.array([scores[k].interval if k in scores else (0.0, np.inf) for k in labels])
    low, high = share(metric, edges, len(labels)).T  # (C, 2) -> (2, C)
    return low, high


def _sum_to_one(low: np.ndarray, high: np.ndarray) -> bool:
    return bool(low.sum() <= 1 + EDGE and high.sum() >= 1 - EDGE)


def _counts(
    low: np.ndarray, high: np.ndarray, n: int | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least and greatest count (..., C) of `n` (...) clips by label, and whether some sum to n.

    The least is above the greatest if no whole number lies between `low` and `high` (C,), shares.
    """
    n = np.asarray(n)
    least = np.ceil(n[..., None] * low - EDGE).astype(int)
    most = np.floor(n[..., None] * high + EDGE).astype(int)
    fits = (least <= most).all(-1) & (least.sum(-1) <= n) & (n <= most.sum(-1))
    return least, most, fits


def _sizes(low: np.ndarray, high: np.ndarray, up_to: int) -> list[int]:
    """The numbers of clips from 1 to `up_to` that some counts fit."""
    sizes = np.arange(1, up_to + 1)
    return sizes[_counts(low, high, sizes)[2]].tolist()


def _ways(widths: np.ndarray, rest: int) -> int:
    """In how many ways numbers from 0 to each of `widths` (C,) sum to `rest`."""
    ways = np.zeros(rest + 1, dtype=object)  # Python's integers: the number may be huge
    ways[0] = 1
    for width in widths:
        running = np.cumsum(ways)
        ways = running - np.concatenate([np.zeros(width + 1, dtype=object), running])[: rest + 1]
    return int(ways[rest])


def _no_sum(scores: Mapping[str, PrintedScore], labels: Sequence[str], metric: str) -> str:
    low, high = _shares(scores, labels, metric)
    others = [other for other in METRICS if _sum_to_one(*_shares(scores, labels, other))]
    absent = [label for label, score in scores.items() if score.value == 0]
    there = [label for label in labels if label not in absent]
    above_zero = {label: score for label, score in scores.items() if label in there}
    suspects = (
        f"by {' or '.join(others)} they would: was that the scoring?"
        if others
        else "nor by another metric known here: suspect noise in the scores, a score that was "
        "misread, another rounding, submissions that were not constant, or other labels among "
        "the answers"
    )
    lacking = bool(absent and above_zero) and metric == "macro_f1"
    if lacking and _sum_to_one(*_shares(above_zero, there, metric)):
        suspects = (
            f"without {listed(absent)} they would: a scorer that averages F1 over the labels that "
            "its answers hold prints this where these lack one (scikit-learn's default). "
            f"Probe with labels={there}"
        )
    return (
        f"the shares of {len(labels)} labels sum to {low.sum():.4f} to {high.sum():.4f} by "
        f"{metric}, not to one; {suspects}"
    )


def _no_counts(
    scores: Mapping[str, PrintedScore], labels: Sequence[str], metric: str, n: int
) -> str:
    low, high = _shares(scores, labels, metric)
    least, most, _ = _counts(low, high, n)
    reasons = [f"the counts sum to {least.sum()} to {most.sum()}"]
    if (least > most).any():
        empty = listed(np.array(labels)[least > most])
        reasons = [f"no whole number of clips has the score of {empty}"]
    near = sorted(_sizes(low, high, 2 * n), key=lambda size: abs(size - n))[:SHOWN_SIZES]
    reasons.append(f"numbers of clips near it that fit: {listed(sorted(near)) or 'none'}")
    for label, score in scores.items():
        other = replace(score, rounding="truncate" if score.rounding == "round" else "round")
        if _counts(*_shares({**scores, label: other}, labels, metric), n)[2]:
            reasons.append(f"{n} fits if the score of {label} was cut by {other.rounding!r}")
    return (
        f"no counts of {n} clips give these scores by {metric}: {'; '.join(reasons)}. "
        "Suspect another number of scored clips (a hidden part?), another rounding, or noise"
    )
