"""What a model scaled by speaker is worth for a speaker it has not met, by the clips given at once.

    python benchmarks/new_speaker.py PATH_TO/features.npz [--seeds 3] [--input whisper egemaps]

The file is that of `ravdess.py`. AGT is fitted with statistics of its training speakers alone. The
held-out speakers' clips are cut into groups of n, each as if it came in a call of its own: n = 0
scales by all training clips. Beside it stands AGT scaled by fold. WAF in per cent out of fold by
speaker, the mean of the scores of the seeds; the difference to AGT by fold is paired.
"""

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd
import ravdess

from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.scaling import fit_speakers
from agt_lib.fusion.train import FitTask, fit_each

COUNTS = (0, 1, 2, 3, 5, 10, 20, 1000)
BY_FOLD = "by fold"


def in_calls(data: FusionData, count: int, seed: int) -> np.ndarray:
    """A name (N,) for each speaker's groups of `count` clips, drawn; None for 0."""
    if not count:
        return np.full(len(data.names), None)
    order = np.random.default_rng(seed).permutation(len(data.names))
    rank = np.empty(len(order), int)
    rank[order] = pd.Series(data.groups[order]).groupby(data.groups[order]).cumcount()
    return np.array([f"{who}, call {k // count}" for who, k in zip(data.groups, rank, strict=True)])


def there(data: FusionData) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The present clips of each modality and their speakers."""
    rows = {m: data.is_present(m) for m in data.modalities}
    return {m: (x[rows[m]], data.groups[rows[m]]) for m, x in data.features.items()}


def measure(data: FusionData, folds: pd.Series, seeds: range) -> pd.DataFrame:
    """AGT's scores by the number of clips in a call, and minus AGT scaled by fold."""
    numbers = folds.loc[list(data.names)].to_numpy()
    shape = (len(seeds), len(data.names), len(data.label_set))
    found = {name: np.zeros(shape) for name in (BY_FOLD, *COUNTS)}
    for fold in range(int(numbers.max()) + 1):
        train, held_out = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)
        known = fit_speakers(there(data.rows(train)))
        scaled = replace(data, by_speaker=known)
        for scale in ("fold", "speaker"):
            config = FusionConfig.default("agt", data.modalities, scale=scale)
            tasks = [FitTask(config.settled(len(train)), train, seed) for seed in seeds]
            models = list(fit_each(scaled, tasks, progress=False))
            for count in (BY_FOLD,) if scale == "fold" else COUNTS:
                own = scaled.rows(held_out)
                if scale == "speaker":
                    own = replace(own, groups=in_calls(own, count, fold))
                    own = replace(own, by_speaker=known.joined(there(own)))
                found[count][:, held_out] = [model.predict(own) for model in models]
    made = Predictions(data.names, data.label_set, found, tuple(seeds))
    scores = tables.scores(made, data.truth, data.speakers).set_index("model")
    pairs = [(count, BY_FOLD) for count in COUNTS]
    minus = tables.differences(made, data.truth, pairs, data.speakers).set_index("model")
    columns = ["difference", "difference_low", "difference_high"]
    return scores[["waf", "waf_low", "waf_high"]].join(minus[columns]).round(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="path of features.npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--input", nargs="+", default=["whisper", "egemaps"])
    options = parser.parse_args()
    for audio in options.input:
        data = ravdess.read(options.features, audio)
        folds = ravdess.by_speaker(data, ravdess.N_FOLDS)
        table = measure(data, folds, range(options.seeds))
        print(f"\n{audio} + action units, by the clips of a speaker in a call")
        print(table.to_string(), flush=True)


if __name__ == "__main__":
    main()
