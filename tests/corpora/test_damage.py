"""Clips that decode with errors: used and marked, or refused where most is broken or missing."""

import av
import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import build
from agt_lib.corpora.media import MediaError, decode_audio, decode_frames
from agt_lib.features.encoder import build as encoder
from agt_lib.features.extraction import extract
from agt_lib.features.runs import said

FIRST = {"movflags": "faststart"}


@pytest.fixture(scope="module")
def moving():
    """Five seconds of pictures that no codec makes small, 12 a second."""
    blocks = np.random.default_rng(0).integers(0, 256, (60, 6, 8, 3), dtype=np.uint8)
    return blocks.repeat(8, 1).repeat(8, 2)


def noisy(tone, rate=44_100):
    noise = np.random.default_rng(1).standard_normal(5 * rate)
    return (tone(300, 5.0, rate) + 0.05 * noise).astype(np.float32)


def broken(path, start, end):
    """The file with noise from one share of its bytes to another."""
    content = bytearray(path.read_bytes())
    part = slice(int(start * len(content)), int(end * len(content)))
    noise = np.random.default_rng(2).integers(0, 256, part.stop - part.start, dtype=np.uint8)
    content[part] = noise.tobytes()
    path.write_bytes(content)
    return path


def remarks_of(decode, path):
    remarks = []
    decode(path, remarks=remarks)
    return remarks


CODECS = {"mp4": "aac", "flv": "libmp3lame", "mkv": "ac3", "ts": "mp2", "flac": "flac"}


@pytest.mark.parametrize("suffix", CODECS)
def test_whole_sound_has_no_remark_and_a_broken_middle_has_one(suffix, tmp_path, write_clip, tone):
    path = tmp_path / f"clip.{suffix}"
    write_clip(path, waveform=noisy(tone), rate=44_100, audio_codec=CODECS[suffix])
    assert remarks_of(decode_audio, path) == []
    remarks = remarks_of(decode_audio, broken(path, 0.35, 0.65))
    assert remarks
    assert all(remark.startswith("audio: ") for remark in remarks)


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "ffv1"), ("flv", "flv1"), ("avi", "mpeg4")])
def test_a_film_with_a_broken_middle_is_marked(suffix, codec, tmp_path, write_clip, moving):
    path = write_clip(tmp_path / f"clip.{suffix}", frames=moving, video_codec=codec)
    assert remarks_of(decode_frames, path) == []
    remarks = remarks_of(decode_frames, broken(path, 0.35, 0.65))
    assert remarks
    assert all(remark.startswith("video: ") for remark in remarks)


def test_sound_is_refused_where_most_of_its_packets_are_broken(tmp_path, write_clip, tone):
    path = write_clip(tmp_path / "clip.mp4", waveform=noisy(tone), rate=44_100)
    with pytest.raises(MediaError, match=r"audio: \d+ of \d+ packets are broken") as caught:
        decode_audio(broken(path, 0.1, 0.9))
    assert caught.value.stage == "decode"


@pytest.mark.parametrize(("share", "refused"), [(0.7, False), (0.3, True)])
@pytest.mark.parametrize("decode", [decode_audio, decode_frames])
def test_a_download_that_stopped_is_marked_or_refused_by_what_is_there(
    decode, share, refused, tmp_path, write_clip, moving, tone
):
    sound = {"waveform": noisy(tone), "rate": 44_100}
    made = {"frames": moving} if decode is decode_frames else sound
    whole = index_first(write_clip(tmp_path / "whole.mp4", **made), tmp_path / "clip.mp4")
    assert remarks_of(decode, whole) == []
    whole.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    if refused:
        with pytest.raises(MediaError, match=r"\d\.\d of 5\.0 s are there"):
            decode(whole)
    else:
        assert any(remark.endswith("of 5.0 s are there") for remark in remarks_of(decode, whole))


def index_first(path, to):
    """The same clip with its index before its media, as the web serves it."""
    with av.open(str(path)) as source, av.open(str(to), "w", options=FIRST) as copy:
        stream = copy.add_stream_from_template(source.streams[0])
        for packet in source.demux(source.streams[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return to


def test_the_run_counts_marked_clips_of_one_kind_together(tmp_path, write_clip, tone):
    whole = write_clip(tmp_path / "a.flac", waveform=noisy(tone), rate=44_100, audio_codec="flac")
    for name, end in (("b", 0.6), ("c", 0.65)):
        copy = tmp_path / f"{name}.flac"
        copy.write_bytes(whole.read_bytes())
        broken(copy, 0.35, end)
    rows = pd.DataFrame({"name": list("abc"), "split": "train"})
    rows["audio"] = [str(tmp_path / f"{name}.flac") for name in "abc"]
    corpus = build("tiny", rows, source="a test")
    first = extract(corpus, encoder("opensmile"), progress=False)
    assert first.present.all()
    assert first.remarks["name"].tolist() == ["b", "c"]
    assert said(first) == ["audio: 2 of 3 clips: audio: # of # s are there"]
    again = extract(corpus, encoder("opensmile"), progress=False)
    assert said(again) == said(first)
