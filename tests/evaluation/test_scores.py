import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from agt_lib import evaluation


@pytest.fixture
def predictions():
    """Labels of 300 clips and probabilities of 3 seeds that lean towards them."""
    generator = np.random.default_rng(3)
    true = generator.integers(0, 6, 300)
    probabilities = generator.dirichlet(np.ones(6), size=(3, 300))
    probabilities[:, np.arange(300), true] += generator.uniform(0, 0.6, (3, 300))
    return true, probabilities / probabilities.sum(-1, keepdims=True)


def one_hot(classes, n=6):
    return np.eye(n)[np.asarray(classes)]


def test_waf_by_hand():
    # angry: precision 1/2, recall 1/1, f1 2/3; neutral: precision 1/1, recall 1/2, f1 2/3;
    # happy is never right.
    true, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    f1 = [2 * 0.5 * 0.5 / 1.0, 2 * 0.5 * 1 / 1.5, 0.0]
    assert evaluation.waf(true, predicted) == pytest.approx((2 * f1[0] + f1[1] + f1[2]) / 4)


def test_score_equals_scikit_learn_averaged_over_seeds(predictions):
    true, probabilities = predictions
    chosen = probabilities.argmax(-1)
    expected = np.mean([f1_score(true, c, average="weighted") for c in chosen])
    got = evaluation.score(true, probabilities, n_bootstrap=50)
    assert got.mean == pytest.approx(expected, abs=1e-12)
    expected = np.mean([accuracy_score(true, c) for c in chosen])
    got = evaluation.score(true, probabilities, metric="accuracy", n_bootstrap=50)
    assert got.mean == pytest.approx(expected, abs=1e-12)


def sklearns(metric, true, chosen):
    if metric == "accuracy":
        return accuracy_score(true, chosen)
    return f1_score(true, chosen, average="weighted", zero_division=0)


@pytest.mark.parametrize("metric", ["waf", "accuracy"])
@pytest.mark.parametrize("unit", ["clips", "speakers"])
def test_the_interval_is_of_scikit_learns_scores_of_the_clips_drawn(predictions, unit, metric):
    true, probabilities = predictions
    true = np.minimum(true, 4)  # the sixth label is predicted and never true
    speakers = np.random.default_rng(2).integers(0, 20, 300).astype(str)
    groups = speakers if unit == "speakers" else None
    got = evaluation.score(true, probabilities, groups, metric=metric, n_bootstrap=40, seed=1)
    draws = []
    for row in evaluation.bootstrap_weights(300, groups, 40, seed=1):
        drawn = np.repeat(np.arange(300), row.astype(int))
        chosen = probabilities[:, drawn].argmax(-1)
        draws.append(np.mean([sklearns(metric, true[drawn], c) for c in chosen]))
    assert got.unit == unit
    assert (got.low, got.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-12)


def test_whole_speakers_are_drawn_as_many_as_there_are():
    speakers = np.array(["b", "a", "b", "c", "a", "b"])
    weights = evaluation.bootstrap_weights(6, speakers, 50, seed=0)
    b, a, c = weights[:, [0, 2, 5]], weights[:, [1, 4]], weights[:, 3]
    assert (b == b[:, :1]).all() and (a == a[:, :1]).all()
    assert (b[:, 0] + a[:, 0] + c == 3).all()
    assert len(np.unique(c)) > 1


def test_the_interval_of_accuracy_is_the_binomial_one(predictions):
    true, probabilities = predictions
    got = evaluation.score(true, probabilities[0], metric="accuracy", n_bootstrap=4000)
    half_width = 1.96 * np.sqrt(got.mean * (1 - got.mean) / 300)
    assert (got.high - got.low) / 2 == pytest.approx(half_width, rel=0.08)


def test_an_interval_over_speakers_is_wider_when_a_speaker_is_right_or_wrong_as_a_whole():
    speakers = np.repeat(np.arange(20), 15)
    true = np.arange(300) % 6
    wrong = (true + 1) % 6
    predicted = one_hot(np.where(speakers % 3 == 0, wrong, true))
    by_clip = evaluation.score(true, predicted)
    by_speaker = evaluation.score(true, predicted, speakers)
    assert by_speaker.unit == "speakers"
    # 15 clips that stand or fall together: sqrt(15) times the width
    ratio = (by_speaker.high - by_speaker.low) / (by_clip.high - by_clip.low)
    assert 3.2 < ratio < 4.6


