"""Thresholds read off labelled clips, on hand-worked cases."""

import numpy as np
import pytest

from agt_lib.pseudo.selection import NEVER, fold_thresholds, lowest_threshold


def sure(confidences, chosen, n_classes=3):
    """Probabilities (N, C) with `confidences` on the classes `chosen`, the rest spread."""
    p = np.repeat((1 - np.asarray(confidences))[:, None] / (n_classes - 1), n_classes, axis=1)
    p[np.arange(len(p)), chosen] = confidences
    return p


def test_the_threshold_keeps_as_many_as_stay_right_enough():
    confidence = np.linspace(0.95, 0.40, 20)
    true = np.zeros(20, int)
    true[[12, 15, 16, 17, 18, 19]] = 1  # the thirteenth surest is wrong, and most of the last
    p = sure(confidence, np.zeros(20, int))[None]
    # Of the surest 12 all are right, of 15 fourteen are (.933), of 16 fourteen (.875).
    assert lowest_threshold(true, p, 0.9) == pytest.approx(confidence[15])
    assert lowest_threshold(true, p, 1.0) == pytest.approx(confidence[12])
    kept = p[0].max(-1) > lowest_threshold(true, p, 0.9)
    assert kept.sum() == 15


def test_clips_on_which_models_differ_count_for_nothing():
    true = np.zeros(24, int)
    one = sure(np.linspace(0.95, 0.5, 24), np.zeros(24, int))
    other = sure(np.linspace(0.90, 0.5, 24), np.repeat([0, 1], 12))
    assert lowest_threshold(true, np.stack([one, other]), 0.9) == 0.0
    kept = np.stack([one, other]).argmax(-1)
    assert (kept[0] == kept[1]).sum() == 12


def test_too_few_right_ones_let_nothing_join():
    true = np.r_[np.zeros(9, int), np.ones(20, int)]
    p = sure(np.linspace(0.95, 0.4, 29), np.zeros(29, int))[None]
    assert lowest_threshold(true, p, 0.95) == NEVER


def test_clips_of_one_confidence_join_together_or_not_at_all():
    true = np.r_[np.zeros(12, int), np.ones(4, int)]
    p = sure(np.r_[np.full(10, 0.9), np.full(6, 0.6)], np.zeros(16, int))[None]
    assert lowest_threshold(true, p, 0.9) == pytest.approx(0.6)  # the six hold four wrong ones


def test_a_folds_threshold_takes_no_label_of_the_fold():
    rng = np.random.default_rng(0)
    folds = np.repeat(np.arange(3), 40)
    true = rng.integers(0, 3, 120)
    right = rng.random(120) < 0.8
    p = {"a": sure(rng.uniform(0.4, 1, 120), np.where(right, true, (true + 1) % 3))}
    before = fold_thresholds(true, folds, p, 0.7)
    changed = np.where(folds == 1, (true + 1) % 3, true)
    after = fold_thresholds(changed, folds, p, 0.7)
    assert after[1] == before[1]
    assert after[0] != before[0]


def test_a_single_fold_is_refused():
    with pytest.raises(ValueError, match="one fold alone"):
        fold_thresholds(np.zeros(5, int), np.zeros(5, int), {"a": np.full((5, 3), 1 / 3)}, 0.9)
