"""The clips that are ranked beside those of the folds."""

import pandas as pd

from agt_lib.corpora.corpus import Corpus


def others(corpus: Corpus, folds: pd.Series, splits: tuple[str, ...] | None) -> pd.Index:
    """The clips of `splits` (all by default) that `folds` does not number."""
    clips = corpus.clips if splits is None else corpus.split(*splits)
    return clips.index.difference(folds.index, sort=False)
