"""What a CLIP says without a classifier: the class prompt nearest to a clip.

N clips, K models, C classes, D features.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.features import TunedSpaces
from agt_lib.clip_tuning.network import tokenised
from agt_lib.corpora.corpus import Corpus
from agt_lib.features.clip import LOCAL, ClipEncoder, Source
from agt_lib.features.features import Features
from agt_lib.fusion.crossval import CrossValidated


def prompt_embeddings(
    model: str, labels: Sequence[str], config: TuneConfig
) -> tuple[np.ndarray, float]:
    """The labels' prompts as `model` embeds them, (C, D) of length 1, and its logit scale."""
    source = Source.find(model, None)
    network = source.network(torch.float32)
    tokens = tokenised(source.architecture, tuple(config.prompts(tuple(labels))))
    with torch.inference_mode():
        text = F.normalize(network.encode_text(tokens), dim=-1)
        return text.numpy(), float(network.logit_scale.exp())


def similarities(features: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Cosines of features (N, D) with prompts (C, D) of length 1: (N, C)."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, np.finfo(np.float32).tiny) @ text.T


def zero_shot(
    corpus: Corpus, spaces: TunedSpaces, model: str, config: TuneConfig
) -> dict[str, CrossValidated]:
    """Zero-shot predictions of the "raw" and the "tuned" CLIP, in the protocol of fusion.

    A labelled clip's prediction comes from the model of the fold that holds it out, a test clip's
    is the mean of the models' probabilities. Clips without video get equal probabilities.
    """
    tuned = [f"{LOCAL}{folder}" for folder in spaces.models[: len(spaces.by_fold)]]
    probabilities = [
        _probabilities(part, *prompt_embeddings(name, corpus.labels, config))
        for part, name in zip(spaces.by_fold, tuned, strict=True)
    ]
    raw = _probabilities(spaces.raw, *prompt_embeddings(model, corpus.labels, config))
    return {
        "raw": _in_protocol(corpus, spaces, [raw] * len(probabilities)),
        "tuned": _in_protocol(corpus, spaces, probabilities),
    }


def over_time(
    corpus: Corpus,
    names: Sequence[str],
    models: Mapping[str, Mapping[str, str | Path]],
    config: TuneConfig,
    n_frames: int = 16,
) -> pd.DataFrame:
    """Each frame's cosine with each prompt: columns name, model, time, label, cosine.

    `models` gives for each series ("raw", "tuned") the model of each clip by its name: a fold's
    for a clip that it holds out. `time` runs from 0 to 1 over the clip.
    """
    rows = []
    for series, by_clip in models.items():
        for name in names:
            model = str(by_clip[name])
            encoder = ClipEncoder(model, n_frames=n_frames)
            (values,) = encoder.encode_frames([encoder.load(corpus.clips.loc[name])])  # (T, D)
            text, _ = prompt_embeddings(model, corpus.labels, config)
            cosines = pd.DataFrame(similarities(values, text), columns=list(corpus.labels))
            cosines["time"] = (np.arange(n_frames) + 0.5) / n_frames
            long = cosines.melt("time", var_name="label", value_name="cosine")
            rows.append(long.assign(name=name, model=series))
    return pd.concat(rows, ignore_index=True)[["name", "model", "time", "label", "cosine"]]


def _probabilities(features: Features, text: np.ndarray, scale: float) -> np.ndarray:
    logits = scale * similarities(features.values, text) * features.present[:, None]
    return torch.from_numpy(logits).softmax(dim=1).numpy()


def _in_protocol(
    corpus: Corpus, spaces: TunedSpaces, probabilities: Sequence[np.ndarray]
) -> CrossValidated:
    places = pd.Index(spaces.raw.names)
    rows = places.get_indexer(spaces.folds.index)
    numbers = spaces.folds.to_numpy()
    out_of_fold = np.full((len(rows), len(corpus.labels)), np.nan)
    for fold, table in enumerate(probabilities):
        out_of_fold[numbers == fold] = table[rows[numbers == fold]]
    test = corpus.split("test").index.intersection(places, sort=False)
    mean = np.mean([table[places.get_indexer(test)] for table in probabilities], axis=0)
    return CrossValidated(
        names=tuple(spaces.folds.index),
        label_set=corpus.labels,
        folds=numbers,
        seeds=(0,),
        out_of_fold=out_of_fold[None],
        test_names=tuple(test),
        test=mean[None] if len(test) else None,
    )
