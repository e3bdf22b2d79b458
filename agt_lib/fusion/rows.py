"""Table 1 of the paper: its rows, their scores and differences.

Rows are named by their features, as the paper's: A voice, V face, T words. A+T is a row of our own,
and so are the single modalities and logistic regression. S seeds, N clips, C classes.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import pandas as pd

from agt_lib.corpora.labels import LETTERS, MODALITIES
from agt_lib.evaluation import tables
from agt_lib.evaluation.paper import AGT, BASELINE
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import per_class_f1
from agt_lib.evaluation.tables import OUT_OF_FOLD, REFERENCE, TEST
from agt_lib.fusion.config import TOOLKIT, FusionConfig, capped
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.networks import add_network
from agt_lib.fusion.reference import logistic_regression

EQUATION = "equation 2 alone"
"""AGT without its linear path."""
BASELINE_PATH, TOOLKIT_BASELINE = "baseline, linear path", "baseline, its toolkit's training"
BLEND = "mean of regression and equation 2"
SUBMITTED = "AGT, mean of seeds"
"""One prediction, as it would be submitted; all other rows are means of the scores of seeds."""
UNIMODAL = "one modality"
MODELS = (
    AGT, SUBMITTED, EQUATION, BASELINE, BASELINE_PATH, TOOLKIT_BASELINE, UNIMODAL, REFERENCE, BLEND,
)  # fmt: skip
BY_FOLD = ", scaled by fold"
"""Added to a model's name where all others are scaled by speaker."""
AGT_BY_FOLD = AGT + BY_FOLD
TUNED = "*"
"""Marks a modality whose features were tuned on emotions: "A+V*"."""

Row = tuple[str, str]
"""Features and model, such as ("A+V", "AGT")."""


def features_name(modalities: Sequence[str], tuned: Collection[str] = ()) -> str:
    """The paper's way to name a set of features: "A+V+T", with `tuned` ones marked: "A+V*"."""
    return "+".join(
        letter + TUNED * (m in tuned) for m, letter in LETTERS.items() if m in modalities
    )


def feature_sets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """All sets of two or three with the guide (voice, else the first), smaller ones first.

    A lone modality is a set by itself.
    """
    guide, *others = [m for m in MODALITIES if m in modalities]
    if not others:
        return [(guide,)]
    return [
        (guide, *chosen)
        for size in range(1, len(others) + 1)
        for chosen in combinations(others, size)
    ]


def configurations(
    modalities: Sequence[str],
    max_epochs: int | None = None,
    tuned: Collection[str] = (),
    *,
    scale: str = "fold",
    toolkit: bool = False,
    own: str = "",
) -> dict[Row, FusionConfig]:
    """One fixed configuration per fused row and single modality, all trained alike.

    On all `modalities` together there are also AGT as equation 2 prints it, without its linear
    path, and the baseline with one. So neither training nor path passes for the merit of AGT's
    network. If the `scale` is "speaker", AGT and baseline are also there scaled by fold. With
    `toolkit` the baseline is also trained as MER2024's toolkit trains it. `own` is the file of a
    network of one's own (`networks.add_network`), named there after the file.

    `tuned` are the modalities whose features were tuned. If there are some, only rows that have one
    of them are given. Each is configured as its raw row is. There are no controls then, and a lone
    modality has no fused row.
    """
    configs: dict[Row, FusionConfig] = {}
    for chosen in feature_sets(modalities):
        if tuned and len(chosen) == 1:
            continue
        name = features_name(chosen, tuned)
        baseline = FusionConfig.default("attention", chosen, scale=scale)
        agt = FusionConfig.default("agt", chosen, scale=scale)
        configs[name, BASELINE], configs[name, AGT] = baseline, agt
        if len(chosen) < len(modalities) or tuned:
            continue
        configs[name, EQUATION] = agt.with_network(linear_path=False)
        configs[name, BASELINE_PATH] = baseline.with_network(linear_path=True)
        if toolkit:
            configs[name, TOOLKIT_BASELINE] = replace(baseline, **TOOLKIT)
        if own:
            name_of_own = add_network(own)
            if name_of_own in MODELS:
                raise ValueError(f"{name_of_own} is a row of the table: name the file otherwise")
            configs[name, name_of_own] = FusionConfig.default(name_of_own, chosen, scale=scale)
        if scale == "speaker":
            for model, config in ((AGT, agt), (BASELINE, baseline)):
                configs[name, model + BY_FOLD] = replace(config, scale="fold")
    for modality in (m for m in MODALITIES if m in modalities):
        one = FusionConfig.default("unimodal", (modality,), scale=scale)
        configs[features_name(one.modalities, tuned), UNIMODAL] = one
    wanted = [row for row in configs if TUNED in row[0] or not tuned]
    return {row: capped(configs[row], max_epochs) for row in wanted}


