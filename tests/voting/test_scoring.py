"""Scores of rules agree with scikit-learn and with the library's other scores."""

import numpy as np
import pytest

from agt_lib import evaluation
from agt_lib.evaluation.scores import Sample, votes
from agt_lib.evaluation.tables import difference_line, score_line
from agt_lib.voting import (
    VoteConfig,
    alone,
    compare_rules,
    disagreements,
    draw,
    fixed_and_broken,
    labels,
    majority,
    triggered,
    vote,
)
from agt_lib.voting.scoring import rule_line

LABELS = ("neutral", "angry", "happy", "sad", "worried", "surprise")


def test_draws_follow_the_shares_and_repeat_with_their_seed():
    shares = np.tile([0.8, 0.0, 0.2], (1, 500, 1))
    drawn = draw(shares, 200, seed=3)
    assert drawn.shape == (1, 200, 500)
    counts = np.bincount(drawn.ravel(), minlength=3) / drawn.size
    np.testing.assert_allclose(counts, [0.8, 0.0, 0.2], atol=4 * np.sqrt(0.16 / drawn.size))
    np.testing.assert_array_equal(drawn, draw(shares, 200, seed=3))
    assert (drawn != draw(shares, 200, seed=4)).any()


def test_a_certain_rule_is_drawn_once():
    shares = np.eye(3)[[[2, 0, 1, 1]]]
    np.testing.assert_array_equal(draw(shares), [[[2, 0, 1, 1]]])


def test_shares_that_add_up_with_rounding_never_draw_a_label_without_a_share():
    shares = np.tile([0.0, 0.1, 0.1, 0.8 - 1e-12, 0.0, 0.0], (1, 2000, 1))
    assert set(np.unique(draw(shares, 50))) == {1, 2, 3}


@pytest.mark.parametrize("groups", [None, "speakers"])
def test_a_certain_rules_line_is_what_evaluation_says(random_predictions, groups):
    predictions, true = random_predictions(150)
    groups = None if groups is None else np.repeat(np.arange(10), 15)
    after, before = majority(predictions), alone(predictions, "AGT")
    sample = Sample.of(true, groups, n_bootstrap=100)
    line = rule_line(sample, after, difference=before)
    expected = score_line(sample, votes(after)) | difference_line(sample, votes(before), after)
    assert line.pop("draw_sd") == 0
    assert line.pop("interval_over") == expected.pop("interval_over")
    assert line == pytest.approx(expected)


def test_a_drawn_votes_score_is_the_mean_over_its_draws(random_predictions):
    predictions, true = random_predictions(120)
    shares, before = vote(predictions), alone(predictions, "AGT")
    line = rule_line(Sample.of(true, n_bootstrap=10), shares, difference=before)
    drawn = draw(shares)
    wafs = [[100 * evaluation.waf(true, labels) for labels in seed] for seed in drawn]
    assert line["waf"] == pytest.approx(np.mean(wafs))
    assert line["draw_sd"] == pytest.approx(np.std(wafs, axis=1).mean())
    assert line["seed_sd"] == pytest.approx(np.mean(wafs, axis=1).std(ddof=1))
    rights = (drawn == true) & (predictions.chosen("AGT") != true)[:, None]
    assert line["fixed"] == pytest.approx(rights.sum(-1).mean(), abs=1)


def test_all_rules_stand_in_one_table_with_the_share_of_clips_equal_to_the_voice(ballots):
    predictions = ballots(
        ("happy", "angry", "angry"), ("sad", "angry", "neutral"), ("happy", "happy", "angry")
    )
    rules = {
        "voice": alone(predictions, "voice"),
        "AGT": alone(predictions, "AGT"),
        "vote": vote(predictions),
    }
    table = compare_rules(
        rules, predictions, np.array([1, 3, 2]), against="AGT", submissions={"vote": 6}
    ).set_index("rule")
    assert table.loc["voice", "like_voice"] == 100
    assert table.loc["AGT", "like_voice"] == 0
    # the majority says angry, the vote sad in .8, the majority happy
    assert table.loc["vote", "like_voice"] == pytest.approx(100 * (0 + 0.8 + 1) / 3)
    assert table["submissions"].tolist() == [0, 0, 6]
    assert table.loc["AGT", ["difference", "difference_low", "difference_high"]].eq(0).all()
    # AGT is right on the first clip alone; the vote on it, in .8 on the second, on the third
    assert table.loc["vote", "fixed"] == pytest.approx(1.8)
    assert table.loc["vote", "broken"] == 0


def test_fixed_and_broken_clips_are_counted_by_true_label(ballots):
    predictions = ballots(("sad", "sad", "angry"), ("sad", "angry", "neutral"))
    before, after = alone(predictions, "AGT"), vote(predictions)
    table = fixed_and_broken(np.array([3, 0]), before, after, LABELS).set_index("label")
    assert table.loc["sad"].tolist() == pytest.approx([1, 0.8, 0])
    assert table.loc["neutral"].tolist() == pytest.approx([1, 0, 0.8])
    assert table.loc[["angry", "happy", "worried", "surprise"]].eq(0).all(axis=None)


def test_a_rules_labels_stand_by_clip_name_one_series_a_seed(random_predictions):
    predictions, _ = random_predictions(40)
    found = labels(predictions, majority(predictions))
    assert len(found) == 2
    assert list(found[0].index) == list(predictions.names)
    numbers = majority(predictions).argmax(-1)
    assert found[1].tolist() == [LABELS[number] for number in numbers[1]]
    drawn = labels(predictions, vote(predictions), seed=1)
    assert drawn[0].equals(labels(predictions, vote(predictions), seed=1)[0])


def test_disagreements_say_who_is_right_where_the_vote_hands_over(ballots):
    predictions = ballots(
        ("sad", "happy", "angry"), ("sad", "happy", "sad"), ("worried", "happy", "happy"),
        ("happy", "happy", "angry"), ("happy", "angry", "neutral"),
    )  # fmt: skip
    true = np.array([3, 3, 2, 1, 3])
    table = disagreements(predictions, true, VoteConfig())
    columns = ["clips", "disagree", "voice_right", "partner_right", "both_wrong"]
    assert table.loc["triggered", columns].tolist() == [3, 2, 1, 1, 0]
    assert table.loc["elsewhere", columns].tolist() == [2, 2, 0, 1, 1]
    either = disagreements(predictions, true, VoteConfig(partner="either"))
    # against the baseline: three disagreements, the voice right in two, the baseline in one
    assert either.loc["triggered", columns].tolist() == [3, 2.5, 1.5, 1, 0]
    assert triggered(predictions, VoteConfig()).sum() == 3
