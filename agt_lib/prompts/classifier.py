"""A ranker trained on the corpus itself: character n-grams and logistic regression.

N clips, K folds, C labels.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import divisions
from agt_lib.prompts import VERSION
from agt_lib.prompts.rankings import NO_WORDS, Rankings
from agt_lib.workspace.kept import digest
from agt_lib.workspace.shards import ABSENT

NGRAMS = (1, 4)
"""Characters: they need no word boundaries, which Chinese does not write."""


class ClassifierRanker:
    """Ranks labels by the probabilities of a classifier of character n-grams, cross-fitted.

    It stands in for the paper's GPT-4 (section 2.1) if there is none. Nothing is chosen on labels:
    logistic regression has scikit-learn's default strength.
    """

    def __repr__(self) -> str:
        return "logistic regression on character n-grams"

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the rankings beside the corpus, JSON-able."""
        return {"ranker": "classifier", "version": VERSION, "ngrams": list(NGRAMS)}

    def rank(self, corpus: Corpus, folds: pd.Series) -> Rankings:
        """Rank the clips of `corpus`; `folds` numbers the fold of each labelled clip.

        A labelled clip is ranked by a model that was not trained on it (see `folds.divisions`), all
        others by the mean probabilities of the models that hold out a fold. Labels that a model was
        not trained on come last. Raises ValueError as `divisions`, and if the clips with words that
        a model can be trained on have fewer than two labels.
        """
        texts = corpus.clips["text"].dropna()
        found = pd.DataFrame(0.0, index=texts.index, columns=list(corpus.labels))
        rest = texts.index.difference(folds.index, sort=False)
        n_folds = folds[folds >= 0].nunique()
        for number, (held_out, training) in enumerate(divisions(corpus, folds)):
            model = self._fit(corpus, texts[texts.index.isin(training)])
            parts = [(texts.index.intersection(held_out), 1)]
            if number < n_folds:
                parts.append((rest, 1 / n_folds))
            for names, weight in parts:
                if len(names):
                    said = model.predict_proba(texts[names].to_numpy(dtype=object))
                    found.loc[names, model.classes_] += weight * said
        orders = np.argsort(-found.to_numpy(), axis=1, kind="stable")
        ranked = dict(zip(texts.index, np.array(corpus.labels, object)[orders], strict=True))
        learned = corpus.clips.loc[folds.index, ["emotion", "text"]].astype(object)
        learned = learned.where(learned.notna(), None).assign(fold=folds.astype(int))
        return Rankings.build(
            {name: ranked.get(name) for name in corpus.clips.index},
            corpus.labels,
            self.fingerprint | {"trained_on": digest(learned.reset_index().values.tolist())},
            [(n, ABSENT, NO_WORDS) for n in corpus.clips.index if n not in ranked],
        )

    def _fit(self, corpus: Corpus, texts: pd.Series) -> Pipeline:
        emotions = corpus.clips.loc[texts.index, "emotion"]
        if emotions.nunique() < 2:
            raise ValueError(
                f"corpus {corpus.name!r}: a training fold of the classifier has {len(texts)} clips "
                f"with words and {emotions.nunique()} labels; it needs two labels"
            )
        model = make_pipeline(
            TfidfVectorizer(analyzer="char", ngram_range=NGRAMS, sublinear_tf=True),
            LogisticRegression(max_iter=2000),
        )
        return model.fit(texts.to_numpy(dtype=object), emotions.to_numpy(dtype=object))
