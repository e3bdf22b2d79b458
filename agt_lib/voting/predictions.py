"""The names of the models that vote (section 2.3)."""

VOICE, BASELINE, AGT = "voice", "baseline", "AGT"
MODELS = (VOICE, BASELINE, AGT)
"""The three that vote: HuBERT alone, the baseline's fusion, AGT (section 2.3)."""
