from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group

from agt_lib.clip_tuning import TunedSpaces, tuned_spaces, zero_shot_predictions
from agt_lib.clip_tuning.features import TogetherEncoder, linear_cka
from agt_lib.features.clip import ClipEncoder
from agt_lib.features.features import Features


def encoded(corpus, folder, names):
    encoder = ClipEncoder(f"local-dir:{folder}")
    return encoder.encode([encoder.load(corpus.clips.loc[name]) for name in names])


def test_each_clips_feature_is_its_own_folds_and_test_clips_have_the_mean(
    corpus, folds, model, config
):
    config = replace(config, epochs=1)
    spaces = tuned_spaces(corpus, folds, model, config, with_all=True)
    found = spaces.cross_fitted(align=False)
    assert found.modality == "video" and found.present.all()
    assert found.names == tuple(corpus.clips.index)
    *by_model, on_all = (encoded(corpus, folder, corpus.clips.index) for folder in spaces.models)
    for number, name in enumerate(corpus.clips.index):
        own = np.stack(by_model)[:, number]
        expected = own[folds[name]] if name in folds.index else own.mean(0)
        np.testing.assert_allclose(found.values[number], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spaces.on_all.values, on_all, rtol=1e-4, atol=1e-5)


def made_up(n=40, dim=5, n_folds=2, absent=()):
    """Raw features and fold spaces that are turned and moved copies, with a little noise."""
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((n, dim))
    names = tuple(f"clip{i}" for i in range(n))
    present = ~np.isin(np.arange(n), absent)

    def part(values, name):
        values = values.astype(np.float32) * present[:, None]
        return Features("video", names, values, present, name)

    turned = []
    for fold in range(n_folds):
        turn, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
        noise = 0.01 * rng.standard_normal((n, dim))
        turned.append(part(raw @ turn + 3 + noise, f"fold{fold}"))
    folds = pd.Series(np.arange(30) % n_folds, index=list(names[:30]))
    return TunedSpaces(part(raw, "raw"), tuple(turned), folds, ())


def test_clips_held_out_are_those_whose_video_could_be_read():
    spaces = made_up(absent=(2, 3))
    spaces.folds["clip5"] = -1
    expected = [f"clip{i}" for i in range(30) if i not in (2, 3, 5)]
    assert spaces.held_out.tolist() == expected


def test_alignment_brings_the_folds_spaces_together_without_bending_them():
    spaces = made_up()
    for before in spaces.by_fold:
        after = spaces.turned(before, spaces.folds.index)
        assert np.abs(before.values - spaces.raw.values).mean() > 1
        assert np.abs(after - spaces.raw.values).mean() < 0.05
        np.testing.assert_allclose(pdist(after), pdist(before.values), rtol=1e-3)
    assert spaces.agreement().to_numpy().min() > 0.99


def test_a_space_is_turned_by_clips_that_its_model_was_tuned_on():
    spaces = made_up()
    held_out = spaces.folds.index[spaces.folds == 0]
    moved = spaces.by_fold[0].values.copy()
    moved[np.isin(spaces.raw.names, held_out)] *= -7
    other = replace(spaces, by_fold=(replace(spaces.by_fold[0], values=moved), *spaces.by_fold[1:]))
    rest = ~np.isin(spaces.raw.names, held_out)
    before, after = (s.cross_fitted().values for s in (spaces, other))
    np.testing.assert_array_equal(after[rest], before[rest])


def test_absent_clips_stay_absent_and_zero():
    found = made_up(absent=(3, 35)).cross_fitted()
    assert np.flatnonzero(~found.present).tolist() == [3, 35]
    assert not found.values[[3, 35]].any()


def test_a_clip_that_one_space_alone_lacks_is_absent_with_the_reason():
    spaces = made_up()
    for place in ("raw", "fold"):
        part = spaces.raw if place == "raw" else spaces.by_fold[1]
        failures = pd.DataFrame([("clip4", "access", "gone")], columns=["name", "stage", "reason"])
        values, present = part.values.copy(), part.present.copy()
        values[4], present[4] = 0, False
        part = replace(part, values=values, present=present, failures=failures)
        changed = {"raw": part} if place == "raw" else {"by_fold": (spaces.by_fold[0], part)}
        found = replace(spaces, **changed).cross_fitted()
        assert np.flatnonzero(~found.present).tolist() == [4]
        assert not found.values[4].any()
        assert found.failures["name"].tolist() == ["clip4"]


