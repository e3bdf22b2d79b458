"""Pseudo-labels (notebook 05, section 2.3): three models label a pool that joins the training."""

import lazy_loader

VERSION = 1
"""Raised when the same models select other clips."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ballot": ["Voters", "voters"],
        "config": ["MODELS", "PseudoConfig", "configurations"],
        "report": [
            "display", "elsewhere", "judged_labelled", "kept", "last_round", "moved", "quality",
            "rule", "scores", "thresholds", "verdict",
        ],
        "rounds": ["PseudoRounds", "Round", "train"],
        "selection": ["may_join", "outside_part", "select"],
        "stages": ["before_and_after", "estimated_prior", "held_out", "on_pool", "trained_on"],
    },
)  # fmt: skip
