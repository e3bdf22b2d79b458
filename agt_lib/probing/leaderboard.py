"""A challenge's scorer: it holds the answers, prints rounded scores and counts submissions.

p is the share of class c among the scored clips, C the number of classes. A submission that calls
every clip c has precision p and recall 1 for c, so F1 2p / (1 + p); all other classes have F1 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score

from agt_lib.corpora.labels import EMOTIONS, to_numbers

ROUNDINGS = ("round", "truncate")
MAX_DIGITS = 10

# A score that lies on the edge of what was printed may have been summed in another order.
LAST_BITS = 1e-12


METRICS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "waf": lambda s, c: (s + np.sqrt(s**2 + 8 * s)) / 4,  # s = 2p^2 / (1 + p): F1 by share
    "accuracy": lambda s, c: s,  # s = p
    "macro_f1": lambda s, c: c * s / (2 - np.minimum(c * s, 1)),  # s = 2p / (1 + p) / C
    "class_f1": lambda s, c: s / (2 - s),  # s = 2p / (1 + p)
}
"""The share p of a class by the score s of the submission that calls every clip so."""


def share(metric: str, score: np.ndarray, n_classes: int) -> np.ndarray:
    """The share p of the class whose constant submission has `score`, clipped to [0, 1].

    Raises ValueError for an unknown metric.
    """
    if metric not in METRICS:
        raise ValueError(f"no metric {metric!r}; there are {', '.join(METRICS)}")
    return np.clip(METRICS[metric](np.clip(score, 0.0, 1.0), n_classes), 0.0, 1.0)


@dataclass(frozen=True)
class PrintedScore:
    """A score in [0, 1] with its decimal digits and how the rest was cut: "round" or "truncate".

    Raises ValueError for a score outside [0, 1], more digits than `digits`, or another rounding.
    """

    value: float
    digits: int = 4
    rounding: str = "round"

    def __post_init__(self) -> None:
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"rounding is one of {', '.join(ROUNDINGS)}; got {self.rounding!r}")
        if not 1 <= self.digits <= MAX_DIGITS:
            raise ValueError(f"a score has 1 to {MAX_DIGITS} digits; got {self.digits}")
        if not 0 <= self.value <= 1:
            raise ValueError(
                f"a score lies between 0 and 1; got {self.value:g} (divide per cent by 100)"
            )
        if abs(round(self.value, self.digits) - self.value) > LAST_BITS:
            raise ValueError(
                f"{self.value!r} has more than {self.digits} digits: give the score as printed, "
                "with the number of its digits"
            )

    @classmethod
    def read(cls, text: str, rounding: str = "round") -> "PrintedScore":
        """The score printed as `text`; its decimals are counted, so "0.0350" has four digits.

        Raises ValueError for what is no decimal number.
        """
        whole, _, decimals = text.strip().partition(".")
        if not whole.isdecimal() or not decimals.isdecimal():
            raise ValueError(
                f"{text!r} is no score: expected all printed decimals, such as 0.0326 (a share, "
                "not per cent)"
            )
        return cls(float(text), len(decimals), rounding)

    @classmethod
    def of(cls, score: float, digits: int, rounding: str) -> "PrintedScore":
        """What a leaderboard prints of the exact `score`."""
        scaled = score * 10**digits
        cut = math.floor(scaled + LAST_BITS * 10**digits)
        return cls((round(scaled) if rounding == "round" else cut) / 10**digits, digits, rounding)

    @property
    def interval(self) -> tuple[float, float]:
        """The lowest and highest score that may be printed so: ties may go either way."""
        step = 10.0**-self.digits
        below, above = (step / 2, step / 2) if self.rounding == "round" else (0.0, step)
        return max(self.value - below, 0.0), min(self.value + above, 1.0)

    def __str__(self) -> str:
        return f"{self.value:.{self.digits}f}"


class Leaderboard:
    """Scores submissions against `answers` (labels by clip name), which it does not show.

    `metric` is "waf", "accuracy", "macro_f1" (over all of `labels`) or "class_f1" (one score per
    label). Scores have `digits` decimals, the rest is rounded or, with "truncate", cut. A
    `private_share` of the clips, drawn with `seed`, never counts in what `submit` prints; see
    `score_private`. Raises ValueError for unknown labels, metrics and roundings, repeated names,
    missing answers or a share that leaves no clip to score.
    """

    def __init__(
        self,
        answers: pd.Series | Mapping[str, str],
        metric: str = "waf",
        digits: int = 4,
        rounding: str = "round",
        private_share: float = 0.0,
        seed: int = 0,
        labels: Sequence[str] = EMOTIONS,
    ):
        share(metric, 0.0, len(labels))  # refuses an unknown metric
        PrintedScore(0.0, digits, rounding)  # refuses unknown digits and roundings
        answers = pd.Series(answers)
        if answers.empty:
            raise ValueError("a leaderboard needs answers; there are none")
        self._names = answers.index
        self._true = to_numbers(_by_name("the answers", answers, self._names), labels)
        self.metric, self.digits, self.rounding = metric, digits, rounding
        self.labels = tuple(labels)
        self.submissions = 0
        drawn = np.random.default_rng(seed).permutation(len(answers))
        self._private, self._public = np.split(drawn, [round(private_share * len(answers))])
        if not 0 <= private_share < 1 or not len(self._public):
            raise ValueError(f"private_share is at least 0 and leaves clips; got {private_share}")

    @property
    def n_scored(self) -> int:
        """The number of clips whose score is printed; not every challenge tells it."""
        return len(self._public)

    def submit(self, predicted: pd.Series) -> PrintedScore | dict[str, PrintedScore]:
        """The printed score of `predicted` (labels by clip name); with "class_f1" one per label.

        Clips without an answer are not scored: a candidate list may hold more than the test set.
        Raises ValueError for clips left out or named twice, and for unknown labels; such a
        submission does not count.
        """
        exact = self._score(predicted, self._public)
        self.submissions += 1
        return self._given([PrintedScore.of(s, self.digits, self.rounding) for s in exact])

    def score_private(self, predicted: pd.Series) -> float | dict[str, float]:
        """The exact score on the hidden clips, for the final report alone: choose nothing by it.

        Raises ValueError as `submit` does, and if nothing is hidden.
        """
        if not len(self._private):
            raise ValueError("this leaderboard hides no clips: make it with a private_share")
        return self._given(self._score(predicted, self._private))

    def _given(self, scores: list) -> Any:
        by_label = self.metric == "class_f1"
        return dict(zip(self.labels, scores, strict=True)) if by_label else scores[0]

    def _score(self, predicted: pd.Series, rows: np.ndarray) -> list[float]:
        given = _by_name("the submission", predicted, self._names)
        given, true = to_numbers(given, self.labels)[rows], self._true[rows]
        if self.metric == "accuracy":
            return [float(accuracy_score(true, given))]
        by_class = {"waf": "weighted", "macro_f1": "macro", "class_f1": None}[self.metric]
        numbers = range(len(self.labels))
        scores = f1_score(true, given, labels=numbers, average=by_class, zero_division=0)
        return [float(score) for score in np.atleast_1d(scores)]


def _by_name(what: str, labels: pd.Series, names: pd.Index) -> pd.Series:
    """The labels of the clips `names`: each has one, and none is named twice."""
    if not labels.index.is_unique:
        twice = labels.index[labels.index.duplicated()]
        raise ValueError(f"{what}: {twice[0]!r} is named more than once")
    found = labels.reindex(names)
    missing = names[found.isna()]
    if len(missing):
        raise ValueError(
            f"{what}: no label for {len(missing)} of {len(names)} clips, the first is "
            f"{missing[0]!r}"
        )
    return found
