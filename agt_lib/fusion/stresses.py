"""A stress test that needs no truth of modalities: some clips get one modality of another class.

Letters: S seeds, R draws, N clips, C classes.
"""

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.evaluation.scores import Sample, votes, with_interval
from agt_lib.fusion.crossval import CrossValidated, out_of_fold, title
from agt_lib.fusion.data import FusionData

DRAWS, SHARE = 20, 0.2


def stress(
    result: CrossValidated,
    data: FusionData,
    against: Hashable,
    seed: int = 0,
    n_draws: int = DRAWS,
) -> pd.DataFrame:
    """WAF that the models of `result` lose where a fifth of held-out clips have a foreign modality.

    In each draw one modality of the clip, drawn among those present, is exchanged for that of
    another held-out clip of its fold with another label, as the models read it: after scaling by
    speaker. Columns model, waf, stressed, lost, saved (what it loses less than the model
    `against`), each with its ends in per cent; intervals are over speakers if all are known. A
    model may have one seed. Clips of the same draws are compared.
    """
    numbers = fold_numbers(data.names, result.folds)
    rng = np.random.default_rng(seed)
    held_out = np.flatnonzero(numbers >= 0)
    draws = [_exchanges(data, numbers, rng) for _ in range(n_draws)]
    known = data.groups is not None and not pd.isna(data.groups[held_out]).any()
    sample = Sample.of(data.labels[held_out], data.groups[held_out] if known else None)
    clean, lost = {}, {}
    for model, by_seed in result.models.items():
        scale = by_seed[0][0].config.scale
        plain = np.stack([out_of_fold(data, numbers, models) for models in by_seed])
        clean[model] = sample.wafs(votes(plain)).mean(0)  # (S, N, C) -> (1 + B,)
        wafs = []
        for exchange in draws:
            moved = exchanged(data, exchange, scale)
            given = np.stack([out_of_fold(moved, numbers, models) for models in by_seed])
            wafs.append(sample.wafs(votes(given)).mean(0))
        lost[model] = clean[model] - np.mean(wafs, axis=0)
    return pd.DataFrame(
        {"model": title(model)}
        | with_interval("waf", clean[model])
        | with_interval("stressed", clean[model] - lost[model])
        | with_interval("lost", lost[model])
        | with_interval("saved", lost[against] - lost[model])
        for model in lost
    )


def exchanged(data: FusionData, exchange: pd.DataFrame, scale: str) -> FusionData:
    """`data` whose clips `row` have the `modality` of the clips `other`, as `scale` reads it."""
    features = dict(data.features)
    for modality, part in exchange.groupby("modality"):
        rows, others = part["row"].to_numpy(), part["other"].to_numpy()
        x, taken = np.array(data.features[modality]), data.rows(others)
        values = taken.scaled(scale).features[modality]
        if scale == "speaker":
            values = data.by_speaker.back(modality, values, data.rows(rows).groups)
        x[rows] = values
        features[modality] = x
    return replace(data, features=features)


def _exchanges(data: FusionData, numbers: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Columns row, modality and other: for a fifth of the clips of each fold."""
    lines = []
    for fold in range(int(numbers.max()) + 1):
        rows = np.flatnonzero(numbers == fold)
        for row in rng.choice(rows, round(SHARE * len(rows)), replace=False):
            modality = rng.choice([m for m in data.modalities if data.is_present(m)[row]])
            foreign = rows[
                (data.labels[rows] != data.labels[row]) & data.is_present(modality)[rows]
            ]
            if len(foreign):
                lines.append((row, modality, rng.choice(foreign)))
    return pd.DataFrame(lines, columns=["row", "modality", "other"])
