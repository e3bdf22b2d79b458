import numpy as np
import pandas as pd
import pytest
from quapy.method.aggregative import EMQ, PCC, BBSEhard, BBSEsoft
from sklearn.base import BaseEstimator, ClassifierMixin

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.probing import (
    Leaderboard,
    distances,
    estimates,
    paper_prior,
    prior_table,
    probe_leaderboard,
    revealed,
)

NAMES = [f"clip{i}" for i in range(290)]
ANSWERS = pd.Series(np.repeat(EMOTIONS, [50, 40, 60, 80, 40, 20]), index=NAMES)
TRAIN = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])

# A clip looks like x or like y. Of class 0, 80 % look like x, of class 1, 20 %; in training both
# have 50 clips, so the posterior of class 0 is .8 for x and .2 for y. Of the unlabelled, 30 % look
# like x: .8 q + .2 (1 - q) = .3, so the share of class 0 is q = 1/6.
LABELS = np.array([0] * 50 + [1] * 50)
LOOKS_X = np.array([True] * 40 + [False] * 10 + [True] * 10 + [False] * 40)
OUT_OF_FOLD = np.where(LOOKS_X[:, None], [0.8, 0.2], [0.2, 0.8])
UNLABELLED = np.array([[0.8, 0.2]] * 30 + [[0.2, 0.8]] * 70)


@pytest.mark.parametrize("method", ["em", "bbse", "bbse_hard"])
def test_two_classes_agree_with_the_share_worked_out_by_hand(method):
    found = estimates.estimate(method, UNLABELLED, OUT_OF_FOLD, LABELS)
    assert found == pytest.approx([1 / 6, 5 / 6], abs=1e-3)


def test_the_mean_posterior_is_not_corrected():
    found = estimates.estimate("mean", UNLABELLED, OUT_OF_FOLD, LABELS)
    assert found == pytest.approx([0.38, 0.62])  # .3 * .8 + .7 * .2


class Posteriors(ClassifierMixin, BaseEstimator):
    """A classifier whose input is its output: what QuaPy aggregates."""

    def __init__(self, n_classes=3):
        self.n_classes = n_classes

    def fit(self, x, y):
        self.classes_ = np.arange(self.n_classes)
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)


@pytest.mark.parametrize(
    ("method", "quantifier", "atol"),
    [
        ("mean", PCC, 1e-12),
        ("em", EMQ, 1e-12),
        ("bbse", BBSEsoft, 1e-4),
        ("bbse_hard", BBSEhard, 1e-4),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_estimates_are_quapys(method, quantifier, atol, seed):
    generator = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [60, 40, 20])
    scores = generator.normal(0, 1, (420, 3))
    scores[:120] += 2 * np.eye(3)[labels]
    scores[120:] += 2 * np.eye(3)[generator.choice(3, 300, p=[0.2, 0.2, 0.6])]
    posteriors = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    out_of_fold, unlabelled = posteriors[:120], posteriors[120:]
    classifier = Posteriors().fit(out_of_fold, labels)
    oracle = quantifier(classifier, fit_classifier=False, val_split=None)
    oracle.fit(out_of_fold, labels)
    found = estimates.estimate(method, unlabelled, out_of_fold, labels)
    # QuaPy solves BBSE's least squares by a general optimiser, which stops a little early.
    np.testing.assert_allclose(found, oracle.predict(unlabelled), atol=atol)


def test_em_is_the_fixed_point_of_its_two_steps():
    generator = np.random.default_rng(0)
    train, test = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    means = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])

    def clips(shares, n):
        labels = generator.choice(3, n, p=shares)
        x = means[labels] + generator.standard_normal((n, 2))
        density = np.exp(-((x[:, None] - means) ** 2).sum(2) / 2) * train
        return labels, density / density.sum(1, keepdims=True)  # Bayes' posteriors under train

    labels, out_of_fold = clips(train, 3000)
    _, unlabelled = clips(test, 3000)
    p = np.bincount(labels) / len(labels)
    q = p.copy()
    for _ in range(2000):  # Saerens, Latinne and Decaestecker 2002, equation 2.9
        reweighted = unlabelled * q / p
        q = (reweighted / reweighted.sum(1, keepdims=True)).mean(0)
    found = estimates.estimate("em", unlabelled, out_of_fold, labels)
    assert found == pytest.approx(q, abs=2e-3)
    assert found == pytest.approx(test, abs=0.04)
    soft = estimates.estimate("bbse", unlabelled, out_of_fold, labels)
    assert soft == pytest.approx(test, abs=0.04)
    # Without correction the shift is underestimated by far more than either misses it.
    assert abs(unlabelled.mean(0) - test).max() > 0.1


