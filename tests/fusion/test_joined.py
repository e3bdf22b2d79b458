"""Clips that join a training fold with targets of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from agt_lib.corpora.folds import inner_split
from agt_lib.fusion.model import FingerprintError
from agt_lib.fusion.train import FitTask, Joined, fit_each

ROWS = np.arange(60)


def fit_here(data, *tasks, pool=None):
    return list(fit_each(data, tasks, pool=pool, workers=1, progress=False))


def same(a, b):
    return all(torch.equal(a.state[name], b.state[name]) for name in a.state)


def one_hot(labels):
    return np.eye(3, dtype=np.float32)[labels]


@pytest.fixture(scope="module")
def pool(data_of):
    return replace(data_of(n=30, seed=1), labels=np.full(30, -1))


def test_none_that_join_change_not_a_bit(data_of, small, pool):
    nobody = Joined(np.array([], int), np.zeros((0, 3), np.float32))
    tasks = FitTask(small(), ROWS), FitTask(small(), ROWS, joined=nobody)
    (plain,), (empty,) = (fit_here(data_of(), task, pool=pool) for task in tasks)
    assert same(plain, empty)


def test_clips_that_join_train_but_fit_no_scaler_and_choose_no_epoch(data_of, small, pool):
    data = data_of(signal=1.0)
    wild = replace(pool, features={m: 50 + x for m, x in pool.features.items()})
    joined = Joined(np.arange(30), one_hot(np.arange(30) % 3))
    config = small(epochs=8, learning_rate=1e-2, choose_epoch=True)
    plain, fuller = fit_here(
        data, FitTask(config, ROWS), FitTask(config, ROWS, joined=joined), pool=wild
    )
    assert not same(plain, fuller)
    for modality, scaler in plain.scalers.items():
        np.testing.assert_array_equal(scaler.mean, fuller.scalers[modality].mean)
    inner = inner_split(data.labels[ROWS], None, 0)
    predicted = fuller.predict(data)[:60][inner].argmax(1)
    expected = f1_score(data.labels[:60][inner], predicted, average="weighted")
    assert expected == pytest.approx(fuller.history["inner_waf"].max(), rel=1e-9)


def test_what_joins_teaches(data_of, small, pool):
    # labelled clips of labels 0 and 1 alone: label 2 can be learned from the pool only
    data = data_of(n=90, signal=6.0)
    rows = np.flatnonzero(data.labels < 2)
    new = np.flatnonzero(np.arange(30) % 3 == 2)
    pool = replace(data_of(n=30, seed=1, signal=6.0), labels=np.full(30, -1))
    config = small(epochs=3, learning_rate=1e-2, mixup=0.0)
    config = replace(config, network={"width": 16, "dropout": 0.0})
    joined = Joined(new, one_hot(np.full(len(new), 2)))
    plain, taught = fit_here(
        data, FitTask(config, rows), FitTask(config, rows, joined=joined), pool=pool
    )
    thirds = data.labels == 2
    assert (plain.predict(data)[thirds].argmax(1) == 2).mean() < 0.1
    assert (taught.predict(data)[thirds].argmax(1) == 2).mean() > 0.6


def test_soft_targets_that_are_certain_are_hard_ones(data_of, small, pool):
    hard = Joined(np.arange(9), one_hot(np.arange(9) % 3))
    soft = Joined(np.arange(9), 0.8 * one_hot(np.arange(9) % 3) + np.float32(0.2 / 3))
    certain = Joined(np.arange(9), 1.0 * one_hot(np.arange(9) % 3))
    tasks = [FitTask(small(), ROWS, joined=joined) for joined in (hard, certain, soft)]
    (a,), (b,), (c,) = (fit_here(data_of(), task, pool=pool) for task in tasks)
    assert same(a, b)
    assert not same(a, c)


def test_a_pool_with_features_made_in_another_way_is_refused(data_of, small, pool):
    other = replace(pool, fingerprints=pool.fingerprints | {"audio": "another"})
    with pytest.raises(FingerprintError, match="audio"):
        fit_here(data_of(), FitTask(small(), ROWS), pool=other)
