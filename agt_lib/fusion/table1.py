"""Table 1 of the paper: its rows, their scores and differences.

Rows are named by their features, as the paper's: A voice, V face, T words. A+T is a row of our own,
and so are the single modalities and logistic regression. S seeds, N clips, C classes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import LETTERS, MODALITIES
from agt_lib.evaluation import tables
from agt_lib.evaluation.paper import AGT, BASELINE
from agt_lib.evaluation.scores import Sample, per_class_f1, votes
from agt_lib.evaluation.tables import OUT_OF_FOLD, REFERENCE, TEST
from agt_lib.fusion.config import FusionConfig, capped
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.reference import logistic_regression

UNSCALED = "baseline, unscaled"
RETRAINED = "baseline, AGT's training"
UNIMODAL = "one modality"
MODELS = (AGT, RETRAINED, BASELINE, UNSCALED, UNIMODAL, REFERENCE)
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
    modalities: Sequence[str], max_epochs: int | None = None
) -> dict[Row, FusionConfig]:
    """One fixed configuration per fused row and single modality.

    The baseline trains as MER2024's toolkit trains it, with features scaled. On all `modalities`
    together it trains on unscaled ones too, and as AGT does: two controls, so that neither scaling
    nor training passes for the merit of AGT's network.
    """
    configs: dict[Row, FusionConfig] = {}
    for chosen in feature_sets(modalities):
        name = features_name(chosen)
        baseline = FusionConfig.default("attention", chosen)
        agt = FusionConfig.default("agt", chosen)
        configs[name, BASELINE], configs[name, AGT] = baseline, agt
        if len(chosen) == len(modalities):
            configs[name, UNSCALED] = replace(baseline, scale=False)
            configs[name, RETRAINED] = replace(agt, model="attention", network=baseline.network)
    for modality in MODALITIES:
        if modality in modalities:
            configs[LETTERS[modality], UNIMODAL] = FusionConfig.default("unimodal", (modality,))
    return {row: capped(config, max_epochs) for row, config in configs.items()}


def tuned_configurations(
    modalities: Sequence[str], tuned: Collection[str], max_epochs: int | None = None
) -> dict[Row, FusionConfig]:
    """The rows of `configurations` that have a `tuned` modality: AGT, the baseline and it alone.

    Each is configured as its raw row is; they are for data whose `tuned` features were tuned.
    """
    configs: dict[Row, FusionConfig] = {}
    for chosen in feature_sets(modalities):
        if len(chosen) > 1 and set(chosen) & set(tuned):
            name = features_name(chosen, tuned)
            configs[name, BASELINE] = FusionConfig.default("attention", chosen)
            configs[name, AGT] = FusionConfig.default("agt", chosen)
    for modality in MODALITIES:
        if modality in modalities and modality in tuned:
            name = features_name((modality,), tuned)
            configs[name, UNIMODAL] = FusionConfig.default("unimodal", (modality,))
    return {row: capped(config, max_epochs) for row, config in configs.items()}


def references(
    data: FusionData, folds: pd.Series, test: FusionData | None = None
) -> dict[Row, CrossValidated]:
    """Logistic regression on each modality alone and on each fused row's features."""
    chosen = dict.fromkeys([*((m,) for m in data.modalities), *feature_sets(data.modalities)])
    return {
        (features_name(modalities), REFERENCE): logistic_regression(
            data, folds, modalities, test=test
        )
        for modalities in chosen
    }


def scores(
    results: Mapping[Row, CrossValidated],
    data: FusionData,
    answers: pd.Series | None = None,
    test: FusionData | None = None,
) -> pd.DataFrame:
    """One line per row and set: WAF and accuracy with intervals, in per cent.

    Intervals are over the speakers of `data` and `test` where they have them.

    Out-of-fold scores are of single models on the clips of `data`; test scores of the fold models'
    average on the clips that `answers` (labels by clip name) knows. Columns features, model, set,
    waf, waf_low, waf_high, seed_sd, accuracy, clips, seeds, interval_over.
    """
    lines = []
    for (features, model), result in results.items():
        groups = None if data.groups is None else data.groups[result.folds >= 0]
        known = *held_out(result, data), groups
        lines.append({"features": features, "model": model, "set": OUT_OF_FOLD} | _line(*known))
        if answers is not None and len(answers):
            groups = _test_groups(result, answers, test)
            known = *on_test(result, answers), groups
            lines.append({"features": features, "model": model, "set": TEST} | _line(*known))
    return pd.DataFrame(lines)


