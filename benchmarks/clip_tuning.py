"""What tuning CLIP brings on the mini corpus: `python benchmarks/clip_tuning.py`.

WAF of the face alone by logistic regression, on raw features and on cross-fitted ones of the tuned
small CLIP, out of fold by speaker and on the test clips; zero-shot beside it; over three seeds.
`--permuted` permutes the labels before everything: all scores should fall to chance. `--search`
compares `TuneConfig.small` with its neighbours out of fold and never looks at the test clips.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib import corpora
from agt_lib.clip_tuning import TuneConfig, tuned_spaces, zero_shot_predictions
from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import make_folds
from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions
from agt_lib.features.features import Features
from agt_lib.fusion.data import from_corpus
from agt_lib.fusion.reference import logistic_regression
from agt_lib.workspace import paths

MODEL = f"local-dir:{paths.SMALL_CLIP}"
SETTINGS: Mapping[str, dict] = {
    "default": {},
    "learning rate / 3": {"learning_rate": TuneConfig.small().learning_rate / 3},
    "learning rate x 3": {"learning_rate": TuneConfig.small().learning_rate * 3},
    "text rate / 3": {"text_rate": TuneConfig.small().text_rate / 3},
    "half the epochs": {"epochs": TuneConfig.small().epochs // 2},
    "twice the epochs": {"epochs": 2 * TuneConfig.small().epochs},
    "twice the frames": {"n_frames": 2 * TuneConfig.small().n_frames},
    "text tower frozen": {"tune_text": False},
    "no colour": {"colour": 0.0},
    "in_batch": {"loss": "in_batch"},
}


def permuted(corpus: Corpus, seed: int) -> Corpus:
    """The corpus with the labels of its labelled clips permuted."""
    clips = corpus.clips.copy()
    names = corpus.labelled.index
    rng = np.random.default_rng(seed)
    clips.loc[names, "emotion"] = rng.permutation(clips.loc[names, "emotion"].to_numpy())
    return replace(corpus, clips=clips)


def scores(
    corpus: Corpus, folds: pd.Series, config: TuneConfig, seed: int, *, tested: bool
) -> dict[str, float]:
    """WAF by set and way, in per cent."""
    corpus = corpus.only("train", "test") if tested else corpus.only("train")
    spaces = tuned_spaces(corpus, folds, MODEL, config, seed=seed)

    def wafs(found: Predictions, on_test: Predictions | None) -> dict[str, float]:
        parts = [tables.scores(found, corpus.clips["emotion"]).assign(set="out-of-fold")]
        if tested:
            parts.append(tables.scores(on_test, corpus.answers).assign(set="test"))
        return {f"{row.set}, {row.model}": row.waf for row in pd.concat(parts).itertuples()}

    def regressed(features: Features, name: str) -> dict[str, float]:
        test = from_corpus(corpus, {"video": features}, ("test",)) if tested else None
        data = from_corpus(corpus, {"video": features})
        found = logistic_regression(data, folds, {name: ("video",)}, test=test)
        return wafs(found.out_of_fold, found.test)

    line = regressed(spaces.raw, "raw")
    for align in (True, False):
        name = "tuned" if align else "tuned, not aligned"
        line |= regressed(spaces.cross_fitted(align=align), name)
    line |= wafs(*zero_shot_predictions(corpus, spaces, MODEL, config))
    between = spaces.agreement().to_numpy()[1:, 1:]
    line["CKA"] = between[np.triu_indices(len(between), 1)].mean()
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--permuted", action="store_true")
    parser.add_argument("--search", nargs="*", help="settings to compare; all by default")
    arguments = parser.parse_args()
    corpus = corpora.load("mini")
    folds = make_folds(corpus)
    lines = {}
    if arguments.search is not None:
        for name in arguments.search or SETTINGS:
            config = TuneConfig.small(**SETTINGS[name])
            lines[name] = scores(corpus, folds, config, 0, tested=False)
    else:
        for seed in range(arguments.seeds):
            used = permuted(corpus, seed) if arguments.permuted else corpus
            lines[f"seed {seed}"] = scores(used, folds, TuneConfig.small(), seed, tested=True)
    table = pd.DataFrame(lines).T
    if arguments.search is None:
        table.loc["mean"] = table.mean()
    print(table.T.round(2).to_string())
    if arguments.search is None:
        for way in ("", ", zero-shot"):
            gain = table.loc["mean", f"test, tuned{way}"] - table.loc["mean", f"test, raw{way}"]
            by = "CLIP's own prompts" if way else "logistic regression"
            print(f"tuned minus raw on the test clips by {by}, mean of seeds: {gain:+.1f} points")


if __name__ == "__main__":
    main()
