"""A ranker that learns from the corpus itself: character n-grams and logistic regression.

N clips, K folds, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import divisions
from agt_lib.prompts.divisions import others
from agt_lib.prompts.ranking import Rankings
from agt_lib.workspace.kept import digest
from agt_lib.workspace.shards import ABSENT

VERSION = 1  # raised when the same words and labels give other rankings
NO_WORDS = "the clip has no words"


@dataclass(frozen=True)
class ClassifierRanker:
    """Ranks labels by the probabilities of a classifier of character n-grams, cross-fitted.

    It stands in for the paper's GPT-4 (section 2.1) where there is none. Nothing is chosen on
    labels: `strength` is scikit-learn's default C, and characters need no word boundaries, which
    Chinese does not write.
    """

    ngrams: tuple[int, int] = (1, 4)
    strength: float = 1.0

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the rankings beside the corpus, JSON-able."""
        return {
            "ranker": "classifier",
            "version": VERSION,
            "ngrams": list(self.ngrams),
            "strength": self.strength,
        }

    def rank(
        self, corpus: Corpus, folds: pd.Series, *, splits: Sequence[str] | None = None
    ) -> Rankings:
        """Rank the clips of `splits` (all by default) and those that `folds` numbers.

        A labelled clip is ranked by the model that never saw its fold; any other one by the mean
        of the K fold models' probabilities. Labels that a model never saw come last. Raises
        ValueError where no clip to learn from has words.
        """
        texts = corpus.clips["text"].dropna()
        rest = others(corpus, folds, None if splits is None else tuple(splits))
        rest = rest[rest.isin(texts.index)]
        parts = divisions(corpus, folds)
        n_held_out = folds[folds >= 0].nunique()
        probabilities: dict[str, np.ndarray] = {}
        total = np.zeros((len(rest), len(corpus.labels)))
        for number, part in enumerate(parts):
            model = self._fit(corpus, texts[part.training[part.training.isin(texts.index)]])
            ranked = part.held_out[part.held_out.isin(texts.index)]
            rows = _predict(model, texts[ranked], corpus.labels)
            probabilities |= dict(zip(ranked, rows, strict=True))
            if number < n_held_out:
                total += _predict(model, texts[rest], corpus.labels)
        probabilities |= dict(zip(rest, total / n_held_out, strict=True))
        wanted = folds.index.union(others(corpus, folds, splits), sort=False)
        names = corpus.clips.index[corpus.clips.index.isin(wanted)]
        found = {name: _order(probabilities.get(name), corpus.labels) for name in names}
        absent = [(name, ABSENT, NO_WORDS) for name, order in found.items() if order is None]
        labelled = corpus.clips.loc[folds.index, ["emotion", "text"]].astype(object)
        labelled = labelled.where(labelled.notna(), None).assign(fold=folds.astype(int))
        made_by = self.fingerprint | {"learnt_from": digest(labelled.reset_index().values.tolist())}
        return Rankings.build(found, corpus.labels, made_by, absent)

    def _fit(self, corpus: Corpus, texts: pd.Series) -> Pipeline:
        emotions = corpus.clips.loc[texts.index, "emotion"]
        if emotions.nunique() < 2:
            raise ValueError(
                f"corpus {corpus.name!r}: the classifier found {len(texts)} clips with words and "
                f"{emotions.nunique()} labels to learn from in a training fold; it needs two labels"
            )
        model = make_pipeline(
            TfidfVectorizer(analyzer="char", ngram_range=self.ngrams, sublinear_tf=True),
            LogisticRegression(C=self.strength, max_iter=2000),
        )
        return model.fit(texts.to_numpy(dtype=object), emotions.to_numpy(dtype=object))


def _predict(model: Pipeline, texts: pd.Series, labels: Sequence[str]) -> np.ndarray:
    """Probabilities (N, C); zero for a label that the model never saw."""
    probabilities = np.zeros((len(texts), len(labels)))
    if len(texts):
        places = [labels.index(label) for label in model.classes_]
        probabilities[:, places] = model.predict_proba(texts.to_numpy(dtype=object))
    return probabilities


def _order(probabilities: np.ndarray | None, labels: Sequence[str]) -> list[str] | None:
    if probabilities is None:
        return None
    return [labels[i] for i in np.argsort(-probabilities, kind="stable")]
