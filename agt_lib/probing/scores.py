"""A score as a leaderboard prints it, and what it can have been before it was rounded."""

import math
from dataclasses import dataclass

ROUNDINGS = ("round", "truncate")
MAX_DIGITS = 10

# A score that lies on the edge of what was printed may have been summed in another order.
LAST_BITS = 1e-12


@dataclass(frozen=True)
class Score:
    """A score in [0, 1] with its decimal digits and how the rest was cut: "round" or "truncate".

    Raises ValueError for a score outside [0, 1], more digits than `digits`, or another rounding.
    """

    value: float
    digits: int = 4
    rounding: str = "round"

    def __post_init__(self) -> None:
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"rounding is one of {', '.join(ROUNDINGS)}; got {self.rounding!r}")
        if not 1 <= self.digits <= MAX_DIGITS:
            raise ValueError(f"a score has 1 to {MAX_DIGITS} digits; got {self.digits}")
        if not 0 <= self.value <= 1:
            percent = 1 < self.value <= 100
            raise ValueError(
                f"a score lies between 0 and 1; got {self.value:g}"
                + ": it looks like per cent, so divide all scores by 100" * percent
            )
        if abs(round(self.value, self.digits) - self.value) > LAST_BITS:
            raise ValueError(
                f"{self.value!r} has more than {self.digits} digits: give the score as printed, "
                "with the number of its digits"
            )

    @classmethod
    def read(cls, text: str, rounding: str = "round") -> "Score":
        """The score printed as `text`; its decimals are counted, so "0.0350" has four digits.

        Raises ValueError for what is no decimal number.
        """
        whole, _, decimals = text.strip().partition(".")
        if not whole.isdigit() or not decimals.isdigit():
            raise ValueError(
                f"{text!r} is no score: expected all printed decimals, such as 0.0326 (a share, "
                "not per cent)"
            )
        return cls(float(text), len(decimals), rounding)

    @property
    def interval(self) -> tuple[float, float]:
        """The lowest and highest score that may be printed so: ties may go either way."""
        step = 10.0**-self.digits
        below, above = (step / 2, step / 2) if self.rounding == "round" else (0.0, step)
        return max(self.value - below, 0.0), min(self.value + above, 1.0)

    def __str__(self) -> str:
        return f"{self.value:.{self.digits}f}"


def publish(score: float, digits: int, rounding: str) -> Score:
    """What a leaderboard prints of the exact `score`."""
    scaled = score * 10**digits
    whole = round(scaled) if rounding == "round" else math.floor(scaled + LAST_BITS * 10**digits)
    return Score(whole / 10**digits, digits, rounding)
