"""Tuning CLIP on emotions (section 2.1 and equation 1 of the paper), cross-fitted.

`accelerate launch -m agt_lib.clip_tuning` tunes on several GPUs or machines.
"""

from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.features import TunedSpaces, tuned_features, tuned_spaces
from agt_lib.clip_tuning.models import ALL, tuned_models
from agt_lib.clip_tuning.tune import TuneError

__all__ = [
    "ALL",
    "TuneConfig",
    "TuneError",
    "TunedSpaces",
    "tuned_features",
    "tuned_models",
    "tuned_spaces",
]
