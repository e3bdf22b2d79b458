"""The labels' shares estimated without probing, and all kinds of shares side by side (figure 3).

Estimates assume label shift: the classes look the same in training and in the unlabelled clips,
only their shares differ. Letters: M labelled clips, N unlabelled ones, C classes, K folds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation import paper
from agt_lib.evaluation.calibration import fit_temperature, with_temperature
from agt_lib.evaluation.checks import check_probabilities
from agt_lib.probing.infer import Probed, paper_scores, probe, probe_leaderboard
from agt_lib.probing.leaderboard import METRICS, Leaderboard

EM_STEPS = 1000
EM_CHANGE = 1e-4
"""EM ends when the shares change by less, in the mean: what QuaPy does."""
DIGITS = (1, 2, 3, 4)


def shares(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """The share (C,) of each class among numbered `labels` (M,)."""
    return np.bincount(labels, minlength=n_classes) / len(labels)


def _em(unlabelled: np.ndarray, out_of_fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    prior = shares(labels, unlabelled.shape[1])
    estimated = prior
    for step in range(EM_STEPS):
        reweighted = unlabelled * (estimated / prior)  # equation 2.9
        before, estimated = estimated, (reweighted / reweighted.sum(1, keepdims=True)).mean(0)
        if step > 10 and np.abs(estimated - before).mean() < EM_CHANGE:
            break
    return estimated


def _bbse(unlabelled: np.ndarray, out_of_fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    n_classes = unlabelled.shape[1]
    by_class = [out_of_fold[labels == c].sum(0) for c in range(n_classes)]
    joint = np.stack(by_class, axis=1) / len(labels)  # (C, C): predicted, true
    weights, _ = nnls(joint, unlabelled.mean(0))  # q / p by class, none below zero
    estimated = np.minimum(weights * shares(labels, n_classes), 1)
    return estimated / estimated.sum()


def _bbse_hard(unlabelled: np.ndarray, out_of_fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    one_hot = np.eye(unlabelled.shape[1])
    return _bbse(one_hot[unlabelled.argmax(1)], one_hot[out_of_fold.argmax(1)], labels)


def _mean(unlabelled: np.ndarray, out_of_fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return unlabelled.mean(0)


METHODS = {
    "mean": _mean,  # of the posteriors: no correction, what the others have to beat
    "em": _em,  # Saerens, Latinne and Decaestecker 2002; wants calibrated posteriors
    "bbse": _bbse,  # Lipton, Wang and Smola 2018, the confusion matrix of posteriors
    "bbse_hard": _bbse_hard,  # the same of predicted labels
}


def estimate(
    method: str, unlabelled: np.ndarray, out_of_fold: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """The label shares (C,) of the clips whose posteriors are `unlabelled` (N, C).

    `out_of_fold` (M, C) are posteriors of labelled clips by models that were not trained on them,
    `labels` (M,) their numbered labels. Use single models for both. Do not average the K fold
    models first: the average is less confident than the out-of-fold models. Stack their posteriors
    of the unlabelled clips instead, (K N, C). Raises ValueError for an unknown method, posteriors
    that are not finite or don't sum to one, shapes that disagree, and a class without a labelled
    clip, whose share of training is zero.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; there are {', '.join(METHODS)}")
    unlabelled = np.asarray(unlabelled, np.float64)
    out_of_fold = np.asarray(out_of_fold, np.float64)
    n_classes = unlabelled.shape[-1]
    if unlabelled.ndim != 2 or 0 in unlabelled.shape:
        raise ValueError(f"unlabelled posteriors are (clips, classes); got {unlabelled.shape}")
    if out_of_fold.shape != (len(labels), n_classes):
        raise ValueError(
            f"{len(labels)} labels of {n_classes} classes, out-of-fold posteriors of shape "
            f"{out_of_fold.shape}: these must agree"
        )
    check_probabilities(unlabelled, "unlabelled posteriors")
    check_probabilities(out_of_fold, "out-of-fold posteriors")
    if set(np.unique(labels)) != set(range(n_classes)):
        raise ValueError(
            f"labels number the classes 0 to {n_classes - 1}, each at least once; got "
            f"{np.unique(labels).tolist()}"
        )
    return METHODS[method](unlabelled, out_of_fold, np.asarray(labels))


