"""Folds: one division of the labelled clips per corpus, shared by all that is cross-fitted."""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from agt_lib.corpora.corpus import Corpus


def make_folds(corpus: Corpus, n_folds: int = 5, fold_seed: int = 0) -> pd.Series:
    """Number each labelled training clip's fold, 0 to `n_folds` - 1, indexed by clip name.

    Stratified by emotion; grouped by speaker where every labelled clip has one. Raises ValueError
    for classes or speakers too few to fill the folds.
    """
    clips = corpus.labelled
    counts = clips["emotion"].value_counts()
    if counts.empty:
        raise ValueError(f"corpus {corpus.name!r} has no labelled training clips: nothing to fold")
    if counts.min() < n_folds:
        few = ", ".join(f"{label}: {n}" for label, n in counts.items() if n < n_folds)
        raise ValueError(f"{n_folds} folds need {n_folds} clips of each class; too few of {few}")
    return pd.Series(
        _assign(clips["emotion"].to_numpy(), _groups(clips["speaker"]), n_folds, fold_seed),
        index=clips.index,
        name="fold",
    )


def inner_split(
    emotions: np.ndarray, groups: np.ndarray | None, seed: int, n_parts: int = 5
) -> np.ndarray:
    """Mark one of `n_parts` parts of a training fold for choosing the epoch: a (N,) bool mask.

    Stratified, and grouped where `groups` (N,) name every clip's and are at least `n_parts`. A
    class rarer than `n_parts` may be missing from the part; where every class is, there are fewer
    parts. Raises ValueError where no class has two clips.
    """
    emotions = np.asarray(emotions)
    n_parts = min(n_parts, int(np.unique(emotions.astype(str), return_counts=True)[1].max()))
    if groups is not None:
        groups = _groups(pd.Series(groups))
    if groups is not None and len(np.unique(groups)) < n_parts:
        groups = None
    return _assign(emotions, groups, n_parts, seed) == 0


def _groups(speakers: pd.Series) -> np.ndarray | None:
    return None if speakers.isna().any() else speakers.astype(str).to_numpy(dtype=object)


def _assign(emotions: np.ndarray, groups: np.ndarray | None, n_folds: int, seed: int) -> np.ndarray:
    if groups is None:
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    else:
        if (n := len(np.unique(groups))) < n_folds:
            raise ValueError(f"{n_folds} folds need {n_folds} speakers; the corpus has {n}")
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    fold = np.full(len(emotions), -1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # documented at callers
        for number, (_, held_out) in enumerate(splitter.split(emotions, emotions, groups)):
            fold[held_out] = number
    return fold
