"""Tiny inputs: clips, a CLIP to tune, features whose label shows, small networks."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).parents[1]))
from conftest import ramp, tone, write_clip

from agt_lib.corpora.corpus import Corpus, build
from agt_lib.features.features import Features
from agt_lib.fusion import FusionConfig
from agt_lib.fusion.data import FusionData, assemble

LABELS = ("calm", "cross", "glad")
TINY = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {
        "context_length": 10, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1,
    },
}  # fmt: skip


def clips(inputs: Path) -> None:
    """24 clips of half a second."""
    rng = np.random.default_rng(0)
    for i in range(24):
        frames = ramp(6, 32, 32) // 2 + rng.integers(0, 60, (6, 32, 32, 3)).astype(np.uint8)
        frames[..., i % 3] //= 2
        write_clip(inputs / f"clip{i:02d}.mp4", frames=frames, waveform=tone(200 + 20 * i, 0.5))


def corpus_of(inputs: Path) -> Corpus:
    """Those clips, all labelled."""
    videos = sorted(inputs.glob("*.mp4"))
    table = pd.DataFrame({"name": [path.stem for path in videos], "split": "train"})
    table["emotion"] = [LABELS[i % 3] for i in range(len(videos))]
    table["video"] = list(map(str, videos))
    return build("clips", table, source="torture", labels=LABELS)


def clips_and_clip(inputs: Path) -> None:
    """The clips, and a CLIP to tune on them."""
    clips(inputs)
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**TINY).state_dict(), inputs / "open_clip_model.safetensors")
    content = {"model_cfg": TINY, "preprocess_cfg": {"interpolation": "bilinear"}}
    (inputs / "open_clip_config.json").write_text(json.dumps(content))


def clips_with_signal(prefix: str, n: int, seed: int, labelled: bool = True) -> FusionData:
    """Clips whose label shows in the first three features."""
    rng, labels, features = np.random.default_rng(seed), np.arange(n) % 3, {}
    names = tuple(f"{prefix}{i}" for i in range(n))
    for modality, dim in {"audio": 8, "video": 6}.items():
        values = rng.standard_normal((n, dim)).astype(np.float32)
        values[np.arange(n), labels] += 3
        features[modality] = Features(modality, names, values, np.ones(n, bool), modality)
    return assemble(names, features, label_set=LABELS, labels=labels if labelled else None)


def small(model: str, modalities: tuple[str, ...] = ("audio", "video")) -> FusionConfig:
    """A network of 16 units."""
    network = {"hidden": 16} if model == "attention" else {"width": 16}
    return replace(
        FusionConfig.default(model, modalities), network=network, epochs=4, batch_size=16
    )


def folds_of(data: FusionData) -> pd.Series:
    """Three folds."""
    return pd.Series(np.arange(len(data.names)) // 3 % 3, index=list(data.names))
