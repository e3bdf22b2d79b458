"""Decode a clip: any container FFmpeg reads, to a 16 kHz waveform or to a few frames.

A file is opened as bytes, not by its name, and FFmpeg may open nothing else. So a playlist that
poses as a clip can open neither another file nor an address.

A file that was cut off is read as far as it goes if its container allows that (mp3, wav, avi,
mkv, flv); an mp4 without its index can't be opened. Packets that don't decode are skipped; a
stream is refused if most don't.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from agt_lib.corpora.media_checks import (
    MAX_SECONDS,
    MIN_SECONDS,
    MediaError,
    check_kind,
    check_length,
    check_size,
    in_language,
)

SAMPLE_RATE = 16_000
"""Hz. What every speech encoder here was trained on."""

Window = tuple[float, float]
"""Where a part of a file begins and ends, in seconds from the file's beginning."""

ACCESS = "access"
COVER = av.stream.Disposition.attached_pic


def decode_audio(
    path: str | Path,
    max_seconds: float = MAX_SECONDS,
    window: Window | None = None,
    track: str = "",
) -> np.ndarray:
    """The file's sound as float32 (samples,) at 16 kHz in [-1, 1], its channels averaged.

    With a `window`, that part of a file of any length, to a packet's length. Of several sound
    tracks it is the default one, or that in the language `track` (see `in_language`). Raises
    MediaError for a file that can't be opened, has no such track, lasts longer than `max_seconds`
    (refused before decoding if the container says so) or shorter than 0.1 s, or holds samples that
    are not finite. Silence is sound.
    """
    with _open(path, "audio", max_seconds, window, track) as (container, stream):
        chunks: list[np.ndarray] = []
        samples = 0
        frames = _decode(stream, _packets(container, stream, window))
        for chunk in _mono(_inside(container, frames, window)):
            chunks.append(chunk)
            samples += len(chunk)
            check_length(samples / SAMPLE_RATE, max_seconds)
        if samples < MIN_SECONDS * SAMPLE_RATE:
            reason = f"{samples / SAMPLE_RATE:.3f} s of sound; at least {MIN_SECONDS} s is needed"
            raise MediaError("length", reason)
        waveform = np.concatenate(chunks)
        if not np.isfinite(waveform).all():
            raise MediaError("decode", "the sound holds samples that are NaN or infinite")
        return np.clip(waveform, -1.0, 1.0)


def decode_frames(
    path: str | Path,
    n_frames: int = 8,
    max_seconds: float = MAX_SECONDS,
    window: Window | None = None,
) -> np.ndarray:
    """The frames on show at the centres of `n_frames` equal segments: uint8 (n_frames, H, W, 3).

    RGB, turned upright and with square pixels if the file says how. Times come from the packets,
    not from what the container says of their number or rate; a video of fewer frames repeats some.
    Holds the compressed stream and the frames wanted, never all frames. With a `window`, of that
    part of a file of any length. Raises MediaError as `decode_audio` does; a cover picture is no
    video stream.
    """
    if n_frames < 1:
        raise ValueError(f"n_frames must be at least 1; got {n_frames}")
    with _open(path, "video", max_seconds, window) as (container, stream):
        packets: list[av.Packet] = []
        start, end = np.inf, -np.inf
        for packet in _packets(container, stream, window):
            begins = _seconds(stream, packet, len(packets))
            lasts = float((packet.duration or 0) * stream.time_base) or _interval(stream)
            start, end = min(start, begins), max(end, begins + lasts)
            check_length(end - start, max_seconds if window is None else np.inf)
            packets.append(packet)
        if window is not None:
            first = _first(container)
            start, end = max(start, first + window[0]), min(end, first + window[1])
            if start >= end:
                raise MediaError("length", f"no picture from {window[0]:g} to {window[1]:g} s")
        centres = start + (np.arange(n_frames) + 0.5) / n_frames * (end - start)
        frames = (
            (_seconds(stream, frame, number), frame)
            for number, frame in enumerate(_decode(stream, packets))
        )
        return np.stack(list(_on_show(frames, centres.tolist(), stream.sample_aspect_ratio)))


def duration(path: str | Path) -> float:
    """How long the file is, in seconds. Raises MediaError."""
    path = Path(path)
    for kind in ("video", "audio"):
        try:
            with _open(path, kind, np.inf, None) as (container, stream):
                if container.duration:
                    return container.duration / av.time_base
                # What a browser records does not say.
                packets = enumerate(_packets(container, stream, None))
                times = [_seconds(stream, packet, number) for number, packet in packets]
                return max(times, default=0.0) - min(times, default=0.0) + _interval(stream)
        except MediaError as error:
            found = error
    raise found


