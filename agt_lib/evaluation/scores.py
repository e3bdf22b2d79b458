"""Scores of predictions on plain arrays, with bootstrap intervals over clips or speakers.

S seeds, N clips, C classes, B bootstrap draws, U units that are drawn (clips or speakers).
Probabilities are (S, N, C), or (N, C) for one seed; `true` (N,) are labels as numbers. Predicted
labels are `votes`: shares (..., N, C) that are 0 or 1, or between them if a label is drawn. Scores
are shares (0 to 1) unless per cent is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.metrics import roc_auc_score

from agt_lib.corpora.labels import EMOTIONS, MISSING
from agt_lib.evaluation.checks import by_seed, labelled

N_BOOTSTRAP = 20_000
"""Ends then move by .03 to .08 points (standard deviation between bootstrap seeds) where intervals
over 24 to 84 speakers are 6 to 14 wide, by up to .15 with five to eight speakers."""
MAX_DRAWN = 2_000_000
"""Units drawn in all, at most: intervals of more units are narrower and need fewer draws."""
LEVEL = 0.95
MIN_GROUPS = 5
"""With fewer speakers an interval over them says nothing; it is over clips then."""
FEW_GROUPS = 10
"""With fewer speakers an interval is rough, and `Sample.over` says so."""
BLOCK = 200_000
"""F1 scores that are computed at once."""
N_BINS = 10
SEED = 0


@dataclass(frozen=True)
class Sample:
    """The clips that are scored, the unit of each, and how often each unit is drawn.

    `units` (N,) number what is drawn with all of its clips: `over` is "clips" or "speakers", of
    which it says if they are few. The first row of `draws` (1 + B, U) is the sample itself, the
    others are bootstrap draws with replacement. Models scored with one sample are compared on the
    same draws.
    """

    true: np.ndarray
    units: np.ndarray
    draws: np.ndarray
    over: str

    @classmethod
    def of(
        cls, true: np.ndarray, groups: np.ndarray | None = None, n_bootstrap: int | None = None
    ) -> "Sample":
        """Draw clips, or the speakers `groups` (N,) if they are at least `MIN_GROUPS`.

        By default `N_BOOTSTRAP` times, and fewer if more than `MAX_DRAWN` units would be drawn, but
        at least a thousand times. Raises ValueError if a label is missing.
        """
        if (true == MISSING).any():
            raise ValueError("scores need a true label for every clip; some are missing")
        units, over = np.arange(len(true)), "clips"
        if groups is not None:
            speakers, names = pd.factorize(np.asarray(groups, str))
            if len(names) >= MIN_GROUPS:
                few = " (few: ends are rough)" * (len(names) < FEW_GROUPS)
                units, over = speakers, f"speakers{few}"
        n_units = int(units.max()) + 1
        if n_bootstrap is None:
            n_bootstrap = min(N_BOOTSTRAP, max(1000, MAX_DRAWN // n_units))
        generator = np.random.default_rng(SEED)
        times = generator.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_bootstrap)
        return cls(true, units, np.concatenate([np.ones((1, n_units)), times]), over)

    def weights(self, n_bootstrap: int) -> np.ndarray:
        """How often each clip is drawn in the sample and in the first draws: (1 + B, N)."""
        return self.draws[: 1 + n_bootstrap, self.units]

    def wafs(self, votes: np.ndarray) -> np.ndarray:
        """WAF in per cent of `votes` (..., N, C) on the sample and on each draw: (..., 1 + B)."""
        return 100 * weighted_waf(self.true, votes, self.draws, self.units)


def with_interval(name: str, values: np.ndarray) -> dict[str, float]:
    """The first of `values` (1 + B,), that of the sample, as column `name`.

    In `name`_low and `name`_high stand the ends of the 95 % interval of the others, the draws.
    """
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}


def weighted_waf(
    true: np.ndarray, votes: np.ndarray, weights: np.ndarray, units: np.ndarray | None = None
) -> np.ndarray:
    """WAF of `votes` (..., N, C) under each row of `weights` (W, U): (..., W).

    Weights are of the clips' `units` (N,), or of the clips. Votes of 0 and 1 give scikit-learn's
    weighted F1 with `sample_weight`, zero for a class that is never predicted; other votes give
    that of the expected counts.
    """
    *outer, n_clips, n_classes = votes.shape
    units = np.arange(n_clips) if units is None else units
    summed = csr_array((np.ones(n_clips), (units, np.arange(n_clips))))  # (U, N)
    is_true = np.eye(n_classes)[true]  # (N, C)
    by_clip = votes.reshape(-1, n_clips, n_classes).transpose(1, 2, 0)  # (N, C, R)
    support = summed @ is_true  # (U, C)
    chosen = summed @ by_clip.reshape(n_clips, -1)  # (N, C, R) -> (N, CR) -> (U, CR)
    hits = summed @ (by_clip * is_true[..., None]).reshape(n_clips, -1)
    scores = np.zeros((len(weights), by_clip.shape[2]))
    step = max(1, BLOCK // chosen.shape[1])
    for start in range(0, len(weights), step):
        part = weights[start : start + step]
        n_own = (part @ support)[..., None]  # (w, C, 1)
        n_chosen, n_hits = ((part @ x).reshape(len(part), n_classes, -1) for x in (chosen, hits))
        f1 = _f1(n_own, n_chosen, n_hits)  # (w, C, R)
        scores[start : start + step] = (n_own * f1).sum(1) / n_own.sum(1)
    return scores.T.reshape(*outer, len(weights))


def waf(true: np.ndarray, predicted: np.ndarray) -> float:
    """Weighted-average F1, MER2024's metric: each class' F1 weighted by its share of `true`.

    `true` and `predicted` (N,) are labels, both as numbers or both as names. Raises ValueError
    unless they are, one of each for every clip and at least one. Counted by hand: scikit-learn's
    takes as long as a training step.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    kinds = {"numbers" if x.dtype.kind in "biuf" else "names" for x in (true, predicted)}
    if true.shape != predicted.shape or true.ndim != 1 or not len(true) or len(kinds) > 1:
        raise ValueError(
            "waf takes a true and a predicted label for each clip, both as numbers or both as "
            f"names; got {' and '.join(sorted(kinds))} of shapes {true.shape}, {predicted.shape}"
        )
    classes, numbers = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    support, chosen, hits = _counts(*np.split(numbers, 2), len(classes))
    return float((_f1(support, chosen, hits) * support).sum() / len(true))


