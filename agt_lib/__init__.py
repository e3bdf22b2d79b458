"""Audio-Guided Fusion Techniques for Multimodal Emotion Analysis, as an open library.

An implementation of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414). The numbered
notebooks tell the story; each has a room here: `features` (01), `clip_tuning` (02), `prompts` (03),
`fusion` (04), `pseudo` (05), `probing` (06), `voting` (07), `figures` (08), `prediction` (09).
Three rooms are common to all: `workspace`, `corpora`, `evaluation`.

The names below work on plain arrays and tables. They write no file unless a folder is given.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corpora.corpus": ["Corpus", "CorpusError"],
        "corpora.labels": ["EMOTIONS"],
        "evaluation.calibration": ["fit_temperature", "with_temperature"],
        "evaluation.predictions": ["Predictions"],
        "evaluation.scores": ["calibration_error", "confusion", "reliability", "waf"],
        "features.extraction": ["encode"],
        "fusion.arrays": ["ArrayModels", "cross_validate"],
        "fusion.config": ["FusionConfig"],
        "prediction.bundle": ["Bundle"],
        "prediction.calls": ["predict"],
        "probing.estimates": ["estimate"],
        "probing.infer": ["Probed", "probe"],
        "probing.leaderboard": ["Leaderboard"],
        "voting.priors": ["corrected"],
        "voting.rules": ["VoteConfig", "vote"],
    },
)
