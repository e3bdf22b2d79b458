"""From the scores of constant submissions to the labels' shares and counts (section 2.3, figure 3).

Letters: C classes, N scored clips.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.probing import counts as counting
from agt_lib.probing import metrics
from agt_lib.probing.leaderboard import Leaderboard
from agt_lib.probing.scores import ROUNDINGS, Score

SIZES_UP_TO = 3000
SHOWN_SIZES = 5


class InconsistentScores(ValueError):
    """Scores that no set of clips gives: noise, another metric, another number of clips."""


@dataclass(frozen=True)
class Probed:
    """What the scores of constant submissions betray.

    `low` and `high` (C,) bound each label's share by the digits of the scores and by the sum of
    one. With `n` known, `counts` holds what agrees with all scores jointly; without, `sizes` are
    the numbers of clips up to `sizes_up_to` that some counts fit. `remaining` is the label that
    was not submitted and follows from the sum. `submissions` is what it cost.
    """

    labels: tuple[str, ...]
    metric: str
    scores: dict[str, Score]
    low: np.ndarray
    high: np.ndarray
    submissions: int
    n: int | None = None
    counts: counting.Counts | None = None
    sizes: tuple[int, ...] = ()
    sizes_up_to: int = 0
    remaining: str | None = None

    @property
    def unique(self) -> bool:
        """Whether one set of counts alone agrees with all scores."""
        return self.counts is not None and self.counts.solutions == 1

    @property
    def prior(self) -> np.ndarray:
        """The labels' shares (C,), which sum to one: exact where the counts are unique."""
        if self.unique:
            return self.counts.low / self.n
        exact = _of_known(self.labels, self.metric, self.scores)
        exact[np.isnan(exact)] = 1 - np.nansum(exact)
        shares = np.clip(exact, self.low, self.high)
        return shares / shares.sum()

    @property
    def verdict(self) -> str:
        """In a sentence: what is known of the counts."""
        cost = f"{self.submissions} submissions"
        if self.n is None:
            shown = ", ".join(map(str, self.sizes[:SHOWN_SIZES]))
            more = len(self.sizes) - SHOWN_SIZES
            rest = f" and {more} more" if more > 0 else ""
            return (
                f"{cost}; numbers of clips up to {self.sizes_up_to} that fit: "
                f"{shown + rest or 'none'}"
            )
        if self.unique:
            return f"{cost}; the counts are unique for {self.n} clips"
        return f"{cost}; {self.counts.solutions} sets of counts fit {self.n} clips"

    def table(self) -> pd.DataFrame:
        """A row a label: score, share, the bounds of the share and, with `n`, of the count."""
        columns = {
            "score": [str(self.scores.get(label, "from the sum")) for label in self.labels],
            "share": self.prior,
            "share_low": self.low,
            "share_high": self.high,
        }
        if self.counts is not None:
            columns |= {"count_low": self.counts.low, "count_high": self.counts.high}
        return pd.DataFrame(columns, index=pd.Index(self.labels, name="label"))


def probe(
    leaderboard: Leaderboard,
    names: Sequence[str],
    labels: Sequence[str] = EMOTIONS,
    *,
    n: int | None = None,
    remaining: str | None = None,
) -> Probed:
    """Submit each label for all clips `names` and invert the scores.

    `n` is the number of scored clips where it is known. The label `remaining` is not submitted but
    follows from the sum, which then can't be checked. Raises as `infer` does.
    """
    scores, before = {}, leaderboard.submissions
    for label in labels:
        if label != remaining:
            printed = leaderboard.submit(pd.Series(label, index=pd.Index(names), dtype="str"))
            scores[label] = printed if isinstance(printed, Score) else printed[label]
    probed = infer(scores, labels, metric=leaderboard.metric, n=n, remaining=remaining)
    return replace(probed, submissions=leaderboard.submissions - before)


def infer(
    scores: Mapping[str, Score],
    labels: Sequence[str] = EMOTIONS,
    *,
    metric: str = "waf",
    n: int | None = None,
    remaining: str | None = None,
    sizes_up_to: int = SIZES_UP_TO,
) -> Probed:
    """Invert the scores of constant submissions, one per label.

    Raises ValueError where scores are missing or of no label, and InconsistentScores where the
    shares can't sum to one or no counts of `n` clips agree with all digits, saying what to suspect.
    """
    labels = tuple(labels)
    _check_labels(scores, labels, remaining)
    bounds = _shares(scores, labels, metric)
    if not _sums_to_one(*bounds):
        raise InconsistentScores(_no_sum(scores, labels, metric, bounds))
    low, high = _tightened(*bounds)
    given = {label: scores[label] for label in labels if label in scores}
    probed = Probed(labels, metric, given, low, high, len(given), n, remaining=remaining)
    if n is None:
        sizes = tuple(counting.sizes(*bounds, sizes_up_to))
        return replace(probed, sizes=sizes, sizes_up_to=sizes_up_to)
    found = counting.joint(*bounds, n)
    if found is None:
        raise InconsistentScores(_no_counts(scores, labels, metric, bounds, n))
    return replace(probed, counts=found)


