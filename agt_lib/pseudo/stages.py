"""What the models of one stage (without or with pseudo-labels) bring to a vote.

S seeds, K folds, N labelled clips, P clips of the pool, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.evaluation.calibration import calibrated_out_of_fold, fit_temperature, with_temperature
from agt_lib.evaluation.predictions import Stage
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData
from agt_lib.pseudo.rounds import PseudoRounds, Round


def on_pool(fitted: Round, data: FusionData) -> Stage:
    """A round's predictions of the pool, each the mean of the K fold models.

    A model's temperature is fitted on its out-of-fold predictions of the labelled clips `data` and
    acts on each fold model before the mean is taken: single models are surer than their mean.
    """
    predictions, found = fitted.results.test, _temperatures(fitted, data)
    scaled = {
        model: with_temperature(by_fold, found[model][:, None, None, None]).mean(1)
        for model, by_fold in fitted.by_fold.items()
    }  # (S, K, N, C) -> (S, N, C)
    prior = trained_on(fitted.results, data, fitted.selected)
    return Stage(predictions, replace(predictions, probabilities=scaled), prior, found)


def held_out(
    results: CrossValidated, data: FusionData, selected: pd.DataFrame | None = None
) -> Stage:
    """Out-of-fold predictions of the labelled clips: for corpora whose test answers are not known.

    Each fold's temperature is fitted on the other folds; with one fold alone none is, and
    `calibrated` is what the models say.
    """
    predictions = calibrated = results.out_of_fold
    true = predictions.numbers(data.truth)
    folds = results.folds.loc[list(predictions.names)].to_numpy()
    if folds.max() > 0:
        scaled = {
            model: np.stack([calibrated_out_of_fold(true, folds, p) for p in given])
            for model, given in predictions.probabilities.items()
        }
        calibrated = replace(predictions, probabilities=scaled)
    return Stage(predictions, calibrated, trained_on(results, data, selected))


def before_and_after(
    rounds: PseudoRounds,
    data: FusionData,
    names: Sequence[str] | None = None,
    *,
    seen: pd.DataFrame | None = None,
) -> dict[str, Stage]:
    """The stages "none" and "P": before pseudo-labels and after their last round.

    Of the pool's clips `names`, or out of fold if None. `seen` is the table of `visible`; all
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
    trained on clips of the pool, so their posteriors there are not those of new clips.
    Raises ValueError for a later round, and as `estimate` does.
    """
    if len(fitted.selected):
        raise ValueError(
            f"round {fitted.number} was trained on {len(fitted.selected)} pseudo-labels of the "
            "pool: estimate its prior from round 0"
        )
    true, out_of_fold = fitted.labelled(data)[0], fitted.results.out_of_fold
    found = []
    for seed, temperature in enumerate(_temperatures(fitted, data)[model]):
        own = with_temperature(out_of_fold.probabilities[model][seed], temperature)
        pool = with_temperature(fitted.by_fold[model][seed], temperature)  # (K, P, C)
        found.append(estimate(pool.reshape(-1, own.shape[-1]), own, true))
    return np.mean(found, axis=0)


def _temperatures(fitted: Round, data: FusionData) -> dict[str, np.ndarray]:
    """Each model's temperatures (S,), fitted on clips that it was not trained on."""
    true, out_of_fold = fitted.labelled(data)[0], fitted.results.out_of_fold
    return {
        model: np.array([fit_temperature(true, p) for p in given])
        for model, given in out_of_fold.probabilities.items()
    }


def trained_on(
    results: CrossValidated, data: FusionData, selected: pd.DataFrame | None = None
) -> np.ndarray:
    """The labels' shares in what the fold models of each seed were trained on, (S, C).

    `selected` lists pseudo-labels: columns seed, fold and label (its name), a line for each clip
    that a fold's model was given. Shares are averaged over folds, as the models' predictions are.
    """
    folds = results.folds.loc[list(data.names)].to_numpy()
    numbers, n_classes = list(range(int(folds.max()) + 1)), len(data.label_set)
    own = np.stack([np.bincount(data.labels[folds != k], minlength=n_classes) for k in numbers])
    shares = []
    for seed in results.out_of_fold.seeds:
        counts = own.astype(float)
        if selected is not None and len(selected):
            mine = selected[selected["seed"] == seed]
            given = pd.crosstab(mine["fold"], mine["label"])
            given = given.reindex(index=numbers, columns=list(data.label_set), fill_value=0)
            counts += given.to_numpy()
        shares.append((counts / counts.sum(1, keepdims=True)).mean(0))
    return np.stack(shares)