def votes(probabilities: np.ndarray) -> np.ndarray:
    """The likeliest label as votes of 0 and 1: (N, C) or (S, N, C) -> (S, N, C)."""
    stacked = by_seed(probabilities)
    return np.eye(stacked.shape[-1])[stacked.argmax(-1)]


def fixed_and_broken(
    true: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How often `after` alone, and `before` alone, gets each clip right: (N,) and (N,).

    Both are votes (S, N, C), `before` of 0 and 1; means over seeds.
    """
    clips = np.arange(len(true))
    right_before, right_after = before[:, clips, true], after[:, clips, true]  # (S, N)
    fixed = (right_after * (1 - right_before)).mean(0)
    return fixed, (right_before * (1 - right_after)).mean(0)


def per_class_f1(
    true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str] = EMOTIONS
) -> pd.Series:
    """Each class' F1, averaged over seeds, indexed by label. Raises as `labelled` does."""
    true, stacked = labelled(true, probabilities, labels)
    scores = [_f1(*_counts(true, p, len(labels))) for p in stacked.argmax(-1)]
    return pd.Series(np.mean(scores, axis=0), index=list(labels), name="f1")


def confusion(
    true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str] = EMOTIONS
) -> pd.DataFrame:
    """Clips by true (rows) and predicted label (columns), averaged over seeds.

    Raises ValueError as `labelled` does.
    """
    true, stacked = labelled(true, probabilities, labels)
    matrix = np.eye(len(labels))[true].T @ votes(stacked).mean(0)  # (C, N) @ (N, C)
    table = pd.DataFrame(matrix, index=list(labels), columns=list(labels))
    return table.rename_axis(index="true", columns="predicted")


def reliability(true: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Confidence against accuracy in `N_BINS` equal bins of confidence, over all seeds.

    Columns `bin_low`, `bin_high`, `clips`, `confidence`, `accuracy` (means in the bin; NaN if it is
    empty). The expected calibration error is the clip-weighted mean of their distance. Raises
    ValueError as `labelled` does.
    """
    true, stacked = labelled(true, probabilities)
    confidence = stacked.max(axis=-1).ravel()
    right = (stacked.argmax(axis=-1) == true).ravel()
    edges = np.linspace(0, 1, N_BINS + 1)
    bins = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, N_BINS - 1)
    clips = pd.DataFrame({"confidence": confidence, "accuracy": right.astype(float)})
    counts = np.bincount(bins, minlength=N_BINS)
    table = pd.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], "clips": counts})
    return table.join(clips.groupby(bins).mean())


def calibration_error(reliability_table: pd.DataFrame) -> float:
    """Expected calibration error of a table that `reliability` made."""
    gap = (reliability_table["confidence"] - reliability_table["accuracy"]).abs().fillna(0)
    return float((gap * reliability_table["clips"]).sum() / reliability_table["clips"].sum())


def precision_recall(found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """How well bool `found` finds bool `wanted` (any equal shape): precision, recall, counts.

    Precision is NaN if nothing was found, recall if nothing is wanted. `share` is the share of
    `wanted`: the precision of a guess.
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
    """The chance that a wanted one has more `evidence` than an unwanted one.

    NaN if all or none are wanted.
    """
    if len(np.unique(wanted)) < 2:
        return float("nan")
    return float(roc_auc_score(wanted, evidence))


def _counts(true: np.ndarray, predicted: np.ndarray, n_classes: int) -> list[np.ndarray]:
    """Clips by class (C,): truly of it, predicted as it, both."""
    parts = true, predicted, true[true == predicted]
    return [np.bincount(part, minlength=n_classes) for part in parts]


def _f1(support: np.ndarray, chosen: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """F1 of counts (or weights) truly of a class, predicted as it, both; 0 for a class of none."""
    return 2 * hits / np.maximum(support + chosen, np.finfo(float).tiny)
