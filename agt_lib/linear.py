"""Logistic regression on the same features and folds: the plain reference beside the networks.

Letters: N clips, D feature, C classes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold

from agt_lib.crossval import CrossValidated, fold_numbers
from agt_lib.fusion_data import FusionData
from agt_lib.scaling import Scaler, fit_scalers

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 1.0)
"""Inverse strengths C of the penalty to choose from."""
INNER_FOLDS = 3


def logistic_regression(
    data: FusionData,
    folds: pd.Series,
    *,
    modalities: Sequence[str] | None = None,
    test: FusionData | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> CrossValidated:
    """Cross-validate multinomial logistic regression on the features side by side.

    In each fold, features are standardised on the training clips and C is the best by WAF in
    `INNER_FOLDS` inner folds (stratified, grouped where `data` has groups); the fit is then on the
    whole training fold, where the networks give a fifth of it to choosing their epoch. An absent
    modality counts as its mean, frames as their mean. There is one seed, since nothing is random.
    """
    data = data.only(modalities or data.modalities)
    numbers = fold_numbers(data, folds)
    n_folds = int(numbers.max()) + 1
    out_of_fold = np.full((len(data.names), len(data.label_set)), np.nan, np.float32)
    tests = []
    for fold in range(n_folds):
        train, held_out = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)
        scalers = fit_scalers(data, data.modalities, train)
        y, groups = data.labels[train], None if data.groups is None else data.groups[train]
        model = _choose(_matrix(data, scalers)[train], y, groups, strengths)
        out_of_fold[held_out] = _predict(model, data.rows(held_out), scalers)
        if test is not None:
            tests.append(_predict(model, test.only(data.modalities), scalers))
    return CrossValidated(
        names=data.names,
        label_set=data.label_set,
        folds=numbers,
        seeds=(0,),
        out_of_fold=out_of_fold[None],
        test_names=() if test is None else test.names,
        test=None if test is None else np.mean(tests, axis=0)[None],
    )


def _matrix(data: FusionData, scalers: dict[str, Scaler]) -> np.ndarray:
    """Standardised features side by side, (N, sum of D)."""
    columns = []
    for m, x in data.features.items():
        if m in data.lengths:
            inside = np.arange(x.shape[1]) < data.lengths[m][:, None]
            x = (x * inside[..., None]).sum(1) / data.lengths[m].clip(1)[:, None]
        columns.append(np.where(data.is_present(m)[:, None], scalers[m](x), 0))
    return np.concatenate(columns, 1)


def _choose(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None, strengths: Sequence[float]
) -> GridSearchCV:
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    search = GridSearchCV(
        LogisticRegression(max_iter=2000),
        {"C": list(strengths)},
        scoring="f1_weighted",
        cv=splitter(INNER_FOLDS, shuffle=True, random_state=0),
    )
    return search.fit(x, y, groups=groups)


def _predict(model: GridSearchCV, data: FusionData, scalers: dict[str, Scaler]) -> np.ndarray:
    """Probabilities (N, C), zero for classes that the training fold lacked."""
    probabilities = np.zeros((len(data.names), len(data.label_set)), np.float32)
    probabilities[:, model.classes_] = model.predict_proba(_matrix(data, scalers))
    return probabilities
