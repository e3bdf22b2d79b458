"""Time of fitting fusion models one by one, as the library does, against one stacked network.

    python benchmarks/fusion_speed.py [--clips 420] [--epochs 3] [--models 15] [--rounds 3]

A stack holds all models' weights in tensors with a leading dimension (torch.func) and takes one
step for all of them. The library would take it up from a ratio of 2 on. Both contestants fit the
same configurations on the same random features of the mini corpus' widths, on one thread, in
turns; the first round warms up. Prints one table, ratios last.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig, build
from agt_lib.fusion.data import FusionData, assemble
from agt_lib.fusion.train import FitTask, fit_each

DIMS = {"audio": 88, "video": 64, "text": 576}


def random_data(n: int) -> FusionData:
    """Random features and evenly shared labels."""
    rng = np.random.default_rng(0)
    names, everyone = tuple(f"clip{i}" for i in range(n)), np.ones(n, bool)
    features = {
        m: Features(m, names, rng.standard_normal((n, d), dtype=np.float32), everyone, "random")
        for m, d in DIMS.items()
    }
    return assemble(names, features, label_set=EMOTIONS, labels=np.arange(n) % len(EMOTIONS))


def fit_stacked(data: FusionData, config: FusionConfig, n_models: int) -> None:
    """Fit K models at once; each draws its own clips, and an inner fifth is scored per epoch."""
    networks = [
        build(config.model, data.dims, len(EMOTIONS), **config.network) for _ in range(n_models)
    ]
    base, (stack, _) = networks[0], stack_module_state(networks)
    params = {name: p.detach().requires_grad_() for name, p in stack.items()}
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    optimizer = kind(params.values(), lr=config.learning_rate, fused=True)
    inputs = {m: torch.from_numpy(x) for m, x in data.features.items()}
    present, labels = torch.from_numpy(data.present), torch.from_numpy(data.labels)
    n = len(labels) * 4 // 5
    steps = -(-n // config.batch_size)

    def one(weights: dict, clips: dict, here: torch.Tensor) -> torch.Tensor:
        return functional_call(base, weights, (clips, here))

    def logits_of(rows: torch.Tensor) -> torch.Tensor:  # (K, b) -> (K, b, C)
        clips = {m: x[rows] for m, x in inputs.items()}
        return vmap(one, randomness="different")(params, clips, present[rows])

    for _ in range(config.epochs):
        base.train()
        order = torch.stack([torch.randperm(n) for _ in networks])  # (K, n)
        for rows in order.tensor_split(steps, 1):
            losses = cross_entropy(logits_of(rows).flatten(0, 1), labels[rows].flatten())
            optimizer.zero_grad()
            (losses * n_models).backward()
            optimizer.step()
        base.eval()
        with torch.no_grad():
            logits_of(torch.arange(n, len(labels)).expand(n_models, -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=420, help="clips of a training fold")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--models", type=int, default=15, help="folds times seeds")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, rows = random_data(options.clips), np.arange(options.clips)
    print(
        f"{options.models} models of {options.clips} clips, {options.epochs} epochs, "
        f"medians of {options.rounds} rounds"
    )
    fixed = {"epochs": options.epochs, "mixup": 0.0}
    print(f"{'network':<12}{'one by one (s)':>16}{'stacked (s)':>14}{'ratio':>8}")
    for model in ("agt", "attention"):
        config = FusionConfig.default(model, tuple(DIMS), **fixed)
        tasks = [FitTask(config, rows, seed) for seed in range(options.models)]
        alone, stacked = [], []
        for round_ in range(options.rounds + 1):
            start = time.perf_counter()
            list(fit_each(data, tasks, workers=1, progress=False))
            middle = time.perf_counter()
            fit_stacked(data, config, options.models)
            if round_:
                alone.append(middle - start)
                stacked.append(time.perf_counter() - middle)
        a, s = statistics.median(alone), statistics.median(stacked)
        print(f"{model:<12}{a:>16.2f}{s:>14.2f}{a / s:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
