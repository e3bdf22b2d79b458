"""Kept fits: the same bits as a fit, done once, and again when anything it reads changes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from agt_lib.fusion import fits
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.train import FitTask, Joined, fit_each, fit_stacks
from agt_lib.workspace import kept, paths

ROWS = np.arange(60)


@pytest.fixture
def fits_done(monkeypatch):
    """How many fits were really done, call by call."""
    done = []

    def counting(data, tasks, division, **options):
        done.append(sum(map(len, division)))
        return fit_stacks(data, tasks, division, **options)

    monkeypatch.setattr(fits, "fit_stacks", counting)
    return done


def models(data, *tasks, **options):
    options = {"workers": 1, "progress": False} | options
    return list(fits.fit_kept(data, tasks, **options))


def same(a, b):
    return all(torch.equal(a.state[name], b.state[name]) for name in a.state)


def test_a_kept_fit_is_the_fit_bit_by_bit_and_is_not_done_again(data_of, small, fits_done):
    data, task = data_of(), FitTask(small(), ROWS, seed=3)
    (plain,) = fit_each(data, [task], workers=1, progress=False)
    (first,) = models(data, task)
    (loaded,) = models(data, task)
    assert same(plain, first)
    assert same(plain, loaded)
    np.testing.assert_array_equal(plain.predict(data), loaded.predict(data))
    assert loaded.history.equals(plain.history)
    assert fits_done == [1, 0]


def test_only_what_is_missing_is_fitted_and_the_order_is_that_of_the_tasks(
    data_of, small, fits_done
):
    data = data_of()
    a, b, c = (FitTask(small(), ROWS, seed=seed) for seed in range(3))
    models(data, b)
    found = models(data, a, b, c)
    assert [model.seed for model in found] == [0, 1, 2]
    assert fits_done == [1, 2]


def test_another_modality_beside_those_of_the_fit_changes_nothing(data_of, small, fits_done):
    data, task = data_of(), FitTask(small("unimodal", ("audio",)), ROWS)
    models(data, task)
    models(data.only(("audio",)), task)
    assert fits_done == [1, 0]


def relabelled(data):
    return replace(data, labels=np.roll(data.labels, 1))


def moved(data):
    features = {m: x + np.float32(1e-3) for m, x in data.features.items()}
    return replace(data, features=features)


@pytest.mark.parametrize(
    "changed",
    [
        lambda data, task: (relabelled(data), task),
        lambda data, task: (moved(data), task),
        lambda data, task: (data, replace(task, seed=1)),
        lambda data, task: (data, replace(task, train_index=ROWS[1:])),
        lambda data, task: (data, replace(task, config=replace(task.config, epochs=4))),
    ],
    ids=["labels", "features", "seed", "rows", "config"],
)
def test_whatever_a_fit_reads_makes_it_another(data_of, small, fits_done, changed):
    data, task = data_of(), FitTask(small(), ROWS)
    models(data, task)
    other, other_task = changed(data, task)
    models(other, other_task)
    assert fits_done == [1, 1]


def test_what_joins_makes_it_another(data_of, small, fits_done):
    data, pool, task = data_of(), data_of(30, seed=9), FitTask(small(), ROWS)
    models(data, task)
    targets = np.eye(3, dtype=np.float32)[[0, 1]]
    joined = Joined(np.array([0, 1]), targets)
    models(data, replace(task, joined=joined), pool=pool)
    models(data, replace(task, joined=replace(joined, targets=targets[::-1].copy())), pool=pool)
    models(data, replace(task, joined=joined), pool=moved(pool))
    assert fits_done == [1, 1, 1, 1]


def test_cross_validation_keeps_its_fits_unless_it_is_told_not_to(data_of, small, fits_done):
    data = data_of()
    folds = pd.Series(np.arange(len(data.names)) % 3, index=list(data.names))
    options = {"seeds": (0,), "workers": 1, "progress": False}
    stored = fit_folds(data, folds, {"AGT": small()}, **options)
    fit_folds(data, folds, {"AGT": small()}, **options)
    assert fits_done == [3, 0]
    there = sorted(paths.derived().iterdir())
    loose = fit_folds(data, folds, {"AGT": small()}, keep=False, **options)
    np.testing.assert_array_equal(*(r.out_of_fold.probabilities["AGT"] for r in (stored, loose)))
    assert sorted(paths.derived().iterdir()) == there


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-8])


def one_byte_changed(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_short, one_byte_changed])
def test_a_damaged_fit_is_fitted_again_and_that_is_said(data_of, small, fits_done, capsys, damage):
    data, task = data_of(), FitTask(small(), ROWS)
    (first,) = models(data, task)
    (weights,) = paths.derived().glob("fit-*/model.safetensors")
    damage(weights)
    (again,) = models(data, task)
    assert same(first, again)
    assert fits_done == [1, 1]
    assert "is damaged" in capsys.readouterr().err
    models(data, task)
    assert fits_done == [1, 1, 0]


def test_a_fit_that_another_process_discards_while_it_is_read_is_fitted_again(
    data_of, small, fits_done, monkeypatch
):
    data, task = data_of(), FitTask(small(), ROWS)
    (first,) = models(data, task)
    is_whole = kept.is_whole

    def discarded(folder):
        found = is_whole(folder)
        (folder / "manifest.json").unlink(missing_ok=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(kept, "is_whole", discarded)
        (again,) = models(data, task)
    assert same(first, again)
    assert fits_done == [1, 1]
