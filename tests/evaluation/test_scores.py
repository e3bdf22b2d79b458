import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from agt_lib import evaluation
from agt_lib.evaluation.calibration import fit_temperature
from agt_lib.evaluation.scores import Sample, weighted_waf, with_interval
from agt_lib.evaluation.tables import difference_line, score_line


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


def score(true, probabilities, groups=None, **options):
    return score_line(Sample.of(true, groups, **options), evaluation.votes(probabilities))


def compare(true, a, b, **options):
    sample = Sample.of(true, **options)
    return difference_line(sample, evaluation.votes(a), evaluation.votes(b))


def ends(line, column="waf"):
    return line[f"{column}_low"], line[f"{column}_high"]


def test_a_score_is_scikit_learns_averaged_over_seeds(predictions):
    true, probabilities = predictions
    chosen = probabilities.argmax(-1)
    wafs = [100 * f1_score(true, c, average="weighted") for c in chosen]
    line = score(true, probabilities, n_bootstrap=50)
    assert line["waf"] == pytest.approx(np.mean(wafs), abs=1e-10)
    assert line["seed_sd"] == pytest.approx(np.std(wafs, ddof=1), abs=1e-10)
    assert evaluation.waf(true, chosen[0]) == pytest.approx(wafs[0] / 100, abs=1e-12)
    expected = np.mean([accuracy_score(true, c) for c in chosen])
    assert line["accuracy"] == pytest.approx(100 * expected)


def sklearns(true, chosen):
    return 100 * f1_score(true, chosen, average="weighted", zero_division=0)


@pytest.mark.parametrize("unit", ["clips", "speakers"])
def test_the_interval_is_of_scikit_learns_scores_of_the_clips_drawn(predictions, unit):
    true, probabilities = predictions
    true = np.minimum(true, 4)  # the sixth label is predicted and never true
    speakers = np.random.default_rng(2).integers(0, 20, 300).astype(str)
    groups = speakers if unit == "speakers" else None
    got = score(true, probabilities, groups, n_bootstrap=40)
    draws = []
    for row in Sample.of(true, groups, n_bootstrap=40).weights(40)[1:]:
        drawn = np.repeat(np.arange(300), row.astype(int))
        chosen = probabilities[:, drawn].argmax(-1)
        draws.append(np.mean([sklearns(true[drawn], c) for c in chosen]))
    assert got["interval_over"] == unit
    assert ends(got) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-10)


def test_waf_takes_names_of_labels_as_well_as_numbers():
    true, predicted = np.array([0, 0, 1, 4]), np.array([0, 1, 1, 1])
    names = np.array(list("abcde"), dtype=object)
    assert evaluation.waf(names[true], names[predicted]) == evaluation.waf(true, predicted)


def test_waf_under_weights_is_scikit_learns_also_for_a_class_never_predicted():
    rng = np.random.default_rng(1)
    true = rng.integers(0, 6, 80)
    predicted = rng.integers(0, 5, (2, 3, 80))  # the last class never
    weights = rng.random((4, 80))
    found = weighted_waf(true, np.eye(6)[predicted], weights)
    options = {"average": "weighted", "zero_division": 0}
    expected = [
        [[f1_score(true, p, sample_weight=w, **options) for w in weights] for p in seed]
        for seed in predicted
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_whole_speakers_are_drawn_as_many_as_there_are(monkeypatch):
    monkeypatch.setattr("agt_lib.evaluation.scores.MIN_GROUPS", 3)
    speakers = np.array(["b", "a", "b", "c", "a", "b"])
    weights = Sample.of(np.zeros(6, int), speakers, n_bootstrap=50).weights(50)
    assert (weights[0] == 1).all()
    weights = weights[1:]
    b, a, c = weights[:, [0, 2, 5]], weights[:, [1, 4]], weights[:, 3]
    assert (b == b[:, :1]).all() and (a == a[:, :1]).all()
    assert (b[:, 0] + a[:, 0] + c == 3).all()
    assert len(np.unique(c)) > 1


def test_the_interval_of_a_share_of_the_clips_is_the_binomial_one():
    right = np.arange(300) % 3 == 0
    weights = Sample.of(np.zeros(300, int), n_bootstrap=4000).weights(4000)
    found = with_interval("share", weights @ right / 300)
    low, high = found["share_low"], found["share_high"]
    assert found["share"] == pytest.approx(1 / 3)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(2 / 9 / 300), rel=0.08)


