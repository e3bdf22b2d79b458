"""Scores of rules on the same clips and seeds, paired, and table 2 of the paper; in per cent.

S seeds, N clips, C classes, R draws of a vote. `sample` are the clips of the predictions with their
true labels (`evaluation.tables.sample_of`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.evaluation import scores, tables
from agt_lib.evaluation.paper import AGT, BASELINE
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import Sample
from agt_lib.voting.rules import MODELS, PAPER, VoteConfig, alone, draw, triggered, vote_shares

NONE, VOTE = "none", "V"


def rule_line(sample: Sample, shares: np.ndarray, **before: np.ndarray) -> dict[str, float | str]:
    """A rule's `tables.score_line`, of vote shares (S, N, C), and `draw_sd`.

    A rule that draws has the mean over its draws; `draw_sd` is the mean spread over a seed's draws
    (0 for a certain rule). `before` are certain rules; `fixed` and `broken` are expected numbers of
    clips against the first of them.
    """
    drawn = np.eye(shares.shape[-1])[draw(shares)]  # (S, R, N, C)
    line = tables.score_line(sample, drawn, **before)
    whole = 100 * scores.weighted_waf(sample.true, drawn, sample.weights(0))[..., 0]  # (S, R)
    line["draw_sd"] = whole.std(1).mean()
    fixed, broken = scores.fixed_and_broken(sample.true, next(iter(before.values())), shares)
    return line | {"fixed": fixed.sum(), "broken": broken.sum()}


def compare_rules(
    rules: Mapping[str, np.ndarray],
    sample: Sample,
    *,
    against: str,
    submissions: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """One line a rule (vote shares by name): its score and its difference to the rule `against`.

    `like_guide` is the share of clips, %, to which the rule gives the label of the guide;
    `submissions` is how many submissions to a leaderboard a rule used. Columns rule and those of
    `rule_line`.
    """
    lines = []
    for name, shares in rules.items():
        line = {"rule": name} | rule_line(sample, shares, difference=rules[against])
        line["like_guide"] = 100 * (shares * rules[PAPER.guide]).sum(-1).mean()
        lines.append(line | {"submissions": (submissions or {}).get(name, 0)})
    return pd.DataFrame(lines)


def fixed_and_broken(
    true: np.ndarray, before: np.ndarray, after: np.ndarray, labels: Sequence[str]
) -> pd.DataFrame:
    """Expected clips that only `after`, or only `before`, gets right, by true label.

    Both are vote shares (S, N, C), `before` of a certain rule; means over seeds. Columns label,
    clips, fixed, broken.
    """
    is_true = np.eye(len(labels), dtype=int)[true]  # (N, C)
    fixed, broken = (part @ is_true for part in scores.fixed_and_broken(true, before, after))
    counts = {"clips": is_true.sum(0), "fixed": fixed, "broken": broken}
    return pd.DataFrame({"label": labels} | counts)


def warnings(table: pd.DataFrame, rule: str, predicted: pd.Series, labels: Sequence[str]) -> str:
    """What to know before `predicted`, the labels that `rule` gives, are handed in: a line each.

    That a model alone scored higher in `table` (`compare_rules`) than `rule`, if that was scored,
    and which of `labels` are never predicted. Empty if there is nothing to say.
    """
    said, scored = [], table.set_index("rule")
    alone = scored.loc[[model for model in MODELS if model in scored.index], "waf"]
    if rule in scored.index and alone.max() > (waf := scored.loc[rule, "waf"]):
        said.append(
            f"{alone.idxmax()} alone scored higher than {rule!r} on the {table['clips'].iloc[0]} "
            f"clips scored here: {alone.max():.1f} against {waf:.1f} points of WAF."
        )
    if absent := [label for label in labels if label not in set(predicted)]:
        said.append(f"No clip is given the label {' or '.join(absent)}.")
    return "\n".join(said)


def disagreements(
    predictions: Predictions, true: np.ndarray, config: VoteConfig = PAPER
) -> pd.DataFrame:
    """Who is right if the guide and its partner disagree, on clips that trigger and on others.

    The vote can help only if the guide is right more often than the partner. Columns clips,
    disagree, guide_right, partner_right, both_wrong (means over seeds, and over partners).
    """
    where = triggered(predictions, config)  # (S, N)
    guide = predictions.chosen(config.guide)
    partner = np.stack([predictions.chosen(model) for model in config.partners(predictions)])
    differ = guide != partner  # (partners, S, N)
    counted = {
        "clips": np.ones_like(differ),
        "disagree": differ,
        "guide_right": differ & (guide == true),
        "partner_right": differ & (partner == true),
        "both_wrong": differ & (guide != true) & (partner != true),
    }
    rows = {
        side: {name: (clips & there).sum(-1).mean() for name, clips in counted.items()}
        for side, there in (("triggered", where), ("elsewhere", ~where))
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("where")


def table2(
    stages: Mapping[str, Predictions],
    sample: Sample,
    config: VoteConfig = PAPER,
    *,
    submissions: int = 0,
) -> pd.DataFrame:
    """Table 2: the baseline and AGT, without and with pseudo-labels and the vote, a line each.

    `stages` are the models' predictions of the same clips by stage ("none", then "P"); the vote is
    held on the last one, with each row's own model as partner, and stands as its own stage ("P+V").
    `submissions` were spent on the prior that chose the trigger labels: only the vote's rows bear
    them. Columns model, stage, those of `rule_line` with a difference to the first stage and a step
    from the stage before, submissions. Raises ValueError for stages of other clips or labels.
    """
    first, last = list(stages)[0], list(stages)[-1]
    before, voted = stages[first], stages[last]
    for stage, predictions in stages.items():
        if (predictions.names, predictions.label_set) != (before.names, before.label_set):
            raise ValueError(f"stages {first!r} and {stage!r} predict other clips or labels")
    lines = []
    for model in (BASELINE, AGT):
        rows = {stage: alone(predictions, model) for stage, predictions in stages.items()}
        title = VOTE if last == NONE else f"{last}+{VOTE}"
        rows[title] = vote_shares(voted, replace(config, partner=model))
        previous = rows[first]
        for stage, own in rows.items():
            line = {"model": model, "stage": stage}
            line |= rule_line(sample, own, difference=rows[first], step=previous)
            lines.append(line | {"submissions": submissions if stage == title else 0})
            previous = own
    return pd.DataFrame(lines)


def show_table2(table: pd.DataFrame) -> pd.DataFrame:
    """`table2` for reading: a line a model, WAF with its interval and spread by stage."""
    found = tables.wide(table, "model", "stage")
    for row in table[table["submissions"] > 0].itertuples():
        found.loc[row.model, row.stage] += f" ({row.submissions} submissions)"
    return found


def verdict(table: pd.DataFrame) -> str:
    """Whether each stage of `table2` brought something to the stage before, in a line each."""
    later = table[table["stage"] != table["stage"].iloc[0]]
    return tables.verdict(later, ("model", "stage"), "step")
