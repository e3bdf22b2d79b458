"""The words of a clip: a sentence that shows an emotion by a strong cue, a weak one or none."""

from collections.abc import Sequence

import numpy as np

from agt_lib.corpora.mini.sentences import CUED, OPENERS, PLAIN, SLOTS

CUES = {"strong": 0.35, "weak": 0.35, "none": 0.20, "irony": 0.10}
"""Shares of cues among clips whose words show an emotion other than neutral."""

NO_WORDS = 0.04
"""Share of clips without words: 217 of MER2024's 5030 transcripts are empty."""

OPENER = 0.35
TRIES = 60
SECONDS_PER_CHARACTER = 0.066
MARGIN_SECONDS = 0.35


def templates(emotion: str, cue: str, held_out: bool) -> tuple[str, ...]:
    """The templates of an emotion and a cue; "neutral" and the cue "none" give plain statements.

    Every third template is held out for test speakers; the others are never spoken by them.
    """
    plain = emotion == "neutral" or cue == "none"
    pool = PLAIN if plain else CUED[emotion]["strong" if cue == "irony" else cue]
    return tuple(t for i, t in enumerate(pool) if (i % 3 == 2) == held_out)


def compose(
    emotion: str, cue: str, seconds: float, held_out: bool, rng: np.random.Generator
) -> tuple[str, str]:
    """A sentence short enough to be said in `seconds`, and the template it was made from."""
    pool = templates(emotion, cue, held_out)
    room = (seconds - MARGIN_SECONDS) / SECONDS_PER_CHARACTER
    shortest = None
    for _ in range(TRIES):
        template = str(rng.choice(pool))
        text = _fill(template, rng)
        if len(text) <= room:
            return text, template
        if shortest is None or len(text) < len(shortest[0]):
            shortest = (text, template)
    return shortest


def ironic(others: Sequence[str], rng: np.random.Generator) -> str:
    """The emotion that ironic words show while voice and face show `others`.

    Praise for what went wrong, or a mock complaint while the speaker is happy.
    """
    choices = ["happy"] if "happy" not in others else ["angry", "sad", "worried"]
    return str(rng.choice([choice for choice in choices if choice not in others] or ["surprise"]))


def _fill(template: str, rng: np.random.Generator) -> str:
    text = template
    for slot, fillers in SLOTS.items():
        if (mark := f"{{{slot}}}") in text:
            text = text.replace(mark, str(rng.choice(fillers)))
    if rng.random() < OPENER:
        keep = text.startswith(("I ", "I'")) or text.split()[0].rstrip("?!.,") in SLOTS["friend"]
        return str(rng.choice(OPENERS)) + (text if keep else text[0].lower() + text[1:])
    return text[0].upper() + text[1:]
