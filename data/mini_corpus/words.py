"""The words of a clip: a sentence that shows an emotion by a strong cue, a weak one or none.

A cue is "strong", "weak", "none" (a plain statement, whose words are neutral) or "irony" (a strong
cue to an emotion that neither voice nor face shows).
"""

from collections.abc import Sequence

import numpy as np

from mini_corpus.sentences import CUED, OPENERS, PLAIN, SLOTS

IRONY = 0.35
"""Share of irony among words that contradict voice and face: a tenth of all clips."""

NO_WORDS = 0.04
"""Share of clips without words: 217 of MER2024's 5030 transcripts are empty."""

OPENER = 0.35
TRIES = 40
SHORT = 20  # characters, about the shortest plain sentence
SECONDS_PER_CHARACTER = 0.06
MARGIN_SECONDS = 0.2


def templates(emotion: str, cue: str, held_out: bool) -> tuple[str, ...]:
    """The templates of an emotion and a cue.

    Every third template is held out for test speakers; the others are never spoken by them.
    """
    pool = PLAIN if cue == "none" else CUED[emotion]["strong" if cue == "irony" else cue]
    return tuple(t for i, t in enumerate(pool) if (i % 3 == 2) == held_out)


def compose(
    emotion: str, cue: str, seconds: float, held_out: bool, rng: np.random.Generator
) -> tuple[str, str]:
    """Words that take about `seconds` to say, and the template of their first cue.

    Where one sentence leaves room, a plain one goes before or after it.
    """
    room = (seconds - MARGIN_SECONDS) / SECONDS_PER_CHARACTER
    text, template = _fitting(templates(emotion, cue, held_out), room, rng)
    if (left := room - len(text) - 1) >= SHORT:
        more, _ = _fitting(templates("neutral", "none", held_out), left, rng)
        if len(more) <= left:
            text = f"{text} {more}" if rng.random() < 0.5 else f"{more} {text}"
    return text, template


def _fitting(pool: Sequence[str], room: float, rng: np.random.Generator) -> tuple[str, str]:
    """A sentence of at most `room` characters, or the shortest of those tried."""
    shortest = None
    for _ in range(TRIES):
        template = _pick(pool, rng)
        text = _fill(template, rng)
        if len(text) <= room:
            return text, template
        if shortest is None or len(text) < len(shortest[0]):
            shortest = (text, template)
    return shortest


def choose_cue(emotion: str, others: Sequence[str], rank: float, rng: np.random.Generator) -> str:
    """How words of `emotion` show it while voice and face show `others`: its cue.

    `rank` in 0..1 places the words' intensity among all clips: the upper half is strong.
    """
    if emotion == "neutral":
        return "none"
    if emotion not in others and rng.random() < IRONY:
        return "irony"
    return "weak" if rank < 0.5 else "strong"


def _fill(template: str, rng: np.random.Generator) -> str:
    text = template
    for slot, fillers in SLOTS.items():
        if (mark := f"{{{slot}}}") in text:
            text = text.replace(mark, _pick(fillers, rng))
    if rng.random() < OPENER:
        keep = text.startswith(("I ", "I'")) or text.split()[0].rstrip("?!.,") in SLOTS["friend"]
        return _pick(OPENERS, rng) + (text if keep else text[0].lower() + text[1:])
    return text[0].upper() + text[1:]


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[rng.integers(len(choices))]  # many times faster than rng.choice
