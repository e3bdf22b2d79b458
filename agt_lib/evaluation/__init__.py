"""Predictions in, scores, intervals, tables and pictures out; on plain arrays, without torch."""

import lazy_loader

VERSION = 2
"""Raised when a score or an interval of the same predictions comes out otherwise."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "scores": [
            "calibration_error", "confusion", "per_class_f1", "precision_recall", "reliability",
            "votes", "waf",
        ],
        "tables": ["differences", "sample_of", "signed", "verdict", "wide"],
    },
)  # fmt: skip
