"""Decoding: known tones and greys go in, so what must come out is known."""

import pickle
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from agt_lib.corpora.media import SAMPLE_RATE, MediaError, decode_audio, decode_frames
from agt_lib.workspace import paths

SHARED = paths.ROOT.parent / "shared" / "data"
CONTAINERS = {
    "mp4": {"video_codec": "libx264", "audio_codec": "aac"},
    "mkv": {"video_codec": "ffv1", "audio_codec": "ac3"},
    "mov": {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"},
    "flv": {"video_codec": "flv1", "audio_codec": "libmp3lame"},
    "webm": {"video_codec": "libvpx", "audio_codec": "libopus"},
    "ts": {"video_codec": "mpeg2video", "audio_codec": "mp2"},
}


def greys(frames: np.ndarray) -> list[int]:
    """The mean level of each frame, in steps of 20: the numbers of the ramp's frames."""
    return np.round(frames.mean(axis=(1, 2, 3)) / 20).astype(int).tolist()


def pitch(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return spectrum.argmax() * SAMPLE_RATE / len(waveform)


def shared(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"real clips are not here: {SHARED / path}")
    return SHARED / path


def failure(function, path, **options) -> MediaError:
    with pytest.raises(MediaError) as caught:
        function(path, **options)
    assert str(path) in str(caught.value)
    assert str(path) not in caught.value.reason
    return caught.value


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_sound_and_frames_come_out_of_every_container(suffix, tmp_path, write_clip, tone, ramp):
    path = tmp_path / f"clip.{suffix}"
    fps, rate = (25, 48_000) if suffix in ("ts", "webm") else (12, 44_100)
    frames = np.repeat(ramp(), 2, axis=0) if fps == 25 else ramp()
    write_clip(
        path, frames=frames, fps=fps, waveform=tone(440, 1.0, rate), rate=rate, **CONTAINERS[suffix]
    )
    waveform = decode_audio(path)
    assert waveform.dtype == np.float32
    assert waveform.shape[0] == pytest.approx(SAMPLE_RATE, rel=0.06)  # codecs pad to whole blocks
    assert pitch(waveform) == pytest.approx(440, abs=2)
    frames = decode_frames(path, n_frames=4)
    assert frames.dtype == np.uint8
    assert frames.shape == (4, 48, 64, 3)
    assert greys(frames) == [1, 4, 7, 10]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_tone_of_any_rate_equals_the_sine_at_16_khz(rate, tmp_path, write_clip, tone):
    path = write_clip(
        tmp_path / "tone.wav", waveform=tone(300, 1.0, rate), rate=rate, audio_codec="pcm_f32le"
    )
    waveform = decode_audio(path)
    assert abs(len(waveform) - SAMPLE_RATE) <= 1
    inside = slice(200, 15_800)
    np.testing.assert_allclose(waveform[inside], tone(300)[inside], atol=2e-3)


def test_sound_above_8_khz_does_not_fold_down(tmp_path, write_clip, tone):
    path = write_clip(
        tmp_path / "high.wav",
        waveform=tone(11_000, 1.0, 48_000),
        rate=48_000,
        audio_codec="pcm_s16le",
    )
    assert np.abs(decode_audio(path)[200:-200]).max() < 0.3 / 100


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "pcm_u8"])
@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged_with_equal_weight(channels, codec, tmp_path, write_clip, tone):
    waveform = np.zeros((channels, SAMPLE_RATE), dtype=np.float32)
    waveform[1] = tone(300)
    path = write_clip(tmp_path / "clip.wav", waveform=waveform, audio_codec=codec)
    atol = 1 / 128 if codec == "pcm_u8" else 1e-4
    np.testing.assert_allclose(decode_audio(path), tone(300) / channels, atol=atol)


@pytest.mark.parametrize(
    ("name", "channels", "codec"),
    [("film.flac", 8, "flac"), ("film.mkv", 8, "pcm_s16le"), ("array.wav", 16, "pcm_f32le")],
)
def test_the_channels_of_a_film_or_a_microphone_array_are_averaged(
    name, channels, codec, tmp_path, write_clip, tone
):
    waveform = np.stack([tone(100 * (1 + i), rate=48_000) for i in range(channels)])
    path = write_clip(tmp_path / name, waveform=waveform, rate=48_000, audio_codec=codec)
    expected = np.mean([tone(100 * (1 + i)) for i in range(channels)], axis=0)
    inside = slice(200, 15_800)
    np.testing.assert_allclose(decode_audio(path)[inside], expected[inside], atol=1e-3)


