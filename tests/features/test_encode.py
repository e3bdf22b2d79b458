"""Features of a user's own clips in one call."""

import numpy as np
import pandas as pd
import pytest

from agt_lib import features
from agt_lib.features.clip import ClipEncoder
from agt_lib.features.opensmile import OpenSmileEncoder
from agt_lib.workspace import paths


@pytest.fixture
def clip(tmp_path, write_clip, ramp, tone):
    return write_clip(tmp_path / "clip.mp4", frames=ramp(), waveform=tone())


class Words:
    """The number of words and of letters of a text."""

    modality, dim, fingerprint = "text", 2, {}

    def load(self, clip):
        return clip["text"]

    def encode(self, items):
        return np.array([[len(text.split()), len(text)] for text in items], np.float32)


def test_one_clip_gives_one_vector_as_the_encoder_makes_it(clip):
    values = features.encode(clip, "opensmile")
    encoder = OpenSmileEncoder()
    row = pd.Series({"audio": str(clip), "video": None})
    assert values.shape == (88,) and values.dtype == np.float32
    np.testing.assert_array_equal(values, encoder.encode([encoder.load(row)])[0])
    np.testing.assert_array_equal(features.encode({"video": str(clip)}, "opensmile"), values)


def test_options_reach_the_encoder_and_an_encoder_serves_as_well(clip):
    few = features.encode(str(clip), "clip", n_frames=2)
    assert few.shape == (128,)
    np.testing.assert_array_equal(few, features.encode(clip, ClipEncoder(n_frames=2)))
    assert not np.array_equal(few, features.encode(clip, "clip"))


def test_a_list_or_a_table_of_clips_gives_a_row_each():
    said = [{"text": "What a day!"}, {"text": "Oh no."}, {"text": "so"}]
    expected = [[3, 11], [2, 6], [1, 2]]
    assert features.encode(said, Words()).tolist() == expected
    assert features.encode(pd.DataFrame(said), Words()).tolist() == expected
    assert features.encode(pd.DataFrame(said).iloc[1], Words()).tolist() == expected[1]
    assert features.encode([], Words()).shape == (0, 2)


def test_nothing_is_kept(clip):
    features.encode(clip, "opensmile")
    assert not paths.data().exists()


@pytest.mark.parametrize(
    ("clips", "spec", "error", "message"),
    [
        ("gone.mp4", "opensmile", FileNotFoundError, "no such file: gone.mp4"),
        ({"text": "so"}, "opensmile", ValueError, "reads audio or video; the clip .* has text"),
        ({"audio": "a.wav"}, "clip", ValueError, "reads video; the clip .* has audio"),
        ({"path": "a.wav"}, "clip", ValueError, "reads video; the clip .* has none of them"),
        ({"text": None}, Words(), ValueError, "reads text; the clip .* has none of them"),
        ("clip.mp4", Words(), ValueError, "reads words, .* got a path, 'clip.mp4'"),
        ("clip.mp4", None, ValueError, "an encoder is given by its name"),
        (None, "opensmile", ValueError, "a clip is a path, or a mapping .* got None"),
        ([None], "opensmile", ValueError, "a clip is a path, or a mapping .* got None"),
        ("clip.mp4", "vggish", ValueError, "unknown encoder 'vggish'"),
    ],
)
def test_what_does_not_fit_is_told(clips, spec, error, message):
    with pytest.raises(error, match=message):
        features.encode(clips, spec)


def test_a_file_that_the_encoder_cannot_read_is_named(tmp_path, write_clip, tone):
    sound = write_clip(tmp_path / "a.wav", waveform=tone(), audio_codec="pcm_s16le")
    with pytest.raises(ValueError, match=r"clip 0, .*a\.wav.*no video"):
        features.encode(sound, "clip")


def test_options_of_an_encoder_that_is_built_already_are_refused():
    with pytest.raises(ValueError, match="or built without any"):
        features.encode({"text": "so"}, Words(), layers=(-1,))
