"""Time of fitting fusion models as a stack, as the library does, against a plain loop; two tables.

    python benchmarks/fusion_speed.py [--epochs 20] [--seeds 1]

Five folds of the baseline and of AGT, at MER2024's size (5030 clips, inputs 1024, 768 and 5120
wide) and at that of a small corpus (500 clips; 88, 64, 576). The plain loop is written as that of
MER2024's toolkit, on the library's networks: fold by fold, batches of 32, unfused Adam, held-out
clips scored after each epoch. The ways take turns on one thread, once a seed, on the same random
features with a signal. The third way is
the stack on 256 principal components a modality; finding them is timed apart. Each seed is a
round, timed and scored out of fold (some eleven minutes).
"""

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation.scores import waf
from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.data import FusionData, assemble
from agt_lib.fusion.networks import build
from agt_lib.fusion.reduction import reduced
from agt_lib.fusion.scaling import fit_scaler

SIZES = {"MER2024": (5030, (1024, 768, 5120)), "small": (500, (88, 64, 576))}
N_FOLDS, BATCH, WIDTH = 5, 32, 256


def random_data(n: int, dims: tuple[int, ...]) -> FusionData:
    """Evenly shared labels, and features of which each label shifts the first sixty a little."""
    rng = np.random.default_rng(0)
    labels, names = np.arange(n) % len(EMOTIONS), tuple(f"clip{i}" for i in range(n))
    features = {}
    for m, dim in zip(("audio", "video", "text"), dims, strict=True):
        x = rng.standard_normal((n, dim), dtype=np.float32)
        x[:, :60] += rng.normal(0, 0.25, (len(EMOTIONS), 60))[labels].astype(np.float32)
        features[m] = Features(m, names, x, np.ones(n, bool), "random")
    return assemble(names, features, label_set=EMOTIONS, labels=labels)


def plain_loop(
    data: FusionData, folds: pd.Series, config: FusionConfig, epochs: int, seed: int
) -> np.ndarray:
    """The predicted label (N,) of each clip by the model of its fold."""
    numbers = folds.to_numpy()
    found, dropped = np.zeros(len(numbers), int), nn.Dropout(config.network.get("dropout", 0.0))
    labels, present = torch.from_numpy(data.labels), torch.from_numpy(data.present)
    for fold in range(N_FOLDS):
        torch.manual_seed(seed)
        train, held_out = (np.flatnonzero(rows) for rows in (numbers != fold, numbers == fold))
        inputs = {m: torch.from_numpy(fit_scaler(x[train])(x)) for m, x in data.features.items()}
        network = build(config.model, data.dims, len(EMOTIONS), **config.network)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
        for _ in range(epochs):
            network.train()
            for rows in torch.from_numpy(train)[torch.randperm(len(train))].split(BATCH):
                clips = {m: x[rows] for m, x in inputs.items()}
                if config.model == "attention":
                    clips = {m: dropped(x) for m, x in clips.items()}
                loss = cross_entropy(network(clips, present[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            network.eval()
            with torch.no_grad():
                clips = {m: x[held_out] for m, x in inputs.items()}
                found[held_out] = network(clips, present[held_out]).argmax(-1).numpy()
            waf(data.labels[held_out], found[held_out])
    return found


def stacked(
    data: FusionData, folds: pd.Series, config: FusionConfig, epochs: int, seed: int
) -> np.ndarray:
    """The same by the library."""
    config = FusionConfig(**config.plain() | {"epochs": epochs})
    options = {"keep": False, "workers": 1, "progress": False}
    result = fit_folds(data, folds, {"model": config}, [seed], **options)
    return result.out_of_fold.probabilities["model"][0].argmax(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"seconds an epoch and fold (ratio), median, and WAF out of fold, mean, of {options.seeds} "
        f"seeds; {options.epochs} epochs, one thread"
    )
    for size, (n, dims) in SIZES.items():
        data = random_data(n, dims)
        start = time.perf_counter()
        (small,), _ = reduced(WIDTH, data)
        print(f"{size:<9}principal components {time.perf_counter() - start:.1f} s")
        folds = pd.Series(np.random.default_rng(0).permutation(n) % N_FOLDS, index=data.names)
        for model in ("attention", "agt"):
            config = FusionConfig.default(model, tuple(data.features))
            ways = {
                "plain loop": (plain_loop, data, folds, config),
                "stack": (stacked, data, folds, config),
                f"stack, {WIDTH} components": (
                    stacked,
                    small,
                    folds,
                    replace(config, scale="none"),
                ),
            }
            seconds, scores = {name: [] for name in ways}, {name: [] for name in ways}
            for seed in range(options.seeds):
                for name, (way, *given) in ways.items():
                    start = time.perf_counter()
                    found = way(*given, options.epochs, seed)
                    seconds[name].append(time.perf_counter() - start)
                    scores[name].append(100 * waf(data.labels, found))
            each = [statistics.median(own) / options.epochs / N_FOLDS for own in seconds.values()]
            text = f"{size:<9}{model:<11}"
            for name, own in zip(ways, each, strict=True):
                text += f"  {name} {own:.3f} ({each[0] / own:.1f}) WAF {np.mean(scores[name]):.1f}"
            print(text, flush=True)


if __name__ == "__main__":
    main()
