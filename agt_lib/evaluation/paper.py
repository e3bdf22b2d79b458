"""What the paper prints, as plain data: never our results.

Source: Shi and Gao, *Audio-Guided Fusion Techniques for Multimodal Emotion Analysis*, MRAC '24,
10.1145/3689092.3689414. WAF is in per cent in the tables and a share in the probe's scores.
"""

from typing import NamedTuple

N_TEST = 1169
"""Clips of MER2024's test set of the semi-supervised track, MER-SEMI."""

TRAIN_COUNTS = {
    "neutral": 1248,
    "angry": 1208,
    "happy": 1038,
    "sad": 730,
    "worried": 616,
    "surprise": 190,
}
"""Clips of each label in Train&Val."""

TRAIN_AND_VAL, MER_SEMI = "Train&Val", "MER-SEMI"
BASELINE, AGT = "baseline", "AGT"


class Table1Cell(NamedTuple):
    """One number of table 1. V* and T* are tuned features.

    `printed` is the row's name in print; its feature numbers were damaged. `features` is how we
    read it (every digit above 1 was printed one too low).
    """

    features: str
    printed: str
    set: str
    model: str
    waf: float


TABLE1 = tuple(
    Table1Cell(features, printed, where, model, waf)
    for features, printed, *row in (
        ("A+V", "1+1", 78.77, 79.12, 84.34, 83.43),
        ("A+V*", "1+3", 78.85, 79.55, 82.96, 83.73),
        ("A+V+T", "1+1+2", 79.34, 82.89, 86.86, 87.51),
        ("A+V*+T*", "1+3+4", 80.68, 83.22, 87.66, 88.28),
    )
    for (where, model), waf in zip(
        ((s, m) for s in (TRAIN_AND_VAL, MER_SEMI) for m in (BASELINE, AGT)), row, strict=True
    )
)
"""Table 1, one cell a row: `pandas.DataFrame(TABLE1)`."""

TABLE1_OTHER_READING = {"1+1": "A+V*", "1+3": "A+T*", "1+1+2": "A+V+T", "1+3+4": "A+V*+T*"}
"""Another reading of the damaged names of table 1's rows."""


class Table2Cell(NamedTuple):
    """One number of table 2, on MER-SEMI. `step` is "none", "P" (pseudo-labels) or "P+V" (vote)."""

    model: str
    step: str
    waf: float


TABLE2 = (
    Table2Cell(BASELINE, "none", 87.61),  # table 1 has 87.66 for the same model and features
    Table2Cell(BASELINE, "P", 88.64),
    Table2Cell(BASELINE, "P+V", 89.02),
    Table2Cell(AGT, "none", 88.28),
    Table2Cell(AGT, "P", 89.26),
    Table2Cell(AGT, "P+V", 89.83),
)
"""Table 2, one cell a row: `pandas.DataFrame(TABLE2)`."""


PROBE_SCORES = {
    "neutral": ("0.0505", "round"),
    "angry": ("0.03412", "truncate"),  # 163 of 1169 score .0341261
    "happy": ("0.0732", "round"),
    "sad": ("0.1157", "round"),
    "worried": ("0.0326", "round"),
    "surprise": ("0.0094", "round"),
}
"""WAF of the six constant submissions (section 2.3), as printed, and how the rest was cut. These
are scores, not the labels' shares. That angry's is truncated is our reading: with the others as
shares of 1169 clips it cannot be rounded."""
