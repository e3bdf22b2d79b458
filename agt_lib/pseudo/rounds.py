"""Rounds of pseudo-labels (section 2.3): three models label a pool and are trained again with it.

The folds stay honest: each fold and seed is a world of its own. What joins the training of fold k
is chosen by fold k's three models, which never saw the clips that fold k holds out; a teacher that
averaged all folds would have seen every label and would carry it to the student scored on it.

S seeds, K folds, N labelled clips, P clips of the pool, n clips that join, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.evaluation.calibration import (
    calibrated_out_of_fold,
    fold_temperatures,
    with_temperature,
)
from agt_lib.fusion import saved
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import CrossValidated, predict_mean
from agt_lib.fusion.data import FusionData
from agt_lib.pseudo.config import PseudoConfig
from agt_lib.pseudo.fits import Fits, Trainer
from agt_lib.pseudo.selection import agreement, select
from agt_lib.pseudo.thresholds import fold_thresholds

WHO = ["fold", "name", "label"]


@dataclass(frozen=True)
class Round:
    """The three models of all folds and seeds after one training.

    `results` are by model: `out_of_fold` scores single models on clips that neither they nor their
    teachers saw, and `test` (S, P, C) averages the K fold models on all clips of the pool.
    `by_fold` (S, K, P, C) are the same fold models one by one. `selected` is what had joined their
    training: columns seed, fold, name, label, confidence and one per class (the teachers' mean).
    `models` are the folders of the fitted models: by seed, a tuple of its folds for each model.
    """

    number: int
    results: dict[str, CrossValidated]
    by_fold: dict[str, np.ndarray]
    selected: pd.DataFrame
    models: tuple[dict[str, tuple[Path, ...]], ...]

    def predict(self, data: FusionData) -> dict[str, np.ndarray]:
        """Probabilities (S, N, C) of other clips by model, the mean of its K fold models."""
        return {
            model: np.stack(
                [
                    predict_mean([saved.load(folder) for folder in of_seed[model]], data)
                    for of_seed in self.models
                ]
            )
            for model in self.by_fold
        }

    def summary(self, truth: pd.Series | None = None) -> pd.DataFrame:
        """By label: `kept`, the clips that joined (mean over folds and seeds), and how many of them
        are `right`, of those whose `truth` (labels by clip name) is known (NaN: of none)."""
        ((n_seeds, n_folds, *_), *_) = (p.shape for p in self.by_fold.values())
        label_set = list(next(iter(self.results.values())).label_set)
        table = self.selected[["label"]]
        known = None if truth is None else self.selected["name"].map(truth)
        right = np.nan if known is None else (known == table["label"]).where(known.notna())
        by_label = table.assign(right=right).groupby("label")["right"]
        kept = by_label.size().reindex(label_set, fill_value=0) / (n_seeds * n_folds)
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
        return next(iter(self.rounds[0].results.values())).test_names

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
    device: str = "auto",
    workers: int | None = None,
    progress: bool = True,
) -> PseudoRounds:
    """Train without pseudo-labels, then in rounds with them, until one would change nothing.

    `pool` are unlabelled clips with their features, test clips among them: all are predicted.
    `test_names` says which are test clips (for `config.pool`); clips named in `outside` never join.
    A clip that one of the models can't see at all (no modality of its) never joins. Every training
    of a seed is an artefact on disk, so the same call loads it, and a killed one goes on.

    Raises ValueError where there is no clip to join, where the pool holds labelled clips of `data`,
    or where the options of `config` can't be met (see `select`, `fold_temperatures`).
    """
    allowed = may_join(config, data, pool, test_names, outside)
    for model in configs.values():
        allowed &= pool.only(model.modalities).present.any(1)
    if not allowed.any():
        raise ValueError("no clip of the pool has what every model needs: leave a modality out")
    trainer = Trainer(
        data, fold_numbers(data.names, folds), pool, configs, device, workers, progress
    )
    chains, following = {}, {}
    for seed in seeds:
        chains[seed], following[seed] = _chain(trainer, seed, config, allowed)
    rounds = []
    for number in range(max(map(len, chains.values()))):
        fits = {seed: chain[min(number, len(chain) - 1)] for seed, chain in chains.items()}
        rounds.append(_round(number, trainer, fits))
    following = _by_seed(following)
    settled = following[["seed", *WHO]].equals(rounds[-1].selected[["seed", *WHO]])
    notes = _notes(config, rounds, settled, allowed)
    return PseudoRounds(config, tuple(rounds), following, allowed, notes)


def may_join(
    config: PseudoConfig,
    data: FusionData,
    pool: FusionData | None,
    test_names: Sequence[str] = (),
    outside: Sequence[str] = (),
) -> np.ndarray:
    """Which clips of `pool` `config.pool` lets join, (P,) bool.

    Raises ValueError where there is none, where `pool` is not told apart from test clips though it
    must be, and where labelled clips stand in it.
    """
    names = np.array(() if pool is None else pool.names, dtype=object)
    if both := set(names) & set(data.names):
        raise ValueError(
            f"{len(both)} labelled clips stand in the pool too, for one {min(both)!r}: a clip's "
            "label would reach the fold that holds it out; take them out of the pool"
        )
    if config.pool != "candidates" and not len(test_names):
        raise ValueError(f"pool {config.pool!r} needs the test clips' names: pass test_names")
    is_test = np.isin(names, list(test_names))
    allowed = {"candidates": np.ones_like(is_test), "unlabelled": ~is_test, "test": is_test}
    found = allowed[config.pool] & ~np.isin(names, list(outside))
    if not found.any():
        raise ValueError(
            f"no unlabelled clips to learn from (pool {config.pool!r}: {len(names)} clips, "
            f"{is_test.sum()} of them test, {len(outside)} kept outside): add clips with the split "
            "unlabelled or test to the corpus"
        )
    return found


def outside_part(names: Sequence[str], share: float, seed: int = 0) -> list[str]:
    """A random `share` of `names` to keep outside the pool; the same names and seed, the same."""
    if not 0 <= share < 1:
        raise ValueError(f"the share kept outside is from 0 to below 1; got {share}")
    order = np.random.default_rng(seed).permutation(sorted(names))
    return sorted(map(str, order[: round(share * len(order))]))


def _chain(
    trainer: Trainer, seed: int, config: PseudoConfig, allowed: np.ndarray
) -> tuple[list[Fits], pd.DataFrame]:
    """The trainings of one seed, each with what the one before selected, and what the last does."""
    chain = [trainer.fits(seed)]
    while True:
        before = chain[-1]
        joined = _selection(trainer, before, config, allowed)
        same = joined[WHO].to_numpy().tolist() == before.joined[WHO].to_numpy().tolist()
        if same or len(chain) > config.rounds:
            return chain, joined
        start = before if config.warm_start else None
        chain.append(trainer.fits(seed, joined, soft=config.target == "soft", start=start))


def _selection(
    trainer: Trainer, fits: Fits, config: PseudoConfig, allowed: np.ndarray
) -> pd.DataFrame:
    """What each fold's models select for it: a column fold, then those of `select`."""
    parts = []
    probabilities = {
        model: fold_models(trainer.data, trainer.folds, fits.out_of_fold[model], p, config)
        for model, p in fits.pool.items()
    }
    thresholds = thresholds_of(trainer.data, trainer.folds, fits.out_of_fold, config)
    for fold in range(trainer.n_folds):
        tables = {
            model: pd.DataFrame(p[fold], list(trainer.pool.names), list(trainer.data.label_set))
            for model, p in probabilities.items()
        }
        found = select(tables, replace(config, threshold=thresholds[fold]), allowed)
        found.insert(0, "fold", fold)
        if config.accumulate:
            before = fits.joined[fits.joined["fold"] == fold]
            found = pd.concat([part for part in (found, before) if len(part)] or [found])
            found = found.drop_duplicates("name")
            place = pd.Index(trainer.pool.names).get_indexer(found["name"])
            found = found.iloc[np.argsort(place)]
        parts.append(found)
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def fold_models(
    data: FusionData,
    folds: np.ndarray,
    out_of_fold: np.ndarray,
    pool: np.ndarray,
    config: PseudoConfig,
) -> np.ndarray:
    """One seed's fold models on the pool, (K, P, C), calibrated where `config` asks for it.

    `out_of_fold` (N, C) are the same models' on the clips that each holds out.
    """
    if not config.calibrate:
        return pool
    temperatures = fold_temperatures(data.labels, folds, out_of_fold)
    return with_temperature(pool, temperatures[:, None, None])


def thresholds_of(
    data: FusionData, folds: np.ndarray, out_of_fold: Mapping[str, np.ndarray], config: PseudoConfig
) -> np.ndarray:
    """One seed's threshold in each fold, (K,); `out_of_fold` are (N, C) by model, uncalibrated."""
    if config.precision is None:
        return np.full(int(folds.max()) + 1, config.threshold)
    if config.calibrate:
        out_of_fold = {
            model: calibrated_out_of_fold(data.labels, folds, p) for model, p in out_of_fold.items()
        }
    return fold_thresholds(data.labels, folds, out_of_fold, config.precision)


def _round(number: int, trainer: Trainer, fits: Mapping[int, Fits]) -> Round:
    results, by_fold = {}, {}
    for model in trainer.configs:
        by_fold[model] = np.stack([fit.pool[model] for fit in fits.values()])
        results[model] = CrossValidated(
            names=trainer.data.names,
            label_set=trainer.data.label_set,
            folds=trainer.folds,
            seeds=tuple(fits),
            out_of_fold=np.stack([fit.out_of_fold[model] for fit in fits.values()]),
            test_names=trainer.pool.names,
            test=by_fold[model].mean(1),
        )
    selected = _by_seed({seed: fit.joined for seed, fit in fits.items()})
    return Round(number, results, by_fold, selected, tuple(fit.models for fit in fits.values()))


def _by_seed(tables: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """The tables below one another, with a column seed in front."""
    seeded = [table.assign(seed=seed) for seed, table in tables.items()]
    together = pd.concat([part for part in seeded if len(part)] or seeded, ignore_index=True)
    together.insert(0, "seed", together.pop("seed"))
    return together


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
    label_set = next(iter(rounds[0].results.values())).label_set
    if never := [label for i, label in enumerate(label_set) if i not in predicted]:
        notes.append(f"no model ever predicts {', '.join(never)} on the pool: none of it can join")
    return tuple(notes)
