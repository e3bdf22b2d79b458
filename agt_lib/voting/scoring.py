"""Scores of rules on the same clips and seeds, paired. Scores of tables are in per cent.

S seeds, N clips, C classes, R draws of a vote, W rows of clip weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agt_lib.evaluation import scores
from agt_lib.evaluation.predictions import Predictions
from agt_lib.voting.predictions import VOICE
from agt_lib.voting.rules import PARTNERS, VoteConfig, alone, triggered

N_DRAWS = 200


def weighted_waf(true: np.ndarray, shares: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """WAF, a share, of `shares` (..., N, C) under each row of clip `weights` (W, N): (..., W).

    Shares of 0 and 1 give scikit-learn's weighted F1 with `sample_weight`, zero for a class that is
    never predicted; other shares that of the expected counts.
    """
    *outer, n_clips, n_classes = shares.shape
    flat = shares.reshape(-1, n_clips, n_classes)
    chosen = np.tensordot(weights, flat, (1, 1))  # (W, N), (R, N, C) -> (W, R, C)
    scores = np.zeros(chosen.shape[:2])
    for c in range(n_classes):  # one class at a time: (W, R, C) is large
        own = np.flatnonzero(true == c)
        support = weights[:, own].sum(1, keepdims=True)  # (W, 1)
        weighed = weights[:, own] @ flat[:, own, c].T  # the hits, (W, R)
        weighed *= 2 * support
        weighed /= np.maximum(support + chosen[..., c], np.finfo(float).tiny)
        scores += weighed
    scores /= weights.sum(1, keepdims=True)
    return scores.T.reshape(*outer, len(weights))


def draw(shares: np.ndarray, n_draws: int = N_DRAWS, seed: int = 0) -> np.ndarray:
    """Labels drawn from vote shares (S, N, C): numbers (S, R, N). A certain rule needs one draw."""
    if is_certain(shares):
        return shares.argmax(-1)[:, None]
    n_seeds, n_clips, _ = shares.shape
    chances = np.random.default_rng(seed).random((n_seeds, n_draws, n_clips, 1))
    ends = shares.cumsum(-1)[:, None, :, :-1]  # (S, 1, N, C - 1)
    return (chances >= ends).sum(-1)


def labels(predictions: Predictions, shares: np.ndarray, seed: int = 0) -> list[pd.Series]:
    """The labels a rule picks, by clip name, one series a voting seed; of a draw, the first."""
    chosen = np.array(predictions.label_set, dtype=object)[draw(shares, 1, seed)[:, 0]]
    index = pd.Index(predictions.names, name="name")
    return [pd.Series(row, index, name="label") for row in chosen]


def is_certain(shares: np.ndarray) -> bool:
    """Whether a rule picks one label for every clip."""
    return bool((shares.max(-1) == 1).all())


@dataclass(frozen=True)
class Judged:
    """A rule's vote shares (S, N, C) and its WAF in per cent by seed, draw and row of clip weights.

    `wafs` is (S, R, 1 + B): the first row weighs all clips alike, the others are bootstrap draws.
    """

    shares: np.ndarray
    wafs: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The mean over seeds and draws, (1 + B,)."""
        return self.wafs.mean((0, 1))


class Referee:
    """Scores rules on the same clips, bootstrap draws and vote draws, so that they compare.

    Intervals are over the speakers `groups` (N,) where they are enough, else over clips.
    """

    def __init__(
        self,
        true: np.ndarray,
        groups: np.ndarray | None = None,
        *,
        n_bootstrap: int = scores.N_BOOTSTRAP,
        n_draws: int = N_DRAWS,
        seed: int = 0,
    ):
        if groups is not None and len(np.unique(groups.astype(str))) < scores.MIN_GROUPS:
            groups = None
        self.true, self.n_draws, self.seed = true, n_draws, seed
        self.unit = "clips" if groups is None else "speakers"
        bootstrap = scores.bootstrap_weights(len(true), groups, n_bootstrap, seed)
        self.weights = np.concatenate([np.ones((1, len(true))), bootstrap])  # (1 + B, N)

    def judge(self, shares: np.ndarray) -> Judged:
        """Score the vote shares (S, N, C) of a rule."""
        drawn = np.eye(shares.shape[-1])[draw(shares, self.n_draws, self.seed)]  # (S, R, N, C)
        return Judged(shares, 100 * weighted_waf(self.true, drawn, self.weights))

    def score(self, judged: Judged) -> dict[str, float]:
        """A rule's WAF, its interval, the spread over seeds (NaN of one) and the mean spread over a
        seed's draws (0 for a certain rule), in per cent."""
        low, high = interval(judged.means)
        whole = judged.wafs[..., 0]  # (S, R)
        return {
            "waf": judged.means[0],
            "low": low,
            "high": high,
            "seed_sd": whole.mean(1).std(ddof=1) if len(whole) > 1 else np.nan,
            "draw_sd": whole.std(1).mean(),
            "clips": len(self.true),
            "seeds": len(whole),
            "interval_over": self.unit,
        }

    def difference(self, after: Judged, before: Judged) -> dict[str, float]:
        """Points of WAF that `after` has more than `before`, a certain rule, paired.

        `fixed` and `broken` are expected numbers of clips, means over seeds.
        """
        points = after.means - before.means
        low, high = interval(points)
        fixed, broken = _fixed_and_broken(self.true, before.shares, after.shares)
        return {
            "difference": points[0],
            "diff_low": low,
            "diff_high": high,
            "fixed": fixed.sum(),
            "broken": broken.sum(),
        }


