"""The paper's vote, clip by clip, against what section 2.3 says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation.calibration import with_temperature
from agt_lib.evaluation.predictions import Predictions, Stage
from agt_lib.voting import (
    MODELS,
    VoteConfig,
    all_rules,
    alone,
    corrected,
    draw,
    draw_labels,
    majority,
    mean,
    one_of,
    rule_names,
    triggered,
    vote,
    vote_shares,
)
from agt_lib.voting import (
    ballots as ballots_of,
)

LABELS = ("neutral", "angry", "happy", "sad", "worried", "surprise")


def shares_of(shares, clip=0):
    return {k: s for k, s in zip(LABELS, shares[0, clip].round(9), strict=True) if s}


def test_without_a_trigger_label_the_majority_decides(ballots):
    shares = vote_shares(ballots(("happy", "angry", "angry"), ("happy", "happy", "neutral")))
    assert shares_of(shares, 0) == {"angry": 1}
    assert shares_of(shares, 1) == {"happy": 1}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("label", ["sad", "worried"])
def test_one_model_that_says_sad_or_worried_hands_the_clip_to_voice_and_partner(
    ballots, place, label
):
    clip = ["happy", "angry", "neutral"]
    clip[place] = label
    shares = vote_shares(ballots(tuple(clip)))
    assert shares_of(shares) == {clip[0]: 0.8, clip[2]: 0.2}


def test_the_partner_takes_what_the_voice_leaves(ballots):
    clip = ballots(("sad", "angry", "neutral"))
    assert shares_of(vote_shares(clip, VoteConfig(partner="baseline"))) == {
        "sad": 0.8,
        "angry": 0.2,
    }
    either = shares_of(vote_shares(clip, VoteConfig(partner="either")))
    assert either == {"sad": 0.8, "angry": 0.1, "neutral": 0.1}
    agreed = ballots(("sad", "angry", "sad"))
    assert shares_of(vote_shares(agreed)) == {"sad": 1}


def test_both_waits_for_two_different_trigger_labels(ballots):
    clips = ballots(("sad", "happy", "happy"), ("sad", "worried", "happy"), ("sad", "sad", "happy"))
    config = VoteConfig(trigger="both")
    np.testing.assert_array_equal(triggered(clips, config), [[False, True, False]])
    shares = vote_shares(clips, config)
    assert shares_of(shares, 0) == {"happy": 1}
    assert shares_of(shares, 1) == {"sad": 0.8, "happy": 0.2}
    assert shares_of(shares, 2) == {"sad": 1}


@pytest.mark.parametrize(
    ("partner", "label"), [("AGT", "neutral"), ("baseline", "angry"), ("either", "happy")]
)
def test_a_three_way_tie_goes_to_the_partners_own_model_else_to_the_voice(ballots, partner, label):
    shares = vote_shares(ballots(("happy", "angry", "neutral")), VoteConfig(partner=partner))
    assert shares_of(shares) == {label: 1}


def test_trigger_labels_are_a_choice(ballots):
    clips = ballots(("sad", "happy", "happy"), ("surprise", "happy", "happy"))
    config = VoteConfig(triggers=("surprise",))
    np.testing.assert_array_equal(triggered(clips, config), [[False, True]])
    assert not triggered(clips, VoteConfig(triggers=())).any()


def test_a_blend_weighs_probabilities_and_is_certain(ballots):
    one = np.array([0.05, 0.05, 0.05, 0.40, 0.05, 0.40])
    sure = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    voice = np.array([0.3, 0.29, 0.2, 0.1, 0.05, 0.06])
    clip = Predictions(
        ("c",), LABELS, {m: p[None, None] for m, p in zip(MODELS, (voice, one, sure), strict=True)}
    )
    # .8 * .29 + .2 * 1 = .432 of angry beats .8 * .3 = .24 of neutral, the voice's own label
    assert shares_of(vote_shares(clip, VoteConfig(vote="blend"))) == {"angry": 1}
    whole = VoteConfig(vote="blend", guide_share=1.0)
    assert shares_of(vote_shares(clip, whole)) == {"neutral": 1}
    # with the baseline: sad .8 * .1 + .2 * .4 = .16, neutral .8 * .3 + .2 * .05 = .25
    assert shares_of(vote_shares(clip, VoteConfig(vote="blend", partner="baseline"))) == {
        "neutral": 1
    }


def test_at_the_ends_of_the_guides_share_one_model_decides(random_predictions):
    predictions, _ = random_predictions()
    where = triggered(predictions, VoteConfig())
    for share, model in ((1.0, "voice"), (0.0, "AGT")):
        for kind in ("sample", "blend"):
            shares = vote_shares(predictions, VoteConfig(vote=kind, guide_share=share))
            np.testing.assert_array_equal(shares[where], alone(predictions, model)[where])


def test_a_label_that_no_model_predicts_gets_no_vote(random_predictions):
    predictions, _ = random_predictions()
    for p in predictions.probabilities.values():
        p[..., 5] = 0
        p /= p.sum(-1, keepdims=True)
    for shares in (vote_shares(predictions), majority(predictions), mean(predictions)):
        np.testing.assert_allclose(shares.sum(-1), 1)
        assert not shares[..., 5].any()


def test_the_mean_of_probabilities_can_overrule_the_majority():
    rows = ([0.9, 0.1], [0.4, 0.6], [0.4, 0.6])
    clip = Predictions(
        ("c",), ("a", "b"), {m: np.array([[r]]) for m, r in zip(MODELS, rows, strict=True)}
    )
    np.testing.assert_array_equal(majority(clip), [[[0, 1]]])
    np.testing.assert_array_equal(mean(clip), [[[1, 0]]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trigger": "all"}, "trigger is one of any; both. Got 'all'"),
        ({"triggers": "sad"}, "triggers are a list of labels; got 'sad'"),
        ({"vote": "mean"}, "vote is one of sample; blend"),
        ({"triggers": None}, "triggers are a list of labels; got None"),
        ({"guide_share": 80}, "between 0 and 1; got 80"),
        ({"guide_share": ".8"}, "between 0 and 1; got '.8'"),
    ],
)
def test_a_choice_that_is_none_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        VoteConfig(**change)


def test_trigger_labels_that_the_models_do_not_have_are_refused(ballots):
    with pytest.raises(ValueError, match=r"\['fear'\] are none of \['neutral'"):
        vote_shares(ballots(("sad",) * 3), VoteConfig(triggers=("sad", "fear")))


def test_a_model_that_can_not_see_a_clip_has_no_vote_there(ballots):
    clips = ballots(
        ("sad", "happy", "happy"),  # no voice: its sad triggers nothing, the others agree
        ("sad", "happy", "angry"),  # no voice, the others differ: AGT decides a tie
        ("happy", "angry", "sad"),  # no voice: nothing is handed over to it
        ("sad", "happy", "angry"),  # the voice alone: its label is the majority
        ("angry", "angry", "happy"),  # nobody: the mean of all
        ("sad", "happy", "angry"),  # everybody: .8 of the voice, .2 of AGT
    )
    seen = {
        "voice": np.array([False, False, False, True, False, True]),
        "baseline": np.array([True, True, True, False, False, True]),
        "AGT": np.array([True, True, True, False, False, True]),
    }
    clips = replace(clips, seen=seen)
    np.testing.assert_array_equal(triggered(clips, VoteConfig())[0], [0, 0, 0, 0, 0, 1])
    shares = vote_shares(clips)
    expected = ["happy", "angry", "sad", "sad", "angry"]
    assert [shares_of(shares, i) for i in range(5)] == [{label: 1} for label in expected]
    assert shares_of(shares, 5) == {"sad": 0.8, "angry": 0.2}
    two = replace(ballots(("angry", "happy", "happy")), seen={"baseline": np.array([False])})
    two.probabilities["voice"][0, 0] = [0.1, 0.6, 0.1, 0.1, 0.05, 0.05]
    assert shares_of(mean(two)) == {"angry": 1}  # .6 + .1 against .1 + .5, the baseline left out
    assert shares_of(majority(two)) == {"angry": 1}  # one to one: the voice decides a tie


def test_a_tie_whose_judge_can_not_see_the_clip_goes_to_the_mean(ballots):
    clip = replace(ballots(("happy", "angry", "sad")), seen={"AGT": np.array([False])})
    clip.probabilities["baseline"][0, 0] = [0.02, 0.9, 0.02, 0.02, 0.02, 0.02]
    assert shares_of(majority(clip, tie="AGT")) == {"angry": 1}


def test_a_parameter_that_can_not_be_is_refused_with_what_it_can_be():
    assert one_of("submit", "vote", ["voice", "vote"]) == "vote"
    with pytest.raises(ValueError, match="submit is one of voice; vote. Got 'votes'"):
        one_of("submit", "votes", ["voice", "vote"])


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


def test_a_rules_labels_stand_by_clip_name_one_series_a_seed(random_predictions):
    predictions, _ = random_predictions(40)
    found = draw_labels(predictions, majority(predictions))
    assert len(found) == 2
    assert list(found[0].index) == list(predictions.names)
    numbers = majority(predictions).argmax(-1)
    assert found[1].tolist() == [LABELS[number] for number in numbers[1]]
    drawn = draw_labels(predictions, vote_shares(predictions), seed=1)
    assert drawn[0].equals(draw_labels(predictions, vote_shares(predictions), seed=1)[0])


def made():
    """Two seeds of three models on six clips, calibrated to twice their temperature."""
    rng = np.random.default_rng(0)
    names, labels = tuple("pqrstu"), ("a", "b", "c")
    raw = Predictions(names, labels, {m: rng.dirichlet(np.ones(3), (2, 6)) for m in MODELS})
    softer = {m: with_temperature(p, 2.0) for m, p in raw.probabilities.items()}
    return Stage(raw, replace(raw, probabilities=softer), np.array([[0.5, 0.3, 0.2]] * 2))


def test_rules_that_know_a_prior_correct_to_it_and_others_have_its_trigger_labels():
    stage, target = made(), np.array([0.2, 0.33, 0.47])
    config = VoteConfig(triggers=("a",), partner="baseline")
    found = all_rules(stage, config, {"probe": target}, {"shift": ("b", "c")})
    np.testing.assert_array_equal(found["vote"], vote_shares(stage.predictions, config))
    expected = vote_shares(stage.predictions, VoteConfig(triggers=("b", "c"), partner="baseline"))
    np.testing.assert_array_equal(found["vote, triggers by shift"], expected)
    expected = mean(corrected(stage.calibrated, stage.trained_on, target))
    np.testing.assert_array_equal(found["mean, calibrated, corrected by probe"], expected)
    expected = mean(corrected(stage.predictions, stage.trained_on, target))
    np.testing.assert_array_equal(found["mean, corrected by probe"], expected)
    assert len(found) == len(all_rules(stage, config)) + 3
    every = all_rules(stage, config, {"shift": target}, {"shift": ("b", "c")})
    assert set(rule_names(config, ["shift"])) == set(every)


LABELLED = ["angry", "happy", "sad"]


def tables(*rows):
    """A prediction table: each clip's likeliest label has .8."""
    values = [[0.8 if label == row else 0.1 for label in LABELLED] for row in rows]
    return pd.DataFrame(values, index=list("xyz"[: len(rows)]), columns=LABELLED)