def _check_labels(
    scores: Mapping[str, Score], labels: Sequence[str], remaining: str | None
) -> None:
    if unknown := sorted(set(scores) - set(labels)):
        raise ValueError(f"scores of {unknown}, which are none of the labels {list(labels)}")
    if remaining is not None and (remaining not in labels or remaining in scores):
        raise ValueError(f"remaining={remaining!r} must be a label that has no score")
    missing = [label for label in labels if label not in scores and label != remaining]
    if missing:
        advice = "submit it too"
        if len(missing) == 1 and remaining is None:
            advice += (
                f", or let it follow from the sum with remaining={missing[0]!r}: then the sum "
                "checks nothing"
            )
        raise ValueError(
            f"{len(scores)} of {len(labels)} scores are given; missing: {', '.join(missing)}: "
            + advice
        )


def _shares(
    scores: Mapping[str, Score], labels: Sequence[str], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest share (C,) of each label alone; 0 and 1 for one without a score."""
    edges = np.array([scores[k].interval if k in scores else (0.0, np.inf) for k in labels])
    low, high = metrics.share(metric, edges, len(labels)).T  # (C, 2) -> (2, C)
    return low, high


def _of_known(labels: Sequence[str], metric: str, scores: Mapping[str, Score]) -> np.ndarray:
    """The share (C,) of each label's printed score taken as exact; NaN without a score."""
    printed = [scores[k].value if k in scores else np.nan for k in labels]
    return metrics.share(metric, np.array(printed), len(labels))


def _sums_to_one(low: np.ndarray, high: np.ndarray) -> bool:
    return bool(low.sum() <= 1 + counting.EDGE and high.sum() >= 1 - counting.EDGE)


def _tightened(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same bounds where all shares together sum to one."""
    least, most = 1 - (high.sum() - high), 1 - (low.sum() - low)
    return np.maximum(low, least), np.minimum(high, most)


def _no_sum(scores: Mapping[str, Score], labels: Sequence[str], metric: str, bounds: tuple) -> str:
    cut = {r: {k: replace(s, rounding=r) for k, s in scores.items()} for r in ROUNDINGS}
    others = [
        f"{other} ({rounding})"
        for other in metrics.METRICS
        for rounding in ROUNDINGS
        if _sums_to_one(*_shares(cut[rounding], labels, other))
    ]
    low, high = bounds[0].sum(), bounds[1].sum()
    suspects = (
        f"with {' or '.join(others)} they would sum to one: was that the scoring?"
        if others
        else "no metric known here makes them sum to one: suspect noise in the scores, a score "
        "that was misread, submissions that were not constant, or other labels among the answers"
    )
    return (
        f"the shares of {len(labels)} labels sum to {low:.4f} to {high:.4f} by {metric}, not to "
        f"one; {suspects}"
    )


def _no_counts(
    scores: Mapping[str, Score], labels: Sequence[str], metric: str, bounds: tuple, n: int
) -> str:
    least, most = counting.candidates(*bounds, n)
    empty = [k for k, a, b in zip(labels, least, most, strict=True) if a > b]
    reason = (
        f"no whole number of clips has the score of {', '.join(empty)}"
        if empty
        else f"the counts sum to {least.sum()} to {most.sum()}"
    )
    near = sorted(counting.sizes(*bounds, 2 * n), key=lambda size: abs(size - n))[:SHOWN_SIZES]
    hints = [f"numbers of clips near it that fit: {', '.join(map(str, sorted(near))) or 'none'}"]
    for label, score in scores.items():
        flipped = "truncate" if score.rounding == "round" else "round"
        other = {**scores, label: replace(score, rounding=flipped)}
        if counting.joint(*_shares(other, labels, metric), n) is not None:
            hints.append(f"{n} fits where the score of {label} was cut by {flipped!r}")
    return (
        f"no counts of {n} clips give these scores by {metric}: {reason}; {'; '.join(hints)}. "
        "Suspect another number of scored clips (a hidden part?), another rounding, or noise"
    )
