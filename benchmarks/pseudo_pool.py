"""Time and memory of labelling MER2024's 115,595 unlabelled clips with the paper's features.

    python benchmarks/pseudo_pool.py [--clips 115595] [--folds 1] [--limit-mb 2048]

Random float16 features of the paper's widths (voice 1024, face 768, words 5120; 1.5 GiB for all
clips) are written to a temporary folder that is deleted afterwards. The three models of section
2.3, fitted for one epoch on random clips, then predict every clip part by part and the rule
selects. With --folds 5 each fold's models do, as `pseudo.train` asks for. Prints one table and
exits with 1 where the peak memory of the pass, in a process of its own, is above the limit.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib import pseudo
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.features.features import Features
from agt_lib.fusion import saved
from agt_lib.fusion.data import FusionData, assemble
from agt_lib.fusion.train import FitTask, fit
from agt_lib.pseudo import stream
from agt_lib.workspace.kept import peak_memory_mb

DIMS = {"audio": 1024, "video": 768, "text": 5120}
FINGERPRINTS = dict.fromkeys(DIMS, "random")


def labelled(n: int = 300) -> FusionData:
    """Random labelled clips to fit the models on."""
    rng = np.random.default_rng(0)
    names, everyone = tuple(f"clip{i}" for i in range(n)), np.ones(n, bool)
    features = {
        m: Features(m, names, rng.standard_normal((n, d), dtype=np.float32), everyone, "random")
        for m, d in DIMS.items()
    }
    return assemble(names, features, label_set=EMOTIONS, labels=np.arange(n) % len(EMOTIONS))


def write(folder: Path, n_clips: int, n_folds: int) -> None:
    """The pool's features and the fitted models."""
    rng = np.random.default_rng(1)
    for modality, dim in DIMS.items():
        shape = (n_clips, dim)
        path = folder / f"{modality}.npy"
        np.lib.format.open_memmap(path, "w+", np.float16, shape)
        for start in range(0, n_clips, 8192):
            rows = slice(start, min(start + 8192, n_clips))
            # mapped anew each time: a process hands its peak memory on to those it starts
            matrix = np.load(path, mmap_mode="r+")
            matrix[rows] = rng.standard_normal((rows.stop - start, dim), dtype=np.float32)
    configs = pseudo.configurations(tuple(DIMS), max_epochs=1)
    data = labelled()
    for fold in range(n_folds):
        tasks = [FitTask(config, np.arange(len(data.names)), fold) for config in configs.values()]
        for name, model in zip(configs, fit(data, tasks, workers=1, progress=False), strict=True):
            saved.save(model, folder / "models" / f"{name}-fold{fold}")


def label(folder: Path, n_clips: int, n_folds: int) -> None:
    """The pass itself: read, predict, select; prints its seconds and peak memory."""
    started = time.monotonic()
    names = [f"pool{i}" for i in range(n_clips)]
    models = {path.name: saved.load(path) for path in sorted((folder / "models").iterdir())}
    files = {modality: folder / f"{modality}.npy" for modality in DIMS}
    parts = stream.parts(files, names, label_set=EMOTIONS, fingerprints=FINGERPRINTS)
    probabilities = stream.predict(models, parts)
    predicted = time.monotonic()
    kept = 0
    for fold in range(n_folds):
        tables = {
            model: pd.DataFrame(probabilities[f"{model}-fold{fold}"], names, list(EMOTIONS))
            for model in pseudo.MODELS
        }
        kept += len(pseudo.select(tables, pseudo.PseudoConfig(threshold=0.0)))
    print(predicted - started, time.monotonic() - predicted, peak_memory_mb(), kept / n_folds)


def main() -> int:
    """Write the pool, label it in another process, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=115_595)
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--limit-mb", type=int, default=2048)
    parser.add_argument("--label", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.label:
        label(args.label, args.clips, args.folds)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, args.clips, args.folds)
        on_disk = sum(path.stat().st_size for path in folder.glob("*.npy"))
        sizes = ["--clips", str(args.clips), "--folds", str(args.folds)]
        command = [sys.executable, __file__, "--label", name, *sizes]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    predict, select, peak, agreed = map(float, said.split())
    rows = {
        "clips": f"{args.clips:,}",
        "on disk": f"{on_disk / 2**30:.2f} GiB, float16",
        "models": f"{3 * args.folds}",
        "read and predict": f"{predict:.1f} s, {args.clips / predict:,.0f} clips/s",
        "select": f"{select:.1f} s",
        "all models agree on": f"{agreed:,.0f} clips (random features)",
        "peak memory": f"{peak:.0f} MiB, limit {args.limit_mb}",
    }
    for row, value in rows.items():
        print(f"{row:20} {value}")
    return int(peak > args.limit_mb)


if __name__ == "__main__":
    sys.exit(main())
