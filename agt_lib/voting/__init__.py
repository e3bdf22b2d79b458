"""Voting (section 2.3 of the paper): from the predictions of three models to one label a clip.

A rule gives vote shares: for each clip, with which probability it picks each label. Most rules are
certain (a share of 1); the paper's draws. Everything works on plain predictions of anybody's.
"""

from agt_lib.voting.predictions import AGT, BASELINE, MODELS, VOICE, Predictions
from agt_lib.voting.priors import (
    calibrated,
    corrected,
    prevalence_ratios,
    propose_triggers,
    smoothed,
    temperatures,
    trained_on,
)
from agt_lib.voting.rules import VARIANTS, VoteConfig, alone, majority, mean, triggered, vote
from agt_lib.voting.scoring import (
    compare_rules,
    disagreements,
    draw,
    fixed_and_broken,
    weighted_waf,
)
from agt_lib.voting.sweeps import advantage_map, guide_sweep, reweight

__all__ = [
    "AGT", "BASELINE", "MODELS", "VARIANTS", "VOICE", "Predictions", "VoteConfig",
    "advantage_map", "alone", "calibrated", "compare_rules", "corrected", "disagreements", "draw",
    "fixed_and_broken", "guide_sweep", "majority", "mean", "prevalence_ratios",
    "propose_triggers", "reweight", "smoothed", "temperatures", "trained_on", "triggered", "vote",
    "weighted_waf",
]  # fmt: skip
