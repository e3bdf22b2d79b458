"""AGT and its rivals on real clips, out of fold by actor; prints one table.

    python benchmarks/ravdess.py PATH_TO/features.npz [--seeds 3] [--input whisper egemaps]
    python benchmarks/ravdess.py PATH_TO/features.npz --search
    python benchmarks/ravdess.py PATH_TO/features.npz --published

The file holds clips of RAVDESS: `name`, `emotion`, `actor`, `audio_whisper`, `audio_egemaps` and
`video_openface_au35`. Six folds by actor (scikit-learn's GroupKFold). WAF over the out-of-fold
predictions is the mean of the scores of the seeds; beside it stands the 95 % interval from a
bootstrap over actors, and the paired difference to AGT. Features are scaled by fold and by speaker.
Logistic regression's strength is chosen by inner folds. The networks' configuration is fixed, or
with `--search` chosen by the same inner folds. At the end stands what scaling by speaker asks for
(`fusion.few_clips`).

`--published` needs all 24 actors and eight emotions: accuracy in the five folds of Luna-Jimenez et
al. 2022 (https://doi.org/10.3390/app12010327).
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from agt_lib import fusion
from agt_lib.corpora.labels import EMOTIONS, to_numbers
from agt_lib.evaluation import tables
from agt_lib.features.features import Features
from agt_lib.fusion.data import FusionData, assemble, with_speakers

N_FOLDS = 6
VIDEO = "video_openface_au35"
PUBLISHED = (
    (2, 5, 14, 15, 16), (3, 6, 7, 13, 18), (10, 11, 12, 19, 20), (8, 17, 21, 23, 24), (1, 4, 9, 22),
)  # fmt: skip
MODELS = (
    fusion.AGT, fusion.EQUATION, fusion.BASELINE, fusion.BASELINE_PATH, fusion.TOOLKIT_BASELINE,
    fusion.UNIMODAL,
)  # fmt: skip


def read(path: str, audio: str, label_set: Sequence[str] = EMOTIONS) -> FusionData:
    """The clips of `path` with one kind of audio features and the action units."""
    with np.load(path, allow_pickle=False) as file:
        names = tuple(file["name"].tolist())
        everyone = np.ones(len(names), bool)
        columns = {"audio": f"audio_{audio}", "video": VIDEO}
        return assemble(
            names,
            {m: Features(m, names, file[c], everyone, c) for m, c in columns.items()},
            label_set=label_set,
            labels=to_numbers(file["emotion"].tolist(), tuple(label_set)),
            groups=file["actor"].astype(str).astype(object),
        )


def by_speaker(data: FusionData, n_folds: int) -> pd.Series:
    """The fold that holds each clip out, by clip name."""
    folds = pd.Series(0, index=list(data.names))
    splits = GroupKFold(n_folds).split(data.labels, groups=data.groups)
    for number, (_, held_out) in enumerate(splits):
        folds.iloc[held_out] = number
    return folds


def report(
    data: FusionData,
    folds: pd.Series,
    seeds: Sequence[int],
    *,
    models: Sequence[str] = MODELS,
    search: bool = False,
    score: str = "waf",
    reduce: int = 0,
) -> pd.DataFrame:
    """Print the scores of all models on all modalities of `data`, in both scales.

    With `reduce`, on so many principal components a modality. Returns AGT's paired differences to
    the others: the columns of `tables.differences` and scale.
    """
    (given,), parts = with_speakers(data), []
    everything = fusion.features_name(data.modalities)
    for scale in ("fold", "speaker"):
        started, data, read = time.perf_counter(), given, scale
        if reduce:
            scaled = given if scale == "speaker" else replace(given, by_speaker=None)
            ((data,), _), read = fusion.reduced(reduce, scaled), "none"
        configs = fusion.configurations(data.modalities, scale=read, toolkit=True)
        configs = {
            row: c for row, c in configs.items() if row[0] == everything or "+" not in row[0]
        }
        configs = {row: c for row, c in configs.items() if row[1] in models}
        if search:
            configs = fusion.search(data, folds, configs)
        result = fusion.fit_folds(data, folds, configs, seeds, keep=False)
        result |= fusion.references(data, folds, scale=read)
        if fusion.EQUATION in models:
            result = fusion.with_means(result, data.modalities)
        scores = tables.scores(result.out_of_fold, data.truth, data.speakers)
        agt = (everything, fusion.AGT)
        pairs = [(agt, row) for row in result.out_of_fold.probabilities if row != agt]
        minus = tables.differences(result.out_of_fold, data.truth, pairs, data.speakers)
        parts.append(minus.assign(scale=scale))
        minus = minus.set_index(["against_features", "against"])
        print(f"\nscaled by {scale}; networks {'searched' if search else 'fixed'}")
        for line in scores.itertuples():
            row = (line.features, line.model)
            text = f"{line.features:<8}{line.model:<40}{getattr(line, score):6.1f}"
            if score == "waf":
                text += f" [{line.waf_low:.1f}, {line.waf_high:.1f}]"
            if row in minus.index:
                d = minus.loc[row]
                ends = f"[{d['difference_low']:+.1f}, {d['difference_high']:+.1f}]"
                text += f"   AGT minus it {d['difference']:+.1f} {ends}"
            print(text)
        print(f"{time.perf_counter() - started:.0f} s", flush=True)
    if reduce:
        return pd.concat(parts)
    clips = fusion.few_clips(given, folds)
    print("\nlogistic regression (C = .01), by the clips in a speaker's statistics")
    print(clips[["clips", "without", "waf", "waf_low", "waf_high"]].round(1).to_string(index=False))
    return pd.concat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="path of features.npz")
    parser.add_argument("--published", action="store_true", help="eight emotions, accuracy")
    parser.add_argument("--search", action="store_true", help="choose configurations inside")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--reduce", type=int, default=0, help="principal components a modality")
    parser.add_argument("--csv", type=Path, help="where AGT's differences go")
    parser.add_argument("--input", nargs="+", default=["whisper", "egemaps"])
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=MODELS)
    options, parts = parser.parse_args(), []
    for audio in options.input:
        print(f"\n{audio} + action units, {options.seeds} seeds")
        if options.published:
            with np.load(options.features, allow_pickle=False) as file:
                labels = sorted(set(file["emotion"].tolist()))
            data = read(options.features, audio, labels)
            fold_of = {actor: k for k, actors in enumerate(PUBLISHED) for actor in actors}
            folds = data.speakers.astype(int).map(fold_of)
        else:
            data = read(options.features, audio)
            folds = by_speaker(data, N_FOLDS)
        found = report(
            data,
            folds,
            range(options.seeds),
            models=options.model,
            search=options.search,
            reduce=options.reduce,
            score="accuracy" if options.published else "waf",
        )
        parts.append(found.assign(corpus=f"RAVDESS, {audio} + action units"))
    if options.csv:
        pd.concat(parts).to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
