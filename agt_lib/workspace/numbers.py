"""Numbers that make no sense are refused by name where they are given, before anything is read."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

SHARE, COUNT, SOME = "[0, 1]", "whole [0, inf)", "whole [1, inf)"
PARAMETERS = {
    "seed": COUNT, "n_folds": COUNT, "n_seeds": COUNT, "max_failures": SHARE,
    "max_seconds": "(0, inf]", "epochs": COUNT, "budget": "[0, inf)", "price_in": "[0, inf)",
    "price_out": "[0, inf)", "draws": COUNT, "reduce": COUNT, "threshold": SHARE,
    "precision": "(0, 1]", "rounds": SOME, "quota": COUNT, "outside": "[0, 1)",
    "digits": "whole [0, 15]", "n_scored": COUNT, "guide_share": SHARE, "private_share": "[0, 1)",
    "window": "(0, inf)",
}  # fmt: skip
"""The range of each number that a notebook has as a parameter; 0 folds are the profile's."""


def check_numbers(values: Mapping[str, Any], ranges: Mapping[str, str]) -> None:
    """Raise ValueError for the first of `values` that is no number in its range.

    Ranges are written as in mathematics, "[0, 1)", after "whole" if the number is. What is None
    or not among `values` has a default of its own.
    """
    for name, text in ranges.items():
        value, interval = values.get(name), text.removeprefix("whole ")
        if value is None:
            continue
        low, high = map(float, interval[1:-1].split(","))
        if isinstance(value, Real) and not isinstance(value, bool):
            over = value > low or (interval[0] == "[" and value == low)
            under = value < high or (interval[-1] == "]" and value == high)
            if over and under and not (text != interval and value % 1):
                continue
        whole = "whole " * (text != interval)
        raise ValueError(f"{name} is a {whole}number in {interval}; got {value!r}")
