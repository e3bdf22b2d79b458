"""What a notebook's run trains on and predicts: its clips by part, with their features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import folds_of
from agt_lib.features.features import Features
from agt_lib.features.runs import of_run as raw_features
from agt_lib.fusion import feature_sets
from agt_lib.fusion.data import FusionData, from_corpus
from agt_lib.workspace.run import Run


@dataclass(frozen=True)
class RunData:
    """A run's labelled clips `data`, its `test` clips without labels, and the `pool`.

    The pool are all unlabelled clips, test clips among them. Both are None where there are none.
    `folds` number the fold that holds each labelled clip out. `features` are by modality.
    """

    features: Mapping[str, Features]
    data: FusionData
    test: FusionData | None
    pool: FusionData | None
    folds: pd.Series


def of_run(
    run: Run, corpus: Corpus, splits: Sequence[str] | None = None, *, tuned: bool = False
) -> RunData:
    """The data of `run` on raw features or, where `tuned`, on tuned ones where they can be had.

    What is missing is extracted or tuned first, of the clips of `splits` (all by default). A
    modality that no labelled clip has is left out, and said. Raises ValueError where none is left.
    """
    folds = folds_of(corpus, run.profile.n_folds, run.profile.fold_seed)
    features = raw_features(run, corpus.only(*splits) if splits else corpus)
    if tuned and corpus.features_at is not None:
        print("features that MERTools made can't be tuned: there are no clips here; raw ones")
    elif tuned:
        ranker = "llm" if run.profile.name == "paper" else "classifier"  # GPT-4, section 2.1
        features |= feature_sets.tuned(
            corpus, folds, run.encoders, ranker=ranker, seed=run.seed, splits=splits,
            max_failures=run.max_failures, max_epochs=run.profile.max_epochs,
        )  # fmt: skip
    data = from_corpus(corpus, features, ("train", "dev"))
    there = [m for m in data.modalities if data.is_present(m).any()]
    if not there:
        raise ValueError("no labelled clip has features: see the reasons in notebook 01")
    for modality in set(data.modalities) - set(there):
        print(f"no labelled clip has {modality}: it is left out")
    test, pool = (from_corpus(corpus, features, s) for s in (("test",), ("test", "unlabelled")))
    return RunData(
        features=features,
        data=data.only(there),
        test=test.only(there) if test.names else None,
        pool=pool.only(there) if pool.names else None,
        folds=folds,
    )
