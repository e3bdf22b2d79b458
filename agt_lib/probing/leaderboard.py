"""A challenge's scorer: it holds the answers, prints rounded scores and counts submissions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score

from agt_lib.corpora.labels import EMOTIONS, to_numbers
from agt_lib.probing import metrics
from agt_lib.probing.scores import Score, publish


class Leaderboard:
    """Scores submissions against `answers` (labels by clip name), which it does not show.

    `metric` is "waf", "accuracy", "macro_f1" (over all of `labels`) or "class_f1" (one score per
    label). Scores have `digits` decimals, the rest is rounded or, with "truncate", cut. A
    `private_share` of the clips, drawn with `seed`, never counts in what `submit` prints; see
    `score_private`. Raises ValueError for unknown labels, metrics and roundings, repeated names,
    missing answers or a share that leaves no clip on either side.
    """

    def __init__(
        self,
        answers: pd.Series,
        metric: str = "waf",
        digits: int = 4,
        rounding: str = "round",
        private_share: float = 0.0,
        seed: int = 0,
        labels: Sequence[str] = EMOTIONS,
    ):
        metrics.metric(metric)
        Score(0.0, digits, rounding)
        if answers.empty or answers.isna().any():
            raise ValueError(
                f"a leaderboard needs an answer for every clip; {int(answers.isna().sum())} of "
                f"{len(answers)} are missing"
            )
        if not answers.index.is_unique:
            repeated = answers.index[answers.index.duplicated()][0]
            raise ValueError(f"answers name {repeated!r} more than once")
        self.metric, self.digits, self.rounding = metric, digits, rounding
        self.labels = tuple(labels)
        self.submissions = 0
        self._answers = pd.Series(to_numbers(answers, labels), answers.index)
        drawn = np.random.default_rng(seed).permutation(len(answers))
        self._private = np.sort(drawn[: round(private_share * len(answers))])
        self._public = np.sort(drawn[len(self._private) :])
        if not 0 <= private_share < 1 or not len(self._public):
            raise ValueError(f"private_share is at least 0 and leaves clips; got {private_share}")

    @property
    def n_scored(self) -> int:
        """The number of clips whose score is printed; not every challenge tells it."""
        return len(self._public)

    def submit(self, predicted: pd.Series) -> Score | dict[str, Score]:
        """The printed score of `predicted` (labels by clip name); with "class_f1" one per label.

        Clips without an answer are not scored: a candidate list may hold more than the test set.
        Raises ValueError for clips left out or named twice, and for unknown labels; such a
        submission does not count.
        """
        exact = self._score(predicted, self._public)
        self.submissions += 1
        printed = [publish(score, self.digits, self.rounding) for score in exact]
        if self.metric == "class_f1":
            return dict(zip(self.labels, printed, strict=True))
        return printed[0]

    def score_private(self, predicted: pd.Series) -> float | dict[str, float]:
        """The exact score on the hidden clips, for the final report alone: choose nothing by it.

        Raises ValueError as `submit` does, and where nothing is hidden.
        """
        if not len(self._private):
            raise ValueError("this leaderboard hides no clips: make it with a private_share")
        exact = self._score(predicted, self._private)
        if self.metric == "class_f1":
            return dict(zip(self.labels, exact, strict=True))
        return exact[0]

    def _score(self, predicted: pd.Series, rows: np.ndarray) -> list[float]:
        if not predicted.index.is_unique:
            repeated = predicted.index[predicted.index.duplicated()][0]
            raise ValueError(f"the submission names {repeated!r} more than once")
        missing = self._answers.index.difference(predicted.index)
        if len(missing):
            raise ValueError(
                f"the submission leaves out {len(missing)} of {len(self._answers)} clips, the "
                f"first is {missing[0]!r}"
            )
        chosen = predicted.reindex(self._answers.index)
        if chosen.isna().any():
            raise ValueError(f"the submission has no label for {chosen.index[chosen.isna()][0]!r}")
        given = to_numbers(chosen, self.labels)[rows]
        true = self._answers.to_numpy()[rows]
        if self.metric == "accuracy":
            return [float(accuracy_score(true, given))]
        by_class = {"waf": "weighted", "macro_f1": "macro", "class_f1": None}[self.metric]
        numbers = range(len(self.labels))
        scores = f1_score(true, given, labels=numbers, average=by_class, zero_division=0)
        return [float(score) for score in np.atleast_1d(scores)]
