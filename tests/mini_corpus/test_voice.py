import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mini_corpus import espeak, voice
from mini_corpus.plan import plan

SENTENCE = "We are meeting at the station and then we walk along the river."
NEUTRAL = voice.Prosody()


@pytest.fixture(scope="module")
def clips():
    return plan("smoke")[:8]


def said(how: voice.Prosody, who: str) -> np.ndarray:
    speaker = voice.Speaker(who, 0.0, 1.0, 1.0, 0.0, 1.0)
    samples, rate = voice.speak(voice.ssml(SENTENCE, speaker, how, np.full(8, 0.5)), who)
    assert rate == 22_050
    return samples / 32768


def median_pitch(samples: np.ndarray) -> float:
    """In semitones, by the autocorrelation's first peak in frames of 46 ms that are voiced."""
    found = []
    for start in range(0, len(samples) - 1024, 512):
        frame = samples[start : start + 1024]
        power = np.correlate(frame, frame, "full")[1023:]
        lags = np.arange(22_050 // 400, 22_050 // 65)
        if frame.std() > 0.02 and power[lags].max() > 0.6 * power[0]:
            found.append(22_050 / lags[power[lags].argmax()])
    return 12 * np.log2(np.median(found))


def test_the_order_of_clips_does_not_change_a_sample(clips):
    forwards = [voice.render(clip) for clip in clips]
    backwards = [voice.render(clip) for clip in reversed(clips)][::-1]
    for first, second in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_clip_is_as_long_as_its_video_and_within_full_scale(clips):
    for clip in clips:
        waveform = voice.render(clip)
        assert waveform.dtype == np.float32
        assert len(waveform) == round(clip.frames * 16_000 / 12)
        assert 0.001 < np.abs(waveform).max() <= 1


@pytest.mark.parametrize("who", ["en-us+m3", "en-us+f2"])
def test_pitch_moves_by_the_semitones_asked(who):
    neutral = median_pitch(said(NEUTRAL, who))
    for semitones in (-2.0, 3.0):
        moved = median_pitch(said(replace(NEUTRAL, semitones=semitones), who))
        assert abs(moved - neutral - semitones) < 1.0


def test_rate_and_pauses_change_the_length():
    neutral = len(said(NEUTRAL, "en-us+f1"))
    assert len(said(replace(NEUTRAL, rate=1.25), "en-us+f1")) == pytest.approx(
        neutral / 1.25, rel=0.1
    )
    with_pause = len(said(replace(NEUTRAL, pauses=1), "en-us+f1"))
    assert with_pause > neutral + 0.1 * 22_050


def test_what_is_loud_in_the_plan_is_loud_in_the_clip(clips):
    clip = next(clip for clip in clips if clip.voice == "neutral")
    soft, loud = (voice.render(replace(clip, gain_db=gain)) for gain in (-12.0, 0.0))
    ratio = 20 * np.log10(np.std(loud) / np.std(soft))
    assert ratio == pytest.approx(12, abs=0.3)  # less what the soft limit takes


def test_a_clip_without_words_is_still_voiced(clips):
    silent_words = replace(clips[0], text="", snr_db=30.0)
    waveform = voice.render(silent_words)
    assert voice.loudness(waveform, silent_words.frames).mean() > 0.02
    assert not np.array_equal(waveform, voice.render(replace(clips[0], snr_db=30.0)))


def test_loudness_follows_the_waveform_frame_by_frame():
    waveform = np.concatenate([np.zeros(4000), np.full(4000, 0.5), np.full(4000, 0.25)])
    np.testing.assert_allclose(voice.loudness(waveform, 3), [0, 1, 0.5], atol=0.06)


def test_markup_in_the_words_is_spoken_not_obeyed():
    speaker = voice.Speaker("en-us+f1", 0.0, 1.0, 1.0, 0.0, 1.0)
    assert "&lt;break&gt;" in voice.ssml("a <break> b", speaker, NEUTRAL, np.zeros(8))


def test_an_unknown_voice_is_an_error_that_names_it():
    with pytest.raises(voice.VoiceError, match="tlh-klingon"):
        voice.speak("<speak>Hello.</speak>", "tlh-klingon")


def test_a_process_that_cannot_start_is_an_error_not_silence(monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(3)")
    monkeypatch.setattr(voice.espeak, "__file__", str(broken))
    voice._espeak.cache_clear()
    try:
        for _ in range(2):  # the second time it is known to have ended before it is asked
            with pytest.raises(voice.VoiceError, match="code 3"):
                voice.speak("<speak>Hello.</speak>", "en-us+m1")
    finally:
        voice._espeak.cache_clear()


def test_after_a_voice_that_is_not_there_others_still_speak():
    with pytest.raises(voice.VoiceError):
        voice.speak("<speak>Hello.</speak>", "tlh-klingon")
    samples, rate = voice.speak("<speak>Hello.</speak>", "en-us+m1")
    assert rate == 22_050 and len(samples) > 0.2 * rate


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system's processes can't fork")
def test_without_forks_the_same_is_said():
    requests = b'["en-us+m3", "<speak>We are here.</speak>"]\n["en-us+f2", "<speak>So</speak>"]\n'
    start = "import os, runpy, sys; {}; runpy.run_path(sys.argv[1], run_name='__main__')"
    forks, anew = (
        subprocess.run(
            [sys.executable, "-P", "-c", start.format(first), espeak.__file__],
            input=requests,
            capture_output=True,
            check=True,
        ).stdout
        for first in ("pass", "del os.fork")
    )
    assert len(forks) > 20_000
    assert anew == forks
