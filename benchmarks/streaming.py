"""Time and memory of layer streaming against the whole model in memory.

    python benchmarks/streaming.py [--layers 40] [--width 1024] [--texts 2000]

A Baichuan of random weights, written as sharded safetensors, over random texts of 8 to 32 tokens.
Each path has a process of its own, which encodes all texts in one call and whose time includes
reading the weights. Memory is the peak of what is resident, beyond what the process held before it
read a weight. About seven minutes of a core for each path at the default size, 3 GB of disk.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import sentencepiece
import torch

from agt_lib.features.baichuan import BaichuanConfig, BaichuanModel
from agt_lib.features.language_model import CausalLMEncoder
from agt_lib.workspace.kept import peak_memory_mb

VOCABULARY = 8000
PATHS = ("in memory", "streamed")


def write_model(folder: Path, layers: int, width: int) -> None:
    """A Baichuan with heads of 64 and random weights, in shards of 200 MB."""
    torch.manual_seed(0)
    config = BaichuanConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
    )
    BaichuanModel(config).save_pretrained(folder, max_shard_size="200MB")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a sentence like any other"]),
        model_writer=(pieces := io.BytesIO()),
        vocab_size=300,
        model_type="bpe",
        byte_fallback=True,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(pieces.getvalue())


def encode(path: str, folder: Path, n_texts: int) -> None:
    """Encode the texts along one of `PATHS`; leaves features, seconds and MiB in `folder`."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, VOCABULARY, rng.integers(8, 33)) for _ in range(n_texts)]
    encoder = CausalLMEncoder(folder / "model", precision="float32", stream=path == "streamed")
    before, started, worked = peak_memory_mb(), time.perf_counter(), time.process_time()
    np.save(folder / f"{path}.npy", encoder.encode(texts))
    measured = {
        "seconds": time.perf_counter() - started,
        "CPU seconds": time.process_time() - worked,
        "MiB": peak_memory_mb() - before,
    }
    (folder / f"{path}.json").write_text(json.dumps(measured))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--step", choices=("write", *PATHS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "write":
        write_model(options.folder / "model", options.layers, options.width)
    elif options.step:
        encode(options.step, options.folder, options.texts)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Both paths, each in its own process, as a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for step in ("write", *PATHS):
            command = [sys.executable, __file__, *sys.argv[1:], "--step", step, "--folder", name]
            subprocess.run(command, check=True, env=os.environ | {"AGT_DATA": f"{name}/data"})
        weights = sum(f.stat().st_size for f in (folder / "model").glob("*.safetensors")) / 2**20
        measured = {path: json.loads((folder / f"{path}.json").read_text()) for path in PATHS}
        whole, streamed = (np.load(folder / f"{path}.npy") for path in PATHS)
    print(
        f"{options.layers} layers of {options.width}, {options.texts} texts, float32, "
        f"{torch.get_num_threads()} threads; weights {weights:.0f} MiB"
    )
    columns = list(measured["streamed"])
    print("| path |", " | ".join(columns), "|\n|" + " --- |" * (len(columns) + 1))
    for path, row in measured.items():
        print(f"| {path} |", " | ".join(f"{row[column]:.0f}" for column in columns), "|")
    difference = np.linalg.norm(streamed - whole, axis=1) / np.linalg.norm(whole, axis=1)
    print(f"largest difference of a feature, relative: {difference.max():.1e}")
    ratios = (f"{c} {measured['streamed'][c] / measured['in memory'][c]:.2f}" for c in columns)
    print("streamed / in memory:", ", ".join(ratios))


if __name__ == "__main__":
    main()
