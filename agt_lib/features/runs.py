"""The raw features of a notebook's run: a table that says what they are, and a picture's points."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.looks import NO_LABEL
from agt_lib.features import mertools
from agt_lib.features.encoder import build
from agt_lib.features.extraction import extract
from agt_lib.features.features import Features
from agt_lib.workspace.run import Run

MOST_POINTS = 2000


def of_run(run: Run, corpus: Corpus) -> dict[str, Features]:
    """The features of each modality of `run`: what is kept, else extracted. `run` records which.

    Of a corpus whose features MERTools made they are read from the folders that the run names.
    Raises what `extract` and `mertools.read_features` raise.
    """
    found, precisions = {}, {}
    if run.encoders.get("video") == "clip" and not corpus.synthetic and corpus.features_at is None:
        print("the small CLIP knows drawn faces alone: for real ones take profile local")
    for modality, name in run.encoders.items():
        if corpus.features_at is None:
            encoder = build(name, **run.encoder_options(modality))
            made = encoder.fingerprint
            precisions[modality] = {k: made[k] for k in ("precision",) if k in made}
            found[modality] = extract(corpus, encoder, max_failures=run.max_failures)
            for line in said(found[modality]):
                print(line)
        else:
            counted = corpus.split("train", "dev", "test").index
            found[modality] = mertools.read_features(
                corpus.features_at, name, modality, corpus.clips.index, run.max_failures, counted
            )
    about = {
        modality: {"fingerprint": part.fingerprint, "present": int(part.present.sum())}
        | precisions.get(modality, {})
        for modality, part in found.items()
    }
    run.tell("features", about)
    return found


def said(features: Features) -> list[str]:
    """How many clips each remark is about; those that differ by numbers alone are one."""
    alike = features.remarks["reason"].str.replace(r"\d+(\.\d+)?", "#", regex=True)
    head, n = f"{features.modality}:", features.present.sum()
    return [f"{head} {count} of {n} clips: {r}" for r, count in alike.value_counts().items()]


def summary(features: Mapping[str, Features], encoders: Mapping[str, str]) -> pd.DataFrame:
    """One row a modality: its encoder, width, clips present and absent."""
    parts = features.values()
    columns = {
        "encoder": [encoders[modality] for modality in features],
        "width": [part.dim for part in parts],
        "present": [int(part.present.sum()) for part in parts],
        "absent": [int((~part.present).sum()) for part in parts],
    }
    return pd.DataFrame(columns, index=pd.Index(features, name="modality"))


def in_two_dimensions(
    corpus: Corpus, features: Mapping[str, Features], seed: int = 0
) -> pd.DataFrame:
    """t-SNE of each modality's standardised features: columns modality, name, emotion, x, y.

    Of the labelled clips, or of all if none is labelled. At most 2000, drawn by `seed`.
    """
    clips = corpus.clips if corpus.labelled.empty else corpus.labelled
    clips = clips.sample(min(len(clips), MOST_POINTS), random_state=seed)
    tables = [_project(part.select(clips.index), seed) for part in features.values()]
    points = pd.concat(tables, ignore_index=True)
    points.insert(2, "emotion", clips["emotion"].fillna(NO_LABEL).loc[points["name"]].to_numpy())
    return points


def _project(features: Features, seed: int) -> pd.DataFrame:
    values = features.values[features.present]
    names = np.array(features.names, dtype=object)[features.present]
    points = np.zeros((len(names), 2))
    # With few clips there are no neighbourhoods; equal ones (one sentence for all) crash t-SNE.
    if len(names) > 3 and not np.allclose(values, values[0], rtol=1e-4):
        perplexity = min(30.0, (len(names) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        points = tsne.fit_transform(StandardScaler().fit_transform(values))
    return pd.DataFrame(
        {"modality": features.modality, "name": names, "x": points[:, 0], "y": points[:, 1]}
    )