@pytest.mark.parametrize("said", [0, 8, 40, 63, 64, 200, 255])
def test_a_damaged_number_of_channels_is_refused_or_read_as_it_says(
    said, tmp_path, write_clip, tone
):
    path = write_clip(tmp_path / "clip.wav", waveform=tone(seconds=8), audio_codec="pcm_s16le")
    content = bytearray(path.read_bytes())
    content[content.index(b"fmt ") + 10] = said
    path.write_bytes(content)
    try:
        assert len(decode_audio(path)) == pytest.approx(8 * SAMPLE_RATE / said, abs=2)
    except MediaError as error:
        assert error.stage == "decode"


def test_samples_beyond_full_scale_are_clipped(tmp_path, write_clip, tone):
    path = write_clip(tmp_path / "loud.wav", waveform=9 * tone(), audio_codec="pcm_f32le")
    waveform = decode_audio(path)
    assert waveform.max() == 1.0
    assert waveform.min() == -1.0


def test_samples_that_are_not_finite_are_refused(tmp_path, write_clip, tone):
    waveform = tone()
    waveform[500] = np.nan
    path = write_clip(tmp_path / "nan.wav", waveform=waveform, audio_codec="pcm_f32le")
    assert failure(decode_audio, path).stage == "decode"


def test_silence_is_sound(tmp_path, write_clip, tone):
    path = write_clip(tmp_path / "silence.mp4", waveform=0 * tone())
    waveform = decode_audio(path)
    assert len(waveform) >= SAMPLE_RATE
    assert not waveform.any()


def test_a_fiftieth_of_a_second_is_too_short(tmp_path, write_clip, tone):
    path = write_clip(tmp_path / "short.wav", waveform=tone(seconds=0.02), audio_codec="pcm_s16le")
    error = failure(decode_audio, path)
    assert (error.stage, error.reason) == ("length", "0.020 s of sound; at least 0.1 s is needed")


def test_more_frames_than_there_are_repeats_the_one_on_show(tmp_path, write_clip, ramp):
    path = write_clip(tmp_path / "clip.mp4", frames=ramp(3))
    assert greys(decode_frames(path, n_frames=6)) == [0, 0, 1, 1, 2, 2]


def test_colours_stand_in_the_order_red_green_blue(tmp_path, write_clip):
    frames = np.zeros((4, 48, 64, 3), dtype=np.uint8)
    frames[...] = [200, 100, 40]
    path = write_clip(tmp_path / "clip.mp4", frames=frames)
    np.testing.assert_allclose(
        decode_frames(path, 2).mean(axis=(1, 2)), [[200, 100, 40]] * 2, atol=4
    )


