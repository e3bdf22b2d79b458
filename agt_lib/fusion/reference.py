"""A plain reference beside the fusion networks: logistic regression on the same features.

Letters: S seeds, K folds, N clips, C classes.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.fusion.choice import best, inner_folds
from agt_lib.fusion.crossval import CrossValidated, assembled, training_rows
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.regression import Regression, fit_regressions

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""scikit-learn's C among which the inner folds choose: small, since features outnumber clips."""


def logistic_regression(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[Hashable, Sequence[str]],
    *,
    test: FusionData | None = None,
    **options: Any,
) -> CrossValidated:
    """Logistic regression in every fold, in the protocol of `fit_folds`; it has no seed, so S is 1.

    `options` are those of `fitted_regressions`.
    """
    models = fitted_regressions(data, folds, configs, test=test, **options)
    numbers = fold_numbers(data.names, folds)
    return replace(assembled(data, numbers, models, (0,), test), models={}, final={})


def fitted_regressions(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[Hashable, Sequence[str]],
    *,
    test: FusionData | None = None,
    strengths: Sequence[float] = STRENGTHS,
    scale: str = "fold",
) -> dict[Hashable, list[list[Regression]]]:
    """Each configuration's models, (1, K): one for each fold, trained on the others.

    `configs` are the modalities that each model reads, by its name. Features are scaled as those of
    the networks (`FusionConfig.scale`) and concatenated; an absent modality is at its mean. In each
    fold its strength, scikit-learn's C, is the best of `strengths` in the inner folds (see
    `choice.inner_folds`).
    """
    numbers = fold_numbers(data.names, folds)
    trained_on = training_rows(numbers, test)
    inner = inner_folds(data, folds)[0] if len(strengths) > 1 else []
    models = {}
    for name, modalities in configs.items():
        chosen, picked = data.only(modalities), [0]
        if inner:
            rows = [fold.train for fold in inner]
            tried = fit_regressions(chosen, rows, [strengths] * len(rows), scale)
            picked = best(chosen, inner, [*zip(*tried, strict=True)])
        own = [[strengths[picked[fold % len(picked)]]] for fold in range(len(trained_on))]
        models[name] = [[model for [model] in fit_regressions(chosen, trained_on, own, scale)]]
    return models
