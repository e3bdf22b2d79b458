"""What to do if the labels' shares shift. S seeds, N clips, C classes.

If only the prior differs between training (p) and test (q), the posterior of a calibrated model
is right again once it is weighed by q_c / p_c and renormalised (Saerens et al. 2002, eq. 2.4).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import NOTICEABLE
from agt_lib.corpora.tables import read_table
from agt_lib.evaluation.predictions import Predictions


def check_prior(prior: np.ndarray, labels: Sequence[str], what: str) -> np.ndarray:
    """`prior` (..., C) as floats. Raises ValueError unless all are above zero and add up to 1."""
    prior = np.asarray(prior, float)
    if prior.shape[-1:] != (len(labels),):
        raise ValueError(f"{what} has {prior.shape[-1:]} shares for the labels {list(labels)}")
    if not (prior > 0).all():
        flat = prior.reshape(-1, len(labels))
        bad = [label for label, share in zip(labels, flat.min(0), strict=True) if not share > 0]
        raise ValueError(
            f"{what} gives {', '.join(bad)} no share above zero: such a label could never be "
            "predicted, or is in no training clip. Leave it out of the label set, or use `smoothed`"
        )
    if np.abs(prior.sum(-1) - 1).max() > 1e-6:
        raise ValueError(f"{what} adds up to {prior.sum(-1)}, not to 1: give shares of 0 to 1")
    return prior


def corrected(predictions: Predictions, trained_on: np.ndarray, target: np.ndarray) -> Predictions:
    """Each posterior times q_c / p_c, renormalised.

    `trained_on` is p, the shares of the labels that the models were trained on, pseudo-labels
    included: (C,), or (S, C) by seed. `target` (C,) is q. Raises ValueError for a prior with a
    zero and for what are no `Predictions`.
    """
    if not isinstance(predictions, Predictions):
        raise ValueError(
            "what is corrected are predictions, as `Predictions.from_tables` makes them"
        )
    p = check_prior(trained_on, predictions.label_set, "the prior of training")
    q = check_prior(target, predictions.label_set, "the target prior")
    ratio = np.broadcast_to(q / p, (len(predictions.seeds), len(predictions.label_set)))[:, None]
    probabilities = {}
    for model, given in predictions.probabilities.items():
        weighed = given * ratio
        probabilities[model] = weighed / weighed.sum(-1, keepdims=True)
    return replace(predictions, probabilities=probabilities)


def smoothed(shares: np.ndarray, n: int) -> np.ndarray:
    """Shares (C,) of `n` clips with half a clip added to each class, so that none is zero."""
    shares = np.asarray(shares, float)
    return (n * shares + 0.5) / (n + 0.5 * len(shares))


def read_prior(path: str | Path, labels: Sequence[str]) -> tuple[np.ndarray, int]:
    """The probed shares (C,) of notebook 06's `prior.csv`, and the submissions they cost.

    Columns label, probed, submissions. Raises FileNotFoundError, and ValueError if a column or a
    label's share is missing.
    """
    expected = "Expected prior.csv as notebook 06 writes it"
    table = read_table(path, ["label", "probed", "submissions"], expected, text=False)
    shares = table.set_index("label")["probed"].reindex(list(labels))
    if shares.isna().any():
        unknown = ", ".join(shares.index[shares.isna()])
        raise ValueError(
            f"{path}: no probed share of {unknown}; the labels are {', '.join(labels)}. Give "
            "notebook 06 the challenge's scores first"
        )
    return check_prior(shares.to_numpy(), labels, str(path)), int(table["submissions"].max())


def prevalence_ratios(train: pd.Series, test: pd.Series) -> pd.Series:
    """q_c / p_c by label from counts or shares of the same labels, largest first.

    Raises ValueError if the labels differ or one has no share above zero.
    """
    if sorted(train.index) != sorted(test.index):
        raise ValueError(f"priors of other labels: {sorted(train.index)}, {sorted(test.index)}")
    labels = list(train.index)
    p = check_prior(train / train.sum(), labels, "the prior of training")
    q = check_prior(test.loc[labels] / test.sum(), labels, "the target prior")
    return pd.Series(q / p, index=labels, name="ratio").sort_values(ascending=False)


def propose_triggers(train: pd.Series, test: pd.Series) -> tuple[str, ...]:
    """The labels whose share changes by more than `NOTICEABLE`, up or down, most changed first.

    `train` and `test` are counts or shares by label. Raises ValueError as `prevalence_ratios` does.
    """
    change = np.log(prevalence_ratios(train, test)).abs().sort_values(ascending=False)
    return tuple(change.index[change > np.log(NOTICEABLE)])