def test_a_video_that_changes_its_size_keeps_that_of_its_first_frame(tmp_path, write_clip, ramp):
    parts = [
        write_clip(tmp_path / f"{height}.ts", frames=ramp(12, height, 64), fps=25)
        for height in (48, 96)
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert decode_frames(path, n_frames=6).shape == (6, 48, 64, 3)


def test_a_single_frame_is_repeated(tmp_path, write_clip, ramp):
    path = write_clip(tmp_path / "one.mp4", frames=ramp(6)[5:])
    assert greys(decode_frames(path)) == [5] * 8


def test_frames_are_chosen_by_time_where_the_rate_varies(tmp_path, write_clip, ramp):
    path = write_clip(tmp_path / "clip.mkv", frames=ramp(5), milliseconds=[0, 100, 200, 800, 900])
    # The third frame is on show for most of the second: a quarter and three quarters lie in it.
    assert greys(decode_frames(path, n_frames=2)) == [2, 2]


def test_a_wrong_frame_count_in_the_header_is_not_believed(tmp_path, write_clip, ramp):
    path = write_clip(tmp_path / "clip.avi", frames=ramp(), video_codec="ffv1")
    content = bytearray(path.read_bytes())
    total = content.index(b"avih") + 8 + 16
    length = content.index(b"strh") + 8 + 32
    for place in (total, length):
        assert struct.unpack_from("<I", content, place)[0] in (12, 13)
        struct.pack_into("<I", content, place, 1000)
    path.write_bytes(content)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 1000
    assert greys(decode_frames(path, n_frames=4)) == [1, 4, 7, 10]


def test_a_clip_filmed_sideways_is_turned_upright(tmp_path, write_clip):
    frames = np.zeros((4, 48, 64, 3), dtype=np.uint8)
    frames[:, :24] = 255
    path = write_clip(tmp_path / "phone.mp4", frames=frames)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO 14496-12: the track header's 3 x 3 matrix
    assert struct.unpack_from(">i", content, matrix)[0] == 1 << 16
    struct.pack_into(">9i", content, matrix, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    # (x, y) goes to (-y, x): what was on top is on the right.
    upright = decode_frames(path, n_frames=1)[0]
    assert upright.shape == (64, 48, 3)
    assert upright[:, :20].mean() < 5
    assert upright[:, 28:].mean() > 250


@pytest.mark.parametrize("function", [decode_audio, decode_frames])
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("zero.mp4", b"", "zero bytes"),
        ("text.mp4", b"name,split,emotion\n" * 100, "FFmpeg can't read it"),
        ("text.txt", b"this is no film\n" * 100, "the file is text"),
        ("noise.wav", bytes(range(256)) * 20, "FFmpeg can't read it"),
    ],
)
def test_a_file_that_is_no_clip_does_not_open(function, name, content, reason, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    error = failure(function, path)
    assert error.stage == "open"
    assert reason in error.reason


@pytest.mark.parametrize("function", [decode_audio, decode_frames])
def test_a_missing_file_and_a_folder_are_named(function, tmp_path):
    assert failure(function, tmp_path / "none.mp4").reason == "no such file"
    assert failure(function, tmp_path).reason == "not a regular file"


def test_a_missing_stream_is_named_with_what_there_is(tmp_path, write_clip, ramp, tone):
    silent = write_clip(tmp_path / "film.mp4", frames=ramp())
    assert failure(decode_audio, silent).reason == "no audio stream; found: video"
    sound = write_clip(tmp_path / "sound.wav", waveform=tone(), audio_codec="pcm_s16le")
    assert failure(decode_frames, sound).reason == "no video stream; found: audio"


def test_a_cover_picture_is_no_video(tmp_path, tone):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux([*cover.encode(image), *cover.encode(None)])
        sound = av.AudioFrame.from_ndarray(tone(rate=44_100)[None], "fltp", "mono")
        sound.sample_rate = 44_100
        container.mux([*audio.encode(sound), *audio.encode(None)])
    assert len(decode_audio(path)) > 0
    assert failure(decode_frames, path).reason == "no video stream; found: audio"


def test_a_truncated_mp4_has_no_index_and_does_not_open(clips_folder, tmp_path):
    whole = (clips_folder / "clip_0.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    assert failure(decode_audio, path).stage == "open"
    assert failure(decode_frames, path).stage == "open"


@pytest.mark.parametrize("suffix", ["mp3", "wav", "mkv", "flv"])
def test_a_file_cut_in_half_is_read_as_far_as_it_goes(suffix, tmp_path, write_clip, tone):
    codec = {"wav": "pcm_s16le", "mkv": "aac"}.get(suffix, "libmp3lame")
    path = write_clip(
        tmp_path / f"clip.{suffix}", waveform=tone(440, 8.0, 44_100), rate=44_100, audio_codec=codec
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    waveform = decode_audio(path)
    assert len(waveform) == pytest.approx(4 * SAMPLE_RATE, rel=0.05)
    assert pitch(waveform) == pytest.approx(440, abs=1)


def test_a_film_cut_within_its_seventh_frame_shows_the_six_before(tmp_path, write_clip, ramp):
    path = write_clip(tmp_path / "clip.mkv", frames=ramp(), video_codec="ffv1")
    with av.open(str(path)) as container:
        seventh = list(container.demux(video=0))[6]
    path.write_bytes(path.read_bytes()[: seventh.pos + 20])
    assert greys(decode_frames(path, n_frames=6)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("suffix", ["mp4", "wav"])
def test_an_hour_is_refused_before_a_packet_is_read(
    suffix, tmp_path, write_clip, ramp, monkeypatch
):
    path = tmp_path / f"hour.{suffix}"
    if suffix == "mp4":
        write_clip(path, frames=ramp(4), milliseconds=[0, 1_000_000, 2_000_000, 3_600_000])
        function = decode_frames
    else:
        silence = np.zeros(3600 * 1000, dtype=np.float32)
        write_clip(path, waveform=silence, rate=1000, audio_codec="pcm_u8")
        function = decode_audio
    monkeypatch.setattr(
        "agt_lib.corpora.media._packets", lambda *_: pytest.fail("a packet was read")
    )
    error = failure(function, path)
    assert (error.stage, error.reason) == ("length", "longer than 120 s (max_seconds)")


def test_a_length_that_the_container_hides_is_found_on_the_way(tmp_path, tone, ramp):
    path = tmp_path / "live.mkv"
    with av.open(str(path), "w", options={"live": "1"}) as container:
        video = container.add_stream("mpeg4", rate=12)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for image in np.concatenate([ramp()] * 3):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(tone(seconds=3)[None], "fltp", "mono")
        sound.sample_rate = SAMPLE_RATE
        container.mux([*audio.encode(sound), *audio.encode(None)])
    with av.open(str(path)) as container:
        assert container.duration is None
    assert len(decode_audio(path, max_seconds=4)) >= 3 * SAMPLE_RATE
    assert failure(decode_audio, path, max_seconds=2).stage == "length"
    assert failure(decode_frames, path, max_seconds=2).stage == "length"


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {clip}\n",
    ],
)
def test_a_playlist_opens_no_other_file(playlist, tmp_path, write_clip, tone):
    write_clip(tmp_path / "clip.ts", waveform=tone(), audio_codec="mp2")
    path = tmp_path / "list.m3u8"
    path.write_text(playlist.format(clip="clip.ts"))
    with av.open(str(path)) as container:  # FFmpeg by itself would follow it
        assert len(container.streams.audio) == 1
    assert failure(decode_audio, path).stage == "open"


def test_a_disk_that_fails_while_a_clip_is_read_may_be_tried_again(
    tmp_path, write_clip, tone, monkeypatch
):
    def fail(*_):
        raise OSError(5, "Input/output error")
        yield

    path = write_clip(tmp_path / "clip.wav", waveform=tone(), audio_codec="pcm_s16le")
    monkeypatch.setattr("agt_lib.corpora.media._packets", fail)
    error = failure(decode_audio, path)
    assert (error.stage, error.reason) == ("access", "can't be read now: Input/output error")


def test_the_error_survives_the_way_back_from_another_process():
    error = pickle.loads(pickle.dumps(MediaError("open", "no such file", "/clips/a.mp4")))
    assert str(error) == "/clips/a.mp4: open: no such file"


def test_less_than_one_frame_is_refused(clips_folder):
    with pytest.raises(ValueError, match="at least 1"):
        decode_frames(clips_folder / "clip_0.mp4", n_frames=0)


def test_crema_ds_flash_video_sounds_like_the_wav_made_from_it():
    folder = shared("crema_d_mini")
    films = sorted(folder.glob("data/*.flv"))
    assert films
    for film in films:
        with av.open(str(folder / "resampled" / f"{film.stem}.wav")) as container:
            expected = np.concatenate(
                [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
            )
        waveform = decode_audio(film)
        assert len(waveform) == len(expected)
        np.testing.assert_allclose(waveform, expected / 2**15, atol=2e-3)
        frames = decode_frames(film)
        assert frames.shape == (8, 360, 480, 3)
        assert not np.array_equal(frames[0], frames[-1])


def test_ravdess_wavs_of_all_rates_and_channels_decode():
    paths = sorted(shared("ravdess_wav").glob("*.wav"))
    assert paths
    for path in paths:
        with av.open(str(path)) as container:
            seconds = container.duration / av.time_base
        waveform = decode_audio(path)
        assert len(waveform) == pytest.approx(seconds * SAMPLE_RATE, abs=2)
        assert 0 < np.abs(waveform).max() <= 1


def test_tags_in_another_encoding_than_utf8_do_not_matter(tmp_path, write_clip, tone):
    path = write_clip(tmp_path / "clip.wav", waveform=tone(), audio_codec="pcm_s16le")
    title = "\u4f60\u597d".encode("gbk")
    tag = b"INFO" + b"INAM" + struct.pack("<I", len(title)) + title
    content = path.read_bytes() + b"LIST" + struct.pack("<I", len(tag)) + tag
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    assert pitch(decode_audio(path)) == pytest.approx(440, abs=2)


def test_a_header_that_no_resampler_can_serve_is_a_failure_of_the_clip(tmp_path, write_clip, tone):
    path = write_clip(tmp_path / "clip.wav", waveform=tone(), audio_codec="pcm_s16le")
    content = path.read_bytes()
    rate = content.index(b"fmt ") + 12
    path.write_bytes(content[:rate] + struct.pack("<I", 2**31 - 1) + content[rate + 4 :])
    assert failure(decode_audio, path).stage == "open"


def test_what_a_download_left_in_a_files_place_is_named(tmp_path):
    for content, message in (
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        ("<!DOCTYPE html>\n<html><body>404</body></html>", "a web page"),
        ("\n <HTML>", "a web page"),
    ):
        path = tmp_path / "clip.mp4"
        path.write_text(content)
        for decode in (decode_audio, decode_frames):
            with pytest.raises(MediaError, match=message):
                decode(path)


def test_pixels_that_are_not_square_are_made_so(tmp_path, ramp):
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for image in ramp():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    frames = decode_frames(path)
    assert frames.shape == (8, 48, 96, 3)
    assert greys(frames) == sorted(greys(frames))


def write_tracks(path, languages, tone):
    """A file whose tracks sound at 300, 600, ... Hz; the last one is the default."""
    with av.open(str(path), "w") as container:
        streams = []
        for language in languages:
            stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            stream.disposition = 0
            if language:
                stream.metadata["language"] = language
            streams.append(stream)
        streams[-1].disposition = av.stream.Disposition.default
        for number, stream in enumerate(streams):
            waveform = tone(300 * (number + 1))
            frame = av.AudioFrame.from_ndarray(waveform[None], format="flt", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def test_of_several_sound_tracks_the_default_one_is_taken(tmp_path, tone):
    path = write_tracks(tmp_path / "tracks.mkv", ["", ""], tone)
    assert pitch(decode_audio(path)) == pytest.approx(600, abs=5)


def test_of_several_sound_tracks_that_in_the_language_asked_for_is_taken(tmp_path, tone):
    path = write_tracks(tmp_path / "tracks.mkv", ["deu", "eng"], tone)
    assert pitch(decode_audio(path)) == pytest.approx(600, abs=5)
    assert pitch(decode_audio(path, track="DEU")) == pytest.approx(300, abs=5)
    assert pitch(decode_audio(path, track="eng")) == pytest.approx(600, abs=5)
    assert pitch(decode_audio(path, window=(0.0, 0.5), track="deu")) == pytest.approx(300, abs=5)
    with pytest.raises(MediaError, match="in the language 'fra'; the file's are deu, eng"):
        decode_audio(path, track="fra")


def test_a_lone_sound_track_without_a_language_is_taken_whatever_is_asked_for(tmp_path, tone):
    plain = write_tracks(tmp_path / "one.mkv", [""], tone)
    assert pitch(decode_audio(plain, track="deu")) == pytest.approx(300, abs=5)
    other = write_tracks(tmp_path / "english.mkv", ["eng"], tone)
    with pytest.raises(MediaError, match="in the language 'deu'; the file's are eng"):
        decode_audio(other, track="deu")


def test_a_picture_that_unpacks_to_gigabytes_and_a_rate_that_none_has_are_refused(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (8000, 8000)).save(path)
    assert path.stat().st_size < 20_000
    with pytest.raises(MediaError, match="8000 x 8000 pixels; at most 40 million"):
        decode_frames(path)
    about = b"RIFF", 40, b"WAVE", b"fmt ", 16, 1, 1, 2**30, 2**31, 2, 16, b"data", 4000
    sound = struct.pack("<4sI4s4sIHHIIHH4sI", *about)
    (tmp_path / "fast.wav").write_bytes(sound + bytes(4000))
    with pytest.raises(MediaError, match="a sample rate of 1073741824 Hz"):
        decode_audio(tmp_path / "fast.wav")
