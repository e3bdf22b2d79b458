"""Choosing settings inside the training fold: no clip that a choice has seen is scored with it.

Letters: K folds.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import assign_folds, fold_numbers
from agt_lib.evaluation.scores import waf
from agt_lib.fusion.config import SPACE, FusionConfig, drawn, searched
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.fits import fit_kept
from agt_lib.fusion.model import FittedModel
from agt_lib.fusion.train import FitTask

N_INNER = 3
MANY = 6
"""So many settings are all tried in all inner folds."""
GATED = 0.1
"""The share of modalities that the gate `agreement` leaves out of clips no head was trained on."""
MIN_OUTER = 4
"""With so many outer folds the others are a fold's inner folds."""


@dataclass(frozen=True)
class InnerFold:
    """Rows that a model is trained on, and the rows that it predicts for each outer fold."""

    train: np.ndarray
    held_out: Mapping[int, np.ndarray]


def inner_folds(data: FusionData, folds: pd.Series) -> tuple[list[InnerFold], str]:
    """The inner folds of all outer `folds`, and in words what they are.

    With four or more outer folds they are the other outer folds: a model that was trained without
    j and k serves both, K(K - 1)/2 models in all. With fewer, or if a dev split is the fold, each
    training part has three folds of its own: by speaker if it has three or more, else by clip.
    """
    numbers = fold_numbers(data.names, folds)
    n_folds = int(numbers.max()) + 1
    if n_folds >= MIN_OUTER and (numbers >= 0).all():
        rows = [np.flatnonzero(numbers == k) for k in range(n_folds)]
        found = [
            InnerFold(np.flatnonzero((numbers != j) & (numbers != k)), {k: rows[j], j: rows[k]})
            for k in range(n_folds)
            for j in range(k)
        ]
        return found, "the other folds"
    found, over = [], "speaker"
    for k in range(n_folds):
        training = np.flatnonzero(numbers != k)
        groups = None if data.groups is None else data.groups[training]
        if groups is None or pd.isna(groups).any() or len(set(groups)) < N_INNER:
            groups, over = None, "clip"
        inner = assign_folds(data.labels[training], groups, N_INNER, 0)
        found += [
            InnerFold(training[inner != i], {k: training[inner == i]}) for i in range(N_INNER)
        ]
    return found, f"{N_INNER} folds of each training part by {over}"


def best(
    data: FusionData, inner: Sequence[InnerFold], models: Sequence[Sequence[Any]]
) -> list[int]:
    """For each outer fold the setting with the best WAF over its inner folds, the first of equals.

    `models[i][j]` is the model of setting i in inner fold j, anything that predicts as
    `FittedModel.predict` does.
    """
    return np.argmax([_wafs(data, inner, own) for own in models], axis=0).tolist()


def _wafs(data: FusionData, inner: Sequence[InnerFold], models: Sequence[Any]) -> list[float]:
    """For each outer fold the WAF of `models`, of one setting, on its inner held-out clips."""
    hits: dict[int, list] = {}
    for model, fold in zip(models, inner, strict=True):
        for k, rows in fold.held_out.items():
            predicted = model.predict(data.rows(rows)).argmax(1)
            hits.setdefault(k, []).append((data.labels[rows], predicted))
    return [waf(*map(np.concatenate, zip(*hits[k], strict=True))) for k in sorted(hits)]


