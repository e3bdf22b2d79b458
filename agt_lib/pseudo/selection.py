"""Which clips of a pool become pseudo-labelled (section 2.3), and how sure the models must be.

M models, N clips, K folds, C classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agt_lib.evaluation.predictions import Predictions
from agt_lib.fusion.data import FusionData
from agt_lib.pseudo.config import PseudoConfig

FEWEST = 10
"""Fewer labelled clips that would join are too few to say how many of such clips are right."""
NEVER = 1.0
"""No confidence is above it: nothing joins."""


def select(
    predictions: Predictions, config: PseudoConfig, may_join: np.ndarray | None = None
) -> pd.DataFrame:
    """The clips on which all models agree, each surer than the threshold, in the pool's order.

    `predictions` are of one seed; `may_join` (N,) bool says which clips can be selected (all by
    default). Columns name, label, confidence (that of the least sure model) and, by label, the mean
    of the models' probabilities. Calibration is the caller's.
    """
    given = [p[0] for p in predictions.probabilities.values()]
    probabilities = np.stack(given).astype(np.float64)  # (M, N, C)
    agree, chosen, confidence = agreement(probabilities)
    joins = agree & (confidence > config.threshold)
    kept = np.flatnonzero(joins if may_join is None else joins & may_join)
    if config.quota is not None:
        kept = _within(kept, chosen, confidence, config.quota)
    names, labels = (np.array(x, object) for x in (predictions.names, predictions.label_set))
    found = pd.DataFrame({"name": names[kept], "label": labels[chosen[kept]]})
    found["confidence"] = confidence[kept]
    return found.join(pd.DataFrame(probabilities.mean(0)[kept], columns=list(labels)))


def agreement(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of (M, N, C): whether all agree (N,), the first's choice (N,), the least confidence (N,)."""
    choices = probabilities.argmax(-1)  # (M, N)
    return (choices == choices[0]).all(0), choices[0], probabilities.max(-1).min(0)


def may_join(
    config: PseudoConfig,
    data: FusionData,
    pool: FusionData | None,
    test_names: Sequence[str] = (),
    outside: Sequence[str] = (),
) -> np.ndarray:
    """Which clips of `pool` `config.pool` lets join, (P,) bool.

    Raises ValueError if there is none, if `pool` is not told apart from test clips though it
    must be, and if labelled clips stand in it.
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


def fold_thresholds(
    true: np.ndarray,
    folds: np.ndarray,
    out_of_fold: Mapping[str, np.ndarray],
    precision: float,
) -> np.ndarray:
    """One threshold per fold, (K,): the lowest above which enough is right, on the other folds.

    Of the labelled clips that the other folds hold out, and that would join (all models agree, each
    surer than the threshold), a share of at least `precision` is right. `NEVER` if no ten clips
    are so. A fold's threshold is computed without its labels. One weak dependence remains: the
    other folds' models were trained on them. `out_of_fold` are probabilities (N, C) by model,
    `folds` (N,) the fold that holds each clip out, -1 if none does. Raises ValueError for a
    single fold.
    """
    n_folds = int(folds.max()) + 1
    if n_folds < 2:
        raise ValueError(
            "a threshold by precision is read off the other folds, and there is one fold alone: "
            "give the threshold itself"
        )
    others = [(folds >= 0) & (folds != fold) for fold in range(n_folds)]
    probabilities = np.stack([*out_of_fold.values()])  # (M, N, C)
    return np.array(
        [lowest_threshold(true[rows], probabilities[:, rows], precision) for rows in others]
    )


def lowest_threshold(true: np.ndarray, probabilities: np.ndarray, precision: float) -> float:
    """The lowest threshold above which at least `precision` of (M, N, C) is right, or `NEVER`."""
    agree, chosen, confidence = agreement(probabilities)
    order = np.flatnonzero(agree)[np.argsort(-confidence[agree], kind="stable")]
    right = np.cumsum(chosen[order] == true[order])
    number = np.arange(1, len(order) + 1)
    below = np.append(confidence[order][1:], 0.0)  # the threshold that keeps so many
    is_edge = confidence[order] > below  # clips of one confidence join together
    enough = np.flatnonzero((right >= precision * number) & (number >= FEWEST) & is_edge)
    return float(below[enough[-1]]) if len(enough) else NEVER


def _within(kept: np.ndarray, chosen: np.ndarray, confidence: np.ndarray, quota: int) -> np.ndarray:
    """Of the rows `kept`, the `quota` surest of each class, in the pool's order."""
    surest = kept[np.argsort(-confidence[kept], kind="stable")]
    rank = pd.Series(chosen[surest]).groupby(chosen[surest]).cumcount().to_numpy()
    return np.sort(surest[rank < quota])
