"""Tuning CLIP on emotions (section 2.1 and equation 1 of the paper), cross-fitted (notebook 02).

`accelerate launch -m agt_lib.clip_tuning` tunes on several GPUs or machines.
"""

import lazy_loader

VERSION = 1
"""Raised when the same clips and configuration give another model or other features."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["TuneConfig", "clip_to_tune", "is_clip"],
        "features": ["TunedSpaces", "tuned_spaces"],
        "models": ["ALL", "jobs", "tuned_models"],
        "tune": ["TuneError"],
        "zero_shot": ["prompts_over_time", "zero_shot_predictions"],
    },
)