def test_anybodys_models_vote_under_their_own_names():
    given = {
        "HuBERT": tables("happy", "sad", "angry"),
        "text": [tables("angry", "happy", "angry")] * 2,
        "fusion": tables("angry", "happy", "happy"),
    }
    found = vote(given, guide="HuBERT", triggers=("sad",), guide_share=1.0)
    assert found.to_dict() == {"x": "angry", "y": "sad", "z": "angry"}
    assert (found.name, found.index.name) == ("label", "name")
    left = vote(given, guide="HuBERT", partner="text", triggers=("sad",), guide_share=0.0)
    assert left["y"] == "happy"


def test_arrays_vote_with_the_labels_they_are_given_with():
    given = {model: tables("sad", "happy").to_numpy() for model in ("a", "b", "c")}
    found = vote(given, guide="a", triggers=(), labels=LABELLED)
    assert found.tolist() == ["sad", "happy"]
    with pytest.raises(ValueError, match=r"'a' are an array of shape \(2, 3\); expected"):
        vote(given, guide="a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guide": "voice"}, "guide is one of a; b; c. Got 'voice'"),
        ({"partner": "AGT"}, "partner is one of b; c; either. Got 'AGT'"),
        (
            {"triggers": ("sad", "worried")},
            r"\['worried'\] are none of \['angry', 'happy'",
        ),
    ],
)
def test_a_name_that_is_no_model_or_no_label_is_refused_with_what_is_there(change, message):
    given = {model: tables("sad", "happy") for model in "abc"}
    with pytest.raises(ValueError, match=message):
        vote(given, **({"guide": "a", "triggers": ("sad",)} | change))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "predictions are given by model; got None"),
        ({"a": tables("sad")}, "two models or more; got 'a' alone"),
    ],
)
def test_what_is_no_vote_of_several_models_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        vote(given, guide="a", triggers=("sad",))


def test_models_of_other_numbers_of_seeds_do_not_vote(ballots):
    one = ballots(("sad", "sad", "happy"))
    two = {m: np.concatenate([p, p]) if m == "AGT" else p for m, p in one.probabilities.items()}
    with pytest.raises(ValueError, match=r"the same seeds; got .*'AGT': 2"):
        majority(replace(one, probabilities=two, seeds=(0, 1)))


def test_a_ballot_shows_each_models_label_the_trigger_and_the_votes_shares(ballots):
    shown = ballots_of(ballots(("sad", "angry", "happy"), ("happy", "angry", "angry")))
    assert shown.loc["c0"].tolist() == ["sad", "angry", "happy", True, "sad 80 %, happy 20 %"]
    assert shown.loc["c1"].tolist() == ["happy", "angry", "angry", False, "angry 100 %"]
