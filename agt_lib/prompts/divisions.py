"""Who may learn from whom: a clip is ranked without its own fold's labels."""

from dataclasses import dataclass, replace

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import make_folds

INNER_FOLDS = 5
"""At most, of clips that no fold holds out: those of a corpus with a dev split of its own."""


@dataclass(frozen=True)
class Division:
    """Clips to rank (`ranked`) and the labelled clips that may be learnt from (`seen`)."""

    ranked: pd.Index
    seen: pd.Index


def divisions(corpus: Corpus, folds: pd.Series) -> list[Division]:
    """One division for each fold that `folds` holds out, in its order; then inner ones.

    `folds` numbers the fold of each labelled clip; -1 marks clips that no fold holds out (see
    `crossval.dev_fold`): they are divided once more among themselves and never learn from held-out
    clips. Raises ValueError for clips that the corpus does not have or has no label of, and where
    clips to divide have a label or a speaker alone (see `make_folds`).
    """
    emotions = corpus.clips["emotion"].reindex(folds.index)
    if emotions.isna().any():
        missing = emotions.index[emotions.isna()]
        raise ValueError(
            f"{len(missing)} clips of the folds have no label in corpus {corpus.name!r}, the first "
            f"is {missing[0]!r}: folds and corpus must belong together"
        )
    held_out = sorted(set(folds) - {-1})
    found = [Division(folds.index[folds == k], folds.index[folds != k]) for k in held_out]
    always = folds.index[folds == -1]
    if len(always):
        clips = corpus.clips.loc[always]
        inner = make_folds(replace(corpus, clips=clips), _n_inner(clips))
        found += [
            Division(inner.index[inner == k], inner.index[inner != k]) for k in sorted(set(inner))
        ]
    return found


def _n_inner(clips: pd.DataFrame) -> int:
    """`INNER_FOLDS`, or as many as the rarest label and the speakers allow, but two at least."""
    allowed = [INNER_FOLDS, int(clips["emotion"].value_counts().min())]
    if clips["speaker"].notna().all():
        allowed.append(clips["speaker"].nunique())
    return max(2, min(allowed))


def others(corpus: Corpus, folds: pd.Series, splits: tuple[str, ...] | None) -> pd.Index:
    """The clips of `splits` (all by default) that `folds` does not number."""
    clips = corpus.clips if splits is None else corpus.split(*splits)
    return clips.index.difference(folds.index, sort=False)