def test_labelled_clips_that_no_fold_holds_out_have_the_mean_as_test_clips_do_and_it_is_said():
    spaces = made_up(n_folds=1)
    folds = pd.Series([-1] * 20 + [0] * 10, index=spaces.folds.index)
    dev = replace(spaces, folds=folds, models=("first", "second"))
    with pytest.warns(UserWarning, match="20 labelled clips .* of models that saw their labels"):
        found = dev.cross_fitted(align=False)
    np.testing.assert_array_equal(found.values, spaces.by_fold[0].values)
    assert dev.model_of("clip25") == "local-dir:first"
    with pytest.raises(ValueError, match="every model was tuned on it"):
        dev.model_of("clip3")


def test_the_model_tuned_on_all_can_serve_the_rest():
    spaces = made_up()
    on_all = replace(spaces.by_fold[0], values=-spaces.by_fold[0].values, fingerprint="all")
    found = replace(spaces, on_all=on_all).cross_fitted(rest="all", align=False)
    np.testing.assert_array_equal(found.values[30:], on_all.values[30:])
    np.testing.assert_array_equal(found.values[0], spaces.by_fold[0].values[0])
    ways = replace(spaces, on_all=on_all).ways()
    assert len({part.fingerprint for part in ways.values()}) == 4
    np.testing.assert_array_equal(ways["rest=all, align=False"].values, found.values)
    with pytest.raises(ValueError, match="tuned on all"):
        spaces.cross_fitted(rest="all")
    with pytest.raises(ValueError, match="rest is one of"):
        spaces.cross_fitted(rest="median")


def test_whatever_changes_the_numbers_changes_the_fingerprint():
    spaces = made_up()
    other = replace(
        spaces, by_fold=(replace(spaces.by_fold[0], fingerprint="x"), spaces.by_fold[1])
    )
    refolded = replace(spaces, folds=1 - spaces.folds)
    prints = [s.cross_fitted().fingerprint for s in (spaces, other, refolded)]
    prints.append(spaces.cross_fitted(align=False).fingerprint)
    assert len(set(prints)) == 4
    assert spaces.cross_fitted().fingerprint == prints[0]


def test_clips_together_are_the_same_clips_alone(corpus, model, resnet):
    alone = [ClipEncoder(name, n_frames=2, device="cpu") for name in (model, model)]
    together = TogetherEncoder(alone)
    items = [together.load(corpus.clips.loc[name]) for name in ("clip0", "clip5")]
    expected = alone[0].encode(items)
    np.testing.assert_array_equal(together.encode(items), np.hstack([expected, expected]))
    assert together.dim == 24
    assert together.fingerprint != TogetherEncoder(alone[:1]).fingerprint


def test_labels_permuted_before_everything_score_at_chance_through_tuning(
    corpus, folds, model, config
):
    rng = np.random.default_rng(0)
    train = corpus.labelled.index
    corpus.clips.loc[train, "emotion"] = rng.permutation(corpus.clips.loc[train, "emotion"])
    config = replace(config, epochs=6)
    spaces = tuned_spaces(corpus.only("train"), folds, model, config)
    found, test = zero_shot_predictions(corpus, spaces, model, config)
    assert test is None
    right = found.chosen("tuned, zero-shot")[0] == found.numbers(corpus.clips["emotion"])
    assert right.mean() < 0.6  # 24 clips, three classes: 1/3, and 0.6 is 2.8 standard deviations up


RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((50, 6)), RNG.standard_normal((50, 9))


def test_cka_is_its_definition_by_kernels():
    centre = np.eye(50) - 1 / 50
    k, m = (centre @ x @ x.T @ centre for x in (A, B))
    hsic = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert linear_cka(A, B) == pytest.approx(hsic, rel=1e-12)


def test_cka_is_one_for_a_turned_moved_and_scaled_copy_and_small_for_another_space():
    turn = ortho_group.rvs(6, random_state=1)
    assert linear_cka(A, 3 * A @ turn + 5) == pytest.approx(1)
    assert linear_cka(A, B) < 0.3
