"""Parts of long files, by the second."""

import numpy as np
import pytest

from agt_lib.corpora.media import MediaError, decode_audio, decode_frames, duration


@pytest.fixture(scope="module")
def half_a_minute(tmp_path_factory, write_clip):
    """Thirty seconds in several containers: louder and brighter from second to second."""
    folder, n = tmp_path_factory.mktemp("long"), 30 * 16_000
    waveform = np.linspace(0, 0.5, n, dtype=np.float32) * np.sign(np.sin(np.arange(n) / 5))
    levels = np.repeat(np.arange(30) * 8, 12).astype(np.uint8)[:, None, None, None]
    frames = np.broadcast_to(levels, (360, 48, 64, 3)).copy()
    for name, codecs in {
        "a.mp4": {},
        "a.mkv": {},
        "a.avi": {"video_codec": "mpeg4", "audio_codec": "mp3"},
        "a.webm": {"video_codec": "libvpx", "audio_codec": "libopus", "rate": 48_000},
    }.items():
        sound = np.repeat(waveform, 3) if name == "a.webm" else waveform
        write_clip(folder / name, frames=frames, waveform=sound, **codecs)
    write_clip(folder / "a.wav", waveform=waveform, audio_codec="pcm_s16le")
    write_clip(folder / "a.flac", waveform=waveform, audio_codec="flac")
    return folder


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.webm", "a.wav", "a.flac"])
def test_a_window_is_that_part_of_a_file_longer_than_the_limit(half_a_minute, name):
    path = half_a_minute / name
    for start in (0.0, 11.3, 26.0):
        window = (start, start + 4)
        heard = decode_audio(path, 10.0, window)
        assert len(heard) == pytest.approx(4 * 16_000, abs=0.2 * 16_000)
        part = decode_audio(path)[round(start * 16_000) : round((start + 4) * 16_000)]
        assert np.abs(heard).mean() == pytest.approx(np.abs(part).mean(), rel=0.05)
        if path.suffix not in (".wav", ".flac"):
            seen = decode_frames(path, 4, 10.0, window).mean(axis=(1, 2, 3))
            seconds = np.floor(start + np.arange(0.5, 4))
            np.testing.assert_allclose(seen, 8 * seconds, atol=8.1)
    with pytest.raises(MediaError, match="longer than 10 s"):
        decode_audio(path, 10.0)
    with pytest.raises(MediaError, match="longer than 3 s"):
        decode_audio(path, 3.0, (0.0, 4.0))


def test_a_window_beyond_the_end_is_refused_and_one_over_all_is_all(half_a_minute):
    path = half_a_minute / "a.mp4"
    for decode in (decode_audio, lambda p, window: decode_frames(p, 2, window=window)):
        with pytest.raises(MediaError, match=r"length|decode"):
            decode(path, window=(40.0, 44.0))
    np.testing.assert_array_equal(decode_audio(path), decode_audio(path, window=(0.0, 31.0)))
    np.testing.assert_array_equal(decode_frames(path), decode_frames(path, window=(0.0, 31.0)))


def test_how_long_a_file_is(half_a_minute, tmp_path):
    for path in half_a_minute.iterdir():
        assert duration(path) == pytest.approx(30, abs=0.2)
    with pytest.raises(MediaError, match="no such file"):
        duration(tmp_path / "none.mp4")
