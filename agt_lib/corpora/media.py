"""Decode a clip: any container FFmpeg reads, to a 16 kHz waveform or to a few frames.

A file is opened as bytes, not by its name, and FFmpeg may open nothing else. So a playlist that
poses as a clip can open neither another file nor an address.

A file that was cut off is read as far as it goes if its container allows that (mp3, wav, avi,
mkv, flv); an mp4 without its index can't be opened. Packets that don't decode are skipped. What is
broken or missing goes to `remarks`; a stream is refused if it is most (see `media_checks`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import av
import numpy as np

from agt_lib.corpora.media_arrays import SAMPLE_RATE, mono, on_show
from agt_lib.corpora.media_checks import (
    MAX_SECONDS,
    MIN_SECONDS,
    MediaError,
    check_broken,
    check_kind,
    check_length,
    check_size,
    check_there,
    in_language,
    still,
)

Window = tuple[float, float]
"""Where a part of a file begins and ends, in seconds from the file's beginning."""

ACCESS = "access"
COVER = av.stream.Disposition.attached_pic


def decode_audio(
    path: str | Path,
    max_seconds: float = MAX_SECONDS,
    window: Window | None = None,
    remarks: list[str] | None = None,
    track: str = "",
) -> np.ndarray:
    """The file's sound as float32 (samples,) at 16 kHz in [-1, 1], its channels averaged.

    With a `window`, that part of a file of any length, to a packet's length. Of several sound
    tracks it is the default one, or that in the language `track` (see `in_language`). What is
    damaged of sound that can be used is added to `remarks`, in a sentence each. Raises MediaError
    for a file that can't be opened, has no such track, lasts longer than `max_seconds` (refused
    before decoding if the container says so) or shorter than 0.1 s, holds samples that are not
    finite, or is broken or missing for the most part. Silence is sound.
    """
    remarks = [] if remarks is None else remarks
    with _open(path, "audio", max_seconds, window, track) as (container, stream):
        chunks: list[np.ndarray] = []
        samples = 0
        frames = _decode(stream, _packets(container, stream, window), remarks)
        for chunk in mono(_inside(container, frames, window)):
            chunks.append(chunk)
            samples += len(chunk)
            check_length(samples / SAMPLE_RATE, max_seconds)
        if samples < MIN_SECONDS * SAMPLE_RATE:
            reason = f"{samples / SAMPLE_RATE:.3f} s of sound; at least {MIN_SECONDS} s is needed"
            raise MediaError("length", reason)
        if window is None:
            check_there(container, stream, samples / SAMPLE_RATE, 0.0, remarks)
        waveform = np.concatenate(chunks)
        if not np.isfinite(waveform).all():
            raise MediaError("decode", "the sound holds samples that are NaN or infinite")
        return np.clip(waveform, -1.0, 1.0)


def decode_frames(
    path: str | Path,
    n_frames: int = 8,
    max_seconds: float = MAX_SECONDS,
    window: Window | None = None,
    remarks: list[str] | None = None,
) -> np.ndarray:
    """The frames on show at the centres of `n_frames` equal segments: uint8 (n_frames, H, W, 3).

    RGB, turned upright and with square pixels if the file says how. Times come from the packets,
    not from what the container says of their number or rate; a video of fewer frames repeats some.
    Holds the compressed stream and the frames wanted, never all frames. With a `window`, of that
    part of a file of any length. Adds to `remarks` and raises MediaError as `decode_audio` does; a
    cover picture is no video stream.
    """
    remarks = [] if remarks is None else remarks
    if n_frames < 1:
        raise ValueError(f"n_frames must be at least 1; got {n_frames}")
    with _open(path, "video", max_seconds, window) as (container, stream):
        packets, times = [], []
        start, end = np.inf, -np.inf
        for packet in _packets(container, stream, window):
            begins = _seconds(stream, packet, len(packets))
            lasts = float((packet.duration or 0) * stream.time_base) or _interval(stream)
            start, end = min(start, begins), max(end, begins + lasts)
            check_length(end - start, max_seconds if window is None else np.inf)
            packets.append(packet)
            times.append(begins)
        if window is None:
            check_there(container, stream, end - start, still(times), remarks)
        else:
            first = _first(container)
            start, end = max(start, first + window[0]), min(end, first + window[1])
            if start >= end:
                raise MediaError("length", f"no picture from {window[0]:g} to {window[1]:g} s")
        centres = start + (np.arange(n_frames) + 0.5) / n_frames * (end - start)
        frames = (
            (_seconds(stream, frame, number), frame)
            for number, frame in enumerate(_decode(stream, packets, remarks))
        )
        return np.stack(list(on_show(frames, centres.tolist(), stream.sample_aspect_ratio)))


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
    stream: av.stream.Stream, packets: Iterable[av.Packet], remarks: list[str]
) -> Iterator[av.AudioFrame | av.VideoFrame]:
    """The frames of `packets`; raises MediaError when there are none or most are broken."""
    decoded, damaged, marked = 0, 0, 0
    for packet in chain(packets, [None]):  # None asks the decoder for what it still holds
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            damaged += 1
            continue
        decoded += len(frames)
        marked += sum(frame.is_corrupt for frame in frames)
        yield from frames
    check_broken(stream.type, damaged + marked, decoded - marked, remarks)


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


def _seconds(stream: av.stream.Stream, timed: av.Packet | av.VideoFrame, number: int) -> float:
    """When a packet or frame is due, by its number if the container does not say."""
    stamp = timed.pts if timed.pts is not None else timed.dts
    return number * _interval(stream) if stamp is None else float(stamp * stream.time_base)


def _interval(stream: av.stream.Stream) -> float:
    return 1.0 / float(stream.average_rate or 25)
