"""Rounds: honest folds, what may join, when they stop, and that nothing is done twice."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib import pseudo
from agt_lib.evaluation.predictions import Predictions
from agt_lib.fusion import fits
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.model import FittedModel
from agt_lib.pseudo import PseudoConfig, select
from agt_lib.pseudo.selection import fold_thresholds
from agt_lib.workspace.shards import Shards, StoredRows

EASY = PseudoConfig(threshold=0.3, rounds=1)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    """Where these tests' artefacts lie, so that what they share is trained once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def train(labelled, pool, folds, configs, shared_folder, monkeypatch):
    """Train quietly on the shared clips, with one seed."""
    monkeypatch.setenv("AGT_DATA", str(shared_folder))

    def run(config=EASY, seeds=(0,), data=labelled, pool=pool, folds=folds, **options):
        options = {"configs": configs, "workers": 1, "progress": False} | options
        return pseudo.train(data, folds, pool, config, seeds, **options)

    return run


def same(a, b):
    return all(
        np.array_equal(p, b.results.out_of_fold.probabilities[m])
        and np.array_equal(a.by_fold[m], b.by_fold[m])
        for m, p in a.results.out_of_fold.probabilities.items()
    )


def test_round_0_is_plain_cross_validation(train, labelled, pool, folds, configs):
    first = train().rounds[0]
    plain = fit_folds(labelled, folds, configs, (0,), test=pool, workers=1, progress=False)
    for model in configs:
        for found, expected in (
            (first.results.out_of_fold, plain.out_of_fold),
            (first.results.test, plain.test),
        ):
            np.testing.assert_allclose(found.table(model), expected.table(model), rtol=1e-6)
    assert first.selected.empty


def test_a_pool_on_disk_is_read_once_a_round_and_gives_the_rounds_of_one_in_memory(
    train, pool, tmp_path, monkeypatch
):
    names, lazy = list(pool.names), {}
    for m, x in pool.features.items():
        shards = Shards(tmp_path / m)
        shards.append(dict(zip(names[:20], x[:20], strict=True)))
        shards.append(dict(zip(names[20:], x[20:], strict=True)))
        lazy[m] = shards.rows(names, x.shape[1])
    read, whole = [], StoredRows.__getitem__
    monkeypatch.setattr(
        StoredRows, "__getitem__", lambda self, rows: read.append(len(rows)) or whole(self, rows)
    )
    expected, found = train(), train(pool=replace(pool, features=lazy))
    assert len(expected.rounds) == 2
    pd.testing.assert_frame_equal(found.next_selected, expected.next_selected)
    assert all(map(same, found.rounds, expected.rounds))
    assert read.count(len(names)) == len(found.rounds) * len(lazy)
    assert set(read) == {len(names), found.rounds[1].selected["name"].nunique()}


def test_each_fold_and_seed_selects_by_its_own_models(train, pool):
    done = train(seeds=(0, 3))
    selected = done.rounds[1].selected
    for (place, seed), fold in itertools.product(enumerate((0, 3)), range(3)):
        of_fold = {model: p[place, fold][None] for model, p in done.rounds[0].by_fold.items()}
        mine = selected[(selected["seed"] == seed) & (selected["fold"] == fold)]
        expected = select(Predictions(pool.names, ("calm", "cross", "glad"), of_fold), EASY)
        assert mine["name"].tolist() == expected["name"].tolist()
        assert mine["label"].tolist() == expected["label"].tolist()
        assert len(mine) > 0


def test_pseudo_labels_change_the_students_but_leave_scores_whole(train, labelled, pool):
    done = train()
    student = done.rounds[1].results
    assert not same(done.rounds[0], done.rounds[1])
    assert student.out_of_fold.names == labelled.names
    assert student.test.names == pool.names
    np.testing.assert_allclose(student.test.table("AGT"), done.rounds[1].by_fold["AGT"][0].mean(0))


