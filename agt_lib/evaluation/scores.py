"""Scores of predictions, with intervals, on plain arrays and prediction tables.

S seeds, N clips, C classes, U units drawn (speakers or clips), B bootstrap draws. A prediction
table is indexed by clip name and has one probability column per label. Scores are shares (0 to 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score

from agt_lib.corpora.labels import EMOTIONS, MISSING

N_BOOTSTRAP = 2000
LEVEL = 0.95
MIN_GROUPS = 5
"""Below this many speakers an interval over them says nothing; it is over clips then."""


@dataclass(frozen=True)
class Score:
    """The mean over seeds of one metric, its interval over clips and its spread over seeds.

    `low` and `high` bound the 95 % bootstrap interval of the seed mean, drawn over `unit` ("clips",
    or "speakers" where they are known); `seed_sd` is the standard deviation over seeds (NaN for
    one seed).
    """

    metric: str
    mean: float
    low: float
    high: float
    seed_sd: float
    n_clips: int
    n_seeds: int
    unit: str

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """WAF of model b minus WAF of model a on the same clips, paired over clips and seeds.

    `fixed` and `broken` count the clips that only b, or only a, gets right (means over seeds).
    """

    difference: float
    low: float
    high: float
    fixed: float
    broken: float
    n_clips: int
    unit: str

    def __str__(self) -> str:
        return (
            f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}], "
            f"{self.fixed:.1f} clips fixed, {self.broken:.1f} broken of {self.n_clips}"
        )


def waf(true: np.ndarray, predicted: np.ndarray) -> float:
    """Weighted-average F1, MER2024's metric: each class' F1 weighted by its share of `true`."""
    return float(f1_score(true, predicted, average="weighted", zero_division=0))


def accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """The share of clips predicted right."""
    return float(accuracy_score(true, predicted))


def per_class_f1(
    true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str] = EMOTIONS
) -> pd.Series:
    """Each class' F1, averaged over seeds, indexed by label. `probabilities` is (S, N, C)."""
    numbers = range(len(labels))
    scores = [
        f1_score(true, predicted, labels=numbers, average=None, zero_division=0)
        for predicted in _predicted(probabilities)
    ]
    return pd.Series(np.mean(scores, axis=0), index=list(labels), name="f1")


def confusion(
    true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str] = EMOTIONS
) -> pd.DataFrame:
    """Clips by true (rows) and predicted label (columns), averaged over the S seeds."""
    numbers = range(len(labels))
    matrices = [confusion_matrix(true, p, labels=numbers) for p in _predicted(probabilities)]
    table = pd.DataFrame(np.mean(matrices, axis=0), index=list(labels), columns=list(labels))
    return table.rename_axis(index="true", columns="predicted")


