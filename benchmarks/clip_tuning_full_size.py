"""One step of tuning a full-size CLIP: `python benchmarks/clip_tuning_full_size.py`.

ViT-L/14 by default, with random weights, both towers, on clips of noise: seconds of a step and the
peak memory of the process, weights, gradients, AdamW's moments and activations together.
"""

import argparse
import os
import time

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg

from agt_lib.clip_tuning import TuneConfig
from agt_lib.clip_tuning.network import TunedClip, drawn, groups, normalised, tune_these
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.workspace.kept import peak_memory_mb
from agt_lib.workspace.machine import pick_device, pick_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-L-14")
    parser.add_argument("--clips", type=int, default=1)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2, help="the first one warms up")
    parser.add_argument("--no-checkpointing", action="store_true")
    parser.add_argument("--precision", default="bfloat16")
    arguments = parser.parse_args()
    config = TuneConfig(
        n_frames=arguments.frames, gradient_checkpointing=not arguments.no_checkpointing
    )
    device = pick_device()
    torch.manual_seed(0)
    clip = open_clip.create_model(arguments.architecture)
    tune_these(clip, config)
    tokens = open_clip.get_tokenizer(arguments.architecture)(config.prompts(EMOTIONS))
    dtype = pick_precision(arguments.precision, device)
    network = TunedClip(clip, tokens, config, dtype).to(device)
    optimiser = torch.optim.AdamW(groups(network, config), lr=config.learning_rate, fused=True)
    total = sum(p.numel() for p in network.parameters() if p.requires_grad)

    rng = np.random.default_rng(0)
    size = clip.visual.image_size[0]
    taken = PreprocessCfg(size=size)
    kept = rng.integers(0, 256, (arguments.clips, arguments.frames, size, size, 3), dtype=np.uint8)
    draws = drawn(arguments.clips, config, rng)
    frames = normalised(torch.from_numpy(kept).to(device), draws, config, taken)
    labels = torch.arange(arguments.clips, device=device) % len(EMOTIONS)
    seconds = []
    for _ in range(arguments.steps):
        began, used = time.monotonic(), time.process_time()
        loss = network(frames, labels, labels) / len(labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        value = loss.item()
        seconds.append((time.monotonic() - began, time.process_time() - used))
    wall, cpu = seconds[-1]
    where = f"{device.type}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    print(
        f"{arguments.architecture}, random weights, {total / 1e6:.0f} M parameters tuned; {where}"
    )
    print(f"{arguments.clips} clips of {arguments.frames} frames, {arguments.precision}, "
          f"checkpointing {config.gradient_checkpointing}: loss {value:.3f}")  # fmt: skip
    print(f"step {wall:.1f} s ({cpu:.1f} s of processor time); peak memory {peak_memory_mb()} MiB")
    if device.type == "cuda":
        print(f"peak memory of the GPU {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
