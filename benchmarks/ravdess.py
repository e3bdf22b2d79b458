"""AGT, the baseline, audio alone and logistic regression on real clips; prints one table.

    python benchmarks/ravdess.py PATH_TO/features.npz [--seeds 3] [--input whisper egemaps]

The file holds 528 clips of RAVDESS: `name`, `emotion`, `actor`, `audio_whisper`, `audio_egemaps`
and `video_openface_au35`. Six folds by actor (scikit-learn's GroupKFold), WAF over out-of-fold
predictions, mean over the seeds; in brackets the 95 % interval of that mean from a bootstrap over
actors. In every fold each method's settings are the best of its grid in three inner folds of the
training actors. A network gives a fifth of its training fold to choosing the epoch; logistic
regression fits on all of it.
"""

import argparse
import time

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold

from agt_lib.emotions import EMOTIONS, to_numbers
from agt_lib.features import Features
from agt_lib.fusion_config import FusionConfig
from agt_lib.fusion_data import FusionData, assemble
from agt_lib.linear import logistic_regression
from agt_lib.training import FitTask, fit

N_FOLDS, INNER_FOLDS = 6, 3
BOTH = ("audio", "video")
GRIDS = {
    "AGT": [
        FusionConfig.default("agt", BOTH),
        FusionConfig.default("agt", BOTH, learning_rate=1e-3, epochs=40),
    ],
    "baseline, scaled": [
        FusionConfig.default("attention", BOTH, network={"hidden": hidden, "dropout": dropout})
        for hidden, dropout in ((128, 0.3), (256, 0.5))
    ],
    "baseline, unscaled": [
        FusionConfig.default(
            "attention", BOTH, network={"hidden": hidden, "dropout": dropout}, scale=False
        )
        for hidden, dropout in ((128, 0.3), (256, 0.5))
    ],
    "audio alone": [
        FusionConfig.default("unimodal", ("audio",), network={"width": width})
        for width in (64, 256)
    ],
}


def read(path: str, audio: str) -> FusionData:
    """The clips of `path` with one kind of audio features and the action units."""
    with np.load(path, allow_pickle=False) as file:
        names = tuple(file["name"].tolist())
        everyone = np.ones(len(names), bool)
        columns = {"audio": f"audio_{audio}", "video": "video_openface_au35"}
        return assemble(
            names,
            {m: Features(m, names, file[c], everyone, c) for m, c in columns.items()},
            label_set=EMOTIONS,
            labels=to_numbers(file["emotion"].tolist()),
            groups=file["actor"],
        )


def by_actor(data: FusionData, rows: np.ndarray, n_folds: int) -> list[tuple]:
    """Training and held-out rows of each fold of the actors in `rows`."""
    splits = GroupKFold(n_folds).split(rows, groups=data.groups[rows])
    return [(rows[train], rows[held_out]) for train, held_out in splits]


def waf(labels: np.ndarray, predicted: np.ndarray) -> float:
    return f1_score(labels, predicted, average="weighted")


def choose(data: FusionData, folds: list[tuple], grid: list[FusionConfig]) -> list[FusionConfig]:
    """Of each outer fold, the configuration with the best WAF over its inner folds."""
    inner = [by_actor(data, train, INNER_FOLDS) for train, _ in folds]
    tasks = [FitTask(config, train) for splits in inner for config in grid for train, _ in splits]
    models = iter(fit(data, tasks, progress=False))
    chosen = []
    for splits in inner:
        scores = []
        for _ in grid:
            predicted = [next(models).predict(data.rows(held)).argmax(1) for _, held in splits]
            labels = np.concatenate([data.labels[held] for _, held in splits])
            scores.append(waf(labels, np.concatenate(predicted)))
        chosen.append(grid[int(np.argmax(scores))])
    return chosen


def network_predictions(
    data: FusionData, folds: list[tuple], grid: list[FusionConfig], n_seeds: int
) -> tuple[np.ndarray, list[int]]:
    """Out-of-fold labels (S, N), and which configuration each fold chose."""
    chosen = choose(data, folds, grid)
    tasks = [
        FitTask(config, train, seed)
        for seed in range(n_seeds)
        for config, (train, _) in zip(chosen, folds, strict=True)
    ]
    models = iter(fit(data, tasks, progress=False))
    predicted = np.empty((n_seeds, len(data.names)), int)
    for seed in range(n_seeds):
        for _, held in folds:
            predicted[seed, held] = next(models).predict(data.rows(held)).argmax(1)
    return predicted, [grid.index(config) for config in chosen]


def interval(data: FusionData, predicted: np.ndarray, n_draws: int = 1000) -> tuple[float, float]:
    """95 % interval of the seed-mean WAF over actors drawn with replacement."""
    rng = np.random.default_rng(0)
    actors = np.unique(data.groups)
    rows_of = {actor: np.flatnonzero(data.groups == actor) for actor in actors}
    scores = []
    for _ in range(n_draws):
        drawn = rng.choice(actors, len(actors))
        rows = np.concatenate([rows_of[actor] for actor in drawn])
        scores.append(np.mean([waf(data.labels[rows], p[rows]) for p in predicted]))
    return tuple(np.quantile(scores, [0.025, 0.975]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="path of features.npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--input", nargs="+", default=["whisper", "egemaps"])
    options = parser.parse_args()
    print(
        f"{'input':<14}{'model':<22}{'WAF':>6}  {'95 % by actor':<16}{'spread':>7}"
        f"{'seconds':>9}  setting of each fold"
    )
    for audio in options.input:
        data = read(options.features, audio)
        folds = by_actor(data, np.arange(len(data.names)), N_FOLDS)
        for name, grid in [*GRIDS.items(), ("logistic regression", None)]:
            start = time.perf_counter()
            if grid is None:
                numbers = pd.Series(0, index=list(data.names))
                for number, (_, held) in enumerate(folds):
                    numbers.iloc[held] = number
                predicted = logistic_regression(data, numbers).out_of_fold.argmax(-1)
                settings = ""
            else:
                predicted, chosen = network_predictions(data, folds, grid, options.seeds)
                settings = " ".join(map(str, chosen))
            seconds = time.perf_counter() - start
            scores = [waf(data.labels, p) for p in predicted]
            low, high = interval(data, predicted)
            print(
                f"{audio + ' + AU':<14}{name:<22}{np.mean(scores):>6.3f}  "
                f"{f'{low:.3f} to {high:.3f}':<16}{np.std(scores):>7.3f}{seconds:>9.0f}  "
                f"{settings}",
                flush=True,
            )


if __name__ == "__main__":
    main()
