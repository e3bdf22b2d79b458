import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from agt_lib.clip_tuning import ALL, TuneConfig, TuneError, models, tuned_models
from agt_lib.clip_tuning import tune as tuning
from agt_lib.clip_tuning.models import run
from agt_lib.features.clip import ClipEncoder
from agt_lib.workspace import kept

WEIGHTS = "open_clip_model.safetensors"


def weights(folder):
    return load_file(folder / WEIGHTS)


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in b)


def tuned(job, folder, accelerator):
    folder.mkdir(exist_ok=True)
    record = tuning.tune(
        job.task, job.source, job.config, folder, accelerator=accelerator, progress=False
    )
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
    save = tuning.checkpoint.save_state

    def killed(folder, parameters, optimiser, history):
        save(folder, parameters, optimiser, history)
        if len(history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tuning.checkpoint, "save_state", killed)
        tuned(job, tmp_path / "killed", alone)
    epochs = []
    run_epoch = tuning._epoch

    def counted(*arguments):
        epochs.append(arguments[6])
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


def test_wise_ft_is_the_mean_with_the_raw_weights(one_job, config, source, tmp_path, alone):
    raw = load_file(source.weights)
    mixed = {
        share: tuned(one_job(replace(config, wise_ft=share)), tmp_path / str(share), alone)[1]
        for share in (0.0, 0.25, 1.0)
    }
    assert same(mixed[0.0], raw)
    for name in raw:
        expected = 0.75 * raw[name] + 0.25 * mixed[1.0][name]
        torch.testing.assert_close(mixed[0.25][name], expected, rtol=1e-5, atol=1e-7)


def test_the_temperature_is_clamped(one_job, config, tmp_path, alone):
    _, found = tuned(one_job(replace(config, clamp=12.0)), tmp_path / "a", alone)
    assert found["logit_scale"].exp().item() == pytest.approx(12.0)  # it begins at 14.3


def turning_nan(monkeypatch, epoch):
    """Makes a weight NaN in this epoch, counted from 0."""
    run_epoch = tuning._epoch

    def broken(task, source, config, network, *arguments):
        loss = run_epoch(task, source, config, network, *arguments)
        if arguments[2] == epoch:
            with torch.no_grad():
                network.clip.visual.proj[0, 0] = math.nan
        return loss

    monkeypatch.setattr(tuning, "_epoch", broken)


def test_weights_that_turn_nan_stop_it_and_the_last_good_epoch_is_kept(
    one_job, config, tmp_path, alone, monkeypatch
):
    kept = {}
    save = tuning.checkpoint.save_state

    def watched(folder, parameters, optimiser, history):
        save(folder, parameters, optimiser, history)
        kept.update({name: p.detach().clone() for name, p in parameters.items()})

    monkeypatch.setattr(tuning.checkpoint, "save_state", watched)
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
        tuned(one_job(replace(config, learning_rate=math.inf)), tmp_path / "a", alone)
    assert not (tmp_path / "a" / WEIGHTS).exists()


def test_a_stopped_tuning_is_told_to_whom_asked_for_it(corpus, folds, model, config, monkeypatch):
    turning_nan(monkeypatch, 2)
    with pytest.warns(UserWarning, match="for fold 1 stopped: not finite in epoch 3"):
        tuned_models(
            corpus, folds, model, config, which=[1], device="cpu", workers=1, progress=False
        )


def test_a_model_is_a_checkpoint_that_encoders_read_and_is_made_once(one_job, config, monkeypatch):
    folder = run(one_job(config), progress=False)
    encoder = ClipEncoder(f"local-dir:{folder}", n_frames=2, precision="float32")
    assert encoder.dim == 12
    assert kept.read_manifest(folder)["clips"] == 15
    assert not (folder / "state.safetensors").exists()
    monkeypatch.setattr(models, "tune", None)
    assert run(one_job(config), progress=False) == folder


def test_what_changes_a_model_names_another_artefact(one_job, corpus, config):
    names = {
        kept.digest(one_job(c, **options).made_from)
        for c, options in [
            (config, {}),
            (replace(config, loss="in_batch"), {}),
            (config, {"seed": 1}),
        ]
    }
    corpus.clips.loc["clip3", "emotion"] = "glad"  # in the training fold
    names.add(kept.digest(one_job(config).made_from))
    assert len(names) == 4


def test_what_fits_a_step_into_memory_names_no_other_artefact(one_job, config):
    saving = replace(config, accumulate=2, gradient_checkpointing=True)
    assert one_job(saving).made_from == one_job(config).made_from
    assert one_job(saving).config == saving


def test_a_folds_labels_have_no_part_in_its_model(one_job, corpus, config):
    before = run(one_job(config), progress=False)
    held_out = corpus.labelled.index[np.arange(24) // 3 % 3 == 0]
    corpus.clips.loc[held_out, "emotion"] = "calm"
    assert run(one_job(config), progress=False) == before


def test_a_corpus_without_labels_says_so(corpus, folds, model, config):
    corpus.clips["emotion"] = None
    with pytest.raises(ValueError, match="no labelled clips"):
        tuned_models(corpus, folds, model, config, which=[ALL], progress=False)


def test_a_corpus_without_videos_says_so(corpus, folds, model, config):
    corpus.clips["video"] = None
    with pytest.raises(ValueError, match="no labelled clip with a video"):
        tuned_models(corpus, folds, model, config, which=[ALL], progress=False)


def test_a_class_that_a_training_fold_lacks_is_told(corpus, folds, model, config):
    glad = corpus.labelled.index[corpus.labelled["emotion"] == "glad"]
    folds = folds.copy()
    folds[glad] = 0
    with pytest.warns(UserWarning, match="training fold of fold 0 have no clip of glad"):
        models.jobs(corpus, folds, model, config, which=[0], device="cpu", progress=False)


def test_one_class_alone_is_an_error(corpus, folds, model, config):
    corpus.clips.loc[folds.index, "emotion"] = "calm"
    with pytest.raises(ValueError, match="one class alone"):
        models.jobs(corpus, folds, model, config, which=[0], device="cpu", progress=False)


def test_the_defaults_are_the_papers(config):
    default = TuneConfig()
    assert default.betas == (0.9, 0.98)
    assert (default.weight_decay, default.clamp, default.n_frames) == (1e-3, 100.0, 16)
