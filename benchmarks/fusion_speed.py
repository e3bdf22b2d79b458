"""Time of fitting fusion models as one stack against one after the other; prints one table.

    python benchmarks/fusion_speed.py [--clips 420] [--epochs 5] [--rounds 3]

Both contestants fit the same networks on the same random features, in this process, in turns.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from agt_lib.emotions import EMOTIONS
from agt_lib.features import Features
from agt_lib.fusion import build
from agt_lib.fusion_config import FusionConfig
from agt_lib.fusion_data import FusionData, assemble
from agt_lib.training import FitTask, fit

DIMS = {"audio": 88, "video": 64, "text": 576}


def random_data(n: int) -> FusionData:
    """Random features of the mini corpus' widths, and random labels."""
    rng = np.random.default_rng(0)
    names = tuple(f"clip{i}" for i in range(n))
    features = {
        m: Features(
            m, names, rng.standard_normal((n, d), dtype=np.float32), np.ones(n, bool), "random"
        )
        for m, d in DIMS.items()
    }
    labels = np.arange(n) % len(EMOTIONS)
    return assemble(names, features, label_set=EMOTIONS, labels=labels)


def fit_alone(data: FusionData, task: FitTask) -> None:
    """The plain loop: one network, torch's own optimiser, the same number of steps."""
    config = task.config
    torch.manual_seed(task.seed)
    network = build(config.model, data.dims, len(EMOTIONS), **config.network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, fused=True)
    inputs = {m: torch.from_numpy(x) for m, x in data.features.items()}
    present, labels = torch.from_numpy(data.present), torch.from_numpy(data.labels)
    rows = torch.from_numpy(task.train_index)
    train, inner = rows[: len(rows) * 4 // 5], rows[len(rows) * 4 // 5 :]
    for _ in range(config.epochs):
        network.train()
        for index in train[torch.randperm(len(train))].split(config.batch_size):
            logits = network({m: x[index] for m, x in inputs.items()}, present[index])
            loss = cross_entropy(logits, labels[index], label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            network({m: x[inner] for m, x in inputs.items()}, present[inner])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=420, help="clips of a training fold")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = random_data(options.clips)
    everything = np.arange(options.clips)
    print(
        f"{options.clips} clips, {options.epochs} epochs, 15 models, threads: "
        f"{torch.get_num_threads()}; medians of {options.rounds} rounds"
    )
    print(f"{'network':<12}{'one by one (s)':>16}{'stacked (s)':>14}{'ratio':>8}")
    for model in ("agt", "attention"):
        config = FusionConfig.default(model, tuple(DIMS), epochs=options.epochs, patience=None)
        tasks = [FitTask(config, everything, seed) for seed in range(15)]
        alone, stacked = [], []
        for round_ in range(options.rounds + 1):  # the first warms up
            start = time.perf_counter()
            for task in tasks:
                fit_alone(data, task)
            middle = time.perf_counter()
            fit(data, tasks, workers=1, progress=False)
            if round_:
                alone.append(middle - start)
                stacked.append(time.perf_counter() - middle)
        a, s = statistics.median(alone), statistics.median(stacked)
        print(f"{model:<12}{a:>16.2f}{s:>14.2f}{a / s:>8.2f}")


if __name__ == "__main__":
    main()
