"""A corpus and its features for a reader's eyes: counts, a few clips, two dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.media import MediaError, decode_audio, decode_frames
from agt_lib.features.features import Features

NO_LABEL = "no label"
MOST_POINTS = 2000


def choose(corpus: Corpus, n: int = 6, seed: int = 0) -> list[str]:
    """Names of `n` clips: one of each emotion in turn, then of those without one."""
    shuffled = corpus.clips.sample(frac=1, random_state=seed)
    turn = shuffled.groupby(shuffled["emotion"].fillna("")).cumcount()
    unlabelled = shuffled["emotion"].isna()
    place = shuffled["emotion"].map({label: i for i, label in enumerate(corpus.labels)})
    order = pd.DataFrame({"last": unlabelled, "turn": turn, "place": place})
    return list(order.sort_values(["last", "turn", "place"]).index[:n])


def clips(corpus: Corpus, names: Sequence[str], n_frames: int = 6) -> list[dict[str, Any]]:
    """What `plots.clips` draws of each clip: `title`, `frames`, `waveform` and `text`.

    What can't be decoded is None, and the title says so.
    """
    shown = []
    for name in names:
        clip = corpus.clips.loc[name].astype(object).where(corpus.clips.loc[name].notna(), None)
        title = f"{name}: {clip['emotion'] or 'unlabelled'}"
        frames, waveform = None, None
        try:
            if clip["video"]:
                frames = decode_frames(clip["video"], n_frames=n_frames)
            if clip["audio"] or clip["video"]:
                waveform = decode_audio(clip["audio"] or clip["video"])
        except MediaError as error:
            title += f" (unreadable: {error.reason})"
        shown.append({"title": title, "frames": frames, "waveform": waveform, "text": clip["text"]})
    return shown


def counts(corpus: Corpus) -> pd.DataFrame:
    """Clips by split (rows) and emotion, with speakers, videos and transcripts counted beside.

    The labels of test clips are not shown, known or not.
    """
    clips = corpus.clips
    table = pd.crosstab(clips["split"], clips["emotion"].fillna(NO_LABEL))
    columns = [*corpus.labels, NO_LABEL]
    table = table.reindex(columns=columns, fill_value=0)
    by_split = clips.groupby("split")
    table["clips"] = by_split.size()
    table["speakers"] = by_split["speaker"].nunique()
    table["with text"] = by_split["text"].count()
    return table.astype(np.int64)


def in_two_dimensions(
    corpus: Corpus, features: Mapping[str, Features], seed: int = 0
) -> pd.DataFrame:
    """t-SNE of each modality's standardised features: columns modality, name, emotion, x, y.

    Of the labelled clips, or of all where none is labelled; of 2000 at most, drawn by `seed`.
    """
    clips = corpus.clips if corpus.labelled.empty else corpus.labelled
    clips = clips.sample(min(len(clips), MOST_POINTS), random_state=seed)
    tables = [_project(part.select(clips.index), seed) for part in features.values()]
    points = pd.concat(tables, ignore_index=True)
    points.insert(2, "emotion", clips["emotion"].fillna(NO_LABEL).loc[points["name"]].to_numpy())
    return points


def _project(features: Features, seed: int) -> pd.DataFrame:
    values = features.values[features.present]
    if features.lengths is not None:  # (n, T, D) -> (n, D); zeros lie behind each clip's end
        values = values.sum(1) / features.lengths[features.present, None]
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
