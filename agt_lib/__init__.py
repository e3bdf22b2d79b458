"""Audio-Guided Fusion Techniques for Multimodal Emotion Analysis, as an open library.

An implementation of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414). The numbered
notebooks tell the story; each has a room here: `features` (01), `clip_tuning` (02), `prompts` (03),
`fusion` (04), `pseudo` (05), `probing` (06), `voting` (07), `figures` (08). Three rooms are common
to all: `workspace`, `corpora`, `evaluation`.
"""

__version__ = "0.1.0"
