import numpy as np
import opensmile
import pandas as pd
import pytest

from agt_lib.corpora.media import MediaError
from agt_lib.features.encoder import build
from agt_lib.features.opensmile import OpenSmileEncoder

SMILE = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


@pytest.fixture(scope="module")
def encoder():
    return OpenSmileEncoder()


def vowel(seconds, pitch=150.0):
    """A pulse train: a voice to openSMILE."""
    phase = pitch * np.arange(int(16_000 * seconds)) / 16_000
    return 0.5 * np.exp(-8 * (phase % 1)) * np.cos(2 * np.pi * 5 * (phase % 1))


def test_functionals_are_those_of_opensmile_on_the_same_file(encoder, sung):
    clip = sung(vowel(1.0))
    expected = SMILE.process_file(clip["audio"])
    actual = encoder.encode([encoder.load(clip)])
    assert actual.shape == (1, 88)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected.to_numpy(), rtol=1e-5)


def test_pitch_is_measured_where_the_voice_has_it(encoder, sung):
    pitches = [120.0, 240.0]
    values = encoder.encode([encoder.load(sung(vowel(1.0 + i, p))) for i, p in enumerate(pitches)])
    column = SMILE.feature_names.index("F0semitoneFrom27.5Hz_sma3nz_amean")
    expected = [12 * np.log2(pitch / 27.5) for pitch in pitches]
    np.testing.assert_allclose(values[:, column], expected, atol=0.3)


def test_a_clip_gives_the_same_alone_and_in_any_batch(encoder, spoken):
    items = [encoder.load(spoken(3_000 + 1_700 * i, seed=i)) for i in range(6)]
    together = encoder.encode(items)
    np.testing.assert_array_equal(together, np.concatenate([encoder.encode([i]) for i in items]))


def test_full_scale_does_not_wrap_around(encoder):
    # 1.0 is one step above the largest 16-bit sample: taken as -1.0 it would click.
    loudest = np.clip(2 * vowel(1.0) / vowel(1.0).max(), -1, 1).astype(np.float32)
    just_below = loudest.clip(-1, 32767 / 32768)
    assert (loudest == 1.0).any()
    np.testing.assert_array_equal(encoder.encode([loudest]), encoder.encode([just_below]))


def test_silence_and_the_shortest_clip_give_finite_functionals(encoder, spoken):
    clips = [spoken(16_000, loudness=0), spoken(1_600)]
    assert np.isfinite(encoder.encode([encoder.load(clip) for clip in clips])).all()


def test_a_clip_without_sound_or_too_short_is_refused(encoder, spoken):
    with pytest.raises(MediaError) as absent:
        encoder.load(pd.Series({"audio": None, "video": None}, name="clip"))
    assert absent.value.stage == "absent"
    with pytest.raises(MediaError) as short:
        encoder.load(spoken(320))
    assert short.value.stage == "length"


def test_the_fingerprint_names_the_set_and_the_version():
    encoder = build("opensmile")
    assert encoder.fingerprint["model"] == "eGeMAPSv02"
    assert encoder.fingerprint["opensmile"] == opensmile.__version__


def test_the_sound_track_asked_for_is_read_and_is_in_the_fingerprint(encoder, sung, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "agt_lib.features.encoder.decode_audio",
        lambda path, max_seconds, window, damage, track: (
            asked.append(track) or np.zeros(1600, np.float32)
        ),
    )
    german = build("opensmile", track="DEU")
    german.load(sung(vowel(0.2)))
    assert asked == ["DEU"]
    assert german.fingerprint == encoder.fingerprint | {"track": "deu"}
    assert "track" not in encoder.fingerprint
