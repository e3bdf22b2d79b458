"""What a face that shows an emotion does: facial action units (FACS) and their course in time.

Which units: the directions are those of the FACS literature, the probabilities those of the
mini corpus' table in `data/README.md`. A unit's strength lies in 0..1.
"""

from dataclasses import dataclass

import numpy as np

FRAME_RATE = 12  # frames per second

UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    24: "lip presser",
    26: "jaw drop",
}
ELSEWHERE = 0.05  # probability of a unit that does not belong to the emotion shown
PROBABILITY: dict[str, dict[int, float]] = {
    "neutral": {},
    "happy": {12: 0.9, 6: 0.6, 7: 0.3},
    "surprise": {1: 0.75, 2: 0.7, 5: 0.6, 26: 0.65, 12: 0.2},
    "angry": {4: 0.75, 7: 0.55, 24: 0.5, 5: 0.45, 17: 0.3},
    "sad": {4: 0.65, 1: 0.6, 15: 0.5, 17: 0.35},
    "worried": {1: 0.55, 4: 0.55, 2: 0.3, 5: 0.3, 20: 0.3, 24: 0.25, 15: 0.2},
}
BLINKS_PER_SECOND = {"worried": 1.2}
BLINKS_PER_SECOND_ELSEWHERE = 0.3
AVERTED = {"worried": 0.8}
AVERTED_ELSEWHERE = 0.08


@dataclass(frozen=True)
class Expression:
    """What one face does in one clip."""

    strength: dict[int, float]  # of the units that appear, at the height of the expression
    onset: float  # shares of the clip's length: rises from here ...
    apex: float  # ... to here, ...
    offset: float  # ... holds until here ...
    end: float  # ... and has fallen here
    gaze: tuple[float, float]  # rightwards and downwards, -1..1
    blinks: tuple[float, ...]  # when, in seconds

    def course(self, n_frames: int) -> np.ndarray:
        """How much of the strength each frame shows, (n_frames,) in 0..1."""
        time = (np.arange(n_frames) + 0.5) / n_frames
        rise = np.clip((time - self.onset) / (self.apex - self.onset), 0, 1)
        fall = np.clip((self.end - time) / (self.end - self.offset), 0, 1)
        return (np.sin(np.pi / 2 * rise) * np.sin(np.pi / 2 * fall)) ** 2

    def closed(self, n_frames: int) -> np.ndarray:
        """How far the eyes are shut by blinking in each frame, (n_frames,) in 0..1."""
        time = (np.arange(n_frames) + 0.5)[:, None] / FRAME_RATE
        distance = np.abs(time - np.array(self.blinks)[None, :])  # (T, blinks)
        return np.clip(1.6 - distance / 0.09, 0, 1).max(axis=1, initial=0)


def express(shown: str, intensity: float, seed: int, seconds: float) -> Expression:
    """Draw the action units of a face that shows `shown` for `seconds`.

    `intensity` in 0..1 sets how strong they are. Raises KeyError for an unknown emotion.
    """
    rng = np.random.default_rng([seed, 404])
    own = _draw_units(PROBABILITY[shown], rng)
    chance = {unit for unit in UNITS if unit not in PROBABILITY[shown] and rng.random() < ELSEWHERE}
    strengths = {}
    for unit in UNITS:
        noise = rng.normal(0, 0.08)
        if unit in own:
            strengths[unit] = round(float(np.clip(0.4 + 0.6 * intensity + noise, 0.2, 1)), 3)
        elif unit in chance:
            strengths[unit] = round(float(np.clip(0.25 + 0.2 * intensity + noise, 0.1, 1)), 3)
    onset = rng.uniform(-0.1, 0.2)
    apex = onset + rng.uniform(0.1, 0.3)
    offset = apex + rng.uniform(0.2, 0.5)
    averted = rng.random() < AVERTED.get(shown, AVERTED_ELSEWHERE)
    side = rng.choice((-1, 1))
    gaze = rng.normal(0, 0.12, size=2)
    if averted:
        gaze = gaze + np.array([side * rng.uniform(0.55, 0.9), rng.uniform(0, 0.5)])
    rate = BLINKS_PER_SECOND.get(shown, BLINKS_PER_SECOND_ELSEWHERE)
    blinks = np.sort(rng.uniform(0, seconds, size=rng.poisson(rate * seconds)))
    return Expression(
        strength=strengths,
        onset=float(onset),
        apex=float(apex),
        offset=float(offset),
        end=float(offset + rng.uniform(0.15, 0.4)),
        gaze=(float(np.clip(gaze[0], -1, 1)), float(np.clip(gaze[1], -1, 1))),
        blinks=tuple(float(b) for b in blinks),
    )


def _draw_units(probability: dict[int, float], rng: np.random.Generator) -> set[int]:
    """Units that appear, each with its probability, their number as even as that allows.

    Systematic sampling: drawn independently, one face in twenty would show nothing of its
    emotion, though a face that shows an emotion shows it by something.
    """
    units = list(probability)
    rng.shuffle(units)
    edges = np.cumsum([0.0] + [probability[unit] for unit in units]) + rng.random()
    return {unit for unit, hits in zip(units, np.diff(np.floor(edges)), strict=True) if hits}
