"""Table 2 of the paper: the baseline and AGT, without and with pseudo-labels and the vote."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.evaluation.predictions import Predictions
from agt_lib.voting import AGT, BASELINE, VoteConfig, alone, vote
from agt_lib.voting.scoring import Referee

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
    over draws. Columns model, stage, waf, low, high, seed_sd, draw_sd, difference, diff_low,
    diff_high (points), fixed, broken, clips, seeds, interval_over, step, step_low, step_high (the
    difference to the stage before), submissions. Raises ValueError for stages of other clips or
    labels.
    """
    config = config or VoteConfig()
    (first, before), *_, (last, voted) = [*stages.items()] * (2 if len(stages) == 1 else 1)
    for stage, predictions in stages.items():
        if (predictions.names, predictions.label_set) != (before.names, before.label_set):
            raise ValueError(f"stages {first!r} and {stage!r} predict other clips or labels")
    referee = Referee(true, groups)
    lines = []
    for model, partner in PARTNER.items():
        rows = {stage: alone(predictions, model) for stage, predictions in stages.items()}
        title = VOTE if last == NONE else f"{last}+{VOTE}"
        rows[title] = vote(voted, replace(config, partner=partner))
        judged = {stage: referee.judge(shares) for stage, shares in rows.items()}
        previous = judged[first]
        for stage, own in judged.items():
            line = {"model": model, "stage": stage} | referee.score(own)
            line |= referee.difference(own, judged[first])
            step = referee.difference(own, previous)
            line |= {"step": step["difference"]}
            line |= {"step_low": step["diff_low"], "step_high": step["diff_high"]}
            lines.append(line | {"submissions": submissions if stage == title else 0})
            previous = own
    return pd.DataFrame(lines)


def display(table: pd.DataFrame) -> pd.DataFrame:
    """`scores` for reading: a line a model, WAF with its interval and spread by stage."""
    cells = [
        f"{row.waf:.1f} [{row.low:.1f}, {row.high:.1f}]"
        + ("" if np.isnan(row.seed_sd) else f" ±{row.seed_sd:.1f}")
        + (f" ({row.submissions} submissions)" if row.submissions else "")
        for row in table.itertuples()
    ]
    wide = table.assign(text=cells).pivot(index="model", columns="stage", values="text")
    return wide.reindex(index=table["model"].unique(), columns=table["stage"].unique())


def verdict(table: pd.DataFrame) -> str:
    """In a line per model and step: whether it helped, harmed, or can't be told from nothing."""
    lines = []
    for row in table.itertuples():
        if row.stage == table["stage"].iloc[0]:
            continue
        said = f"makes no difference that {row.clips} clips can show"
        if row.step_low > 0 or row.step_high < 0:
            said = "helps" if row.step > 0 else "harms"
        elif row.step == row.step_low == row.step_high:
            said = "changes no label"
        lines.append(
            f"{row.model}, {row.stage}: {said} ({row.step:+.1f} points to the stage before, "
            f"[{row.step_low:+.1f}, {row.step_high:+.1f}], {row.step * row.clips / 100:+.0f} clips)"
        )
    return "\n".join(lines)