def test_a_paired_comparison_counts_fixed_and_broken_clips():
    true = np.zeros(10, dtype=int)
    a, b = np.zeros(10, dtype=int), np.zeros(10, dtype=int)
    a[:4], b[3:5] = 1, 1  # a misses clips 0-3, b misses 3-4: three fixed, one broken
    got = evaluation.compare(true, one_hot(a), one_hot(b))
    assert (got.fixed, got.broken) == (3, 1)
    expected = evaluation.waf(true, b) - evaluation.waf(true, a)
    assert got.difference == pytest.approx(expected)


def test_a_paired_interval_is_of_scikit_learns_differences_on_the_same_draws(predictions):
    true, a = predictions
    b = a[:, ::-1].copy()
    got = evaluation.compare(true, a, b, n_bootstrap=40, seed=1)
    draws = []
    for row in evaluation.bootstrap_weights(300, None, 40, seed=1):
        drawn = np.repeat(np.arange(300), row.astype(int))
        wafs = [
            np.mean([sklearns("waf", true[drawn], c) for c in p[:, drawn].argmax(-1)])
            for p in (a, b)
        ]
        draws.append(wafs[1] - wafs[0])
    assert (got.low, got.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-12)


def test_a_model_does_not_differ_from_itself(predictions):
    true, probabilities = predictions
    got = evaluation.compare(true, probabilities, probabilities)
    assert (got.difference, got.low, got.high, got.fixed, got.broken) == (0, 0, 0, 0, 0)


def test_a_paired_interval_is_narrower_than_the_two_intervals_apart(predictions):
    true, probabilities = predictions
    changed = probabilities.copy()
    changed[:, :10] = one_hot(true[:10])  # only ten clips differ
    paired = evaluation.compare(true, probabilities, changed)
    alone = evaluation.score(true, probabilities)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_comparison_refuses_other_clips_or_seeds(predictions):
    true, probabilities = predictions
    with pytest.raises(ValueError, match="same seeds and clips"):
        evaluation.compare(true, probabilities, probabilities[:2])


def test_confusion_sums_to_the_clips_and_has_the_seed_mean_recall_on_its_diagonal(predictions):
    true, probabilities = predictions
    table = evaluation.confusion(true, probabilities)
    assert table.sum(axis=1).tolist() == np.bincount(true, minlength=6).tolist()
    right = (probabilities.argmax(-1) == true).sum(axis=1).mean()
    assert np.trace(table) == pytest.approx(right)


def test_per_class_f1_of_a_class_never_predicted_is_zero():
    true = np.array([0, 1, 2, 3, 4, 5])
    got = evaluation.per_class_f1(true, one_hot([0, 1, 2, 3, 4, 4]))
    assert got["surprise"] == 0
    assert got["worried"] == pytest.approx(2 / 3)
    assert got["neutral"] == 1


def test_reliability_of_calibrated_predictions_lies_on_the_diagonal():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 40_000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    true = (generator.uniform(size=40_000) > confidence).astype(int)
    table = evaluation.reliability(true, probabilities)
    assert table["clips"].sum() == 40_000
    assert table["clips"][:5].sum() == 0
    assert evaluation.calibration_error(table) < 0.02


def test_calibration_error_of_overconfident_predictions_is_their_excess():
    true = np.array([0] * 60 + [1] * 40)
    probabilities = np.tile([0.95, 0.05], (100, 1))
    table = evaluation.reliability(true, probabilities)
    assert evaluation.calibration_error(table) == pytest.approx(0.35)


def test_precision_and_recall_by_hand():
    found = np.array([True, True, False, False])
    wanted = np.array([True, False, True, True])
    got = evaluation.precision_recall(found, wanted)
    assert (got["precision"], got["recall"], got["share"]) == (0.5, pytest.approx(1 / 3), 0.75)
    assert np.isnan(evaluation.precision_recall(np.zeros(4, bool), wanted)["precision"])


def test_missing_labels_and_nan_are_refused(predictions):
    true, probabilities = predictions
    with pytest.raises(ValueError, match="missing"):
        evaluation.score(np.where(np.arange(300) == 7, -1, true), probabilities)
    with pytest.raises(ValueError, match="NaN"):
        evaluation.score(true, np.where(probabilities > 0.5, np.nan, probabilities))


def test_a_bootstrap_repeats_with_its_seed(predictions):
    true, probabilities = predictions
    assert evaluation.score(true, probabilities) == evaluation.score(true, probabilities)


def test_with_a_handful_of_speakers_the_interval_is_over_clips(predictions):
    true, probabilities = predictions
    got = evaluation.score(true, probabilities, np.repeat(["a", "b"], 150))
    assert got.unit == "clips"
    assert got.low < got.mean < got.high
