"""Folds: one division of the labelled clips per corpus, shared by all that is cross-fitted.

Folds are a Series by clip name: the number of the fold that holds the clip out, from 0, or -1 for
a clip that every model may be trained on.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from agt_lib.corpora.corpus import Corpus

INNER_FOLDS = 5


class Division(NamedTuple):
    """The clips that a model is to predict and those that it may be trained on."""

    held_out: pd.Index
    training: pd.Index


def folds_of(corpus: Corpus, n_folds: int = 5, fold_seed: int = 0) -> pd.Series:
    """The corpus' folds: its own, or its dev split if that has labels, else `make_folds`.

    A dev split is the one fold: its clips are held out once (0), those of train never (-1).
    """
    if corpus.folds is not None:
        return corpus.folds.loc[corpus.labelled.index]
    clips = corpus.split("train", "dev")
    clips = clips[clips["emotion"].notna()]
    is_dev = clips["split"] == "dev"
    if is_dev.any():
        return is_dev.astype(int).sub(1).rename("fold")
    return make_folds(corpus, n_folds, fold_seed)


def make_folds(corpus: Corpus, n_folds: int = 5, fold_seed: int = 0) -> pd.Series:
    """Number each labelled training clip's fold, 0 to `n_folds` - 1, indexed by clip name.

    Stratified by emotion; grouped by speaker if every labelled clip has one. Raises ValueError for
    fewer than two folds, and if there are no labelled clips, or too few of a class or too few
    speakers to fill the folds.
    """
    clips = corpus.labelled
    counts = clips["emotion"].value_counts()
    if n_folds < 2:
        raise ValueError(f"folds are two or more; got {n_folds}")
    if counts.empty:
        raise ValueError(f"corpus {corpus.name!r} has no labelled training clips: nothing to fold")
    if counts.min() < n_folds:
        few = ", ".join(f"{label}: {n}" for label, n in counts.items() if n < n_folds)
        message = f"{n_folds} folds need {n_folds} clips of each class; too few of {few}"
        raise ValueError(f"{message}. Take fewer folds")
    return pd.Series(
        assign_folds(clips["emotion"].to_numpy(), clips["speaker"].to_numpy(), n_folds, fold_seed),
        index=clips.index,
        name="fold",
    )


def fold_numbers(names: Sequence[str], folds: pd.Series) -> np.ndarray:
    """The fold of each of the clips `names`, (N,).

    Raises ValueError if `folds` misses one, if no clip is held out or all are at once, and if a
    number is left out.
    """
    found = folds.reindex(list(names))
    if found.isna().any():
        missing = found.index[found.isna()]
        raise ValueError(
            f"{len(missing)} of {len(found)} clips have no fold, the first is {missing[0]!r}: "
            "folds and data must come from the same corpus"
        )
    numbers = found.to_numpy(dtype=np.int64)
    there = np.unique(numbers[numbers >= 0])
    right = len(there) and (there == np.arange(len(there))).all() and numbers.min() >= -1
    if not right or (numbers != found).any() or (numbers == 0).all():
        raise ValueError(
            f"folds are numbered 0, 1, 2 and so on, -1 for a clip that is never held out, and no "
            f"fold holds out all; got {', '.join(map(str, pd.unique(found)[:8]))}"
        )
    return numbers


def divisions(corpus: Corpus, folds: pd.Series) -> list[Division]:
    """One division for each fold that `folds` holds out, in their order; then the inner ones.

    Clips that no fold holds out are divided once more among themselves: no clip is predicted by
    a model that was trained on it, and none of them by a model trained on held-out clips. Raises
    ValueError for clips that the corpus does not have, or has no label of, and as `make_folds`.
    """
    emotions = corpus.clips["emotion"].reindex(folds.index)
    if emotions.isna().any():
        missing = emotions.index[emotions.isna()]
        raise ValueError(
            f"{len(missing)} clips of the folds have no label in corpus {corpus.name!r}, the first "
            f"is {missing[0]!r}: folds and corpus must belong together"
        )
    inner = _inner_folds(corpus, folds) if (folds == -1).any() else folds[:0]
    return [
        Division(part.index[part == k], part.index[part != k])
        for part in (folds, inner)
        for k in sorted(set(part) - {-1})
    ]


def tuning_folds(corpus: Corpus, folds: pd.Series) -> pd.Series:
    """`folds`, or, where they hold out a dev split of the corpus' own, folds of its training clips.

    A training clip that no fold holds out would have its feature from a model that was trained on
    its label.
    """
    return folds if (folds >= 0).all() else _inner_folds(corpus, folds)


def _inner_folds(corpus: Corpus, folds: pd.Series) -> pd.Series:
    """Folds of the clips that `folds` never holds out: five, or as many as can be filled."""
    clips = corpus.clips.loc[folds.index[folds == -1]]
    most = [INNER_FOLDS, int(clips["emotion"].value_counts().min())]
    if clips["speaker"].notna().all():
        most.append(clips["speaker"].nunique())
    return make_folds(replace(corpus, clips=clips), max(2, min(most)))


def inner_split(emotions: np.ndarray, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Mark a fifth of a training fold for choosing the epoch: a (N,) bool mask.

    Stratified by `emotions` (N,); grouped if `groups` (N,) name every clip's and are five or more.
    A class of fewer than five clips may be missing from the part. If all classes are so small, the
    part is larger. Raises ValueError if no class has two clips.
    """
    emotions = np.asarray(emotions)
    n_parts = min(INNER_FOLDS, int(np.unique(emotions.astype(str), return_counts=True)[1].max()))
    if groups is not None and pd.Series(groups).nunique() < n_parts:
        groups = None
    return assign_folds(emotions, groups, n_parts, seed) == 0


def assign_folds(
    emotions: np.ndarray, groups: Sequence | None, n_folds: int, seed: int
) -> np.ndarray:
    """The fold of each clip, (N,): stratified by `emotions` (N,), grouped by `groups` (N,).

    Clips are not grouped if one has no group (a missing value), or without `groups`. Raises
    ValueError for groups (speakers) too few to fill the folds.
    """
    if groups is None or pd.isna(groups).any():
        groups = None
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    else:
        groups = np.asarray(groups).astype(str)
        if (n := len(np.unique(groups))) < n_folds:
            raise ValueError(f"{n_folds} folds need {n_folds} speakers; the corpus has {n}")
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    fold = np.full(len(emotions), -1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # documented at callers
        for number, (_, held_out) in enumerate(splitter.split(emotions, emotions, groups)):
            fold[held_out] = number
    return fold
