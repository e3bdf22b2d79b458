import numpy as np
import pytest

from agt_lib.features import encoder
from agt_lib.features.encoder import CheckpointError, batches, build, mean_rows

LENGTHS = [3, 10, 4, 10, 1, 4, 25]


def test_batches_hold_every_clip_once_longest_first_within_the_budget():
    found = list(batches(LENGTHS, budget=20))
    assert found == [[6], [1, 3], [2, 5, 0, 4]]


def test_a_clip_longer_than_the_budget_is_a_batch_of_its_own():
    assert list(batches([50, 40], budget=20)) == [[0], [1]]


def test_batches_of_equal_length_mix_no_lengths():
    found = list(batches(LENGTHS, budget=100, equal_length=True))
    assert found == [[6], [1, 3], [2, 5], [0], [4]]


def test_no_clips_are_no_batches():
    assert list(batches([], budget=20)) == []


@pytest.mark.parametrize("count", [1, 3])
def test_features_are_means_over_each_clips_own_frames(count):
    clips = [np.arange(2.0 * (i + 1), dtype=np.float32).reshape(-1, 2) for i in range(count)]
    values = mean_rows(clips)
    assert values.dtype == np.float32
    # Frames (0, 1), (2, 3), ... up to i: the mean is (i, i + 1).
    np.testing.assert_array_equal(values, [[i, i + 1] for i in range(count)])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vggish", "unknown encoder 'vggish'; expected one of opensmile, clip"),
        ("hubert", "names no model; expected hubert:"),
        ("whisper", "names no model; expected whisper:"),
        ("causal_lm:", "names no model; expected causal_lm:"),
        ("opensmile:large", "opensmile takes no model"),
    ],
)
def test_a_specification_that_names_nothing_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        build(spec)


def test_options_reach_the_encoder(speech_checkpoint):
    encoder = build(f"hubert:{speech_checkpoint()}", layers=[-1])
    assert encoder.fingerprint["layers"] == [5]


def test_smollm2_missing_names_the_command_that_makes_it():
    with pytest.raises(CheckpointError, match="Run: make model"):
        build("smollm2")


def test_an_encoder_of_ones_own_is_one_line_of_the_dict(monkeypatch):
    monkeypatch.setitem(encoder.ENCODERS, "own", f"{__name__}:Own")
    assert build("own:large", width=3).arguments == ("large", 3)
    with pytest.raises(ValueError, match="encoder 'own' names no model; expected own:"):
        build("own")


class Own:
    """What a user writes: the model first, then options."""

    def __init__(self, model, width=1):
        self.arguments = (model, width)
