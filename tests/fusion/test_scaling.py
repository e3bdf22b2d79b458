"""Standardisation against scikit-learn, over the present clips of the training fold only."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from agt_lib.features.features import Features
from agt_lib.fusion.data import assemble, with_speakers
from agt_lib.fusion.scaling import fit_scaler as fit
from agt_lib.fusion.scaling import fit_speakers, scale_for


def data_of(values, present=None, groups=None):
    n = len(values)
    names = tuple(map(str, range(n)))
    present = np.ones(n, bool) if present is None else present
    audio = Features("audio", names, values.astype(np.float32), present, "f")
    return assemble(names, {"audio": audio}, label_set=("a",), groups=groups)


def fit_scaler(data, index, scale=True):
    return fit(data.features["audio"][index[data.present[index, 0]]], scale)


def test_it_is_scikit_learns_over_the_rows_given_that_are_present():
    values = np.random.default_rng(0).normal(3, 7, (20, 4))
    present = np.arange(20) != 5
    scaler = fit_scaler(data_of(values, present), np.arange(12))
    expected = StandardScaler().fit(values[[i for i in range(12) if i != 5]])
    np.testing.assert_allclose(scaler(values), expected.transform(values), rtol=1e-4, atol=1e-5)


def test_a_constant_feature_is_only_centred():
    values = np.full((6, 1), 4.0)
    assert fit_scaler(data_of(values), np.arange(6))(values).tolist() == [[0.0]] * 6


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_the_unit_of_a_feature_does_not_matter(unit):
    values = np.random.default_rng(0).normal(3, 7, (20, 4))
    expected = fit_scaler(data_of(values), np.arange(20))(values)
    scaled = (values * unit).astype(np.float32)
    found = fit_scaler(data_of(scaled), np.arange(20))(scaled)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [1e9, 123456.789, -1e-9, 0.0])
def test_a_constant_feature_of_any_size_is_only_centred(value):
    values = np.full((600, 1), value, np.float32)
    scaler = fit_scaler(data_of(values), np.arange(600))
    assert scaler.sd.tolist() == [1.0]
    assert scaler(values).tolist() == [[0.0]] * 600


def test_what_only_rounding_moves_is_constant():
    values = np.full((10, 1), 1e6, np.float32)
    values[0] = np.nextafter(values[0], np.float32(np.inf))
    assert fit_scaler(data_of(values), np.arange(10)).sd.tolist() == [1.0]


def test_a_modality_no_clip_has_and_scaling_switched_off_leave_features_as_they_are():
    values = np.random.default_rng(0).normal(3, 7, (6, 2))
    absent = fit_scaler(data_of(values, np.zeros(6, bool)), np.arange(6))
    off = fit_scaler(data_of(values), np.arange(6), scale=False)
    np.testing.assert_array_equal(absent(values), values)
    np.testing.assert_array_equal(off(values), values)


def speakers(*counts):
    return np.repeat([f"s{i}" for i in range(len(counts))], counts).astype(object)


def test_a_speakers_statistics_are_drawn_towards_those_of_all_by_n_over_n_plus_k():
    values = np.random.default_rng(0).normal(3, 7, (12, 2)).astype(np.float32)
    who = speakers(9, 2, 1)
    scaler = fit_speakers({"audio": (values, who)}, shrinkage=3.0)
    own, n = values[9:11], 2
    mean = n / (n + 3) * own.mean(0) + 3 / (n + 3) * values.mean(0)
    variance = n / (n + 3) * own.var(0) + 3 / (n + 3) * values.var(0)
    found = scaler("audio", values, who)[9:11]
    np.testing.assert_allclose(found, (own - mean) / np.sqrt(variance), rtol=1e-4)
    np.testing.assert_allclose(scaler.back("audio", found, who[9:11]), own, rtol=1e-4)


def test_a_speaker_who_is_not_known_is_standardised_by_all_clips():
    values = np.random.default_rng(0).normal(3, 7, (12, 2)).astype(np.float32)
    scaler = fit_speakers({"audio": (values, speakers(6, 6))})
    expected = (values[:3] - values.mean(0)) / values.std(0)
    for who in (None, np.array([None, np.nan, "stranger"], object)):
        np.testing.assert_allclose(scaler("audio", values[:3], who), expected, rtol=1e-4)


def test_statistics_are_over_present_clips_of_all_parts_and_each_clip_counts_once():
    rng = np.random.default_rng(0)
    present = np.arange(20) != 5
    values = rng.normal(3, 7, (20, 2)).astype(np.float32)
    values[5] = np.nan
    whole = data_of(values, present, speakers(10, 10))
    parts = with_speakers(whole.rows(np.arange(12)), None, whole.rows(np.arange(8, 20)))
    expected = fit_speakers({"audio": (values[present], whole.groups[present])})
    assert parts[1] is None
    for part in (parts[0], parts[2]):
        for found, wanted in (
            (part.by_speaker.mean, expected.mean),
            (part.by_speaker.sd, expected.sd),
        ):
            np.testing.assert_allclose(found["audio"], wanted["audio"], rtol=1e-5)


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_what_is_constant_for_all_or_for_a_speaker_stays_finite_in_any_unit(unit):
    values = np.random.default_rng(0).normal(3, 7, (20, 3))
    values[:, 0] = 5
    values[:10, 1] = 4
    (data,) = with_speakers(data_of((values * unit).astype(np.float32), groups=speakers(10, 10)))
    found = data.scaled("speaker").features["audio"]
    assert np.isfinite(found).all()
    assert (found[:, 0] == 0).all()
    np.testing.assert_allclose(found[10:, 1].std(), 1, atol=0.2)


def test_a_modality_that_no_clip_has_is_left_as_it_is():
    values = np.ones((4, 2), np.float32)
    (data,) = with_speakers(data_of(values, np.zeros(4, bool), speakers(2, 2)))
    np.testing.assert_array_equal(data.scaled("speaker").features["audio"], values)


def test_scaling_by_speaker_without_speakers_says_what_to_do():
    with pytest.raises(ValueError, match="needs the clips' speakers"):
        data_of(np.ones((4, 2))).scaled("speaker")


@pytest.mark.parametrize(
    ("who", "scale", "reason"),
    [
        ([None] * 6, "fold", "not known"),
        ([None] * 6 + ["a"] * 5, "fold", "not known"),
        (["a"] * 9, "fold", "only one speaker"),
        ([*"aaaabbbbccccc"], "fold", "fewer than 5"),
        ([*"aaaaabbbbbcccc"], "speaker", "3 speakers"),
        (["a"] * 5 + ["b"] * 5 + [np.nan], "speaker", "2 speakers"),
    ],
)
def test_the_scale_follows_from_the_speakers_and_says_why(who, scale, reason):
    found, why = scale_for(who)
    assert found == scale
    assert reason in why


def test_a_speaker_without_a_modality_has_the_statistics_of_all_there():
    values = np.random.default_rng(0).normal(3, 7, (20, 2)).astype(np.float32)
    present = np.arange(20) >= 10
    (data,) = with_speakers(data_of(values, present, speakers(10, 10)))
    scaler = data.by_speaker
    np.testing.assert_allclose(scaler.mean["audio"][0], values[10:].mean(0), rtol=1e-4)
    np.testing.assert_allclose(scaler.sd["audio"][0], values[10:].std(0), rtol=1e-4)
