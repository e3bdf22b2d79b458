"""Time and memory of labelling a pool of 115,595 clips from stored features; one table.

    python benchmarks/pool_speed.py [--clips 1000 4000 16000 64000 115595] [--picture FILE.png]

Random features of MER2024's widths (1024, 768 and 5120) are stored as the library stores extracted
ones (3.2 GB in a temporary folder). For each number of clips a process of its own reads them, has
the three models of five folds predict them and selects pseudo-labels (`pseudo.train`, whose models
were fitted before). Its peak of resident memory includes its libraries; importing them is not
timed. `slope` is that of log time against log clips. `--picture` draws it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from fusion_speed import N_FOLDS, SIZES, random_data

from agt_lib import pseudo
from agt_lib.corpora.labels import EMOTIONS, MODALITIES
from agt_lib.features.extraction import SHARD_SIZES
from agt_lib.features.features import Features
from agt_lib.fusion.data import assemble
from agt_lib.workspace import paths
from agt_lib.workspace.kept import peak_memory_mb
from agt_lib.workspace.shards import Shards

CLIPS = (1000, 4000, 16_000, 64_000, 115_595)
LABELLED, DIMS = 500, dict(zip(MODALITIES, SIZES["MER2024"][1], strict=True))


def store(n: int) -> None:
    """Store random features of `n` clips."""
    rng = np.random.default_rng(1)
    for m, dim in DIMS.items():
        shards = Shards(paths.features() / m)
        with shards.locked():
            for start in range(0, n, SHARD_SIZES[m]):
                names = [f"pool{i}" for i in range(start, min(start + SHARD_SIZES[m], n))]
                values = rng.standard_normal((len(names), dim), dtype=np.float32)
                shards.append(dict(zip(names, values, strict=True)))


def label(n: int) -> dict[str, float]:
    """Predict `n` clips of the store and select among them: clips, seconds and MiB."""
    data = random_data(LABELLED, SIZES["MER2024"][1])
    folds = pd.Series(np.arange(LABELLED) // len(EMOTIONS) % N_FOLDS, index=list(data.names))
    configs = pseudo.configurations(data.modalities, max_epochs=1)
    started = time.perf_counter()
    names, there = [f"pool{i}" for i in range(n)], np.ones(n, bool)
    features = {
        m: Features(m, tuple(names), Shards(paths.features() / m).rows(names, dim), there, "random")
        for m, dim in DIMS.items()
    }
    pool = assemble(names, features, label_set=EMOTIONS)
    rule = pseudo.PseudoConfig(threshold=1.0, rounds=1)
    pseudo.train(data, folds, pool, rule, [0], configs=configs, progress=False)
    return {"clips": n, "seconds": time.perf_counter() - started, "MiB": peak_memory_mb()}


def draw(table: pd.DataFrame, slope: float, path: Path) -> None:
    """Seconds against clips, both logarithmic; the table lies beside the picture."""
    figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
    axes.loglog(table["clips"], table["seconds"], "o-", label=f"measured, slope {slope:.2f}")
    line = table["seconds"].iloc[-1] * table["clips"] / table["clips"].iloc[-1]
    axes.loglog(table["clips"], line, ":", color="grey", label="slope 1")
    axes.set(
        xlabel="clips of the pool", ylabel="seconds", title="Labelling a pool (random features)"
    )
    axes.legend()
    figure.savefig(path, dpi=150)
    table.to_csv(path.with_suffix(".csv"), index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=CLIPS)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--label", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.label:
        print(json.dumps(label(options.label)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGT_DATA"] = folder
        store(max(options.clips))
        lines = []
        for n in (min(options.clips), *sorted(options.clips)):  # the first one fits the models
            command = [sys.executable, __file__, "--label", str(n)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            lines.append(json.loads(done.stdout.splitlines()[-1]))
    table = pd.DataFrame(lines[1:])
    slope = np.polyfit(np.log(table["clips"]), np.log(table["seconds"]), 1)[0]
    print(f"a pool from stored features, {sum(DIMS.values())} columns, 3 models x {N_FOLDS} folds")
    print(table.round(1).to_string(index=False))
    print(f"slope {slope:.2f}")
    if options.picture:
        draw(table, slope, options.picture)


if __name__ == "__main__":
    main()
