"""Logistic regressions of many training parts, each as scikit-learn fits it alone."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from agt_lib.fusion.regression import fit_regressions

STRENGTHS = (0.003, 0.1, 1.0)


def matrix(data, rows):
    """Features standardised on `rows`, absent ones zero."""
    parts = []
    for m, x in data.features.items():
        there = data.is_present(m)
        own = x[rows][there[rows]].astype(np.float64)
        z = (x - own.mean(0)) / own.std(0)
        parts.append(np.where(there[:, None], z, 0))
    return np.concatenate(parts, 1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_each_model_equals_scikit_learns(data_of, n_classes):
    data = data_of(signal=1.0)
    data = replace(data, labels=data.labels % n_classes, label_set=data.label_set[:n_classes])
    data.features["video"][:] = 1e3 + 50 * data.features["video"]
    present = data.present.copy()
    present[::7, 0], present[3::9, 1] = False, False
    features = {
        m: np.where(present[:, [k]], x, np.nan) for k, (m, x) in enumerate(data.features.items())
    }
    data = replace(data, features=features, present=present)
    rows = [np.flatnonzero(np.arange(90) // 3 % 3 != fold) for fold in range(3)]
    rows[2] = np.setdiff1d(
        rows[2], np.flatnonzero(data.labels == n_classes - 1)[: 90 * (n_classes > 2)]
    )
    found = fit_regressions(data, rows, [STRENGTHS] * 3, "fold")
    for own, models in zip(rows, found, strict=True):
        z = matrix(data, own)
        for strength, model in zip(STRENGTHS, models, strict=True):
            reference = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(
                z[own], data.labels[own]
            )
            expected = np.zeros((90, n_classes))
            expected[:, reference.classes_] = reference.predict_proba(z)
            np.testing.assert_allclose(model.predict(data), expected, atol=1e-3)


def test_a_model_does_not_depend_on_the_weaker_ones_before_it(data_of):
    data, rows = data_of(signal=1.0), np.arange(60)
    [[alone]] = fit_regressions(data, [rows], [[0.1]], "fold")
    [[_, after]] = fit_regressions(data, [rows], [[0.003, 0.1]], "fold")
    np.testing.assert_allclose(alone.predict(data), after.predict(data), atol=1e-3)
