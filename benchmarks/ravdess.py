"""AGT, the baseline, audio alone and logistic regression on real clips; prints one table.

    python benchmarks/ravdess.py PATH_TO/features.npz [--seeds 3] [--input whisper egemaps]
    python benchmarks/ravdess.py PATH_TO/features.npz --fixed

The file holds 528 clips of RAVDESS: `name`, `emotion`, `actor`, `audio_whisper`, `audio_egemaps`
and `video_openface_au35`. Six folds by actor (scikit-learn's GroupKFold), WAF over out-of-fold
predictions, mean over the seeds; beside it the 95 % interval of that mean from a bootstrap over
actors. In every fold each method's settings are the best of its grid in three inner folds of the
training actors. The grids are not blind to these clips: they were drawn up on them, mostly in other
folds of actors, with a few looks at these folds. A network gives a fifth of its training fold to
choosing the epoch; logistic regression fits on all of it.

`--fixed` prints what notebook 04 prints of these features (corpus mertools, n_folds 6): one fixed
configuration per model in the notebooks' own folds.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from agt_lib import fusion
from agt_lib.corpora.corpus import build
from agt_lib.corpora.folds import make_folds
from agt_lib.corpora.labels import EMOTIONS, to_numbers
from agt_lib.evaluation import tables
from agt_lib.evaluation.scores import Sample, votes, waf
from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import FusionData, assemble
from agt_lib.fusion.reference import logistic_regression
from agt_lib.fusion.train import FitTask, fit_each

N_FOLDS, INNER_FOLDS = 6, 3
BOTH = ("audio", "video")
REGRESSION = "logistic regression"
GRIDS: dict[str, list] = {
    "AGT": [
        FusionConfig.default("agt", BOTH),
        FusionConfig.default("agt", BOTH, modality_dropout=0.0),
    ],
    # the toolkit's recipe, and the one AGT is trained by
    **{
        name: [
            FusionConfig.default("attention", BOTH, scale=scale),
            FusionConfig(model="attention", modalities=BOTH, scale=scale),
        ]
        for name, scale in (("baseline, scaled", True), ("baseline, unscaled", False))
    },
    "audio alone": [
        FusionConfig.default("unimodal", ("audio",)),
        FusionConfig.default("unimodal", ("audio",), network={"width": 128}),
    ],
    REGRESSION: [0.003, 0.01, 0.03, 0.1],
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


def choose(
    data: FusionData, folds: list[tuple], grid: Sequence[Any], predict: Callable
) -> list[Any]:
    """For each outer fold the setting of `grid` with the best WAF over its inner folds.

    `predict(data, settings, folds)` gives probabilities (N, C) of the clips its folds hold out.
    """
    inner = [by_actor(data, train, INNER_FOLDS) for train, _ in folds]
    every = [(setting, fold) for splits in inner for setting in grid for fold in splits]
    parts = iter(predict(data, *zip(*every, strict=True)))
    chosen = []
    for splits in inner:
        rows = np.concatenate([held_out for _, held_out in splits])
        scores = []
        for _ in grid:
            probabilities = np.concatenate([next(parts) for _ in splits])
            scores.append(waf(data.labels[rows], probabilities.argmax(1)))
        chosen.append(grid[int(np.argmax(scores))])
    return chosen


def by_network(
    data: FusionData, configs: Sequence[FusionConfig], folds: Sequence[tuple], seed: int = 0
) -> list[np.ndarray]:
    """Probabilities of each fold's held-out clips by one network per fold."""
    tasks = [FitTask(c, train, seed) for c, (train, _) in zip(configs, folds, strict=True)]
    models = list(fit_each(data, tasks, progress=False))
    return [m.predict(data.rows(held)) for m, (_, held) in zip(models, folds, strict=True)]


def by_regression(
    data: FusionData, strengths: Sequence[float], folds: Sequence[tuple], seed: int = 0
) -> list[np.ndarray]:
    """The same by logistic regression, which has no seed."""
    parts = []
    for strength, (train, held_out) in zip(strengths, folds, strict=True):
        rows = np.concatenate([train, held_out])
        names = [data.names[row] for row in rows]
        marks = pd.Series([-1] * len(train) + [0] * len(held_out), index=names)
        models = {REGRESSION: BOTH}
        result = logistic_regression(data.rows(rows), marks, models, strength=strength)
        parts.append(result.out_of_fold.probabilities[REGRESSION][0])
    return parts


def fixed(data: FusionData, n_seeds: int) -> str:
    """Notebook 04's table of `data`: fixed configurations, six folds of `make_folds`."""
    emotions = [EMOTIONS[number] for number in data.labels]
    table = pd.DataFrame({"name": data.names, "emotion": emotions, "speaker": data.groups})
    clips = build("RAVDESS", table.astype(str).assign(split="train"), source="features.npz")
    data = replace(data, groups=data.groups.astype(str).astype(object))
    folds = make_folds(clips, N_FOLDS)
    configs = fusion.configurations(BOTH)
    result = fusion.fit_folds(data, folds, configs, range(n_seeds), keep=False)
    result |= fusion.references(data, folds)
    return fusion.display(fusion.scores(result, data, pd.Series(dtype=object))).to_string()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="path of features.npz")
    parser.add_argument("--fixed", action="store_true", help="notebook 04's protocol")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--input", nargs="+", default=["whisper", "egemaps"])
    parser.add_argument("--model", nargs="+", default=[*GRIDS], choices=[*GRIDS])
    options = parser.parse_args()
    if options.fixed:
        for audio in options.input:
            print(f"\n{audio} + AU\n{fixed(read(options.features, audio), options.seeds)}")
        return
    print(
        f"{'input':<14}{'model':<22}{'WAF':>6}  {'95 % by actor':<16}{'seeds sd':>8}{'s':>6}"
        "  setting of each fold"
    )
    for audio in options.input:
        data = read(options.features, audio)
        folds = by_actor(data, np.arange(len(data.names)), N_FOLDS)
        for name in options.model:
            start = time.perf_counter()
            grid, seeds = GRIDS[name], range(options.seeds)
            predict = by_network
            if name == REGRESSION:
                predict, seeds = by_regression, range(1)
            chosen = choose(data, folds, grid, predict)
            probabilities = np.empty((len(seeds), len(data.names), len(EMOTIONS)))
            for seed in seeds:
                parts = predict(data, chosen, folds, seed)
                for (_, held_out), part in zip(folds, parts, strict=True):
                    probabilities[seed, held_out] = part
            sample = Sample.of(data.labels, data.groups)
            result = tables.score_line(sample, votes(probabilities))
            settings = " ".join(str(grid.index(setting)) for setting in chosen)
            ends = f"{result['waf_low']:.1f} to {result['waf_high']:.1f}"
            print(
                f"{audio + ' + AU':<14}{name:<22}{result['waf']:>6.1f}  "
                f"{ends:<16}"
                f"{result['seed_sd']:>8.1f}"
                f"{time.perf_counter() - start:>6.0f}  {settings}",
                flush=True,
            )


if __name__ == "__main__":
    main()