def compare_rules(
    rules: Mapping[str, np.ndarray],
    predictions: Predictions,
    true: np.ndarray,
    *,
    against: str,
    groups: np.ndarray | None = None,
    submissions: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """One line a rule: its score and its paired difference to the rule `against`.

    `like_voice` is the share of clips, %, where the rule's label is the voice model's;
    `submissions` how many looks at a leaderboard went into a rule. Columns rule and those of
    `Referee.score` and `Referee.difference`.
    """
    referee = Referee(true, groups)
    voice = alone(predictions, VOICE)
    reference = referee.judge(rules[against])
    lines = []
    for name, shares in rules.items():
        judged = referee.judge(shares)
        line = {"rule": name} | referee.score(judged) | referee.difference(judged, reference)
        line["like_voice"] = 100 * (shares * voice).sum(-1).mean()
        lines.append(line | {"submissions": (submissions or {}).get(name, 0)})
    return pd.DataFrame(lines)


def fixed_and_broken(
    true: np.ndarray, before: np.ndarray, after: np.ndarray, labels: Sequence[str]
) -> pd.DataFrame:
    """Expected clips that only `after`, or only `before`, gets right, by true label.

    Both are vote shares (S, N, C), `before` of a certain rule; means over seeds. Columns label,
    clips, fixed, broken.
    """
    is_true = np.eye(len(labels))[true]  # (N, C)
    fixed, broken = (part @ is_true for part in _fixed_and_broken(true, before, after))
    return pd.DataFrame(
        {"label": labels, "clips": is_true.sum(0).astype(int), "fixed": fixed, "broken": broken}
    )


def disagreements(predictions: Predictions, true: np.ndarray, config: VoteConfig) -> pd.DataFrame:
    """Who is right where the voice and the partner disagree, where the vote triggers and elsewhere.

    The vote can help only where the voice is right more often than the partner. Columns clips,
    disagree, voice_right, partner_right, both_wrong (means over seeds; of either partner, half of
    each).
    """
    where = triggered(predictions, config)
    voice = predictions.chosen(VOICE)
    parts = []
    for partner in PARTNERS[config.partner]:
        other = predictions.chosen(partner)
        differ = voice != other
        counted = {
            "clips": np.ones_like(differ),
            "disagree": differ,
            "voice_right": differ & (voice == true),
            "partner_right": differ & (other == true),
            "both_wrong": differ & (voice != true) & (other != true),
        }
        parts.append(
            {
                name: [(part & side).sum(1).mean() for side in (where, ~where)]
                for name, part in counted.items()
            }
        )
    places = pd.Index(["triggered", "elsewhere"], name="where")
    return sum(pd.DataFrame(part, index=places) for part in parts) / len(parts)


def _fixed_and_broken(
    true: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How often each clip is fixed and broken, (N,) and (N,), means over seeds."""
    clips = np.arange(len(true))
    right_before, right_after = before[:, clips, true], after[:, clips, true]  # (S, N)
    fixed = (right_after * (1 - right_before)).mean(0)
    return fixed, (right_before * (1 - right_after)).mean(0)


def interval(draws: np.ndarray) -> tuple[float, float]:
    """Bounds of the values behind the first, which is of all clips."""
    tail = (1 - scores.LEVEL) / 2
    low, high = np.quantile(draws[1:], [tail, 1 - tail])
    return float(low), float(high)