def test_estimates_are_named_by_method_and_group_and_stack_the_fold_models():
    posteriors = np.stack([UNLABELLED, OUT_OF_FOLD])  # K = 2 models of 100 clips
    groups = {"test": np.arange(100) // 30 == 1, "pool": np.ones(100, bool)}
    found = estimates.estimate_groups(posteriors, groups, OUT_OF_FOLD, LABELS)
    assert list(found) == [f"{m}_{g}" for g in groups for m in ("mean", "em", "bbse", "bbse_hard")]
    both = np.concatenate([UNLABELLED[30:60], OUT_OF_FOLD[30:60]])
    assert found["mean_test"] == pytest.approx(both.mean(0), abs=1e-3)  # calibrated as they are
    for shares in found.values():
        assert shares.sum() == pytest.approx(1)
        assert (shares >= 0).all()


def test_the_same_input_gives_the_same_bits():
    first, second = (estimates.estimate("bbse", UNLABELLED, OUT_OF_FOLD, LABELS) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_shares_count_absent_classes_too():
    assert estimates.shares(np.array([0, 2, 2, 2]), 4).tolist() == [0.25, 0, 0.75, 0]


class TestBadInput:
    def test_a_class_without_labelled_clips_is_refused(self):
        with pytest.raises(ValueError, match=r"classes 0 to 1, each at least once; got \[0\]"):
            estimates.estimate("em", UNLABELLED, OUT_OF_FOLD, np.zeros(100, int))

    def test_a_clip_without_a_label_is_refused(self):
        with pytest.raises(ValueError, match="-1"):
            estimates.estimate("em", UNLABELLED, OUT_OF_FOLD, np.where(LABELS == 0, -1, LABELS))

    def test_nan_is_named_by_its_row(self):
        broken = UNLABELLED.copy()
        broken[17, 0] = np.nan
        with pytest.raises(ValueError, match="unlabelled posteriors hold NaN.* row 17"):
            estimates.estimate("em", broken, OUT_OF_FOLD, LABELS)

    def test_what_is_no_probability_is_refused(self):
        with pytest.raises(ValueError, match="out-of-fold posteriors hold no probabilities"):
            estimates.estimate("em", UNLABELLED, 2 * OUT_OF_FOLD, LABELS)

    def test_no_clips_are_refused(self):
        with pytest.raises(ValueError, match=r"\(0, 2\)"):
            estimates.estimate("em", UNLABELLED[:0], OUT_OF_FOLD, LABELS)

    def test_shapes_that_disagree_are_refused(self):
        with pytest.raises(ValueError, match="must agree"):
            estimates.estimate("em", UNLABELLED, OUT_OF_FOLD[:99], LABELS)

    def test_an_unknown_method_lists_the_known(self):
        with pytest.raises(ValueError, match="bbse_hard"):
            estimates.estimate("emq", UNLABELLED, OUT_OF_FOLD, LABELS)


def test_the_papers_ratios_single_out_sad_surprise_neutral_and_angry():
    table = paper_prior()
    ratio = (table["probed"] / table["train"]).round(2).to_dict()
    assert ratio == {
        "sad": 1.87, "surprise": 1.88, "worried": 1.11, "happy": 1.02, "neutral": 0.69,
        "angry": 0.58,
    }  # fmt: skip
    assert table["count"].sum() == 1169


def test_the_table_says_what_probing_cost_and_holds_estimates_by_name():
    probed = probe_leaderboard(Leaderboard(ANSWERS), ANSWERS.index, n=290)
    table = prior_table(EMOTIONS, TRAIN, probed, {"em_test": TRAIN})
    assert table["count"].tolist() == [50, 40, 60, 80, 40, 20]
    assert (table["submissions"] == 6).all()
    assert (table["probed_low"] <= table["probed"]).all()
    assert table["em_test"].tolist() == TRAIN.tolist()


def test_without_probing_the_columns_are_there_and_empty():
    table = prior_table(EMOTIONS, TRAIN)
    assert table[["probed", "probed_low", "probed_high", "count"]].isna().all(axis=None)
    assert (table["submissions"] == 0).all()


def test_a_distance_is_the_share_of_clips_that_would_change_their_label():
    probed = probe_leaderboard(Leaderboard(ANSWERS), ANSWERS.index, n=290)
    moved = TRAIN + [0.1, -0.05, -0.05, 0, 0, 0]
    table = prior_table(EMOTIONS, TRAIN, probed, {"em_test": moved, "true_test": TRAIN})
    found = distances(table)
    assert found.loc["em_test", "to true_test"] == pytest.approx(0.1)
    assert found.loc["train", "to true_test"] == 0
    assert found["submissions"].to_dict() == {"train": 0, "probed": 6, "em_test": 0}


def test_fewer_digits_reveal_less():
    table = revealed(ANSWERS).set_index(["metric", "digits"])["solutions"]
    assert table["waf", 1] > table["waf", 2] > table["waf", 4] == 1
    assert table["accuracy", 1] > table["accuracy", 3] == 1
