import numpy as np
import pytest

from agt_lib.corpora.labels import EMOTIONS
from mini_corpus.sentences import CUED, PLAIN, SLOTS
from mini_corpus.words import choose_cue, compose, templates


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("held_out", [False, True])
def test_composed_words_have_every_slot_filled_and_fit_the_time(emotion, held_out):
    rng = np.random.default_rng(0)
    for _ in range(100):
        cue = "none" if emotion == "neutral" else str(rng.choice(["weak", "strong", "irony"]))
        text, template = compose(emotion, cue, 2.5, held_out, rng)
        assert not set("{}") & set(text) and text[0].isupper()
        assert template in templates(emotion, cue, held_out)
        assert len(text) <= 45  # 20 characters a second are an ordinary pace


def test_no_template_serves_two_emotions_or_both_sides_of_the_split():
    every = [t for cues in CUED.values() for pool in cues.values() for t in pool] + list(PLAIN)
    assert len(every) == len(set(every))
    for emotion in CUED:
        for cue in ("weak", "strong"):
            assert not set(templates(emotion, cue, True)) & set(templates(emotion, cue, False))


def test_slots_name_things_once():
    for fillers in SLOTS.values():
        assert len(set(fillers)) == len(fillers)


def test_irony_contradicts_voice_and_face():
    rng = np.random.default_rng(0)
    agreeing = {choose_cue("sad", ("sad", "angry"), rank, rng) for rank in np.linspace(0, 1, 200)}
    contrary = {choose_cue("happy", ("sad", "angry"), rank, rng) for rank in np.linspace(0, 1, 200)}
    assert agreeing == {"weak", "strong"}
    assert contrary == {"weak", "strong", "irony"}
    assert choose_cue("neutral", ("sad", "sad"), 0.9, rng) == "none"
