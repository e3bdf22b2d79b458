"""The learning curve: fewer clips in training, the same clips predicted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation.tables import REFERENCE
from agt_lib.fusion import crossval
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.learning import learning_curve
from agt_lib.fusion.reference import logistic_regression


@pytest.fixture
def folds(data_of):
    return pd.Series(np.arange(90) // 3 % 3, index=list(data_of().names))


OPTIONS = {"workers": 1, "progress": False, "keep": False}


def test_its_last_point_is_plain_cross_validation(data_of, folds, small):
    data, configs = data_of(signal=1.0), {"network": small(epochs=2)}
    table = learning_curve(data, folds, configs, [0], shares=(0.5, 1), **OPTIONS)
    last = table[table["clips"] == 60].set_index("model")["accuracy"]
    plain = fit_folds(data, folds, configs, [0], **OPTIONS).out_of_fold
    reference = logistic_regression(data, folds, {REFERENCE: data.modalities}).out_of_fold
    for model, found in (("network", plain), (REFERENCE, reference)):
        right = found.chosen(model)[0] == data.labels
        assert last[model] == pytest.approx(100 * right.mean())


def test_shares_are_of_each_label_and_fold_within_one_another_and_none_is_too_small(
    data_of, folds, small, monkeypatch
):
    data, seen, fit = data_of(), [], crossval.fit_each
    monkeypatch.setattr(
        crossval, "fit_each", lambda part, *a, **o: seen.append(part) or fit(part, *a, **o)
    )
    table = learning_curve(
        data, folds, {"network": small(epochs=1)}, [0], shares=(0.01, 0.2, 0.5, 1), **OPTIONS
    )
    assert table["clips"].unique().tolist() == [12, 30, 60]
    assert (table.groupby("clips")["clips"].size() == 2).all()
    one, half, whole = (set(part.names) for part in seen)
    assert one < half < whole == set(data.names)
    kept = pd.crosstab(seen[1].labels, folds.loc[list(seen[1].names)].to_numpy())
    assert (kept == 5).all(axis=None)


def test_a_label_of_few_clips_has_the_last_point_alone(data_of, small):
    data = data_of()
    data = replace(data, labels=np.where(np.arange(90) % 30 == 0, 2, data.labels % 2))
    folds = pd.Series(np.arange(90) % 5, index=list(data.names))
    table = learning_curve(data, folds, {"network": small(epochs=1)}, [0], **OPTIONS)
    assert table["clips"].unique().tolist() == [72]
