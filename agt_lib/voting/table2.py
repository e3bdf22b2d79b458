"""Table 2 of the paper: the baseline and AGT, without and with pseudo-labels and the vote."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import Sample
from agt_lib.voting import AGT, BASELINE, VoteConfig, alone, vote
from agt_lib.voting.scoring import rule_line

NONE, PSEUDO, VOTE = "none", "P", "V"
PARTNER = {BASELINE: "baseline", AGT: "agt"}


def scores(
    stages: Mapping[str, Predictions],
    true: np.ndarray,
    config: VoteConfig | None = None,
    *,
    groups: np.ndarray | None = None,
    submissions: int = 0,
) -> pd.DataFrame:
    """One line per model and stage: WAF, %, and its paired difference to the first stage.

    `stages` are the models' predictions of the same clips by stage ("none", then "P"); the vote is
    held on the last one, with each row's own model as partner, and stands as its own stage ("P+V").
    `true` (N,) are label numbers, `groups` (N,) speakers. `submissions` were spent on the prior
    that chose the trigger classes: only the vote's rows bear them. A vote by draws has the mean
    over draws. Columns model, stage, those of `rule_line` with a difference to the first stage and
    a step from the stage before, submissions. Raises ValueError for stages of other clips or
    labels.
    """
    config = config or VoteConfig()
    (first, before), *_, (last, voted) = [*stages.items()] * (2 if len(stages) == 1 else 1)
    for stage, predictions in stages.items():
        if (predictions.names, predictions.label_set) != (before.names, before.label_set):
            raise ValueError(f"stages {first!r} and {stage!r} predict other clips or labels")
    sample = Sample.of(true, groups)
    lines = []
    for model, partner in PARTNER.items():
        rows = {stage: alone(predictions, model) for stage, predictions in stages.items()}
        title = VOTE if last == NONE else f"{last}+{VOTE}"
        rows[title] = vote(voted, replace(config, partner=partner))
        previous = rows[first]
        for stage, own in rows.items():
            line = {"model": model, "stage": stage}
            line |= rule_line(sample, own, difference=rows[first], step=previous)
            lines.append(line | {"submissions": submissions if stage == title else 0})
            previous = own
    return pd.DataFrame(lines)


def display(table: pd.DataFrame) -> pd.DataFrame:
    """`scores` for reading: a line a model, WAF with its interval and spread by stage."""
    found = tables.wide(table, "model", "stage")
    for row in table[table["submissions"] > 0].itertuples():
        found.loc[row.model, row.stage] += f" ({row.submissions} submissions)"
    return found


def verdict(table: pd.DataFrame) -> str:
    """Whether each stage brought something to the stage before, in a line each."""
    later = table[table["stage"] != table["stage"].iloc[0]]
    return tables.verdict(later, ("model", "stage"), "step")
