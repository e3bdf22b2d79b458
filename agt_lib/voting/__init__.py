"""Voting (section 2.3 of the paper): from the predictions of three models to one label a clip.

A rule gives vote shares: for each clip, with which probability it picks each label. Most rules are
certain (a share of 1); the paper's draws. Everything works on plain predictions of anybody's.
"""

from agt_lib.evaluation.predictions import Predictions, Stage
from agt_lib.voting.predictions import AGT, BASELINE, MODELS, VOICE
from agt_lib.voting.priors import (
    corrected,
    prevalence_ratios,
    propose_triggers,
    read_prior,
    smoothed,
)
from agt_lib.voting.rules import (
    PAPER,
    VoteConfig,
    alone,
    majority,
    mean,
    one_of,
    rules,
    triggered,
    variants,
    vote,
)
from agt_lib.voting.scoring import (
    compare_rules,
    disagreements,
    draw,
    fixed_and_broken,
    labels,
)
from agt_lib.voting.stages import all_rules, rule_names
from agt_lib.voting.sweeps import advantage_map, draw_map, guide_sweep, reweight

__all__ = [
    "AGT", "BASELINE", "MODELS", "PAPER", "VOICE", "Predictions", "Stage",
    "VoteConfig", "advantage_map", "all_rules", "alone", "compare_rules",
    "corrected", "disagreements", "draw", "draw_map", "fixed_and_broken", "guide_sweep",
    "labels", "majority", "mean", "one_of", "prevalence_ratios",
    "propose_triggers", "read_prior", "reweight", "rule_names", "rules", "smoothed",
    "triggered", "variants", "vote",
]  # fmt: skip
