"""Standardisation against scikit-learn, over the present clips of the training fold only."""

import numpy as np
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


def test_a_modality_no_clip_has_and_scaling_switched_off_leave_features_as_they_are():
    values = np.random.default_rng(0).normal(3, 7, (6, 2))
    absent = fit_scaler(data_of(values, np.zeros(6, bool)), np.arange(6))
    off = fit_scalers(data_of(values), np.arange(6), scale=False)["audio"]
    np.testing.assert_array_equal(absent(values), values)
    np.testing.assert_array_equal(off(values), values)