def heard(n_speakers):
    """20 clips of each speaker, some better understood than others: labels, votes, speakers."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(n_speakers), 20)
    true = np.arange(len(speakers)) % 6
    wrong = rng.random(len(true)) > rng.uniform(0.45, 0.8, n_speakers)[speakers]
    return true, one_hot(np.where(wrong, (true + 1) % 6, true))[None], speakers


@pytest.mark.parametrize(("n_speakers", "limit"), [(24, 0.1), (84, 0.06)])
def test_the_ends_hold_still_between_bootstrap_seeds(n_speakers, limit, monkeypatch):
    # intervals of 14 and 7 points; with 2000 draws the ends' standard deviations are .33 and .12
    true, votes, speakers = heard(n_speakers)
    found = []
    for seed in range(8):
        monkeypatch.setattr("agt_lib.evaluation.scores.SEED", seed)
        found.append(ends(score_line(Sample.of(true, speakers), votes)))
    assert np.std(found, axis=0, ddof=1).max() < limit


def test_the_score_of_a_draw_is_that_of_its_clips():
    true, votes, speakers = heard(7)
    sample = Sample.of(true, speakers)
    expected = 100 * weighted_waf(true, votes, sample.weights(50))
    np.testing.assert_allclose(sample.wafs(votes)[:, :51], expected, rtol=1e-12)


@pytest.mark.parametrize(("n_clips", "n_draws"), [(50, 20_000), (1000, 2000), (9000, 1000)])
def test_of_more_clips_fewer_draws_are_taken(n_clips, n_draws):
    assert Sample.of(np.zeros(n_clips, int)).draws.shape == (1 + n_draws, n_clips)


@pytest.mark.parametrize(
    ("n_speakers", "over"),
    [(4, "clips"), (5, "speakers (few: ends are rough)"), (9, "speakers (few: ends are rough)"),
     (10, "speakers")],
)  # fmt: skip
def test_an_interval_over_few_speakers_says_that_its_ends_are_rough(n_speakers, over):
    true, votes, speakers = heard(n_speakers)
    assert score_line(Sample.of(true, speakers), votes)["interval_over"] == over


def test_an_interval_over_speakers_is_wider_when_a_speaker_is_right_or_wrong_as_a_whole():
    speakers = np.repeat(np.arange(20), 15)
    true = np.arange(300) % 6
    wrong = (true + 1) % 6
    predicted = one_hot(np.where(speakers % 3 == 0, wrong, true))
    by_clip = score(true, predicted)
    by_speaker = score(true, predicted, speakers)
    assert by_speaker["interval_over"] == "speakers"
    # 15 clips that stand or fall together: sqrt(15) times the width
    ratio = np.diff(ends(by_speaker)) / np.diff(ends(by_clip))
    assert 3.2 < ratio < 4.6


def test_a_paired_comparison_counts_fixed_and_broken_clips():
    true = np.zeros(10, dtype=int)
    a, b = np.zeros(10, dtype=int), np.zeros(10, dtype=int)
    a[:4], b[3:5] = 1, 1  # a misses clips 0-3, b misses 3-4: three fixed, one broken
    got = compare(true, one_hot(a), one_hot(b))
    assert (got["fixed"], got["broken"], got["clips"]) == (3, 1, 10)
    expected = evaluation.waf(true, b) - evaluation.waf(true, a)
    assert got["difference"] == pytest.approx(100 * expected)


def test_a_paired_interval_is_of_scikit_learns_differences_on_the_same_draws(predictions):
    true, a = predictions
    b = a[:, ::-1].copy()
    got = compare(true, a, b, n_bootstrap=40)
    draws = []
    for row in Sample.of(true, n_bootstrap=40).weights(40)[1:]:
        drawn = np.repeat(np.arange(300), row.astype(int))
        wafs = [np.mean([sklearns(true[drawn], c) for c in p[:, drawn].argmax(-1)]) for p in (a, b)]
        draws.append(wafs[1] - wafs[0])
    assert ends(got, "difference") == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-10)


def test_a_model_does_not_differ_from_itself(predictions):
    true, probabilities = predictions
    got = compare(true, probabilities, probabilities)
    assert got.pop("clips") == 300
    assert set(got.values()) == {0}


def test_a_paired_interval_is_narrower_than_the_two_intervals_apart(predictions):
    true, probabilities = predictions
    changed = probabilities.copy()
    changed[:, :10] = one_hot(true[:10])  # only ten clips differ
    paired = compare(true, probabilities, changed)
    alone = score(true, probabilities)
    assert np.diff(ends(paired, "difference")) < 0.5 * np.diff(ends(alone))


def test_comparison_refuses_other_clips_or_seeds(predictions):
    true, probabilities = predictions
    with pytest.raises(ValueError, match="same seeds; got 3 and 2"):
        compare(true, probabilities, probabilities[:2])


def test_the_confusion_matrix_is_scikit_learns_averaged_over_seeds(predictions):
    true, probabilities = predictions
    table = evaluation.confusion(true, probabilities)
    expected = np.mean([confusion_matrix(true, p) for p in probabilities.argmax(-1)], axis=0)
    np.testing.assert_allclose(table, expected)


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


def test_the_calibration_error_is_its_definition_clip_by_clip(predictions):
    true, probabilities = predictions
    bins = [[] for _ in range(10)]  # (0, .1], (.1, .2], ... as Guo et al. 2017 have them
    for seed in probabilities:
        for label, clip in zip(true, seed, strict=True):
            confidence = max(clip)
            bins[int(np.ceil(10 * confidence)) - 1].append((confidence, clip.argmax() == label))
    gaps = [abs(np.sum([c - right for c, right in clips])) for clips in bins]
    found = evaluation.calibration_error(evaluation.reliability(true, probabilities))
    assert found == pytest.approx(sum(gaps) / 900, rel=1e-12)


def test_precision_and_recall_by_hand():
    found = np.array([True, True, False, False])
    wanted = np.array([True, False, True, True])
    got = evaluation.precision_recall(found, wanted)
    assert (got["precision"], got["recall"], got["share"]) == (0.5, pytest.approx(1 / 3), 0.75)
    assert np.isnan(evaluation.precision_recall(np.zeros(4, bool), wanted)["precision"])


def test_missing_labels_and_nan_are_refused(predictions):
    true, probabilities = predictions
    with pytest.raises(ValueError, match="missing"):
        score(np.where(np.arange(300) == 7, -1, true), probabilities)
    with pytest.raises(ValueError, match="NaN"):
        score(true, np.where(probabilities > 0.5, np.nan, probabilities))


def test_a_bootstrap_repeats_with_its_seed(predictions):
    true, probabilities = predictions
    assert score(true, probabilities) == score(true, probabilities)


def test_with_a_handful_of_speakers_the_interval_is_over_clips(predictions):
    true, probabilities = predictions
    got = score(true, probabilities, np.repeat(["a", "b"], 150))
    assert got["interval_over"] == "clips"
    assert got["waf_low"] < got["waf"] < got["waf_high"]


@pytest.mark.parametrize(
    ("true", "predicted", "said"),
    [
        ([0, 1, 1], [0], r"shapes \(3,\), \(1,\)"),
        ([0], [0, 1, 1], r"shapes \(1,\), \(3,\)"),
        ([], [], r"shapes \(0,\), \(0,\)"),
        ([0, 1], ["sad", "happy"], "got names and numbers"),
        ([[0], [1]], [[0], [1]], r"shapes \(2, 1\)"),
    ],
)
def test_waf_refuses_labels_that_are_no_pairs(true, predicted, said):
    with pytest.raises(ValueError, match=said):
        evaluation.waf(true, predicted)


@pytest.mark.parametrize(
    "function",
    [
        lambda true, p: evaluation.confusion(true, p, ["a", "b"]),
        evaluation.reliability,
        fit_temperature,
        lambda true, p: evaluation.per_class_f1(true, p, ["a", "b"]),
    ],
)
@pytest.mark.parametrize(
    ("true", "probabilities", "said"),
    [
        ([0, -1], [[0.9, 0.1], [0.2, 0.8]], "1 of 2 clips have no label"),
        ([0, 2], [[0.9, 0.1], [0.2, 0.8]], r"from 0 to 1; got \[0 2\]"),
        (["a", "b"], [[0.9, 0.1], [0.2, 0.8]], r"numbers from 0 to 1; got \['a' 'b'\]"),
        ([0], [[0.9, 0.1], [0.2, 0.8]], r"shape \(1,\) and probabilities of 2 clips"),
        ([0, 1], [[3.0, -1.0], [0.2, 0.8]], "adding up to 1"),
        ([0, 1], [0.9, 0.1], r"\(S, N, C\) or \(N, C\); got \(2,\)"),
    ],
)
def test_labels_and_probabilities_that_do_not_belong_together_are_refused(
    function, true, probabilities, said
):
    with pytest.raises(ValueError, match=said):
        function(true, probabilities)


def test_probabilities_of_other_labels_are_refused():
    with pytest.raises(ValueError, match="of 3 labels; expected a, b"):
        evaluation.confusion([0, 1], np.full((2, 3), 1 / 3), ["a", "b"])
