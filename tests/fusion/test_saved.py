"""A saved model predicts as before, and refuses features that were made in another way."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.fusion.model import FingerprintError, FittedModel
from agt_lib.fusion.train import FitTask, fit_each
from agt_lib.workspace.kept import write_manifest


def save(model, folder):
    folder.mkdir(exist_ok=True)
    write_manifest(folder, model.write(folder), 0.0)


def load(folder):
    return FittedModel.load(folder)


@pytest.fixture(scope="module")
def data(data_of):
    return data_of()


@pytest.fixture(scope="module")
def model(small, data):
    return next(fit_each(data, [FitTask(small(), np.arange(60))], workers=1, progress=False))


def test_a_loaded_model_is_the_one_saved(data, model, tmp_path):
    save(model, tmp_path / "m")
    loaded = load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(data), model.predict(data))
    assert loaded.config == model.config
    assert loaded.history.equals(model.history)
    assert (loaded.label_set, loaded.epoch, loaded.seed) == (model.label_set, model.epoch, 0)


def test_losses_that_were_not_finite_are_kept(model, tmp_path):
    history = model.history.copy()
    history.iloc[-1, :2] = np.nan, np.inf
    save(replace(model, history=history), tmp_path / "m")
    pd.testing.assert_frame_equal(load(tmp_path / "m").history, history, check_exact=True)


def test_no_file_of_a_saved_model_is_a_pickle(model, tmp_path):
    save(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "manifest.json"}
    json.loads((tmp_path / "manifest.json").read_text())


def test_a_model_refuses_to_predict_from_features_of_another_fingerprint(data_of, data, model):
    data = data_of()
    data.fingerprints["video"] = "other"
    with pytest.raises(FingerprintError, match="video: the model was fitted on video.*other") as e:
        model.predict(data)
    assert "audio:" not in str(e.value)


def test_a_missing_or_damaged_model_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished model"):
        load(tmp_path / "nothing")
    save(model, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match="model.safetensors is not the file"):
        load(tmp_path)
