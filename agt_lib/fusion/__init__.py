"""Fusing voice, face and words (notebook 04): the networks, their training, table 1."""

import lazy_loader

VERSION = 6
"""Raised when a fit on the same features comes out otherwise."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "arrays": ["cross_validate"],
        "choice": ["choices", "choose", "search", "with_agreement"],
        "config": ["FusionConfig", "SPACE", "TOOLKIT_SPACE", "ablation", "capped"],
        "crossval": [
            "CrossValidated", "fit_folds", "histories", "robustness",
        ],
        "data": ["from_corpus", "with_speakers"],
        "learning": ["learning_curve"],
        "gates": ["gate_against_truth", "opinions"],
        "model": ["FittedModel", "predict_each"],
        "networks": ["add_network"],
        "reduction": ["reduced"],
        "reference": ["logistic_regression"],
        "rows": [
            "AGT", "BASELINE", "BASELINE_PATH", "EQUATION", "OUT_OF_FOLD", "TEST",
            "TOOLKIT_BASELINE", "UNIMODAL", "class_scores", "configurations",
            "differences", "display", "features_name", "references", "same_features", "scores",
            "tuned_and_raw", "with_means",
        ],
        "runs": ["needed", "of_run", "parts"],
        "speaker_clips": ["few_clips"],
        "stresses": ["stress"],
        "toolkit": ["toolkit_protocol"],
    },
)  # fmt: skip
