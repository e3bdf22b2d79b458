"""Temperature scaling: the temperature that made the confidence wrong is found again."""

import numpy as np
import pytest
from scipy.special import softmax

from agt_lib.evaluation.calibration import (
    calibrated_out_of_fold,
    fit_temperature,
    fold_temperatures,
    with_temperature,
)


def drawn(n=20_000, temperature=1.0, seed=0):
    """Labels drawn from softmax(z), and softmax(temperature z): too sure where it is above 1."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.standard_normal((n, 4))
    ranks = softmax(z, -1).cumsum(1) > rng.random((n, 1))
    return ranks.argmax(1), softmax(temperature * z, -1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_confidence_wrong_is_found(temperature):
    true, probabilities = drawn(temperature=temperature)
    assert fit_temperature(true, probabilities) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_the_likeliest_temperature_makes_the_expected_logit_that_of_the_labels(temperature):
    # the likelihood's derivative by 1 / T: the labels' logits less those expected under softmax
    true, probabilities = drawn(n=500, temperature=temperature)
    logits = np.log(probabilities)

    def derivative(found):
        scaled = np.exp(logits / found)
        scaled /= scaled.sum(1, keepdims=True)
        return (logits[np.arange(500), true] - (scaled * logits).sum(1)).mean()

    found = fit_temperature(true, probabilities)
    assert derivative(0.999 * found) < 0 < derivative(1.001 * found)


def test_seeds_are_fitted_together():
    true, sure = drawn(temperature=3.0)
    assert fit_temperature(true, np.stack([sure, sure])) == pytest.approx(
        fit_temperature(true, sure), rel=1e-6
    )


def test_temperature_two_takes_square_roots_of_the_odds():
    # .8 : .2 is 4 : 1; its root is 2 : 1
    np.testing.assert_allclose(with_temperature(np.array([0.8, 0.2]), 2.0), [2 / 3, 1 / 3])
    np.testing.assert_allclose(with_temperature(np.array([0.8, 0.2]), 1.0), [0.8, 0.2])


def test_a_probability_of_zero_stays_finite():
    scaled = with_temperature(np.array([[1.0, 0.0, 0.0]]), 3.0)
    assert np.isfinite(scaled).all()
    assert scaled.sum() == pytest.approx(1)


def test_a_folds_temperature_does_not_see_its_labels():
    true, probabilities = drawn(n=300, temperature=3.0)
    folds = np.arange(300) % 3
    before = fold_temperatures(true, folds, probabilities)
    changed = np.where(folds == 1, (true + 1) % 4, true)
    after = fold_temperatures(changed, folds, probabilities)
    assert after[1] == before[1]
    assert (after[[0, 2]] != before[[0, 2]]).all()


def test_each_clip_gets_its_folds_temperature_and_a_clip_of_no_fold_none():
    true, probabilities = drawn(n=300, temperature=3.0)
    folds = np.arange(300) % 4 - 1
    probabilities[folds < 0] = np.nan
    scaled = calibrated_out_of_fold(true, folds, probabilities)
    temperatures = fold_temperatures(true, folds, probabilities)
    expected = softmax(np.log(probabilities[folds == 2]) / temperatures[2], -1)
    np.testing.assert_allclose(scaled[folds == 2], expected)
    assert np.isnan(scaled[folds < 0]).all()


def test_what_cannot_be_calibrated_is_said():
    true, probabilities = drawn(n=10)
    with pytest.raises(ValueError, match="one fold alone"):
        fold_temperatures(true, np.zeros(10, int), probabilities)
    with pytest.raises(ValueError, match="1 of 10 clips have no label"):
        fit_temperature(np.where(np.arange(10) == 3, -1, true), probabilities)
    with pytest.raises(ValueError, match="NaN"):
        fit_temperature(true, np.full((10, 4), np.nan))
    with pytest.raises(ValueError, match="at least one clip"):
        fit_temperature(true[:0], probabilities[:0])


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.array([[1.0], [0.0]])])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature):
    with pytest.raises(ValueError, match="above 0"):
        with_temperature(np.full((2, 4), 0.25), temperature)
