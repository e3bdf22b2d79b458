"""Fitting: repeatable bit by bit, blind to the fold it is scored on, able to learn."""

from dataclasses import replace

import joblib
import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from agt_lib.corpora.folds import inner_split
from agt_lib.fusion import stack, train
from agt_lib.fusion.steps import hide, mix
from agt_lib.fusion.train import FitTask, fit_each


def fit_here(data, *tasks):
    return list(fit_each(data, tasks, workers=1, progress=False))


def same(a, b):
    return all(torch.equal(a.state[name], b.state[name]) for name in a.state)


@pytest.mark.parametrize("model", ["agt", "attention"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(data_of, small, model):
    data, rows = data_of(), np.arange(60)
    task = FitTask(small(model), rows, seed=3)
    (first,), (again,) = (fit_here(data, task) for _ in range(2))
    (other,) = fit_here(data, FitTask(small(model), rows, seed=4))
    np.testing.assert_array_equal(first.predict(data), again.predict(data))
    assert same(first, again)
    assert not same(first, other)


def test_a_fit_does_not_depend_on_the_tasks_beside_it_nor_on_the_workers(data_of, small):
    data, rows = data_of(), np.arange(60)
    task = FitTask(small(), rows, seed=3)
    (alone,) = fit_here(data, task)
    torch.manual_seed(99)
    tasks = [FitTask(small("attention"), np.arange(20, 80)), task]
    _, crowded = fit_each(data, tasks, workers=2, progress=False)
    assert same(alone, crowded)
    np.testing.assert_array_equal(alone.predict(data), crowded.predict(data))


def test_fitting_and_predicting_leave_the_callers_generator_as_it_was(data_of, small):
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    (fitted,) = fit_here(data_of(), FitTask(small(epochs=1), np.arange(60)))
    fitted.predict(data_of())
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_what_is_outside_the_training_fold_changes_nothing(data_of, small):
    data, rows = data_of(), np.arange(60)
    garbage = {m: x.copy() for m, x in data.features.items()}
    for x in garbage.values():
        x[60:] = 1e6
    labels = data.labels.copy()
    labels[60:] = 0
    other = replace(data, features=garbage, labels=labels)
    (a,), (b,) = (fit_here(d, FitTask(small(), rows)) for d in (data, other))
    assert same(a, b)
    np.testing.assert_array_equal(a.scalers["audio"].mean, b.scalers["audio"].mean)


@pytest.mark.parametrize("model", ["agt", "attention"])
def test_a_separable_task_is_learned(data_of, small, model):
    data = data_of(n=150, signal=8.0)
    (fitted,) = fit_here(data, FitTask(small(model, epochs=25, learning_rate=3e-3), np.arange(100)))
    predicted = fitted.predict(data)[100:].argmax(1)
    assert f1_score(data.labels[100:], predicted, average="weighted") > 0.95


def test_a_loss_that_is_not_finite_is_said_with_what_to_change(data_of, small):
    task = FitTask(small(learning_rate=1e38, scale="none"), np.arange(60))
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        fit_here(data_of(), task)


def test_the_whole_fold_is_trained_on_and_the_last_epoch_kept(data_of, small):
    data, rows = data_of(signal=1.0), np.arange(90)
    (fitted,) = fit_here(data, FitTask(small(epochs=12, learning_rate=1e-2), rows))
    assert fitted.epoch == 12
    assert fitted.history["inner_waf"].isna().all()
    mean = data.features["audio"][rows].mean(0)
    np.testing.assert_allclose(fitted.scalers["audio"].mean, mean, rtol=1e-5)


def test_the_epoch_is_the_one_of_the_best_inner_waf_where_it_is_chosen(data_of, small):
    data, rows = data_of(signal=1.0), np.arange(90)
    config = small(epochs=12, learning_rate=1e-2, choose_epoch=True)
    (fitted,) = fit_here(data, FitTask(config, rows))
    assert fitted.epoch == fitted.history["inner_waf"].idxmax()
    inner = inner_split(data.labels, None, 0)
    predicted = fitted.predict(data)[inner].argmax(1)
    waf = f1_score(data.labels[inner], predicted, average="weighted")
    assert waf == pytest.approx(fitted.history.loc[fitted.epoch, "inner_waf"], rel=1e-9)


def test_the_scaler_has_seen_neither_the_inner_clips_nor_the_held_out_ones(data_of, small):
    data, rows = data_of(), np.arange(60)
    (fitted,) = fit_here(data, FitTask(small(epochs=1, choose_epoch=True), rows))
    training = rows[~inner_split(data.labels[rows], None, 0)]
    mean = data.features["audio"][training].mean(0)
    np.testing.assert_allclose(fitted.scalers["audio"].mean, mean, rtol=1e-5)


def test_a_linear_path_has_a_decay_of_its_own(data_of, small):
    options = {"network": {"width": 16, "linear_path": True}, "learning_rate": 1e-2}
    free = replace(small(path_decay=0.0), **options)
    bound = replace(small(path_decay=50.0), **options)
    a, b = fit_here(data_of(), FitTask(free, np.arange(60)), FitTask(bound, np.arange(60)))
    sizes = [m.state["path.maps.audio.weight"].abs().mean().item() for m in (a, b)]
    assert sizes[0] > 1.5 * sizes[1]


def test_a_path_from_many_features_decays_the_more(data_of, small, monkeypatch):
    options = {"network": {"width": 16, "linear_path": True}, "learning_rate": 1e-2}
    task = FitTask(replace(small(path_decay=5.0), **options), np.arange(60))
    (few,) = fit_here(data_of(), task)
    monkeypatch.setattr(stack, "WIDE", sum(few.dims.values()) / 10)
    (many,) = fit_here(data_of(), task)
    bound = replace(task, config=replace(task.config, path_decay=50.0))
    monkeypatch.undo()
    (expected,) = fit_here(data_of(), bound)
    path = "path.maps.audio.weight"
    assert not torch.equal(few.state[path], many.state[path])
    assert torch.equal(many.state[path], expected.state[path])


def test_hidden_modalities_are_as_many_as_asked_for_and_never_all_of_a_clip():
    torch.manual_seed(0)
    present = torch.ones(20_000, 3, dtype=torch.bool)
    present[:5000, 0] = False
    hidden = hide(present, torch.rand(present.shape), 0.3)
    assert hidden.any(-1).all()
    assert not (hidden & ~present).any()
    # all three fall with .027, and then one is spared: (3 * .3 - .027) / 3 = .291
    share = 1 - hidden[5000:].float().mean().item()
    assert share == pytest.approx(0.291, abs=5 * (0.3 * 0.7 / 45_000) ** 0.5)


def test_clips_without_any_of_the_modalities_are_left_out(data_of, small):
    data = data_of()
    present = data.present.copy()
    present[:6] = False
    rows = np.arange(60)
    (with_absent,) = fit_here(replace(data, present=present), FitTask(small(), rows))
    (without,) = fit_here(data, FitTask(small(), rows[6:]))
    assert same(with_absent, without)


def test_a_training_clip_without_label_is_named(data_of, small):
    data = data_of()
    data.labels[7] = -1
    with pytest.raises(ValueError, match=r"task 0: 1 training clips.*'clip7'"):
        fit_here(data, FitTask(small(), np.arange(60)))


@pytest.mark.parametrize("modalities", [("audio",), ("video",), ("audio", "video")])
def test_a_fit_uses_the_modalities_of_its_configuration_alone(data_of, small, modalities):
    data = data_of()
    (fitted,) = fit_here(data, FitTask(small(modalities=modalities, epochs=1), np.arange(60)))
    assert tuple(fitted.dims) == modalities
    others = data.without(*({"audio", "video"} - set(modalities)))
    np.testing.assert_array_equal(fitted.predict(data), fitted.predict(others))


def test_probabilities_sum_to_one_and_the_gate_has_one_row_per_clip(data_of, small):
    data = data_of()
    agt, baseline = fit_here(
        data, *(FitTask(small(m, epochs=1), np.arange(60)) for m in ("agt", "attention"))
    )
    np.testing.assert_allclose(agt.predict(data).sum(1), 1, rtol=1e-5)
    assert agt.gate(data).kept.shape == (90, 2)
    with pytest.raises(TypeError, match="attention has no gate"):
        baseline.gate(data)


def test_mixup_blends_values_and_targets_by_one_share():
    values = torch.eye(6)[None]
    everyone = torch.ones(1, 6, 1, dtype=torch.bool)
    mixed, targets = mix({"audio": values}, everyone, values, torch.tensor([0.7]))
    torch.testing.assert_close(mixed["audio"], targets)
    torch.testing.assert_close(targets[0], 0.7 * torch.eye(6) + 0.3 * torch.eye(6).roll(1, 0))


def test_mixup_leaves_alone_what_the_partner_lacks():
    n = 8
    present = torch.ones(1, n, 2, dtype=torch.bool)
    present[..., 1] = torch.arange(n) == 0
    audio = torch.arange(float(n))[None, :, None]
    video = torch.full((1, n, 1), torch.nan)
    video[:, 0] = 5.0
    inputs = {"audio": audio, "video": video}
    mixed, targets = mix(inputs, present, torch.eye(n)[None], torch.tensor([0.6]))
    assert mixed["video"][0, 0].item() == 5.0
    torch.testing.assert_close(mixed["audio"][..., 0], targets @ torch.arange(float(n)))
    torch.testing.assert_close(mixed["video"][:, 2:], video[:, 2:], equal_nan=True)


def test_quick_fits_start_no_processes_and_long_ones_do(data_of, small, monkeypatch):
    asked = []

    class Serial(joblib.Parallel):
        def __init__(self, n_jobs, **options):
            asked.append(n_jobs)
            super().__init__(n_jobs=1, **options)

    monkeypatch.setattr(train.joblib, "Parallel", Serial)
    monkeypatch.setattr(train.os, "cpu_count", lambda: 4)
    tasks = [FitTask(small(epochs=1), np.arange(60), seed) for seed in range(2)]
    list(fit_each(data_of(), tasks, progress=False, device="cpu"))
    monkeypatch.setattr(train, "QUICK", 100)
    list(fit_each(data_of(), tasks, progress=False, device="cpu"))
    assert asked == [1, 2]
