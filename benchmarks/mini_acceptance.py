"""Whether the mini corpus is as hard as it should be: `python benchmarks/mini_acceptance.py`.

Logistic regression on the default features, out-of-fold by speaker on the labelled clips, for
each modality and for all three; the same with labels permuted; the pairs most confused; and what
files' names, order, length, size and encoder settings tell of the emotion.
"""

import argparse
from pathlib import Path

import av
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mini_corpus
from agt_lib.corpora.folds import make_folds
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation.scores import waf
from agt_lib.features.encoder import build
from agt_lib.features.extraction import extract

ENCODERS = {"audio": "opensmile", "video": "clip", "text": "smollm2"}
RANGES = {"audio": (0.55, 0.75), "video": (0.45, 0.70), "text": (0.35, 0.60)}
INVERSE_REGULARISATION = 0.03  # of every row alike, chosen once and not by its scores
N_PERMUTATIONS = 20


def out_of_fold(values: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Labels (N,) predicted from features (N, D), each by a model that saw other speakers."""
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=INVERSE_REGULARISATION, max_iter=2000)
    )
    return cross_val_predict(model, values, labels, cv=PredefinedSplit(fold))


def by_chance(
    values: np.ndarray, labels: np.ndarray, fold: np.ndarray, rng: np.random.Generator
) -> str:
    """Mean and largest WAF over permutations of the labels before everything."""
    scores = []
    for _ in range(N_PERMUTATIONS):
        shuffled = rng.permutation(labels)
        scores.append(waf(shuffled, out_of_fold(values, shuffled, fold)))
    return f"{np.mean(scores):.3f} (largest of {N_PERMUTATIONS}: {max(scores):.3f})"


def confused(labels: np.ndarray, predicted: np.ndarray) -> str:
    """The three most frequent mistakes, in percent of the true emotion's clips."""
    shares = pd.crosstab(labels, predicted, normalize="index").stack()
    wrong = shares[[true != other for true, other in shares.index]].nlargest(3)
    return ", ".join(f"{true} as {other} {share:.0%}" for (true, other), share in wrong.items())


def file_properties(videos: list[str]) -> dict[str, np.ndarray]:
    """What a file tells without its content being looked at: each (N, d)."""
    rows = []
    for place, video in enumerate(videos):
        path = Path(video)
        with av.open(video) as container:
            streams = container.streams
            picture, sound = streams.video[0], streams.audio[0]
            seconds = container.duration / av.time_base
            settings = [
                picture.width,
                picture.height,
                float(picture.average_rate),
                picture.codec_context.profile == "High",
                sound.rate,
                sound.channels,
                len(streams),
            ]
        number = int("".join(filter(str.isdigit, path.stem)))
        rows.append([[number], [place], [seconds], [path.stat().st_size], settings])
    names = ("name", "order", "length", "size", "encoder settings")
    return {name: np.array([row[i] for row in rows], dtype=float) for i, name in enumerate(names)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--profile", default="mini", choices=["mini", "smoke"])
    profile = arguments.parse_args().profile
    corpus = mini_corpus.load(profile)
    clips = corpus.labelled
    labels = np.array([EMOTIONS.index(emotion) for emotion in clips["emotion"]])
    names = np.array(EMOTIONS, dtype=object)
    fold = make_folds(corpus).to_numpy()
    rng = np.random.default_rng(0)

    features = {
        modality: extract(corpus.only("train"), build(spec)).values
        for modality, spec in ENCODERS.items()
    }
    features["together"] = np.concatenate(list(features.values()), axis=1)
    print(f"{profile}: {len(clips)} labelled clips, out-of-fold by speaker, WAF")
    scores = {}
    for modality, values in features.items():
        predicted = out_of_fold(values, labels, fold)
        scores[modality] = waf(labels, predicted)
        low, high = RANGES.get(modality, (max(scores.values()), 1.0))
        if modality == "together":
            low = max(score for name, score in scores.items() if name != "together") + 0.05
        verdict = "within" if low <= scores[modality] <= high else "OUTSIDE"
        print(
            f"{modality:9s} {scores[modality]:.3f}  {verdict} {low:.2f} to {high:.2f}; "
            f"labels permuted: {by_chance(values, labels, fold, rng)}"
        )
        print(f"          most confused: {confused(names[labels], names[predicted])}")

    constant = waf(labels, np.full(len(labels), np.bincount(labels).argmax()))
    print(f"\nfile properties alone; always the largest class gives {constant:.3f}")
    for name, values in file_properties(list(clips["video"])).items():
        score = waf(labels, out_of_fold(values, labels, fold))
        chance = by_chance(values, labels, fold, rng)
        print(f"{name:17s} {score:.3f}; labels permuted: {chance}")


if __name__ == "__main__":
    main()