def on_test(result: CrossValidated, answers: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """True labels (N,) and probabilities (S, N, C) of the test clips that `answers` knows."""
    places = pd.Index(result.test_names).get_indexer(answers.index)
    number = {label: i for i, label in enumerate(result.label_set)}
    known = places >= 0
    return answers[known].map(number).to_numpy(), result.test[:, places[known]]


def _test_groups(
    result: CrossValidated, answers: pd.Series, test: FusionData | None
) -> np.ndarray | None:
    """The speakers of the test clips that `answers` knows, in the order of `on_test`."""
    known = answers.index[answers.index.isin(result.test_names)]
    return None if test is None else test.groups_of(known)


def _line(true: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None) -> dict:
    return tables.score_line(Sample.of(true, groups), votes(probabilities))


def display(table: pd.DataFrame) -> pd.DataFrame:
    """`scores` for reading: a line per features and model, WAF with its interval per set."""
    text = table.assign(text=[tables.cell(row) for row in table.to_dict("records")])
    wide = text.pivot(index=["features", "model"], columns="set", values="text")
    order = list(dict.fromkeys(zip(table["features"], table["model"], strict=True)))
    order.sort(key=lambda row: (len(row[0]), row[0], MODELS.index(row[1])))
    titles = {OUT_OF_FOLD: "out-of-fold, single models", TEST: "test, mean of fold models"}
    return wide.reindex(order)[[s for s in titles if s in wide]].rename(columns=titles).fillna("")


def differences(
    against: CrossValidated, results: Mapping[str, CrossValidated], data: FusionData
) -> pd.DataFrame:
    """Out-of-fold WAF of each of `results` minus that of `against`, in points, paired.

    Paired over clips and over the seeds both have; a result without fitted models has no seed and
    stands beside each of the other's. Columns name, difference,
    difference_low, difference_high, fixed, broken, clips.
    """
    rows = against.folds >= 0
    groups = None if data.groups is None else data.groups[rows]
    lines = []
    for name, result in results.items():
        seeded = [r for r in (against, result) if r.models] or [against]
        seeds = [seed for seed in seeded[0].seeds if seed in seeded[-1].seeds]
        a, b = (_of_seeds(r, seeds)[:, rows] for r in (against, result))
        lines.append(_paired(name, data.labels[rows], a, b, groups))
    return pd.DataFrame(lines)


def _paired(
    name: str, true: np.ndarray, a: np.ndarray, b: np.ndarray, groups: np.ndarray | None
) -> dict:
    return {"name": name} | tables.difference_line(Sample.of(true, groups), votes(a), votes(b))


def against_each(
    results: Mapping[Row, CrossValidated], data: FusionData, model: str = AGT
) -> pd.DataFrame:
    """`differences` of `model` to each other model on the same features.

    Columns features and minus (the other model) stand in front.
    """
    parts = []
    for (features, other), result in results.items():
        if other != model and (features, model) in results:
            line = differences(result, {other: results[features, model]}, data)
            line.insert(0, "features", features)
            parts.append(line.rename(columns={"name": "minus"}))
    return pd.concat(parts, ignore_index=True)


def test_differences(
    against: CrossValidated,
    results: Mapping[str, CrossValidated],
    answers: pd.Series,
    test: FusionData | None = None,
) -> pd.DataFrame:
    """`differences` on the test clips that `answers` knows, for results that share their seeds.

    Intervals are over the speakers of `test` where it has them.
    """
    true, a = on_test(against, answers)
    lines = []
    for name, result in results.items():
        _, b = on_test(result, answers)
        lines.append(_paired(name, true, a, b, _test_groups(against, answers, test)))
    return pd.DataFrame(lines)


def tuned_against_raw(
    results: Mapping[Row, CrossValidated],
    data: FusionData,
    answers: pd.Series | None = None,
    test: FusionData | None = None,
) -> pd.DataFrame:
    """`differences` of each tuned row to its raw one by the same model, and `test_differences`.

    Columns features, model and set stand in front.
    """
    parts = []
    for (features, model), result in results.items():
        raw = features.replace(TUNED, "")
        if raw == features:
            continue
        pair = results[raw, model], {model: result}
        lines = {OUT_OF_FOLD: differences(*pair, data)}
        if answers is not None and len(answers):
            lines[TEST] = test_differences(*pair, answers, test)
        for place, line in lines.items():
            line.insert(0, "features", features)
            line.insert(2, "set", place)
            parts.append(line.rename(columns={"name": "model"}))
    return pd.concat(parts, ignore_index=True)


def held_out(result: CrossValidated, data: FusionData) -> tuple[np.ndarray, np.ndarray]:
    """True labels (N,) and out-of-fold probabilities (S, N, C) of the clips a fold holds out."""
    rows = result.folds >= 0
    return data.labels[rows], result.out_of_fold[:, rows]


def class_scores(
    results: Mapping[Row, CrossValidated], data: FusionData, features: str
) -> pd.DataFrame:
    """Out-of-fold F1 in per cent by label (columns) of each model on `features` (rows)."""
    lines = {
        model: 100 * per_class_f1(*held_out(result, data), data.label_set)
        for (name, model), result in results.items()
        if name == features
    }
    return pd.DataFrame(lines).T.rename_axis("model")


def _of_seeds(result: CrossValidated, seeds: Sequence[int]) -> np.ndarray:
    """Out-of-fold probabilities of `seeds`, (S, N, C); a result without seeds is repeated."""
    if not result.models:
        return np.repeat(result.out_of_fold, len(seeds), axis=0)
    return result.out_of_fold[[result.seeds.index(seed) for seed in seeds]]
