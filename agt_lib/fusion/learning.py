"""The learning curve: how good models are that were trained on fewer labelled clips."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.evaluation import tables
from agt_lib.evaluation.tables import REFERENCE
from agt_lib.fusion.choice import N_INNER
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import assembled, fit_folds, training_rows
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.reference import fitted_regressions

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)


def learning_curve(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[Hashable, FusionConfig],
    seeds: Sequence[int],
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Out-of-fold scores of `configs` and of logistic regression by the number of training clips.

    Of each label and fold the same share of clips is kept, drawn by `seed`, each share within the
    next. A share that leaves fewer clips of a label than there are inner folds is left out. All
    clips are predicted, each by models that were trained on other folds. Columns clips (of a
    training fold, the mean) and those of `evaluation.tables.scores`. `options` are those of
    `fit_folds`.
    """
    numbers, parts = fold_numbers(data.names, folds), []
    scale = next(iter(configs.values())).scale
    order = np.random.default_rng(seed).permutation(len(data.names))
    alike = pd.Series(order, index=order).groupby([data.labels[order], numbers[order]])
    place = (alike.cumcount() / alike.transform("size")).sort_index().to_numpy()
    for share in shares:
        part = data.rows(np.flatnonzero(place < share))
        trained_on = training_rows(fold_numbers(part.names, folds), None)
        fewest = min(
            np.unique(part.labels[rows], return_counts=True)[1].min() for rows in trained_on
        )
        if share < 1 and fewest < N_INNER:
            continue
        models: dict[Hashable, Any] = dict(fit_folds(part, folds, configs, seeds, **options).models)
        models |= fitted_regressions(part, folds, {REFERENCE: data.modalities}, scale=scale)
        found = assembled(data, numbers, models, seeds, None).out_of_fold
        clips = round(np.mean([len(rows) for rows in trained_on]))
        parts.append(tables.scores(found, data.truth, data.speakers).assign(clips=clips))
    return pd.concat(parts, ignore_index=True)