def choose(
    data: FusionData,
    folds: pd.Series,
    settings: Mapping[Hashable, Sequence[FusionConfig]],
    seed: int = 0,
    **options: Any,
) -> dict[Hashable, list[FusionConfig]]:
    """The configuration of each model and outer fold, chosen among its `settings` by inner folds.

    For `fit_folds`. The fits of one `seed` choose. Of more than `MANY` settings each is tried in
    few inner folds first, and each outer fold's best third in all of them. `options` are those of
    `train.fit_stacks`.
    """
    inner, _ = inner_folds(data, folds)
    sizes, few = [len(fold.train) for fold in inner], _few(inner)
    everywhere = range(len(inner))
    models: dict[tuple, FittedModel] = {}

    def fit(places: list[tuple[Hashable, int, int]]) -> None:
        tasks = [
            FitTask(settings[name][i].settled(*sizes), inner[j].train, seed)
            for name, i, j in places
        ]
        models.update(zip(places, fit_kept(data, tasks, **options), strict=True))

    def wafs(name: Hashable, i: int, where: Sequence[int]) -> list[float]:
        return _wafs(data, [inner[j] for j in where], [models[name, i, j] for j in where])

    many = [name for name, own in settings.items() if len(own) > MANY]
    first = {name: few if name in many else everywhere for name in settings}
    fit(
        [
            (name, i, j)
            for name, own in settings.items()
            for i in range(len(own))
            for j in first[name]
        ]
    )
    kept = {}  # by name, (settings, outer folds): which go on
    for name, own in settings.items():
        kept[name] = np.ones((len(own), int(folds.max()) + 1), bool)
        if name in many:
            found = np.array([wafs(name, i, few) for i in range(len(own))])
            rank = np.argsort(np.argsort(-found, axis=0, kind="stable"), axis=0)
            kept[name] = rank < math.ceil(len(own) / 3)
    rest = [j for j in everywhere if j not in few]
    fit([(name, i, j) for name in many for i in np.flatnonzero(kept[name].any(1)) for j in rest])
    chosen = {}
    for name, own in settings.items():
        found = np.full(kept[name].shape, -math.inf)
        for i in np.flatnonzero(kept[name].any(1)):
            found[i] = np.where(kept[name][i], wafs(name, i, everywhere), -math.inf)
        chosen[name] = [own[i] for i in found.argmax(0)]
    return chosen


def _few(inner: Sequence[InnerFold]) -> list[int]:
    """Inner folds that together hold clips out for every outer fold, few of them."""
    missing, found = {k for fold in inner for k in fold.held_out}, []
    while missing:
        most = max(range(len(inner)), key=lambda j: len(missing & set(inner[j].held_out)))
        missing -= set(inner[most].held_out)
        found.append(most)
    return found


def search(
    data: FusionData,
    folds: pd.Series,
    configs: Mapping[Hashable, FusionConfig],
    seed: int = 0,
    *,
    draws: int = 0,
    space: Mapping[str, Sequence] = SPACE,
    **options: Any,
) -> dict[Hashable, list[FusionConfig]]:
    """`choose` among the same settings for every network of `configs`.

    They are those of `config.searched`, or with `draws` the configuration as it is and so many
    drawn from `space` (`config.drawn`).
    """
    n_folds = int(folds.max()) + 1
    n_clips = len(data.names) * (n_folds - 1) // n_folds if n_folds > 1 else (folds < 0).sum()
    settings = {
        name: drawn(config, space, draws, seed) if draws else searched(config, n_clips)
        for name, config in configs.items()
    }
    return choose(data, folds, settings, seed, **options)


def choices(
    configs: Mapping[Hashable, FusionConfig], chosen: Mapping[Hashable, Sequence[FusionConfig]]
) -> pd.DataFrame:
    """What each outer fold chose: a line a model, a column a fold, what differs from `configs`."""
    table = {}
    for name, own in chosen.items():
        before = _flat(configs[name])
        table[name] = [
            ", ".join(f"{k} {v:g}" for k, v in _flat(c).items() if v != before.get(k)) or "as it is"
            for c in own
        ]
    columns = [f"fold {k}" for k in range(max(map(len, table.values())))]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns)


def _flat(config: FusionConfig) -> dict[str, Any]:
    plain = config.plain()
    return plain | plain.pop("network")


def with_agreement(
    data: FusionData, folds: pd.Series, config: FusionConfig, seed: int = 0, **options: Any
) -> list[FusionConfig]:
    """AGT's `config` with the gate `agreement`, for each outer fold.

    Its `least_agreement` is what `GATED` of the modalities fall below, of the inner folds' held-out
    clips that have three, by the heads of models that were not trained on them. With two
    modalities the gate never fires, whatever its limit.
    """
    config = config.with_network(gate="agreement")
    inner, _ = inner_folds(data, folds)
    data = data.only(config.modalities)
    found: dict[int, list[np.ndarray]] = {}
    inside = config.settled(*(len(fold.train) for fold in inner))
    models = fit_kept(data, [FitTask(inside, fold.train, seed) for fold in inner], **options)
    for model, fold in zip(models, inner, strict=True):
        for k, rows in fold.held_out.items():
            gate = model.gate(data.rows(rows[data.present[rows].sum(1) > 2]))
            found.setdefault(k, []).append(gate.similarity[gate.valid].numpy())
    limits = [np.concatenate(found[k]) for k in sorted(found)]
    limits = [float(np.quantile(own, GATED)) if len(own) else 0.0 for own in limits]
    return [config.with_network(least_agreement=limit) for limit in limits]