def references(
    data: FusionData,
    folds: pd.Series,
    test: FusionData | None = None,
    tuned: Collection[str] = (),
    *,
    scale: str = "fold",
) -> CrossValidated:
    """Logistic regression on each modality alone and on each fused row's features.

    If the `scale` is "speaker", it is also there scaled by fold, on all raw features together.
    `tuned` are the modalities of `data` whose features were tuned.
    """
    chosen = dict.fromkeys([*((m,) for m in data.modalities), *feature_sets(data.modalities)])
    named = {(features_name(modalities, tuned), REFERENCE): modalities for modalities in chosen}
    result = logistic_regression(data, folds, named, test=test, scale=scale)
    if scale != "speaker" or tuned:
        return result
    everything = {(features_name(data.modalities), REFERENCE + BY_FOLD): data.modalities}
    return result | logistic_regression(data, folds, everything, test=test)


def with_means(result: CrossValidated, modalities: Sequence[str]) -> CrossValidated:
    """`result` with two more rows on all `modalities`, made of the rows that it has.

    `SUBMITTED` is the mean of AGT's probabilities over seeds. `BLEND` is the mean of logistic
    regression's and of equation 2's.
    """
    name = features_name(modalities)

    def added(predictions: Predictions) -> Predictions:
        own = predictions.probabilities
        means = {
            (name, SUBMITTED): own[name, AGT].mean(0, keepdims=True),
            (name, BLEND): (own[name, REFERENCE] + own[name, EQUATION]) / 2,
        }
        return replace(predictions, probabilities=own | means)

    test = None if result.test is None else added(result.test)
    return replace(result, out_of_fold=added(result.out_of_fold), test=test)


def scores(
    result: CrossValidated,
    data: FusionData,
    answers: pd.Series,
    test: FusionData | None = None,
) -> pd.DataFrame:
    """One line per row and set: columns set and those of `evaluation.tables.scores`.

    Out-of-fold scores are of single models on the clips of `data`; test scores of the fold models'
    average on the test clips that `answers` (labels by clip name) knows. Intervals are over the
    speakers of `data` and `test` if they have them.
    """
    return _on_both_sets(tables.scores, result, data, answers, test)


def differences(
    result: CrossValidated,
    pairs: list[tuple[Row, Row]] | Row,
    data: FusionData,
    answers: pd.Series,
    test: FusionData | None = None,
) -> pd.DataFrame:
    """Paired differences on both sets: set and the columns of `evaluation.tables.differences`."""
    return _on_both_sets(partial(tables.differences, pairs=pairs), result, data, answers, test)


def _on_both_sets(
    table_of: Callable[..., pd.DataFrame],
    result: CrossValidated,
    data: FusionData,
    answers: pd.Series,
    test: FusionData | None,
) -> pd.DataFrame:
    """What `table_of` says of the predictions of each set, with a column set.

    The test clips are left out if no answer to one of them is known.
    """
    found = table_of(result.out_of_fold, data.truth, groups=data.speakers)
    parts = [found.assign(set=OUT_OF_FOLD)]
    if result.test is not None and answers.index.isin(result.test.names).any():
        speakers = None if test is None else test.speakers
        parts.append(table_of(result.test, answers, groups=speakers).assign(set=TEST))
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


def display(table: pd.DataFrame) -> pd.DataFrame:
    """`scores` for reading: a line per features and model, WAF with its interval per set."""
    titles = {OUT_OF_FOLD: "out-of-fold, single models", TEST: "test, mean of fold models"}
    order = sorted(
        dict.fromkeys(zip(table["features"], table["model"], strict=True)),
        key=lambda row: (len(row[0]), row[0], _rank(row[1]), row[1]),
    )
    named = table.assign(set=table["set"].map(titles))
    return tables.wide(named, ["features", "model"], "set").reindex(order)


def _rank(model: str) -> int:
    """The place of a row's model in the table: a network of one's own stands last."""
    name = model.removesuffix(BY_FOLD)
    return MODELS.index(name) if name in MODELS else len(MODELS)


def same_features(result: CrossValidated, model: str = AGT) -> list[tuple[Row, Row]]:
    """For `differences`: `model` against each other model on the same features."""
    rows = result.out_of_fold.probabilities
    return [
        ((features, model), (features, other))
        for features, other in rows
        if other != model and (features, model) in rows
    ]


def tuned_and_raw(result: CrossValidated) -> list[tuple[Row, Row]]:
    """For `differences`: each row on tuned features against the same model on raw ones."""
    rows = result.out_of_fold.probabilities
    return [(row, (row[0].replace(TUNED, ""), row[1])) for row in rows if TUNED in row[0]]


def class_scores(result: CrossValidated, data: FusionData, features: str) -> pd.DataFrame:
    """Out-of-fold F1 in per cent by label (columns) of each model on `features` (rows)."""
    true = result.out_of_fold.numbers(data.truth)
    lines = {
        model: 100 * per_class_f1(true, given, data.label_set)
        for (name, model), given in result.out_of_fold.probabilities.items()
        if name == features
    }
    return pd.DataFrame(lines).T.rename_axis("model")
