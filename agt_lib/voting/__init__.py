"""Voting (section 2.3 of the paper): from the predictions of three models to one label a clip.

A rule gives vote shares: for each clip, with which probability it picks each label. Most rules are
certain (a share of 1); the paper's vote draws. Everything works on predictions of any models.
"""

import lazy_loader

VERSION = 1
"""Raised when a rule gives other labels for the same predictions."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "priors": [
            "corrected", "prevalence_ratios", "propose_triggers", "read_prior", "smoothed",
        ],
        "rules": [
            "AGT", "MODELS", "VoteConfig", "all_rules", "alone", "ballots", "draw", "draw_labels",
            "majority", "mean", "one_of", "rule_names", "triggered", "variants", "vote",
            "vote_shares",
        ],
        "sweeps": ["advantage_map", "draw_map", "guide_sweep", "reweight"],
        "tables": [
            "compare_rules", "disagreements", "fixed_and_broken", "show_table2", "table2",
            "verdict", "warnings",
        ],
    },
)  # fmt: skip