def estimate_groups(
    posteriors: np.ndarray,
    groups: Mapping[str, np.ndarray],
    out_of_fold: np.ndarray,
    labels: np.ndarray,
) -> dict[str, np.ndarray]:
    """The label shares (C,) of each group of clips by each method, named `method_group`.

    `posteriors` (K, N, C) are those of K fold models for the same N clips, `groups` say by name
    which clips (N,) bool are meant; one without clips is left out. All posteriors are calibrated
    first, by one temperature fitted on `out_of_fold`. Raises ValueError as `estimate` does.
    """
    temperature = fit_temperature(labels, out_of_fold)
    held_out = with_temperature(out_of_fold, temperature)
    calibrated = with_temperature(posteriors, temperature)
    return {
        f"{method}_{group}": estimate(method, np.concatenate(calibrated[:, rows]), held_out, labels)
        for group, rows in groups.items()  # concatenated: (K, n, C) -> (K n, C)
        if rows.any()
        for method in METHODS
    }


def prior_table(
    labels: Sequence[str],
    train: np.ndarray,
    probed: Probed | None = None,
    others: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """A row a label: shares of `train`, `probed` with its bounds and count, and `others` by name.

    Columns train, probed, probed_low, probed_high, count (missing if not unique), submissions
    (what probing cost, 0 without) and those of `others` (shares (C,) each).
    """
    table = pd.DataFrame({"train": train}, index=pd.Index(labels, name="label"), dtype=float)
    table[["probed", "probed_low", "probed_high", "count"]] = np.nan
    table["submissions"] = 0
    if probed is not None:
        table["probed"], table["probed_low"] = probed.prior, probed.low
        table["probed_high"], table["submissions"] = probed.high, probed.submissions
        table["count"] = probed.count_low if probed.unique else np.nan
    return table.assign(**(others or {}))


def distances(table: pd.DataFrame) -> pd.DataFrame:
    """How far each column of shares is from each column of true ones, named `true_...`.

    A row a column of a table of `prior_table`, with what it cost in submissions. The distance is
    total variation: the share of clips, 0 to 1, that would have to change their label.
    """
    truths = [column for column in table if column.startswith("true_")]
    known = table.drop(columns=[*truths, "probed_low", "probed_high", "count", "submissions"])
    known = known.dropna(axis=1)
    gaps = {f"to {t}": known.sub(table[t], axis=0).abs().sum() / 2 for t in truths}
    cost = np.where(known.columns == "probed", table["submissions"].max(), 0)
    return pd.DataFrame(gaps | {"submissions": pd.Series(cost, known.columns)})


def revealed(answers: pd.Series, labels: Sequence[str] = EMOTIONS) -> pd.DataFrame:
    """What leaderboards of every metric and one to four digits reveal of `answers`, by clip name.

    Columns metric, digits, solutions (sets of counts that fit, the number of clips being known;
    1 is unique) and widest (the widest bounds of a label's share, 0 to 1).
    """
    rows = []
    for metric in METRICS:
        for digits in DIGITS:
            board = Leaderboard(answers, metric, digits, labels=labels)
            found = probe_leaderboard(board, answers.index, board.n_scored)
            rows.append((metric, digits, found.solutions, (found.high - found.low).max()))
    return pd.DataFrame(rows, columns=["metric", "digits", "solutions", "widest"])


def paper_prior() -> pd.DataFrame:
    """The paper's own figure 3: the table of `prior_table` from its printed numbers alone."""
    counts = np.array([paper.TRAIN_COUNTS[label] for label in EMOTIONS])
    return prior_table(EMOTIONS, counts / counts.sum(), probe(paper_scores(), paper.N_TEST))
