"""Two CPU processes that speak gloo, against one."""

import os
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.clip_tuning import ALL, jobs, tuned_models
from agt_lib.clip_tuning import __main__ as command
from agt_lib.clip_tuning.tune import HISTORY
from agt_lib.corpora import manifest
from agt_lib.corpora.folds import folds_of, make_folds, tuning_folds
from agt_lib.workspace import kept, paths

EMOTION = {"calm": "neutral", "cross": "angry", "glad": "happy"}


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def launch(arguments, data, n_processes=2):
    """What `accelerate launch --cpu --num_processes 2` starts."""
    shared = {
        "AGT_DATA": str(data), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(n_processes), "LOCAL_WORLD_SIZE": str(n_processes),
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "agt_lib.clip_tuning", *arguments],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=paths.ROOT,
        )
        for rank in range(n_processes)
    ]  # fmt: skip
    results = [process.communicate(timeout=300) for process in started]
    for process, (_, said) in zip(started, results, strict=True):
        assert process.returncode == 0, said[-3000:]
    return results[0][0].split()


def test_two_processes_have_the_losses_of_one_on_the_same_batches(
    table, model, config, tmp_path, data_folder
):
    table = table.assign(emotion=table["emotion"].map(EMOTION))
    table.to_csv(tmp_path / "clips.csv", index=False)
    arguments = {
        "--corpus": "manifest", "--root": tmp_path / "clips.csv", "--model": model,
        "--which": "all", "--n-folds": 2, "--device": "cpu", "--epochs": config.epochs,
        "--learning-rate": config.learning_rate, "--batch-size": 6, "--accumulate": 2,
        "--n-frames": 2, "--frames-per-segment": 2, "--loss": "in_batch",
        "--precision": "float32",
    }  # fmt: skip
    said = launch([str(word) for pair in arguments.items() for word in pair], tmp_path / "two")
    [folder] = (tmp_path / "two" / "derived").glob("tuned_clip-*")
    assert said[-1].endswith(folder.name)
    assert kept.read_manifest(folder)["processes"] == 2

    corpus = manifest.load(tmp_path / "clips.csv")
    one = replace(config, loss="in_batch")
    with pytest.warns(UserWarning, match="no clip of sad, worried, surprise"):
        planned = jobs(
            corpus, make_folds(corpus, 2), model, one, which=[ALL], device="cpu", progress=False
        )
    [alone] = tuned_models(planned, progress=False)
    losses = [pd.read_csv(place / HISTORY)["loss"] for place in (folder, alone)]
    np.testing.assert_allclose(*losses, atol=1e-4, rtol=0)
    assert losses[1].is_monotonic_decreasing  # steps that did nothing would agree too


def test_with_a_dev_split_the_command_line_tunes_the_models_that_fusion_reads(
    table, model, tmp_path, monkeypatch
):
    table = table.assign(emotion=table["emotion"].map(EMOTION))
    table.loc[15:, "split"] = "dev"
    table.to_csv(tmp_path / "clips.csv", index=False)
    words = ["--corpus", "manifest", "--root", str(tmp_path / "clips.csv"), "--model", model]
    monkeypatch.setattr("sys.argv", ["agt_lib.clip_tuning", *words, "--device", "cpu"])
    planned = []
    monkeypatch.setattr(command, "jobs", lambda *given, **_: planned.append(given))
    monkeypatch.setattr(command, "tuned_models", lambda *_, **__: [])
    command.main()
    corpus, folds, *_ = planned[0]
    pd.testing.assert_series_equal(folds, tuning_folds(corpus, folds_of(corpus)))
    # Notebook 02 leaves the dev split out.
    pd.testing.assert_series_equal(folds, folds_of(corpus.only("train", "test")))
    assert sorted(folds.unique()) == [0, 1, 2, 3, 4]
