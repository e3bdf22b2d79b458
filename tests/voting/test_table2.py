"""Table 2 says what each step adds, paired, and what it cost."""

import numpy as np
import pandas as pd
import pytest

from agt_lib import evaluation
from agt_lib.evaluation import tables
from agt_lib.evaluation.scores import Sample, votes
from agt_lib.voting import Predictions, VoteConfig, draw, table2, vote

LABELS = ("neutral", "angry", "happy", "sad", "worried", "surprise")
NAMES = tuple(f"c{i}" for i in range(90))
TRUE = np.arange(90) % 6


def predictions(seed, signal):
    rng = np.random.default_rng(seed)
    logits = {
        model: rng.standard_normal((2, 90, 6)) + signal * np.eye(6)[TRUE]
        for model in ("voice", "baseline", "AGT")
    }
    return Predictions(
        NAMES, LABELS, {m: np.exp(x) / np.exp(x).sum(-1, keepdims=True) for m, x in logits.items()}
    )


@pytest.fixture(scope="module")
def stages():
    return {"none": predictions(0, 1.0), "P": predictions(1, 2.0)}


@pytest.fixture(scope="module")
def table(stages):
    return table2.scores(stages, TRUE, submissions=6).set_index(["model", "stage"])


def test_there_is_a_row_for_each_model_and_stage_in_the_papers_order(table):
    stages = ["none", "P", "P+V"]
    assert list(table.index) == [(m, s) for m in ("baseline", "AGT") for s in stages]


@pytest.mark.parametrize("model", ["baseline", "AGT"])
def test_scores_and_differences_to_no_pseudo_labels_are_evaluations(stages, table, model):
    before, after = (stages[s].probabilities[model] for s in ("none", "P"))
    sample, before, after = Sample.of(TRUE), votes(before), votes(after)
    expected = tables.score_line(sample, after) | tables.difference_line(sample, before, after)
    assert table.loc[(model, "P"), list(expected)].to_dict() == pytest.approx(expected)
    assert table.loc[(model, "none"), "difference"] == 0


@pytest.mark.parametrize(("model", "partner"), [("baseline", "baseline"), ("AGT", "agt")])
def test_the_vote_has_each_rows_own_model_as_partner(stages, table, model, partner):
    drawn = draw(vote(stages["P"], VoteConfig(partner=partner)))
    mean = np.mean([[evaluation.waf(TRUE, labels) for labels in seed] for seed in drawn])
    assert table.loc[(model, "P+V"), "waf"] == pytest.approx(100 * mean)


def test_only_the_votes_rows_bear_the_submissions(table):
    assert table["submissions"].to_dict() == {key: 6 * (key[1] == "P+V") for key in table.index}
    shown = table2.display(table.reset_index())
    assert shown["P+V"].str.contains(r"\(6 submissions\)").all()
    assert not shown["P"].str.contains("submissions").any()


def test_without_pseudo_labels_the_vote_is_held_on_the_first_stage(stages):
    table = table2.scores({"none": stages["none"]}, TRUE)
    assert table["stage"].tolist() == ["none", "V"] * 2


@pytest.mark.parametrize("model", ["baseline", "AGT"])
def test_each_step_is_measured_against_the_stage_before(stages, table, model):
    rows = table.loc[model]
    expected = rows.loc["P+V", "waf"] - rows.loc["P", "waf"]
    assert rows.loc["P+V", "step"] == pytest.approx(expected)
    assert rows.loc["P+V", "step_low"] < expected < rows.loc["P+V", "step_high"]
    assert rows.loc["P", ["step", "step_low"]].tolist() == pytest.approx(
        rows.loc["P", ["difference", "difference_low"]].tolist()
    )


def test_the_verdict_says_what_the_interval_allows():
    table = pd.DataFrame(
        {
            "model": "AGT", "stage": ["none", "P", "P+V", "X", "Y"], "clips": 200,
            "step": [0.0, 2.0, -3.0, 1.0, 0.0], "step_low": [0.0, 0.5, -5.0, -1.0, 0.0],
            "step_high": [0.0, 3.5, -1.0, 3.0, 0.0],
        }
    )  # fmt: skip
    lines = table2.verdict(table).splitlines()
    assert lines[0] == "AGT, P: better (+2.0 [+0.5, +3.5] points)"
    assert lines[1].startswith("AGT, P+V: worse (-3.0")
    assert lines[2].startswith("AGT, X: no difference that 200 clips can show (+1.0")
    assert lines[3].startswith("AGT, Y: no clip changes")


def test_stages_of_other_clips_are_refused(stages):
    fewer = stages["P"].select(NAMES[:50])
    with pytest.raises(ValueError, match="'none' and 'P' predict other clips"):
        table2.scores({"none": stages["none"], "P": fewer}, TRUE)
