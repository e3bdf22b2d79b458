"""The six emotions of MER2024 and their two orders; the names of the three modalities."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from agt_lib.workspace.words import hidden, runs

EMOTIONS = ("neutral", "angry", "happy", "sad", "worried", "surprise")
"""The order of every table, network and figure: the one MER2024's toolkit numbers 0 to 5."""

PROMPT_ORDER = ("worried", "happy", "neutral", "angry", "surprise", "sad")
"""The order of the paper's text prompt (section 2.1), where worry is 0 and sadness 5."""

MODALITIES = ("audio", "video", "text")
"""The order of every table and network: the guide, which is the voice, first."""

ALIASES = {
    "neutral": ("中性", "平静"),
    "angry": ("anger", "生气", "愤怒"),
    "happy": ("happiness", "joy", "joyful", "高兴", "开心", "快乐"),
    "sad": ("sadness", "悲伤", "伤心", "难过"),
    "worried": ("worry", "fear", "fearful", "afraid", "anxious", "担心", "担忧", "害怕"),
    "surprise": ("surprised", "惊讶", "惊奇", "吃惊"),
}
"""Other names of the six emotions; fear is what other corpora have in worry's place."""

LETTERS = {"audio": "A", "video": "V", "text": "T"}
"""What the paper calls the modalities in the names of rows, such as "A+V"."""

TITLES = {"audio": "voice", "video": "face", "text": "words"}
"""What is seen or heard of a person in each modality: for readers."""

MISSING = -1
"""The number of an absent label."""

NOTICEABLE = 1.25
"""A label whose share changes by this factor, up or down, has shifted (a decision of our own)."""


def normalise(label: object) -> str | None:
    """Return `label` in lower case without outer spaces, or None if it is absent or empty."""
    if pd.isna(label):
        return None
    return str(label).strip().lower() or None


def understood(label: object, labels: Sequence[str] = EMOTIONS) -> str | None:
    """Which of `labels` is meant, also by one of the `ALIASES`; None if none is."""
    name = normalise(label)
    if name in labels:
        return name
    return next((e for e, names in ALIASES.items() if e in labels and name in names), None)


def label_set(labels: Sequence[str]) -> tuple[str, ...]:
    """Return `labels`, normalised, as the label set of a corpus: their order is kept.

    Raises ValueError unless they are at least two different, non-empty labels.
    """
    names = () if isinstance(labels, str) else tuple(normalise(label) for label in labels)
    if len(names) < 2 or None in names or len(set(names)) < len(names):
        raise ValueError(f"a label set is two or more different labels; got {labels!r}")
    if unfit := [name for name in names if hidden(name) or runs(name)]:
        raise ValueError(f"{unfit[0]!r} is no label: an invisible character, or a formula's sign")
    return names


def to_numbers(labels: Sequence[object], label_set: Sequence[str] = EMOTIONS) -> np.ndarray:
    """Number `labels` by their place in `label_set`; absent ones become `MISSING`.

    Returns an int64 array of shape (N,). Raises ValueError naming the labels that are not
    in `label_set`.
    """
    number = {normalise(label): i for i, label in enumerate(label_set)} | {None: MISSING}
    names = [normalise(label) for label in labels]
    if unknown := sorted({name for name in names if name not in number}):
        raise ValueError(f"unknown labels {unknown}; the label set is {list(label_set)}")
    return np.array([number[name] for name in names], dtype=np.int64)
