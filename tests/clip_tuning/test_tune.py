import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from agt_lib.clip_tuning import TuneError, tuned_models
from agt_lib.clip_tuning import tune as tuning

WEIGHTS = "open_clip_model.safetensors"


def weights(folder):
    return load_file(folder / WEIGHTS)


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in b)


def tuned(job, folder, accelerator):
    folder.mkdir(exist_ok=True)
    record = tuning.tune(job, folder, accelerator=accelerator, progress=False)
    return record, weights(folder)


def test_it_learns_what_colour_means(one_job, config, tmp_path, alone):
    record, _ = tuned(one_job(replace(config, epochs=12)), tmp_path / "a", alone)
    history = pd.read_csv(tmp_path / "a" / tuning.HISTORY)
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["loss"].iloc[-1] < 0.5 * math.log(3) < history["loss"].iloc[0]
    assert record["stopped"] is None


def test_the_same_seed_gives_the_same_bits_and_another_does_not(one_job, config, tmp_path, alone):
    _, a = tuned(one_job(config), tmp_path / "a", alone)
    _, b = tuned(one_job(config), tmp_path / "b", alone)
    _, c = tuned(one_job(config, seed=1), tmp_path / "c", alone)
    assert same(a, b)
    assert not same(a, c)


def test_a_run_killed_between_epochs_ends_with_the_same_bits(
    one_job, config, tmp_path, alone, monkeypatch
):
    job = one_job(config)
    _, whole = tuned(job, tmp_path / "whole", alone)
    save = tuning.save_state

    def killed(folder, parameters, optimiser, history):
        save(folder, parameters, optimiser, history)
        if len(history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tuning, "save_state", killed)
        tuned(job, tmp_path / "killed", alone)
    epochs = []
    run_epoch = tuning._epoch

    def counted(*arguments):
        epochs.append(arguments[5])
        return run_epoch(*arguments)

    monkeypatch.setattr(tuning, "_epoch", counted)
    _, again = tuned(job, tmp_path / "killed", alone)
    assert epochs == [2]  # the third, counted from 0
    assert same(again, whole)
    histories = [(tmp_path / name / tuning.HISTORY).read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("loss", ["prompts", "in_batch"])
def test_accumulated_parts_make_the_same_steps(loss, one_job, config, tmp_path, alone):
    config = replace(config, loss=loss)
    tuned(one_job(config), tmp_path / "a", alone)
    tuned(one_job(replace(config, accumulate=3)), tmp_path / "b", alone)
    a, b = (pd.read_csv(tmp_path / name / tuning.HISTORY)["loss"] for name in "ab")
    np.testing.assert_allclose(b, a, rtol=1e-5)
    assert a.is_monotonic_decreasing  # steps that did nothing would agree too


def test_parts_that_would_be_empty_are_an_error(one_job, config, tmp_path, alone):
    with pytest.raises(ValueError, match="can't fill 7 parts"):
        tuned(one_job(replace(config, accumulate=7)), tmp_path / "a", alone)


def test_the_temperature_is_clamped(one_job, config, tmp_path, alone, monkeypatch):
    monkeypatch.setattr(tuning, "MAX_SCALE", 12.0)
    _, found = tuned(one_job(config), tmp_path / "a", alone)
    assert found["logit_scale"].exp().item() == pytest.approx(12.0)  # it begins at 14.3


def turning_nan(monkeypatch, epoch):
    """Makes a weight NaN in this epoch, counted from 0."""
    run_epoch = tuning._epoch

    def broken(job, network, *arguments):
        loss = run_epoch(job, network, *arguments)
        if arguments[3] == epoch:
            with torch.no_grad():
                network.clip.visual.proj[0, 0] = math.nan
        return loss

    monkeypatch.setattr(tuning, "_epoch", broken)


def test_weights_that_turn_nan_stop_it_and_the_last_good_epoch_is_kept(
    one_job, config, tmp_path, alone, monkeypatch
):
    kept = {}
    save = tuning.save_state

    def watched(folder, parameters, optimiser, history):
        save(folder, parameters, optimiser, history)
        kept.update({name: p.detach().clone() for name, p in parameters.items()})

    monkeypatch.setattr(tuning, "save_state", watched)
    turning_nan(monkeypatch, 2)
    record, found = tuned(one_job(config), tmp_path / "a", alone)
    assert record["epochs"] == 2
    assert record["stopped"] == "not finite in epoch 3; epoch 2 is kept"
    for name, weight in kept.items():
        assert torch.equal(found[name.removeprefix("clip.")], weight)


def test_a_first_epoch_that_is_not_finite_leaves_nothing_and_says_what_to_do(
    one_job, config, tmp_path, alone
):
    with pytest.raises(TuneError, match="Lower learning_rate"):
        tuned(one_job(replace(config, learning_rate=1e30)), tmp_path / "a", alone)
    assert not (tmp_path / "a" / WEIGHTS).exists()


def test_a_stopped_tuning_is_told_to_whom_asked_for_it(one_job, config, monkeypatch):
    turning_nan(monkeypatch, 2)
    with pytest.warns(UserWarning, match="for fold 0 stopped: not finite in epoch 3"):
        tuned_models([one_job(config)], workers=1, progress=False)


def test_frames_that_turn_out_damaged_say_to_start_again(one_job, config, tmp_path, alone):
    job = one_job(config)
    for shard in job.frames.folder.glob("shard-*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(TuneError, match="fold 0: the kept frames of 5 clips were damaged. Start"):
        tuned(job, tmp_path / "a", alone)
    tuned(one_job(config), tmp_path / "a", alone)
    assert (tmp_path / "a" / WEIGHTS).is_file()