def score(
    true: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    metric: str = "waf",
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Score:
    """Score predictions of S seeds against `true` (N,), labels as numbers.

    `probabilities` is (S, N, C), or (N, C) for one seed. `groups` (N,), if given, are the speakers
    that the interval is drawn over, where there are at least `MIN_GROUPS`. `metric` is "waf" or
    "accuracy".
    """
    predicted = _predicted(probabilities)
    groups = _enough(groups)
    units, times = _drawn(len(true), groups, n_bootstrap, seed)
    values, draws = _measured(metric, true, predicted, units, times)  # (S,), (S, B)
    low, high = _interval(draws.mean(0))
    return Score(
        metric,
        float(values.mean()),
        low,
        high,
        float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
        len(true),
        len(values),
        _unit(groups),
    )


def compare(
    true: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Comparison:
    """Compare model `b` with model `a`, both (S, N, C) or (N, C) on the same clips and seeds.

    Each bootstrap draw scores both models on the same clips, so what they share cancels.
    """
    chosen_a, chosen_b = _predicted(a), _predicted(b)
    if chosen_a.shape != chosen_b.shape:
        raise ValueError(
            f"a paired comparison needs the same seeds and clips; got {chosen_a.shape} and "
            f"{chosen_b.shape} (seeds, clips)"
        )
    groups = _enough(groups)
    units, times = _drawn(len(true), groups, n_bootstrap, seed)
    whole_a, draws_a = _measured("waf", true, chosen_a, units, times)
    whole_b, draws_b = _measured("waf", true, chosen_b, units, times)
    low, high = _interval((draws_b - draws_a).mean(0))
    right_a, right_b = chosen_a == true, chosen_b == true
    return Comparison(
        float((whole_b - whole_a).mean()),
        low,
        high,
        float((right_b & ~right_a).sum(axis=1).mean()),
        float((right_a & ~right_b).sum(axis=1).mean()),
        len(true),
        _unit(groups),
    )


def reliability(true: np.ndarray, probabilities: np.ndarray, n_bins: int = 10) -> pd.DataFrame:
    """Confidence against accuracy in `n_bins` equal bins of confidence, over all seeds.

    Columns `low`, `high` (the bin), `clips`, `confidence`, `accuracy` (means in the bin; NaN where
    empty). The expected calibration error is the clip-weighted mean of their distance.
    """
    stacked = _stacked(probabilities)
    confidence = stacked.max(axis=-1).ravel()
    right = (stacked.argmax(axis=-1) == true).ravel()
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, n_bins - 1)
    table = pd.DataFrame({"bin": bins, "confidence": confidence, "accuracy": right.astype(float)})
    means = table.groupby("bin").mean().reindex(range(n_bins))
    means.insert(0, "clips", np.bincount(bins, minlength=n_bins))
    means.insert(0, "high", edges[1:])
    means.insert(0, "low", edges[:-1])
    return means.reset_index(drop=True)


def calibration_error(reliability_table: pd.DataFrame) -> float:
    """Expected calibration error of a table that `reliability` made."""
    gap = (reliability_table["confidence"] - reliability_table["accuracy"]).abs().fillna(0)
    return float((gap * reliability_table["clips"]).sum() / reliability_table["clips"].sum())


def precision_recall(found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """How well bool `found` finds bool `wanted` (any equal shape): precision, recall, counts.

    NaN where nothing was found, or nothing was there to find. `share` is the share of `wanted`:
    the precision of a guess.
    """
    hits = int((found & wanted).sum())
    n_found, n_wanted = int(found.sum()), int(wanted.sum())
    return {
        "precision": hits / n_found if n_found else float("nan"),
        "recall": hits / n_wanted if n_wanted else float("nan"),
        "share": float(wanted.mean()),
        "found": n_found,
        "wanted": n_wanted,
    }


def detection_auc(wanted: np.ndarray, evidence: np.ndarray) -> float:
    """The chance that a wanted one has more `evidence` than another; NaN where all are alike."""
    if len(np.unique(wanted)) < 2:
        return float("nan")
    return float(roc_auc_score(wanted, evidence))


def bootstrap_weights(
    n_clips: int, groups: np.ndarray | None, n_bootstrap: int, seed: int
) -> np.ndarray:
    """How often each clip is drawn in each bootstrap sample: (B, N).

    Clips are drawn with replacement, or whole groups (speakers) where `groups` are given.
    """
    units, times = _drawn(n_clips, groups, n_bootstrap, seed)
    return times[:, units]  # (B, U) -> (B, N)


def _drawn(
    n_clips: int, groups: np.ndarray | None, n_bootstrap: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The unit of each clip (N,), and how often each unit is drawn (B, U)."""
    generator = np.random.default_rng(seed)
    units = np.arange(n_clips) if groups is None else pd.factorize(np.asarray(groups))[0]
    n_units = int(units.max()) + 1
    times = generator.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_bootstrap)
    return units, times.astype(float)


def _measured(
    metric: str, true: np.ndarray, predicted: np.ndarray, units: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The metric of predictions (S, N) on all clips, (S,), and on each draw of `times`, (S, B).

    Clips are counted by unit once; a draw's counts are sums of its units' counts.
    """
    if (true == MISSING).any():
        raise ValueError("scores need a true label for every clip; some are missing")
    n_classes = int(max(true.max(), predicted.max())) + 1
    values, draws = [], []
    for chosen in predicted:
        counts = np.zeros((3, times.shape[1], n_classes))  # truly of a class, predicted as it, both
        right = chosen == true
        np.add.at(counts, (0, units, true), 1)
        np.add.at(counts, (1, units, chosen), 1)
        np.add.at(counts, (2, units[right], true[right]), 1)
        values.append(_metric(metric, *counts.sum(1)))
        draws.append(_metric(metric, *(times @ counts)))  # (B, U) @ (3, U, C) -> (3, B, C)
    return np.array(values), np.array(draws)


def _metric(metric: str, support: np.ndarray, chosen: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """The metric of clips counted by class (..., C): truly of it, predicted as it, both."""
    if metric == "accuracy":
        return hits.sum(-1) / support.sum(-1)
    if metric != "waf":
        raise ValueError(f"metric is waf or accuracy; got {metric!r}")
    f1 = 2 * hits / np.maximum(support + chosen, np.finfo(float).tiny)
    return (f1 * support).sum(-1) / support.sum(-1)


def _stacked(probabilities: np.ndarray) -> np.ndarray:
    """(N, C) or (S, N, C) -> (S, N, C)."""
    probabilities = np.asarray(probabilities)
    if probabilities.ndim not in (2, 3):
        raise ValueError(f"probabilities are (S, N, C) or (N, C); got {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities hold NaN or infinity")
    return probabilities.reshape(-1, *probabilities.shape[-2:])


def _predicted(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities (S, N, C) -> the likeliest class (S, N)."""
    return _stacked(probabilities).argmax(axis=-1)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _enough(groups: np.ndarray | None) -> np.ndarray | None:
    """The groups where there are enough of them to draw from."""
    return None if groups is None or len(np.unique(groups.astype(str))) < MIN_GROUPS else groups


def _unit(groups: np.ndarray | None) -> str:
    return "clips" if groups is None else "speakers"
