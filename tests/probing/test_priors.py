import numpy as np
import pytest

from agt_lib.probing import priors

# A clip looks like x or like y. Of class 0, 80 % look like x, of class 1, 20 %; in training both
# have 50 clips, so the posterior of class 0 is .8 for x and .2 for y. Of the unlabelled, 30 % look
# like x: .8 q + .2 (1 - q) = .3, so the share of class 0 is q = 1/6.
LABELS = np.array([0] * 50 + [1] * 50)
LOOKS_X = np.array([True] * 40 + [False] * 10 + [True] * 10 + [False] * 40)
OUT_OF_FOLD = np.where(LOOKS_X[:, None], [0.8, 0.2], [0.2, 0.8])
UNLABELLED = np.array([[0.8, 0.2]] * 30 + [[0.2, 0.8]] * 70)


@pytest.mark.parametrize("method", ["em", "bbse", "bbse_hard"])
def test_two_classes_agree_with_the_share_worked_out_by_hand(method):
    found = priors.estimate(method, UNLABELLED, OUT_OF_FOLD, LABELS)
    assert found == pytest.approx([1 / 6, 5 / 6], abs=1e-3)


def test_the_mean_posterior_is_not_corrected():
    found = priors.estimate("mean", UNLABELLED, OUT_OF_FOLD, LABELS)
    assert found == pytest.approx([0.38, 0.62])  # .3 * .8 + .7 * .2


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
    found = priors.estimate("em", unlabelled, out_of_fold, labels)
    assert found == pytest.approx(q, abs=2e-3)
    assert found == pytest.approx(test, abs=0.04)
    soft = priors.estimate("bbse", unlabelled, out_of_fold, labels)
    assert soft == pytest.approx(test, abs=0.04)
    # Without correction the shift is underestimated by far more than either misses it.
    assert abs(unlabelled.mean(0) - test).max() > 0.1


def test_estimates_are_named_by_method_and_group_and_stack_the_fold_models():
    posteriors = np.stack([UNLABELLED, OUT_OF_FOLD])  # K = 2 models of 100 clips
    groups = {"test": np.arange(100) // 30 == 1, "pool": np.ones(100, bool)}
    found = priors.estimates(posteriors, groups, OUT_OF_FOLD, LABELS, ("mean", "bbse"))
    assert list(found) == ["mean_test", "bbse_test", "mean_pool", "bbse_pool"]
    both = np.concatenate([UNLABELLED[30:60], OUT_OF_FOLD[30:60]])
    assert found["mean_test"] == pytest.approx(both.mean(0))
    for shares in found.values():
        assert shares.sum() == pytest.approx(1)
        assert (shares >= 0).all()


def test_the_same_input_gives_the_same_bits():
    first, second = (priors.estimate("bbse", UNLABELLED, OUT_OF_FOLD, LABELS) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_shares_count_absent_classes_too():
    assert priors.shares(np.array([0, 2, 2, 2]), 4).tolist() == [0.25, 0, 0.75, 0]


class TestBadInput:
    def test_a_class_without_labelled_clips_is_refused(self):
        with pytest.raises(ValueError, match=r"classes 0 to 1, each at least once; got \[0\]"):
            priors.estimate("em", UNLABELLED, OUT_OF_FOLD, np.zeros(100, int))

    def test_a_clip_without_a_label_is_refused(self):
        with pytest.raises(ValueError, match="-1"):
            priors.estimate("em", UNLABELLED, OUT_OF_FOLD, np.where(LABELS == 0, -1, LABELS))

    def test_nan_is_named_by_its_row(self):
        broken = UNLABELLED.copy()
        broken[17, 0] = np.nan
        with pytest.raises(ValueError, match="unlabelled posteriors hold NaN.* row 17"):
            priors.estimate("em", broken, OUT_OF_FOLD, LABELS)

    def test_what_is_no_probability_is_refused(self):
        with pytest.raises(ValueError, match="out-of-fold posteriors are probabilities"):
            priors.estimate("em", UNLABELLED, 2 * OUT_OF_FOLD, LABELS)

    def test_no_clips_are_refused(self):
        with pytest.raises(ValueError, match=r"\(0, 2\)"):
            priors.estimate("em", UNLABELLED[:0], OUT_OF_FOLD, LABELS)

    def test_shapes_that_disagree_are_refused(self):
        with pytest.raises(ValueError, match="must agree"):
            priors.estimate("em", UNLABELLED, OUT_OF_FOLD[:99], LABELS)

    def test_an_unknown_method_lists_the_known(self):
        with pytest.raises(ValueError, match="bbse_hard"):
            priors.estimate("emq", UNLABELLED, OUT_OF_FOLD, LABELS)