def test_the_same_call_loads_what_was_trained_and_another_rule_shares_the_first_training(
    train, monkeypatch
):
    first = train()

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(fits, "fit_stacks", lambda data, tasks, missing, **_: map(never, missing))
    again = train()
    assert all(same(a, b) for a, b in zip(first.rounds, again.rounds, strict=True))
    pd.testing.assert_frame_equal(first.rounds[1].selected, again.rounds[1].selected)
    assert len(train(PseudoConfig(threshold=0.999)).rounds) == 1


def test_a_killed_training_goes_on_with_the_models_that_are_missing(train, monkeypatch):
    write, n = FittedModel.write, 0

    def killed(model, folder):
        nonlocal n
        n += 1
        if n > 4:
            raise KeyboardInterrupt
        return write(model, folder)

    later = PseudoConfig(threshold=0.31, rounds=1)
    monkeypatch.setattr(FittedModel, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        train(later, seeds=(7,))
    n = -100
    train(later, seeds=(7,))
    assert n == -100 + 5 + 9  # five of the first training's nine were missing, then round 1


def test_none_above_the_threshold_ends_at_once_and_says_how_sure_they_were(train, truth):
    done = train(PseudoConfig(threshold=0.9999))
    assert len(done.rounds) == 1
    assert done.next_selected.empty
    assert "no clip joined" in done.notes[0]
    assert "none is each sure enough (raw confidence above 0.9999" in done.notes[0]
    assert done.rounds[0].summary(truth)["kept"].eq(0).all()


def test_rounds_end_at_the_cap(train):
    done = train()
    assert len(done.rounds) == 2
    assert "cap of 1 round" in done.notes[0]


def test_rounds_end_where_the_selection_repeats(train, clips_of, folds):
    # clips that show their label so plainly that all models agree on all of them at once
    data, pool = clips_of("clip", 60, signal=12.0), clips_of("pool", 45, 1, 12.0, labelled=False)
    done = train(PseudoConfig(threshold=0.0, rounds=9), data=data, pool=pool)
    assert len(done.rounds) < 5
    assert "would change nothing" in done.notes[0]
    keys = ["seed", "fold", "name", "label"]
    assert done.next_selected[keys].equals(done.rounds[-1].selected[keys])


def test_a_selection_that_repeats_at_the_cap_is_not_said_to_change(train, clips_of):
    data, pool = clips_of("clip", 60, signal=12.0), clips_of("pool", 45, 1, 12.0, labelled=False)
    done = train(PseudoConfig(threshold=0.0, rounds=2), data=data, pool=pool)
    keys = ["seed", "fold", "name", "label"]
    assert len(done.rounds) == 3, "the cap was reached"
    assert done.next_selected[keys].equals(done.rounds[-1].selected[keys])
    assert "round 3 would change nothing" in done.notes[0]


def test_a_pool_without_any_voice_is_refused(train, pool):
    silent = pool.present.copy()
    silent[:, 0] = False
    with pytest.raises(ValueError, match="no clip of the pool has what every model needs"):
        train(pool=replace(pool, present=silent))


def test_a_class_that_is_never_predicted_is_said(train, labelled, truth):
    labels = np.where(labelled.labels == 2, 1, labelled.labels)
    done = train(data=replace(labelled, labels=labels))
    assert any("no model ever predicts glad" in note for note in done.notes)
    assert done.rounds[-1].summary(truth)["kept"]["glad"] == 0


def test_unlabelled_leaves_test_clips_out_of_training_and_predicts_them_all_the_same(train, pool):
    test_names = pool.names[:15]
    done = train(replace(EASY, pool="unlabelled"), test_names=test_names)
    assert set(done.rounds[1].selected["name"]) <= set(pool.names[15:])
    assert done.rounds[1].results.test.names == pool.names
    assert not done.is_inside(pd.Index(test_names)).any()
    alone = train(replace(EASY, pool="test"), test_names=test_names)
    assert set(alone.rounds[1].selected["name"]) <= set(test_names)


def test_a_clip_kept_outside_never_joins(train, pool):
    outside = pseudo.outside_part(pool.names, 0.5)
    assert len(outside) == 22
    assert outside == pseudo.outside_part(pool.names[::-1], 0.5)
    done = train(outside=outside)
    assert not set(done.rounds[1].selected["name"]) & set(outside)
    assert done.is_inside(pd.Index(pool.names)).sum() == 23


def test_a_clip_without_a_voice_can_not_be_agreed_on(train, pool):
    silent = pool.present.copy()
    silent[:20, 0] = False
    done = train(pool=replace(pool, present=silent))
    assert set(done.rounds[1].selected["name"]) <= set(pool.names[20:])


def test_soft_targets_train_other_students(train):
    hard = train().rounds[1]
    assert not same(hard, train(replace(EASY, target="soft")).rounds[1])
    assert same(hard, train().rounds[1])


def test_calibrated_confidence_selects_other_clips(train):
    raw = train(PseudoConfig(threshold=0.5, rounds=1)).next_selected
    calibrated = train(PseudoConfig(threshold=0.5, rounds=1, calibrate=True)).next_selected
    assert len(raw) > 0
    assert len(raw) != len(calibrated)


def test_a_dev_split_of_its_own_has_one_fold_and_no_calibration(train, labelled):
    folds = pd.Series(np.where(np.arange(60) < 40, -1, 0), index=list(labelled.names))
    done = train(folds=folds)
    assert set(done.rounds[1].selected["fold"]) == {0}
    with pytest.raises(ValueError, match="one fold alone"):
        train(replace(EASY, calibrate=True), folds=folds)


def test_pools_that_cannot_be_used_are_refused(train, labelled, pool):
    with pytest.raises(ValueError, match="no unlabelled clips to learn from"):
        train(pool=None)
    with pytest.raises(ValueError, match=r"no unlabelled clips.*45 of them test"):
        train(replace(EASY, pool="unlabelled"), test_names=pool.names)
    with pytest.raises(ValueError, match="needs the test clips' names"):
        train(replace(EASY, pool="test"))
    with pytest.raises(
        ValueError, match="60 labelled clips stand in the pool too, for one 'clip0'"
    ):
        train(pool=replace(labelled, labels=np.full(60, -1)))
    with pytest.raises(ValueError, match="from 0 to below 1; got 1"):
        pseudo.outside_part(pool.names, 1)


def test_the_summary_counts_clips_per_fold_and_seed_and_judges_them_by_the_truth(train, truth):
    stage = train(seeds=(0, 1)).rounds[1]
    summary = stage.summary(truth)
    assert summary["kept"].sum() == pytest.approx(len(stage.selected) / 6)
    mine = stage.selected[stage.selected["label"] == "cross"]
    right = np.mean([truth[name] == "cross" for name in mine["name"]])
    assert summary["right"]["cross"] == pytest.approx(right)
    assert stage.summary(truth.iloc[:0])["right"].isna().all()


def test_by_precision_each_fold_has_the_threshold_that_its_other_folds_give(train, clips_of, folds):
    data = clips_of("clip", 60, signal=1.0)
    clips = {"data": data, "pool": clips_of("pool", 45, seed=1, signal=1.0, labelled=False)}
    done = train(PseudoConfig(precision=0.9, rounds=1), **clips)
    given = done.rounds[0].results.out_of_fold.probabilities
    parts = {model: p[0] for model, p in given.items()}
    thresholds = fold_thresholds(data.labels, folds.to_numpy(), parts, 0.9)
    loose = train(PseudoConfig(threshold=0.0, rounds=1), **clips).rounds[1].selected
    allowed = loose["confidence"] > thresholds[loose["fold"]]
    joined = done.rounds[1].selected
    assert 0 < len(joined) < len(loose)
    assert joined["name"].tolist() == loose.loc[allowed, "name"].tolist()
