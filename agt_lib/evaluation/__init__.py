"""Predictions in, scores, intervals, tables and pictures out; on plain arrays, without torch."""

import lazy_loader

VERSION = 1
"""Raised when a score or an interval of the same predictions comes out otherwise."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "scores": [
            "LEVEL", "N_BOOTSTRAP", "Comparison", "Score", "accuracy", "bootstrap_weights",
            "calibration_error", "compare",
            "confusion", "detection_auc", "per_class_f1", "precision_recall", "reliability",
            "score", "waf",
        ]
    },
)  # fmt: skip
