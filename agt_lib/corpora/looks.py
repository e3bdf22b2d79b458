"""A corpus for a reader's eyes: counts and a few clips."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus, missing_files
from agt_lib.corpora.media import MediaError, decode_audio, decode_frames, duration

NO_LABEL = "no label"
FRAMES = 6
NAMED = 12
"""Speakers that a summary names each; of more it gives the range of their clips."""


def summary(corpus: Corpus, sampled: int = 100) -> str:
    """In two lines: clips by split, class and speaker, what they lack, and how long all are.

    The duration is estimated from `sampled` clips.
    """
    clips, labels = corpus.clips, corpus.clips["emotion"].value_counts()
    splits = ", ".join(f"{n} {split}" for split, n in clips["split"].value_counts().items())
    classes = ", ".join(f"{label} {labels.get(label, 0)}" for label in corpus.labels)
    speakers = clips["speaker"].value_counts(sort=False)
    who = ", ".join(f"{name} {n}" for name, n in speakers.items())
    if len(speakers) > NAMED:
        who = f"{len(speakers)} with {speakers.min()} to {speakers.max()} clips"
    if unknown := int(clips["speaker"].isna().sum()) if len(speakers) else 0:
        who += f", unknown {unknown}"
    who = f"speakers: {who}" if len(speakers) else "no speakers known"
    first = f"corpus {corpus.name}: {len(clips)} clips ({splits}); {classes}; {who}"
    if corpus.features_at is not None:
        return f"{first}; features without media"
    media = clips["audio"].fillna(clips["video"])
    lacking = {
        "words": clips["text"], "sound": media, "picture": clips["video"],
    }  # fmt: skip
    lacks = ", ".join(f"{part.isna().sum()} without {name}" for name, part in lacking.items())
    files = clips["video"].fillna(clips["audio"]).dropna()
    found = []
    for path in files.sample(min(sampled, len(files)), random_state=0):
        with suppress(MediaError):
            found.append(duration(path))
    minutes = np.mean(found) * len(files) / 60 if found else 0
    about = "about " * (len(files) > len(found))
    lacks += f", {len(missing_files(clips))} files missing"
    return f"{first}\n{lacks}; {about}{minutes:.0f} min of media"


def choose(corpus: Corpus, n: int = 6, seed: int = 0) -> list[str]:
    """Names of `n` clips: one of each emotion in turn, then of those without one."""
    shuffled = corpus.clips.sample(frac=1, random_state=seed)
    turn = shuffled.groupby(shuffled["emotion"].fillna("")).cumcount()
    unlabelled = shuffled["emotion"].isna()
    place = shuffled["emotion"].map({label: i for i, label in enumerate(corpus.labels)})
    order = pd.DataFrame({"last": unlabelled, "turn": turn, "place": place})
    return list(order.sort_values(["last", "turn", "place"]).index[:n])


def clips(corpus: Corpus, names: Sequence[str]) -> list[dict[str, Any]]:
    """What `clip_pictures.clips` draws of each clip: `title`, `frames`, `waveform` and `text`.

    What can't be decoded is None, and the title says so.
    """
    shown = []
    for name in names:
        clip = corpus.clips.loc[name].dropna()
        found = {"title": f"{name}: {clip.get('emotion', 'unlabelled')}", "text": clip.get("text")}
        sound = clip.get("audio", clip.get("video"))
        look = partial(decode_frames, n_frames=FRAMES)
        ways = {"frames": (look, clip.get("video")), "waveform": (decode_audio, sound)}
        for part, (decode, path) in ways.items():
            found[part] = None
            try:
                found[part] = decode(path) if path else None
            except MediaError as error:
                found["title"] += f" ({part} unreadable: {error.reason})"
        shown.append(found)
    return shown


def counts(corpus: Corpus) -> pd.DataFrame:
    """Clips by split (rows) and emotion; beside them all clips, speakers and those with a text.

    The labels of test clips are not shown, known or not.
    """
    clips = corpus.clips
    table = pd.crosstab(clips["split"], clips["emotion"].fillna(NO_LABEL))
    table = table.reindex(columns=[*corpus.labels, NO_LABEL], fill_value=0)
    by_split = clips.groupby("split")
    table["clips"] = by_split.size()
    table["speakers"] = by_split["speaker"].nunique()
    table["with text"] = by_split["text"].count()
    return table.astype(np.int64)
