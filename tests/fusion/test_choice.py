"""Choices are made inside the training fold: no clip that a choice saw is scored with it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agt_lib.evaluation.scores import waf
from agt_lib.fusion import choice
from agt_lib.fusion.choice import best, choices, choose, inner_folds, search
from agt_lib.fusion.config import SPACE, TOOLKIT_SPACE, drawn
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.data import with_speakers
from agt_lib.fusion.reference import logistic_regression


def folds_of(data, n_folds):
    return pd.Series(np.arange(len(data.names)) % n_folds, index=list(data.names))


def test_with_four_folds_each_pair_shares_a_model_that_saw_neither(data_of):
    data = data_of()
    folds = folds_of(data, 4)
    inner, what = inner_folds(data, folds)
    assert (len(inner), what) == (6, "the other folds")
    numbers = folds.to_numpy()
    served = {k: [] for k in range(4)}
    for fold in inner:
        (j, k) = fold.held_out
        assert not set(numbers[fold.train]) & {j, k}
        for outer, rows in fold.held_out.items():
            assert set(numbers[rows]) == {j, k} - {outer}
            served[outer].append(rows)
    for outer, rows in served.items():
        assert sorted(np.concatenate(rows)) == np.flatnonzero(numbers != outer).tolist()


@pytest.mark.parametrize(
    ("n_speakers", "what"), [(9, "by speaker"), (2, "by clip"), (None, "by clip")]
)
def test_fewer_folds_or_a_dev_split_divide_the_training_part_itself(data_of, n_speakers, what):
    data = data_of()
    if n_speakers:
        groups = np.array([f"s{(i // 3) % n_speakers}" for i in range(90)], object)
        data = replace(data, groups=groups)
    dev = pd.Series(np.where(np.arange(90) < 30, 0, -1), index=list(data.names))
    inner, said = inner_folds(data, dev)
    assert said.endswith(what)
    held_out = np.concatenate([fold.held_out[0] for fold in inner])
    assert sorted(held_out) == list(range(30, 90))
    for fold in inner:
        assert sorted([*fold.train, *fold.held_out[0]]) == list(range(30, 90))
        if what == "by speaker":
            assert not set(data.groups[fold.train]) & set(data.groups[fold.held_out[0]])


class Told:
    """A model that predicts what it was told, by clip."""

    def __init__(self, data, predicted):
        self.by_name = dict(zip(data.names, predicted, strict=True))

    def predict(self, data):
        return np.eye(3)[[self.by_name[name] for name in data.names]]


def test_the_best_setting_of_an_outer_fold_does_not_depend_on_that_fold(data_of):
    data = data_of()
    folds = folds_of(data, 4)
    inner, _ = inner_folds(data, folds)
    rng = np.random.default_rng(0)
    opinions = rng.integers(0, 3, (2, 90))
    right = data.labels.copy()
    for outer in range(4):
        mine = folds.to_numpy() == outer
        flattered = [
            np.where(mine, right, opinions[0]),
            np.where(mine, (right + 1) % 3, opinions[1]),
        ]
        models = [[Told(data, own) for _ in inner] for own in flattered]
        wafs = [waf(right[~mine], own[~mine]) for own in opinions]
        assert best(data, inner, models)[outer] == int(np.argmax(wafs))


def test_equals_give_the_first_setting(data_of):
    data = data_of()
    inner, _ = inner_folds(data, folds_of(data, 4))
    models = [[Told(data, data.labels) for _ in inner] for _ in range(3)]
    assert best(data, inner, models) == [0, 0, 0, 0]


def test_a_setting_that_learns_is_chosen_over_one_that_does_not(
    data_of, small, tmp_path, monkeypatch
):
    monkeypatch.setenv("AGT_DATA", str(tmp_path))
    data = data_of(n=60)
    folds = folds_of(data, 4)
    settings = [small(epochs=1, learning_rate=1e-6), small(epochs=8, learning_rate=1e-2)]
    options = {"workers": 1, "progress": False}
    chosen = choose(data, folds, {"AGT": settings}, **options)
    assert chosen["AGT"] == [settings[1]] * 4
    result = fit_folds(data, folds, chosen, (0,), **options)
    fixed = fit_folds(data, folds, {"AGT": settings[1]}, (0,), **options)
    np.testing.assert_array_equal(result.out_of_fold["AGT"], fixed.out_of_fold["AGT"])


def test_a_search_tries_the_same_for_every_network(data_of, small, tmp_path, monkeypatch):
    monkeypatch.setenv("AGT_DATA", str(tmp_path))
    data = data_of(n=60)
    configs = {"AGT": small(epochs=2), "baseline": small("attention", epochs=2)}
    found = search(data, folds_of(data, 4), configs, workers=1, progress=False)
    for name, config in configs.items():
        assert len(found[name]) == 4
        assert {c.epochs for c in found[name]} <= {1, 2, 4}
        assert {c.model for c in found[name]} == {config.model}


def test_of_many_settings_the_best_third_go_on_and_a_fold_never_sees_its_own_clips(
    data_of, small, monkeypatch
):
    data = data_of(n=60)
    folds = folds_of(data, 4)
    inner, _ = inner_folds(data, folds)
    settings = [small(epochs=1 + i) for i in range(9)]
    rng = np.random.default_rng(0)
    said = rng.integers(0, 3, (9, 60))
    fitted = []

    def told(data, tasks, **_):
        fitted.append(len(tasks))
        return [Told(data, said[task.config.epochs - 1]) for task in tasks]

    monkeypatch.setattr(choice, "fit_kept", told)
    chosen = choose(data, folds, {"AGT": settings}, workers=1)["AGT"]
    assert fitted[0] == 9 * 2
    assert 3 * 4 <= fitted[1] <= 9 * 4
    first = [fold for fold in inner if set(fold.held_out) in ({0, 1}, {2, 3})]
    for outer in range(4):
        (early,) = (fold.held_out[outer] for fold in first if outer in fold.held_out)
        going_on = np.argsort([-waf(data.labels[early], own[early]) for own in said], kind="stable")
        mine = folds.to_numpy() != outer
        wafs = [waf(data.labels[mine], own[mine]) for own in said]
        best_of_them = max(sorted(going_on[:3]), key=lambda i: wafs[i])
        assert chosen[outer] == settings[best_of_them]


def test_draws_differ_and_know_the_network(small):
    config = small("attention")
    found = drawn(config, TOOLKIT_SPACE, 50)
    assert found[0] == config
    assert len({str(c.plain()) for c in found[1:]}) == 24  # all there are
    assert {c.network["hidden"] for c in found[1:]} == {64, 128, 256}
    assert len(drawn(config, SPACE, 5)) == 6
    with pytest.raises(ValueError, match=r"attention has no option \['colour'\]"):
        drawn(config, {"colour": ("red",)}, 1)


def test_what_each_fold_chose_is_a_table(small):
    config = small()
    other = replace(config, learning_rate=0.01).with_network(width=32)
    table = choices({"AGT": config}, {"AGT": [config, other]})
    assert table.loc["AGT"].tolist() == ["as it is", "learning_rate 0.01, width 32"]


def test_regressions_strength_is_the_best_of_the_inner_folds(data_of):
    data = data_of(n=60, signal=0.7)
    numbers, strengths = np.arange(60) % 4, (1e-3, 0.1, 10.0)
    folds = pd.Series(numbers, index=list(data.names))
    x = np.concatenate([*data.features.values()], axis=1)
    picked = []
    for outer in range(4):
        scores = []
        for strength in strengths:
            predicted = np.full(60, -1)
            for inner in set(range(4)) - {outer}:
                train = ~np.isin(numbers, [outer, inner])
                model = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
                model.fit(x[train], data.labels[train])
                predicted[numbers == inner] = model.predict(x[numbers == inner])
            mine = numbers != outer
            scores.append(f1_score(data.labels[mine], predicted[mine], average="weighted"))
        picked.append(strengths[int(np.argmax(scores))])
    assert len(set(picked)) > 1, "all folds choose alike: this test sees little"
    models = {"LR": data.modalities}
    searched = logistic_regression(data, folds, models, strengths=strengths).out_of_fold["LR"][0]
    for outer, strength in enumerate(picked):
        fixed = logistic_regression(data, folds, models, strengths=(strength,)).out_of_fold["LR"]
        mine = numbers == outer
        np.testing.assert_allclose(searched[mine], fixed[0][mine], atol=1e-6)


def test_a_class_too_rare_for_every_inner_fold_stops_no_choice(data_of):
    data = data_of(n=60)
    labels = np.where(np.arange(60) < 2, 2, data.labels % 2)
    data = replace(data, labels=labels)
    dev = pd.Series(np.where(np.arange(60) >= 40, 0, -1), index=list(data.names))
    result = logistic_regression(data, dev, {"LR": data.modalities})
    assert np.isfinite(result.out_of_fold["LR"]).all()


def test_a_dev_split_may_hold_a_class_that_train_lacks(data_of, small):
    data = data_of(n=60)
    dev = pd.Series(np.where((data.labels == 2) | (np.arange(60) < 10), 0, -1), [*data.names])
    result = logistic_regression(data, dev, {"LR": data.modalities})
    assert (result.out_of_fold["LR"][0][:, 2] == 0).all()
    fits = fit_folds(
        data, dev, {"AGT": small(epochs=1)}, (0,), keep=False, workers=1, progress=False
    )
    assert np.isfinite(fits.out_of_fold["AGT"]).all()


def test_a_modality_that_a_whole_fold_lacks_stops_no_choice(data_of, small):
    data = data_of(n=60)
    present = data.present.copy()
    present[np.arange(60) % 4 == 1, 1] = False
    data = replace(data, present=present)
    result = logistic_regression(data, folds_of(data, 4), {"LR": data.modalities})
    assert np.isfinite(result.out_of_fold["LR"]).all()


def test_permuted_labels_score_at_chance_through_choice_path_and_speakers(data_of, small):
    rng = np.random.default_rng(3)
    data = data_of(n=180, signal=4.0)
    groups = np.array([f"s{i // 9}" for i in range(180)], object)
    data = replace(data, labels=rng.permutation(data.labels), groups=groups)
    (data,) = with_speakers(data)
    folds = pd.Series(np.arange(180) // 9 % 4, index=list(data.names))
    scores = []
    for scale in ("fold", "speaker"):
        result = logistic_regression(data, folds, {"LR": data.modalities}, scale=scale)
        config = small(epochs=10, scale=scale)
        config = replace(config, network={"width": 16, "linear_path": True})
        fits = fit_folds(data, folds, {"AGT": config}, (0,), keep=False, workers=1, progress=False)
        for found, name in ((result, "LR"), (fits, "AGT")):
            scores.append(waf(data.labels, found.out_of_fold[name][0].argmax(1)))
    # Chance is 1/3; three standard errors of 180 clips are .105.
    assert max(scores) < 1 / 3 + 0.105
