"""Scores of rules agree with scikit-learn and with the library's other scores."""

import numpy as np
import pandas as pd
import pytest

from agt_lib import evaluation
from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import Sample, votes
from agt_lib.voting import (
    VoteConfig,
    alone,
    compare_rules,
    disagreements,
    draw,
    fixed_and_broken,
    majority,
    show_table2,
    table2,
    triggered,
    verdict,
    vote_shares,
    warnings,
)
from agt_lib.voting.tables import rule_line

LABELS = ("neutral", "angry", "happy", "sad", "worried", "surprise")


@pytest.mark.parametrize("groups", [None, "speakers"])
def test_a_certain_rules_line_is_what_evaluation_says(random_predictions, groups):
    predictions, true = random_predictions(150)
    groups = None if groups is None else np.repeat(np.arange(10), 15)
    after, before = majority(predictions), alone(predictions, "AGT")
    sample = Sample.of(true, groups, n_bootstrap=100)
    line = rule_line(sample, after, difference=before)
    expected = tables.score_line(sample, votes(after)) | tables.difference_line(
        sample, votes(before), after
    )
    assert line.pop("draw_sd") == 0
    assert line.pop("interval_over") == expected.pop("interval_over")
    assert line == pytest.approx(expected)


def test_a_drawn_votes_score_is_the_mean_over_its_draws(random_predictions):
    predictions, true = random_predictions(120)
    shares, before = vote_shares(predictions), alone(predictions, "AGT")
    line = rule_line(Sample.of(true, n_bootstrap=10), shares, difference=before)
    drawn = draw(shares)
    wafs = [[100 * evaluation.waf(true, labels) for labels in seed] for seed in drawn]
    assert line["waf"] == pytest.approx(np.mean(wafs))
    assert line["draw_sd"] == pytest.approx(np.std(wafs, axis=1).mean())
    assert line["seed_sd"] == pytest.approx(np.mean(wafs, axis=1).std(ddof=1))
    rights = (drawn == true) & (predictions.chosen("AGT") != true)[:, None]
    assert line["fixed"] == pytest.approx(rights.sum(-1).mean(), abs=1)


def test_a_rule_below_a_model_alone_and_a_label_never_predicted_are_said():
    wafs = {"voice": 50.04, "baseline": 60.0, "AGT": 61.96, "vote": 61.2, "majority": 61.96}
    table = pd.DataFrame({"rule": list(wafs), "waf": wafs.values(), "clips": 58})
    every = pd.Series([*LABELS, "sad"])
    assert warnings(table, "vote", every, LABELS) == (
        "AGT alone scored higher than 'vote' on the 58 clips scored here: 62.0 against 61.2 points "
        "of WAF."
    )
    assert warnings(table, "majority", every, LABELS) == ""
    assert warnings(table, "a rule that was not scored", every, LABELS) == ""
    few = every[~every.isin(["happy", "surprise"])]
    assert warnings(table, "AGT", few, LABELS) == "No clip is given the label happy or surprise."


def test_all_rules_stand_in_one_table_with_the_share_of_clips_equal_to_the_voice(ballots):
    predictions = ballots(
        ("happy", "angry", "angry"), ("sad", "angry", "neutral"), ("happy", "happy", "angry")
    )
    rules = {
        "voice": alone(predictions, "voice"),
        "AGT": alone(predictions, "AGT"),
        "vote": vote_shares(predictions),
    }
    sample = Sample.of(np.array([1, 3, 2]))
    table = compare_rules(rules, sample, against="AGT", submissions={"vote": 6}).set_index("rule")
    assert table.loc["voice", "like_guide"] == 100
    assert table.loc["AGT", "like_guide"] == 0
    # the majority says angry, the vote sad in .8, the majority happy
    assert table.loc["vote", "like_guide"] == pytest.approx(100 * (0 + 0.8 + 1) / 3)
    assert table["submissions"].tolist() == [0, 0, 6]
    assert table.loc["AGT", ["difference", "difference_low", "difference_high"]].eq(0).all()
    # AGT is right on the first clip alone; the vote on it, in .8 on the second, on the third
    assert table.loc["vote", "fixed"] == pytest.approx(1.8)
    assert table.loc["vote", "broken"] == 0


def test_fixed_and_broken_clips_are_counted_by_true_label(ballots):
    predictions = ballots(("sad", "sad", "angry"), ("sad", "angry", "neutral"))
    before, after = alone(predictions, "AGT"), vote_shares(predictions)
    table = fixed_and_broken(np.array([3, 0]), before, after, LABELS).set_index("label")
    assert table.loc["sad"].tolist() == pytest.approx([1, 0.8, 0])
    assert table.loc["neutral"].tolist() == pytest.approx([1, 0, 0.8])
    assert table.loc[["angry", "happy", "worried", "surprise"]].eq(0).all(axis=None)


def test_disagreements_say_who_is_right_where_the_vote_hands_over(ballots):
    predictions = ballots(
        ("sad", "happy", "angry"), ("sad", "happy", "sad"), ("worried", "happy", "happy"),
        ("happy", "happy", "angry"), ("happy", "angry", "neutral"),
    )  # fmt: skip
    true = np.array([3, 3, 2, 1, 3])
    table = disagreements(predictions, true, VoteConfig())
    columns = ["clips", "disagree", "guide_right", "partner_right", "both_wrong"]
    assert table.loc["triggered", columns].tolist() == [3, 2, 1, 1, 0]
    assert table.loc["elsewhere", columns].tolist() == [2, 2, 0, 1, 1]
    either = disagreements(predictions, true, VoteConfig(partner="either"))
    # against the baseline: three disagreements, the voice right in two, the baseline in one
    assert either.loc["triggered", columns].tolist() == [3, 2.5, 1.5, 1, 0]
    assert triggered(predictions, VoteConfig()).sum() == 3


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
    return table2(stages, Sample.of(TRUE), submissions=6).set_index(["model", "stage"])


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


@pytest.mark.parametrize(("model", "partner"), [("baseline", "baseline"), ("AGT", "AGT")])
def test_the_vote_has_each_rows_own_model_as_partner(stages, table, model, partner):
    drawn = draw(vote_shares(stages["P"], VoteConfig(partner=partner)))
    mean = np.mean([[evaluation.waf(TRUE, labels) for labels in seed] for seed in drawn])
    assert table.loc[(model, "P+V"), "waf"] == pytest.approx(100 * mean)


def test_only_the_votes_rows_bear_the_submissions(table):
    assert table["submissions"].to_dict() == {key: 6 * (key[1] == "P+V") for key in table.index}
    shown = show_table2(table.reset_index())
    assert shown["P+V"].str.contains(r"\(6 submissions\)").all()
    assert not shown["P"].str.contains("submissions").any()


def test_without_pseudo_labels_the_vote_is_held_on_the_first_stage(stages):
    table = table2({"none": stages["none"]}, Sample.of(TRUE))
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
    lines = verdict(table).splitlines()
    assert lines[0] == "AGT, P: better (+2.0 [+0.5, +3.5] points)"
    assert lines[1].startswith("AGT, P+V: worse (−3.0")
    assert lines[2].startswith("AGT, X: no difference that 200 clips can show (+1.0")
    assert lines[3].startswith("AGT, Y: no clip changes")


def test_stages_of_other_clips_are_refused(stages):
    fewer = stages["P"].select(NAMES[:50])
    with pytest.raises(ValueError, match="'none' and 'P' predict other clips"):
        table2({"none": stages["none"], "P": fewer}, Sample.of(TRUE))
