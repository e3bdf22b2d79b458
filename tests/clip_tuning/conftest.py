"""Tiny clips whose colour shows their label, and a tiny CLIP with random weights."""

import json

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from agt_lib.clip_tuning import TuneConfig
from agt_lib.clip_tuning.models import jobs
from agt_lib.corpora.corpus import build
from agt_lib.features.clip import Source

LABELS = ("calm", "cross", "glad")
COLOURS = np.array([[40, 60, 200], [210, 50, 40], [60, 190, 60]])
TINY = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {
        "context_length": 10, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1,
    },
}  # fmt: skip
RESNET = TINY | {
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
}
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}


def write_checkpoint(folder, config=TINY):
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    content = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return f"local-dir:{folder}"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A transformer; as `ClipEncoder` takes it."""
    return write_checkpoint(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="session")
def resnet(tmp_path_factory):
    """A ResNet with batch norms; as `ClipEncoder` takes it."""
    return write_checkpoint(tmp_path_factory.mktemp("clip") / "resnet", RESNET)


@pytest.fixture(scope="session")
def table(tmp_path_factory, write_clip):
    """30 clips, of which the last 6 are test clips; 8 frames of 24 pixels, noisy colours."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(30):
        noise = rng.integers(-30, 30, size=(8, 24, 24, 3))
        frames = np.clip(COLOURS[i % 3] + noise, 0, 255).astype(np.uint8)
        path = write_clip(folder / f"clip{i}.mp4", frames=frames)
        split = "train" if i < 24 else "test"
        rows.append((f"clip{i}", split, LABELS[i % 3], str(path)))
    return pd.DataFrame(rows, columns=["name", "split", "emotion", "video"])


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """Models are tuned in this process: others would load torch for a second of work."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.fixture
def corpus(table):
    return build("colours", table, source="test", labels=LABELS)


@pytest.fixture
def folds(corpus):
    return pd.Series(np.arange(24) // 3 % 3, index=corpus.labelled.index, name="fold")


@pytest.fixture(scope="session")
def config():
    return TuneConfig(
        epochs=3, learning_rate=3e-3, batch_size=6, n_frames=2, frames_per_segment=2,
        precision="float32",
    )  # fmt: skip


@pytest.fixture
def one_job(corpus, folds, model):
    """A function that plans the model of fold 0."""

    def plan(config, **options):
        [job] = jobs(
            corpus, folds, model, config, which=[0], device="cpu", progress=False, **options
        )
        return job

    return plan


@pytest.fixture(scope="session")
def alone():
    return Accelerator(cpu=True)


@pytest.fixture(scope="session")
def source(model):
    return Source.find(model)
