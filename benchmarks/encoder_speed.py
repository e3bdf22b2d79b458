"""Clips a second of the paper's encoders at full size, in bfloat16 and in float32.

    python benchmarks/encoder_speed.py [--corpus smoke]

HuBERT-large and CLIP ViT-L/14 with random weights (no hub is needed; the time does not depend on
the weights) over 16 rendered clips of 2 to 4 s. The precisions take turns, four clips at a time,
after one clip to warm up; medians of the four turns. Loading clips is not in the time.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_model
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from agt_lib import corpora
from agt_lib.features.encoder import build
from agt_lib.workspace.kept import peak_memory_mb

CLIPS = 16
TURN = 4
PRECISIONS = ("bfloat16", "float32")


def hubert_large(folder: Path) -> str:
    """The architecture of chinese-hubert-large, written to `folder`."""
    config = HubertConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
        conv_bias=True,
    )
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return f"hubert:{folder}"


def clip_large(folder: Path) -> str:
    """CLIP ViT-L/14, written to `folder`."""
    folder.mkdir()
    config = {"model_cfg": open_clip.get_model_config("ViT-L-14"), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    model = open_clip.create_model("ViT-L-14", pretrained=None)
    save_model(model, folder / "open_clip_model.safetensors")
    return f"clip:local-dir:{folder}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", default="mini", help="mini (default) or smoke")
    clips = corpora.load(parser.parse_args().corpus).clips.iloc[:CLIPS]
    torch.manual_seed(0)
    print(f"{CLIPS} clips, {torch.get_num_threads()} threads; clips/s, median of {CLIPS // TURN}")
    print(f"{'encoder':<14}{'bfloat16':>10}{'float32':>10}{'difference':>12}{'ratio':>8}")
    for name, write in (("HuBERT-large", hubert_large), ("CLIP ViT-L/14", clip_large)):
        with tempfile.TemporaryDirectory() as folder:
            spec = write(Path(folder) / "model")
            contestants = {p: build(spec, precision=p) for p in PRECISIONS}
            items = [contestants["float32"].load(clip) for _, clip in clips.iterrows()]
            seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
            features: dict[str, list[np.ndarray]] = {precision: [] for precision in PRECISIONS}
            for encoder in contestants.values():
                encoder.encode(items[:1])
            for start in range(0, CLIPS, TURN):
                for precision, encoder in contestants.items():
                    began = time.perf_counter()
                    features[precision].append(encoder.encode(items[start : start + TURN]))
                    seconds[precision].append(time.perf_counter() - began)
        low, full = (TURN / np.median(seconds[precision]) for precision in PRECISIONS)
        a, b = (np.concatenate(features[precision]) for precision in PRECISIONS)
        difference = np.median(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1))
        print(f"{name:<14}{low:>10.2f}{full:>10.2f}{difference:>12.4f}{low / full:>8.2f}")
    print(f"peak memory {peak_memory_mb() / 1024:.1f} GiB")


if __name__ == "__main__":
    main()
