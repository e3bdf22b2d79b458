"""What the models of one stage (without or with pseudo-labels) bring to a vote.

S seeds, K folds, N labelled clips, P clips of the pool, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.evaluation.calibration import calibrated_out_of_fold, fit_temperature, with_temperature
from agt_lib.evaluation.predictions import Predictions, Stage
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData
from agt_lib.pseudo.rounds import PseudoRounds, Round


def on_pool(fitted: Round, data: FusionData) -> Stage:
    """A round's predictions of the pool, each the mean of the K fold models.

    A model's temperature is fitted on its out-of-fold predictions of the labelled clips `data` and
    acts on each fold model before the mean is taken: single models are surer than their mean.
    """
    predictions = from_results(fitted.results)
    found = temperatures(from_results(fitted.results, held_out=True), _true(fitted, data))
    scaled = {
        model: with_temperature(by_fold, found[model][:, None, None, None]).mean(1)
        for model, by_fold in fitted.by_fold.items()
    }  # (S, K, N, C) -> (S, N, C)
    result = next(iter(fitted.results.values()))
    prior = trained_on(
        data.labels, result.folds, result.label_set, fitted.selected, seeds=result.seeds
    )
    return Stage(predictions, replace(predictions, probabilities=scaled), prior, found)


def held_out(
    results: Mapping[str, CrossValidated], data: FusionData, selected: pd.DataFrame | None = None
) -> Stage:
    """Out-of-fold predictions of the labelled clips: for corpora whose test answers are not known.

    Each fold's temperature is fitted on the other folds; with one fold alone none is, and
    `calibrated` is what the models say.
    """
    predictions = from_results(results, held_out=True)
    result = next(iter(results.values()))
    rows, calibrated = result.folds >= 0, predictions
    if result.folds.max() > 0:
        scaled = {
            model: np.stack(
                [calibrated_out_of_fold(data.labels, r.folds, p)[rows] for p in r.out_of_fold]
            )
            for model, r in results.items()
        }
        calibrated = replace(predictions, probabilities=scaled)
    prior = trained_on(data.labels, result.folds, result.label_set, selected, seeds=result.seeds)
    return Stage(predictions, calibrated, prior)


def before_and_after(
    rounds: PseudoRounds,
    data: FusionData,
    names: Sequence[str] | None = None,
    *,
    seen: pd.DataFrame | None = None,
) -> dict[str, Stage]:
    """The stages "none" and "P": before pseudo-labels and after their last round.

    Of the pool's clips `names`, or out of fold where None. `seen` is the table of `visible`; all
    models see all clips without.
    """
    stages = {}
    for name, end in {"none": rounds.rounds[0], "P": rounds.rounds[-1]}.items():
        stage = held_out(end.results, data, end.selected) if names is None else on_pool(end, data)
        stage = stage if names is None else stage.select(names)
        stages[name] = stage if seen is None else stage.seeing(seen)
    return stages


def estimated_prior(
    fitted: Round,
    data: FusionData,
    estimate: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    model: str = "AGT",
) -> np.ndarray:
    """The labels' shares (C,) in the pool by `model`'s calibrated posteriors alone.

    `estimate` takes posteriors of the pool (K P, C), out-of-fold ones (N, C) and their labels (N,),
    as `probing.estimates.estimate` does. The mean over seeds. It costs no submission, and is the
    pool's prior, not the test's. Only for the round without pseudo-labels: later models were
    trained on clips of the pool, so their posteriors there are not those of clips they never saw.
    Raises ValueError for a later round, and as `estimate` does.
    """
    if len(fitted.selected):
        raise ValueError(
            f"round {fitted.number} learnt from {len(fitted.selected)} pseudo-labels of the pool: "
            "estimate its prior from round 0"
        )
    out_of_fold = from_results(fitted.results, held_out=True)
    labels = _true(fitted, data)
    found = []
    for seed, temperature in enumerate(temperatures(out_of_fold, labels)[model]):
        own = with_temperature(out_of_fold.probabilities[model][seed], temperature)
        pool = with_temperature(fitted.by_fold[model][seed], temperature)  # (K, N, C)
        found.append(estimate(pool.reshape(-1, own.shape[-1]), own, labels))
    return np.mean(found, axis=0)


def temperatures(out_of_fold: Predictions, true: np.ndarray) -> dict[str, np.ndarray]:
    """Each model's temperatures (S,), fitted on clips it never saw with labels `true` (N,)."""
    return {
        model: np.array([fit_temperature(true, p) for p in given])
        for model, given in out_of_fold.probabilities.items()
    }


def trained_on(
    labels: np.ndarray,
    folds: np.ndarray,
    label_set: Sequence[str],
    selected: pd.DataFrame | None = None,
    seeds: Sequence[int] = (0,),
) -> np.ndarray:
    """The labels' shares in what the fold models of each seed were trained on, (S, C).

    `labels` (N,) number the labelled clips, `folds` (N,) say which model held each out (-1: none).
    `selected` lists pseudo-labels: columns seed, fold and label (its name), a line for each clip
    that a fold's model was given. Shares are averaged over folds, as the models' predictions are.
    """
    numbers = list(range(int(folds.max()) + 1))
    own = np.stack([np.bincount(labels[folds != k], minlength=len(label_set)) for k in numbers])
    shares = []
    for seed in seeds:
        counts = own.astype(float)
        if selected is not None and len(selected):
            mine = selected[selected["seed"] == seed]
            given = pd.crosstab(mine["fold"], mine["label"])
            counts += given.reindex(index=numbers, columns=list(label_set), fill_value=0).to_numpy()
        shares.append((counts / counts.sum(1, keepdims=True)).mean(0))
    return np.stack(shares)


def _true(fitted: Round, data: FusionData) -> np.ndarray:
    return data.labels[next(iter(fitted.results.values())).folds >= 0]


def from_results(results: Mapping[str, CrossValidated], *, held_out: bool = False) -> Predictions:
    """The pool's predictions of cross-validated models; with `held_out` the out-of-fold ones.

    Raises ValueError if the results have other seeds.
    """
    if len({result.seeds for result in results.values()}) > 1:
        seeds = {model: result.seeds for model, result in results.items()}
        raise ValueError(f"models vote seed by seed, so they need the same seeds; got {seeds}")
    tables = {
        model: [
            result.out_of_fold_table(seed) if held_out else result.test_table(seed)
            for seed in result.seeds
        ]
        for model, result in results.items()
    }
    return Predictions.from_tables(tables, next(iter(results.values())).seeds)
