"""Pseudo-labels (notebook 05, section 2.3): three models label a pool that joins the training."""

import lazy_loader

VERSION = 1
"""Raised when the same models select other clips."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["MODELS", "PseudoConfig", "configurations"],
        "report": [
            "display", "elsewhere", "kept", "last_round", "moved", "quality", "rule", "scores",
        ],
        "rounds": ["PseudoRounds", "Round", "judged_labelled", "thresholds", "train"],
        "selection": ["outside_part", "select"],
        "stages": ["Voters", "voters"],
    },
)  # fmt: skip
