"""Standardisation against scikit-learn, over the present clips of the training fold only."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from agt_lib.features.features import Features
from agt_lib.fusion.data import assemble, fit_scalers


def data_of(values, present=None):
    n = len(values)
    names = tuple(map(str, range(n)))
    present = np.ones(n, bool) if present is None else present
    audio = Features("audio", names, values.astype(np.float32), present, "f")
    return assemble(names, {"audio": audio}, label_set=("a",))


def fit_scaler(data, index):
    return fit_scalers(data, index)["audio"]


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
    off = fit_scalers(data_of(values), np.arange(6), scale=False)["audio"]
    np.testing.assert_array_equal(absent(values), values)
    np.testing.assert_array_equal(off(values), values)
