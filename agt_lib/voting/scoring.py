"""Scores of rules on the same clips and seeds, paired. Scores of tables are in per cent.

S seeds, N clips, C classes, R draws of a vote.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agt_lib.evaluation import scores
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import Sample
from agt_lib.evaluation.tables import score_line
from agt_lib.voting.predictions import VOICE
from agt_lib.voting.rules import PARTNERS, VoteConfig, alone, triggered

N_DRAWS = 200


def draw(shares: np.ndarray, n_draws: int = N_DRAWS, seed: int = 0) -> np.ndarray:
    """Labels drawn from vote shares (S, N, C): numbers (S, R, N). A certain rule needs one draw."""
    if (shares.max(-1) == 1).all():
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


def rule_line(sample: Sample, shares: np.ndarray, **before: np.ndarray) -> dict[str, float | str]:
    """A rule's `score_line`, of vote shares (S, N, C), and `draw_sd`.

    A rule that draws has the mean over `N_DRAWS` draws; `draw_sd` is the mean spread over a seed's
    draws (0 for a certain rule). `before` are certain rules; `fixed` and `broken` are expected
    numbers of clips against the first of them.
    """
    drawn = np.eye(shares.shape[-1])[draw(shares)]  # (S, R, N, C)
    line = score_line(sample, drawn, **before)
    whole = 100 * scores.weighted_waf(sample.true, drawn, sample.weights[:1])[..., 0]  # (S, R)
    line["draw_sd"] = whole.std(1).mean()
    fixed, broken = scores.fixed_and_broken(sample.true, next(iter(before.values())), shares)
    return line | {"fixed": fixed.sum(), "broken": broken.sum()}


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
    `rule_line`.
    """
    sample = Sample.of(true, groups)
    voice = alone(predictions, VOICE)
    lines = []
    for name, shares in rules.items():
        line = {"rule": name} | rule_line(sample, shares, difference=rules[against])
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
    parts = scores.fixed_and_broken(true, before, after)
    fixed, broken = (part @ is_true for part in parts)
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
