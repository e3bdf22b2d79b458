"""Rounds of pseudo-labels (section 2.3): three models label a pool and are trained again with it.

Pseudo-labels for fold k come only from models that were not trained on fold k. Averaging all fold
models would leak the labels of fold k into its own training set.

On raw features the labels of fold k have no part in them. With tuned features one dependence
remains. A pool clip's V* and T* come from the mean over the folds' CLIPs and over their rankers,
and all of these but one were trained on the labels of fold k (GPT-4 as the ranker on none). So the
teachers of fold k were not trained on it, but the pool features that they read depend on its
labels.

S seeds, K folds, N labelled clips, P clips of the pool, n clips that join, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.evaluation.calibration import (
    calibrated_out_of_fold,
    fold_temperatures,
    with_temperature,
)
from agt_lib.evaluation.predictions import Predictions
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import CrossValidated, fit_folds, predicted
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.model import predict_each
from agt_lib.fusion.train import Joined
from agt_lib.pseudo.config import PseudoConfig
from agt_lib.pseudo.selection import agreement, fold_thresholds, may_join, select

WHO = ["fold", "name", "label"]


@dataclass(frozen=True)
class Round:
    """The three models of all folds and seeds after one training.

    In `results`, `out_of_fold` are of single models on clips that neither they nor their teachers
    were trained on, and `test` averages the K fold models on all clips of the pool. `by_fold`
    (S, K, P, C) are the same fold models one by one. `selected` is what had joined their training:
    columns seed, fold, name, label, confidence and one per class (the teachers' mean).
    """

    number: int
    results: CrossValidated
    by_fold: dict[str, np.ndarray]
    selected: pd.DataFrame

    @property
    def n_models(self) -> int:
        """S x K: the trainings of each of the three."""
        return int(np.prod(next(iter(self.by_fold.values())).shape[:2]))

    def predict(self, data: FusionData) -> Predictions:
        """Predictions of other clips, the mean of the K fold models of each seed."""
        return predicted(self.results.models, data, self.results.out_of_fold.seeds)

    def summary(self, truth: pd.Series) -> pd.DataFrame:
        """By label: `kept`, the clips that joined (mean over folds and seeds), and the share of
        them that is `right`, of those whose `truth` (labels by clip name) is known (NaN: of none).
        """
        label_set = list(self.results.out_of_fold.label_set)
        known = self.selected["name"].map(truth)
        right = (known == self.selected["label"]).where(known.notna())
        by_label = right.groupby(self.selected["label"])
        kept = by_label.size().reindex(label_set, fill_value=0) / self.n_models
        return pd.DataFrame({"kept": kept, "right": by_label.mean().reindex(label_set)})


@dataclass(frozen=True)
class PseudoRounds:
    """All rounds, the first without pseudo-labels; the last is where nothing more changed, or the
    cap.

    `next_selected` is what the last round's models select: what would join another one.
    `may_join` (P,) says which clips of the pool could join; `notes` say in sentences why rounds
    ended and what was never predicted.
    """

    config: PseudoConfig
    rounds: tuple[Round, ...]
    next_selected: pd.DataFrame
    may_join: np.ndarray
    notes: tuple[str, ...]

    @property
    def pool_names(self) -> tuple[str, ...]:
        """The names of the clips in the pool, (P,)."""
        return self.rounds[0].results.test.names

    @property
    def label_set(self) -> tuple[str, ...]:
        """The labels, (C,)."""
        return self.rounds[0].results.test.label_set

    def is_inside(self, names: pd.Index) -> np.ndarray:
        """Which of `names` could join: test clips among them make the result transductive."""
        return np.isin(names, np.array(self.pool_names, dtype=object)[self.may_join])


def train(
    data: FusionData,
    folds: pd.Series,
    pool: FusionData | None,
    config: PseudoConfig,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    configs: Mapping[str, FusionConfig],
    test_names: Sequence[str] = (),
    outside: Sequence[str] = (),
    **options: Any,
) -> PseudoRounds:
    """Train without pseudo-labels, then in rounds with them, until one would change nothing.

    `pool` are unlabelled clips with their features, test clips among them: all are predicted.
    `test_names` says which are test clips (for `config.pool`); clips named in `outside` never join.
    A clip that has no modality which one of the models reads never joins. `options` are those of
    `fusion.train.fit_each`. Every fitted model is kept on disk: the same call loads it, and a
    killed one goes on.

    Raises ValueError if there is no clip to join, if the pool holds labelled clips of `data`,
    or if the options of `config` can't be met (see `fold_temperatures`, `fold_thresholds`).
    """
    allowed = may_join(config, data, pool, test_names, outside)
    for model in configs.values():
        allowed &= pool.only(model.modalities).present.any(1)
    if not allowed.any():
        raise ValueError("no clip of the pool has what every model needs: leave a modality out")
    rounds, selected = [], pd.DataFrame(columns=["seed", *WHO, "confidence", *data.label_set])
    while True:
        joined = _joined(selected, pool, config.target)
        results = fit_folds(data, folds, configs, seeds, pool=pool, joined=joined, **options)
        rounds.append(_round(len(rounds), results, pool, selected))
        following = _selection(rounds[-1], data, pool, config, allowed)
        settled = [seed for seed in seeds if _who(following, seed) == _who(selected, seed)]
        if len(settled) == len(seeds) or len(rounds) > config.rounds:
            break
        kept = selected[selected["seed"].isin(settled)]  # to the last probability
        selected = _stacked([following[~following["seed"].isin(settled)], kept])
    notes = _notes(config, rounds, len(settled) == len(seeds), allowed)
    return PseudoRounds(config, tuple(rounds), following, allowed, notes)


def _joined(selected: pd.DataFrame, pool: FusionData, target: str) -> dict[tuple[int, int], Joined]:
    """The clips `selected` with their targets, by seed and fold."""
    labels = list(pool.label_set)
    targets = selected[labels].to_numpy(np.float32)
    if target == "hard":
        chosen = pd.Index(labels).get_indexer(selected["label"])
        targets = np.eye(len(labels), dtype=np.float32)[chosen]
    rows = pd.Index(pool.names).get_indexer(selected["name"])
    places = selected.reset_index(drop=True).groupby(["seed", "fold"]).indices
    return {place: Joined(rows[mine], targets[mine]) for place, mine in places.items()}


def _round(number: int, results: CrossValidated, pool: FusionData, selected: pd.DataFrame) -> Round:
    """The round of the fitted models `results`, with their predictions of the pool."""
    every = [model for by_seed in results.models.values() for of in by_seed for model in of]
    found = predict_each(every, pool)  # (models x S x K, P, C), the pool is read once
    shape = (len(results.models), len(results.out_of_fold.seeds), -1, *found.shape[1:])
    by_fold = dict(zip(results.models, found.reshape(shape), strict=True))
    means = {name: p.mean(1) for name, p in by_fold.items()}  # (S, K, P, C) -> (S, P, C)
    on_pool = Predictions(pool.names, pool.label_set, means, results.out_of_fold.seeds)
    return Round(number, replace(results, test=on_pool), by_fold, selected)


def _selection(
    before: Round, data: FusionData, pool: FusionData, config: PseudoConfig, allowed: np.ndarray
) -> pd.DataFrame:
    """What the models of each seed and fold select for it: columns seed, fold and `select`'s."""
    judged, asked = judged_pool(before, data, config), thresholds(before, data, config)
    seeds, parts = before.results.out_of_fold.seeds, []
    places = product(seeds, range(before.n_models // len(seeds)))
    for number, ((seed, fold), threshold) in enumerate(zip(places, asked, strict=True)):
        own = {model: p[[number]] for model, p in judged.items()}
        predictions = Predictions(pool.names, pool.label_set, own)
        found = select(predictions, replace(config, threshold=threshold), allowed)
        parts.append(found.assign(seed=seed, fold=fold)[["seed", "fold", *found]])
    return _stacked(parts)


def judged_pool(stage: Round, data: FusionData, config: PseudoConfig) -> dict[str, np.ndarray]:
    """The fold models of `stage` on the pool as the rule sees them, (S x K, P, C) by model.

    Calibrated if `config` asks for it, on the clips of `data` that the other folds hold out.
    """
    (true, folds), found = stage.results.labelled(data), {}
    for model, by_fold in stage.by_fold.items():  # (S, K, P, C)
        if config.calibrate:
            own = stage.results.out_of_fold.probabilities[model]
            of_fold = np.stack([fold_temperatures(true, folds, p) for p in own])  # (S, K)
            by_fold = with_temperature(by_fold, of_fold[..., None, None])
        found[model] = np.concatenate(by_fold)
    return found


def judged_labelled(
    results: CrossValidated, data: FusionData, *, calibrate: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True labels (n,) and out-of-fold probabilities (S, n, C) by model, calibrated if asked."""
    true, folds = results.labelled(data)
    found = results.out_of_fold.probabilities
    if calibrate:
        found = {
            model: np.stack([calibrated_out_of_fold(true, folds, p) for p in given])
            for model, given in found.items()
        }
    return true, found


def thresholds(stage: Round, data: FusionData, config: PseudoConfig) -> np.ndarray:
    """What `config` asks of the models of `stage`, by seed and fold: (S x K,)."""
    if config.precision is None:
        return np.full(stage.n_models, config.threshold)
    true, found = judged_labelled(stage.results, data, calibrate=config.calibrate)
    folds = stage.results.labelled(data)[1]
    by_seed = [{m: p[i] for m, p in found.items()} for i in range(len(next(iter(found.values()))))]
    return np.concatenate([fold_thresholds(true, folds, p, config.precision) for p in by_seed])


def _who(selected: pd.DataFrame, seed: int) -> list[list]:
    return selected.loc[selected["seed"] == seed, WHO].to_numpy().tolist()


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables below one another; the columns of the first if all are empty."""
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _notes(
    config: PseudoConfig, rounds: Sequence[Round], settled: bool, allowed: np.ndarray
) -> tuple[str, ...]:
    notes = []
    if len(rounds) == 1:
        stacked = np.stack([*rounds[0].by_fold.values()])[..., allowed, :]  # (M, S, K, P, C)
        agree, _, confidence = agreement(stacked.reshape(len(stacked), -1, stacked.shape[-1]))
        surest = f"{confidence[agree].max():.2f}" if agree.any() else "none"
        notes.append(
            f"no clip joined: the models agree on {100 * agree.mean():.0f} % of the pool, but on "
            f"none is each sure enough ({config.rule}; raw confidence there at most {surest}); "
            f"ask for less{'' if config.calibrate else ', or calibrate'}"
        )
    elif settled:
        notes.append(f"round {len(rounds)} would change nothing: stopped after {len(rounds) - 1}")
    else:
        cap = f"the cap of {config.rounds} round{'s' * (config.rounds > 1)}"
        notes.append(f"stopped at {cap}; another would still change labels")
    predicted = {int(c) for p in rounds[-1].by_fold.values() for c in np.unique(p.argmax(-1))}
    label_set = rounds[0].results.test.label_set
    if never := [label for i, label in enumerate(label_set) if i not in predicted]:
        notes.append(f"no model ever predicts {', '.join(never)} on the pool: none of it can join")
    return tuple(notes)
