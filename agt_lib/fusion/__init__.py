"""Fusing voice, face and words (notebook 04): the networks, their training, table 1."""

import lazy_loader

VERSION = 1
"""Raised when a fit on the same features comes out otherwise."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["NETWORKS", "FusionConfig"],
        "crossval": ["CrossValidated", "cross_validate", "predict_mean"],
        "data": ["visible"],
        "runs": ["RunData", "of_run"],
    },
)
