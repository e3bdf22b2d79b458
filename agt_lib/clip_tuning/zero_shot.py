"""What a CLIP says without a classifier: the class prompt nearest to a clip.

N clips, K models, C classes, D features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.features import TunedSpaces
from agt_lib.clip_tuning.network import tokenised
from agt_lib.corpora.corpus import Corpus
from agt_lib.evaluation.predictions import Predictions
from agt_lib.features.clip import LOCAL, ClipEncoder, Source
from agt_lib.features.features import Features

N_FRAMES = 16  # of a clip over time


def prompt_embeddings(
    model: str, labels: Sequence[str], config: TuneConfig
) -> tuple[np.ndarray, float]:
    """The labels' prompts as `model` embeds them, (C, D) of length 1, and its logit scale."""
    source = Source.find(model)
    network = source.network(torch.float32)
    tokens = tokenised(source.architecture, tuple(config.prompts(labels)))
    with torch.inference_mode():
        text = F.normalize(network.encode_text(tokens), dim=-1)
        return text.numpy(), float(network.logit_scale.exp())


def similarities(features: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Cosines of features (N, D) with prompts (C, D) of length 1: (N, C)."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, np.finfo(np.float32).tiny) @ text.T


def zero_shot_predictions(
    corpus: Corpus, spaces: TunedSpaces, model: str, config: TuneConfig
) -> tuple[Predictions, Predictions | None]:
    """Zero-shot predictions of held-out clips and of test clips.

    The models are "raw, zero-shot" and "tuned, zero-shot". A held-out clip's prediction comes from
    the model of the fold that holds it out. A test clip's is the mean of the fold models'
    probabilities. The second is None if there are no test clips. Clips without video get equal
    probabilities.
    """
    by_fold = [
        _probabilities(part, f"{LOCAL}{folder}", corpus.labels, config)
        for part, folder in zip(spaces.by_fold, spaces.models, strict=False)
    ]
    tuned = np.stack(by_fold)  # (K, N, C)
    raw = _probabilities(spaces.raw, model, corpus.labels, config)  # (N, C)
    places, held_out = pd.Index(spaces.raw.names), spaces.folds[spaces.folds >= 0]
    rows = places.get_indexer(held_out.index)
    out_of_fold = _predictions(held_out.index, corpus, raw[rows], tuned[held_out.to_numpy(), rows])
    test = corpus.split("test").index.intersection(places, sort=False)
    if test.empty:
        return out_of_fold, None
    rows = places.get_indexer(test)
    return out_of_fold, _predictions(test, corpus, raw[rows], tuned[:, rows].mean(0))


def prompts_over_time(
    corpus: Corpus,
    names: Sequence[str],
    spaces: TunedSpaces,
    model: str,
    config: TuneConfig,
    **reading: Any,
) -> pd.DataFrame:
    """Each frame's cosine with each prompt: columns name, model, time, label, cosine.

    `model` is "raw", or "tuned": the tuned one that never saw the clip. `time` runs from 0 to 1
    over the clip. `reading` is that of `tuned_spaces`. Raises ValueError for a clip that no fold
    holds out.
    """
    parts = []
    for name in names:
        for series, tuned in {"raw": model, "tuned": spaces.model_of(name)}.items():
            encoder = ClipEncoder(tuned, n_frames=N_FRAMES, **reading)
            [frames] = encoder.encode_frames([encoder.load(corpus.clips.loc[name])])  # (T, D)
            text, _ = prompt_embeddings(tuned, corpus.labels, config)
            cosines = pd.DataFrame(similarities(frames, text), columns=list(corpus.labels))
            cosines["time"] = (np.arange(N_FRAMES) + 0.5) / N_FRAMES
            long = cosines.melt("time", var_name="label", value_name="cosine")
            parts.append(long.assign(name=name, model=series))
    return pd.concat(parts, ignore_index=True)[["name", "model", "time", "label", "cosine"]]


def _probabilities(
    features: Features, model: str, labels: Sequence[str], config: TuneConfig
) -> np.ndarray:
    text, scale = prompt_embeddings(model, labels, config)
    logits = scale * similarities(features.values, text) * features.present[:, None]
    return torch.from_numpy(logits).softmax(dim=1).numpy()


def _predictions(
    names: pd.Index, corpus: Corpus, raw: np.ndarray, tuned: np.ndarray
) -> Predictions:
    probabilities = {"raw, zero-shot": raw[None], "tuned, zero-shot": tuned[None]}  # (1, N, C)
    return Predictions(tuple(names), corpus.labels, probabilities)
