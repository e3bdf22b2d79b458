"""Predicting new clips (notebook 09): a run's bundle, and what its models say of a clip."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "answers": ["answer"],
        "bundle": ["Bundle", "FOLDER"],
        "calls": ["features_of", "find_bundle", "predict", "with_bundles"],
        "clips": ["in_windows", "read_clips"],
        "runs": ["bundle_of"],
    },
)
