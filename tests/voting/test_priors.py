"""Prior correction equals its closed form, and says when it can't."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation import paper
from agt_lib.evaluation.predictions import Predictions
from agt_lib.voting import (
    corrected,
    prevalence_ratios,
    propose_triggers,
    read_prior,
    smoothed,
)

P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
LABELS = ("a", "b", "c")


def test_the_corrected_posterior_of_two_gaussians_is_bayes_rule_with_the_other_prior():
    x = np.linspace(-3, 3, 13)
    likelihood = np.exp(-0.5 * (x[:, None] - np.array([-1.0, 0.0, 1.5])) ** 2)  # (N, C)

    def posterior(prior):
        return likelihood * prior / (likelihood * prior).sum(1, keepdims=True)

    names = tuple(map(str, x))
    made = corrected(Predictions(names, LABELS, {"voice": posterior(P)[None]}), P, Q)
    np.testing.assert_allclose(made.probabilities["voice"][0], posterior(Q), atol=1e-12)


def test_a_hand_worked_clip():
    # .6 * .2/.5 = .24, .3 * .3/.3 = .30, .1 * .5/.2 = .25; they add up to .79
    clip = Predictions(("x",), LABELS, {"AGT": np.array([[[0.6, 0.3, 0.1]]])})
    made = corrected(clip, P, Q).probabilities["AGT"][0, 0]
    np.testing.assert_allclose(made, np.array([0.24, 0.30, 0.25]) / 0.79, atol=1e-12)


def test_each_seed_is_corrected_by_what_it_was_trained_on():
    clip = Predictions(("x",), LABELS, {"AGT": np.full((2, 1, 3), 1 / 3)})
    made = corrected(clip, np.stack([P, Q]), Q).probabilities["AGT"][:, 0]
    np.testing.assert_allclose(made[0], (Q / P) / (Q / P).sum())
    np.testing.assert_allclose(made[1], 1 / 3)


def test_tables_are_no_predictions_to_correct():
    with pytest.raises(ValueError, match="from_tables"):
        corrected({"m": pd.DataFrame([[0.5, 0.3, 0.2]], columns=LABELS)}, P, Q)


@pytest.mark.parametrize("place", ["trained", "target"])
def test_a_prior_with_a_zero_is_refused_and_the_label_named(place):
    clip = Predictions(("x",), LABELS, {"AGT": np.array([[[0.6, 0.3, 0.1]]])})
    zero = np.array([0.5, 0.0, 0.5])
    priors = (zero, Q) if place == "trained" else (P, zero)
    with pytest.raises(ValueError, match="gives b no share above zero"):
        corrected(clip, *priors)


def test_a_prior_of_counts_is_refused():
    clip = Predictions(("x",), LABELS, {"AGT": np.array([[[0.6, 0.3, 0.1]]])})
    with pytest.raises(ValueError, match="not to 1"):
        corrected(clip, P, np.array([2.0, 3.0, 5.0]))
    with pytest.raises(ValueError, match="for the labels"):
        corrected(clip, P, np.array([0.5, 0.5]))


def test_half_a_clip_for_each_class_leaves_no_zero():
    # (0 + .5) / (10 + 1.5), (4 + .5) / 11.5, (6 + .5) / 11.5
    found = smoothed(np.array([0.0, 0.4, 0.6]), 10)
    np.testing.assert_allclose(found, np.array([0.5, 4.5, 6.5]) / 11.5)


def test_on_the_papers_numbers_sad_surprise_neutral_and_angry_shift_but_worried_does_not():
    train = pd.Series(paper.TRAIN_COUNTS)
    probed = pd.Series(
        {"worried": 159, "happy": 246, "neutral": 201, "sad": 317, "angry": 163, "surprise": 83}
    )
    assert set(propose_triggers(train, probed)) == {"sad", "surprise", "neutral", "angry"}
    printed = {"sad": 1.87, "surprise": 1.88, "worried": 1.11, "happy": 1.02, "neutral": 0.69}
    ratios = prevalence_ratios(train, probed)
    assert ratios.round(2).to_dict() == printed | {"angry": 0.58}
    # the largest change first: a fall to .58 is a larger one than to .69
    assert propose_triggers(train, probed) == ("surprise", "sad", "angry", "neutral")


def test_shares_propose_what_counts_do_and_no_shift_proposes_nothing():
    counts = pd.Series({"a": 10, "b": 20, "c": 70})
    moved = pd.Series({"c": 0.5, "a": 0.3, "b": 0.2})
    assert propose_triggers(counts, moved) == ("a", "c") == propose_triggers(counts / 100, moved)
    assert propose_triggers(counts, counts * 3) == ()


def test_priors_of_other_labels_or_with_a_zero_propose_nothing():
    with pytest.raises(ValueError, match="other labels"):
        propose_triggers(pd.Series({"a": 1, "b": 2}), pd.Series({"a": 1, "c": 2}))
    with pytest.raises(ValueError, match="gives b no share above zero"):
        propose_triggers(pd.Series({"a": 1, "b": 2}), pd.Series({"a": 1, "b": 0}))


def test_a_prior_that_notebook_06_wrote_is_read_with_its_cost(tmp_path):
    path = tmp_path / "prior.csv"
    path.write_text("label,train,probed,submissions\nb,0.5,0.25,5\na,0.5,0.75,5\n")
    shares, submissions = read_prior(path, ("a", "b"))
    np.testing.assert_array_equal(shares, [0.75, 0.25])
    assert submissions == 5


def test_a_label_may_be_called_null(tmp_path):
    path = tmp_path / "prior.csv"
    path.write_text("label,probed,submissions\nnull,0.25,5\nnan,0.75,5\n")
    np.testing.assert_array_equal(read_prior(path, ("null", "nan"))[0], [0.25, 0.75])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "label,train\na,1\n",
            "row 1: probed: missing column; .* row 1: submissions: .*Expected prior.csv",
        ),
        ("label,probed,submissions\na,,0\nb,,0\n", "no probed share of a, b"),
        ("label,probed,submissions\na,1,6\nc,0,6\n", "no probed share of b"),
        ("label,probed,submissions\na,1,6\nb,0,6\n", "gives b no share above zero"),
    ],
)
def test_a_file_without_a_probed_prior_is_refused(tmp_path, content, message):
    path = tmp_path / "prior.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_prior(path, ("a", "b"))