@contextmanager
def _open(
    path: str | Path, kind: str, max_seconds: float, window: Window | None, track: str = ""
) -> Iterator[tuple[av.container.InputContainer, av.stream.Stream]]:
    """The file and its stream of a `kind`: the default or first one; errors get the path."""
    path = Path(path)
    stage = "open"
    try:
        if not path.is_file():
            raise MediaError("open", "not a regular file" if path.exists() else "no such file")
        if path.stat().st_size == 0:
            raise MediaError("open", "the file is empty (zero bytes)")
        check_kind(path)
        options = {"protocol_whitelist": "none"}
        # Tags in another encoding than UTF-8 are common and don't matter here.
        with (
            path.open("rb") as file,
            av.open(file, options=options, metadata_errors="replace") as container,
        ):
            if container.format.name == "tty":  # FFmpeg would draw its letters
                raise MediaError("open", "the file is text")
            streams = [s for s in container.streams if not s.disposition & COVER]
            ours = [s for s in streams if s.type == kind]
            ours = in_language(ours, track) if track else ours
            default = [s for s in ours if s.disposition & av.stream.Disposition.default]
            stream = next(iter(default + ours), None)
            if stream is None or stream.codec_context is None:
                found = ", ".join(sorted({s.type for s in streams})) or "none"
                raise MediaError("open", f"no {kind} stream; found: {found}")
            if window is None:
                check_length((container.duration or 0) / av.time_base, max_seconds)
            else:
                check_length(window[1] - window[0], max_seconds)
            check_size(stream)
            # Clips are decoded side by side, so threads within one would only compete.
            stream.codec_context.thread_count = 1
            stage = "decode"
            yield container, stream
    except MediaError as error:
        raise MediaError(error.stage, error.reason, path) from error.__cause__
    except av.FFmpegError as error:  # also of a resampler: a header that can't be
        reason = f"FFmpeg can't read it as audio or video ({error.strerror})"
        raise MediaError(stage, reason, path) from error
    except OSError as error:
        raise MediaError(ACCESS, f"can't be read now: {error.strerror}", path) from error


def _packets(
    container: av.container.InputContainer, stream: av.stream.Stream, window: Window | None
) -> Iterator[av.Packet]:
    """The stream's packets up to its end, or to where the file was cut off.

    For a `window` those from the last key frame before it to its end.
    """
    last = np.inf
    if window is not None:
        last = _first(container) + window[1]
        container.seek(int((_first(container) + window[0]) * av.time_base))
        start = next((packet for packet in container.demux(stream) if packet.size), None)
        # Some containers land between key frames: those are read from their beginning.
        back = window[0] if start is not None and start.is_keyframe else 0.0
        container.seek(int((_first(container) + back) * av.time_base))
    try:
        for packet in container.demux(stream):
            if packet.dts is not None and packet.dts * stream.time_base >= last:
                return
            if packet.size:
                yield packet
    except (av.InvalidDataError, av.EOFError):
        return
    except IndexError as error:  # PyAV knows the streams announced at the beginning only
        reason = "damaged: a packet of a stream that was not announced"
        raise MediaError("decode", reason) from error


def _first(container: av.container.InputContainer) -> float:
    """When the file begins, by its own clock, in seconds."""
    return (container.start_time or 0) / av.time_base


def _decode(
    stream: av.stream.Stream, packets: Iterable[av.Packet]
) -> Iterator[av.AudioFrame | av.VideoFrame]:
    """The frames of `packets`; raises MediaError when there are none or most don't decode."""
    decoded, damaged = 0, 0
    for packet in chain(packets, [None]):  # None asks the decoder for what it still holds
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            damaged += 1
            continue
        decoded += len(frames)
        yield from frames
    if damaged >= decoded:
        reason = f"{stream.type}: {damaged} packets don't decode, {decoded} do"
        raise MediaError("decode", reason if damaged else f"the {stream.type} is empty")


def _mono(frames: Iterable[av.AudioFrame]) -> Iterator[np.ndarray]:
    """The frames' samples at 16 kHz, arrays (samples,), channels averaged with equal weight."""
    # A stream may change its layout on the way. Channels are averaged here because FFmpeg's own
    # downmix raises the level of float sound. They stand in one plane ("flt") because PyAV reads
    # beyond the end of eight planes or more.
    for _, alike in groupby(frames, lambda f: (f.format.name, f.layout.name, f.sample_rate)):
        resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
        for frame in chain(alike, [None]):  # None asks the resampler for what it still holds
            if frame is not None:
                frame.pts = None
            for resampled in resampler.resample(frame):
                samples = resampled.to_ndarray().reshape(-1, resampled.layout.nb_channels)
                yield samples.mean(axis=1, dtype=np.float32)  # (samples, channels) -> (samples,)


def _inside(
    container: av.container.InputContainer,
    frames: Iterable[av.AudioFrame],
    window: Window | None,
) -> Iterator[av.AudioFrame]:
    """The frames that are heard in the window, or all."""
    ends = None
    for frame in frames:
        if window is not None:
            begins = ends if frame.time is None else frame.time - _first(container)
            if begins is None:
                raise MediaError("decode", "the sound has no times, so no part of it can be read")
            ends = begins + frame.samples / frame.sample_rate
            if begins >= window[1] or ends <= window[0]:
                continue
        yield frame


def _on_show(
    frames: Iterable[tuple[float, av.VideoFrame | None]],
    times: Sequence[float],
    pixel: Fraction | None,
) -> Iterator[np.ndarray]:
    """For each of the rising `times` the last frame that began by then, as RGB of one size.

    `pixel` is the width of a pixel over its height, None or 0 if unknown.
    """
    convert = VideoReformatter().reformat
    size: dict[str, int] = {}
    waiting = list(times)
    shown = None
    for begins, frame in chain(frames, [(np.inf, None)]):
        due = sum(time < begins for time in waiting)
        if due and shown is not None:
            image = convert(shown, format="rgb24", threads=1, **size).to_ndarray()
            yield from [np.rot90(image, round(shown.rotation / 90))] * due
            waiting = waiting[due:]
        if frame is not None:
            shown = frame
            width = round(frame.width * (pixel or 1)) or frame.width
            size = size or {"width": width, "height": frame.height}


def _seconds(stream: av.stream.Stream, timed: av.Packet | av.VideoFrame, number: int) -> float:
    """When a packet or frame is due, by its number if the container does not say."""
    stamp = timed.pts if timed.pts is not None else timed.dts
    return number * _interval(stream) if stamp is None else float(stamp * stream.time_base)


def _interval(stream: av.stream.Stream) -> float:
    return 1.0 / float(stream.average_rate or 25)
