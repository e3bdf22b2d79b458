"""The protocol over folds: nobody is scored by a model that saw them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from agt_lib.corpora.corpus import build
from agt_lib.corpora.folds import folds_of as folds_of_corpus
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.reference import logistic_regression
from agt_lib.fusion.train import FitTask, fit_each


def folds_of(data, n_folds=3):
    numbers = np.random.default_rng(0).permutation(len(data.names)) % n_folds
    return pd.Series(numbers, index=list(data.names))


def run(config, data, folds, seeds=(0,), test=None):
    return fit_folds(data, folds, {"agt": config}, seeds, test=test, workers=1, progress=False)


def probabilities(result):
    return result.out_of_fold.probabilities["agt"]


def test_out_of_fold_predictions_are_those_of_the_model_that_held_the_clip_out(data_of, small):
    data = data_of()
    folds = folds_of(data)
    result = run(small(epochs=2), data, folds, seeds=(0, 5))
    assert probabilities(result).shape == (2, 90, 3)
    for fold in range(3):
        rows = np.flatnonzero(folds == fold)
        expected = result.models["agt"][1][fold].predict(data.rows(rows))
        np.testing.assert_allclose(probabilities(result)[1, rows], expected, rtol=1e-5)


def test_a_label_never_reaches_the_prediction_of_its_own_clip(data_of, small):
    data = data_of()
    folds = folds_of(data)
    labels = data.labels.copy()
    rows = np.flatnonzero(folds == 1)
    labels[rows] = (labels[rows] + 1) % 3
    before = run(small(epochs=2), data, folds)
    after = run(small(epochs=2), replace(data, labels=labels), folds)
    before, after = probabilities(before), probabilities(after)
    np.testing.assert_array_equal(before[0, rows], after[0, rows])
    assert not np.array_equal(before, after)


def test_test_predictions_average_the_fold_models(data_of, small):
    data, test = data_of(), data_of(seed=1)
    result = run(small(epochs=2), data, folds_of(data), test=test)
    expected = sum(model.predict(test) for model in result.models["agt"][0]) / 3
    table = result.test.table("agt", 0)
    np.testing.assert_allclose(table, expected, rtol=1e-5)
    assert list(table.columns) == list(data.label_set)
    assert list(table.index) == list(test.names)


def test_with_permuted_labels_the_out_of_fold_score_is_at_chance(data_of, small):
    data = data_of(n=240, signal=6.0)
    labels = np.random.default_rng(1).permutation(data.labels)
    result = run(small(epochs=8), replace(data, labels=labels), folds_of(data))
    predicted = result.out_of_fold.chosen("agt")[0]
    # three classes of 80: chance is 1/3 and its standard error sqrt(2/9 / 240) = .0304
    assert abs((predicted == labels).mean() - 1 / 3) < 3 * 0.0304
    assert f1_score(labels, predicted, average="weighted") < 1 / 3 + 3 * 0.0304
    plain = run(small(epochs=8), data, folds_of(data)).out_of_fold.chosen("agt")[0]
    assert f1_score(data.labels, plain, average="weighted") > 0.9


def test_a_corpus_with_a_dev_split_is_trained_on_train_and_predicted_on_dev(data_of, small):
    data = data_of()
    table = pd.DataFrame(
        {
            "name": data.names,
            "split": ["train"] * 60 + ["dev"] * 30,
            "emotion": [data.label_set[i] for i in data.labels],
        }
    )
    folds = folds_of_corpus(build("c", table, source="table", labels=data.label_set))
    result = run(small(epochs=1), data, folds)
    assert len(result.models["agt"][0]) == 1
    assert result.out_of_fold.names == data.names[60:]


def test_with_a_dev_split_test_clips_are_predicted_by_a_model_of_train_and_dev(data_of, small):
    data, test = data_of(), data_of(seed=1)
    dev = pd.Series(np.where(np.arange(90) < 30, 0, -1), index=list(data.names))
    result = run(small(epochs=2), data, dev, test=test)
    assert [len(of_seed) for of_seed in result.models["agt"]] == [1]
    alone = run(small(epochs=2), data, dev)
    np.testing.assert_array_equal(probabilities(result), probabilities(alone))
    task = FitTask(small(epochs=2), np.arange(90))
    (whole,) = fit_each(data, [task], workers=1, progress=False)
    np.testing.assert_allclose(result.test.table("agt", 0), whole.predict(test), rtol=1e-5)
    regression = logistic_regression(data, dev, {"lr": data.modalities}, test=test)
    moved = np.where(np.arange(90) < 30, (data.labels + 1) % 3, data.labels)
    other = logistic_regression(
        replace(data, labels=moved), dev, {"lr": data.modalities}, test=test
    )
    np.testing.assert_array_equal(regression.out_of_fold["lr"], other.out_of_fold["lr"])
    assert not np.allclose(regression.test["lr"], other.test["lr"])


def test_a_clip_without_fold_is_refused(data_of, small):
    data = data_of()
    with pytest.raises(ValueError, match="1 of 90 clips have no fold.*'clip0'"):
        run(small(), data, folds_of(data).drop("clip0"))
