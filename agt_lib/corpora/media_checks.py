"""What makes a media file unreadable: before it is decoded, and by how much of it is damaged.

Damage is what FFmpeg reports: packets that don't decode, frames it marks as corrupt, time that the
file states and does not hold. Other values of PCM are sound too, and MPEG-4 Part 2 hides most of
its errors.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from agt_lib.workspace.words import visible

MAX_SECONDS = 120.0
MAX_PIXELS = 40_000_000
"""Of a frame: 8K has 33 million. A picture of a few kilobytes can unpack to gigabytes."""
MAX_RATE = 768_000
"""Hz; no recorder has more."""
MIN_SECONDS = 0.1
"""Below this no voice can be measured: pitch needs 0.06 s, HuBERT's first window 0.025 s."""

MOST = 0.5
"""The share of a stream that makes it unreadable if so much, or more, is broken or missing."""
MISSING = 0.25
"""Seconds that a stream may end early without a remark: codecs and containers round."""
NO_INDEX = ("aac", "mp3", "mpeg")
"""Formats whose length FFmpeg may guess from the first bytes."""


class MediaError(Exception):
    """A clip that can't be read: the `stage` where it failed, the `reason`, and the `path`.

    Stages are "absent" (the clip never had this modality: no failure), "access" (the disk or its
    rights, which may mend without the file changing), "open", "length" and "decode". The reason
    does not hold the path, so that equal reasons can be counted.
    """

    def __init__(self, stage: str, reason: str, path: str | Path | None = None):
        super().__init__(stage, reason, path)
        self.stage, self.reason, self.path = stage, reason, path

    def __str__(self) -> str:
        return visible(": ".join(str(p) for p in (self.path, self.stage, self.reason) if p))


def check_kind(path: Path) -> None:
    """Raise MediaError for what downloads leave in the place of a file."""
    with path.open("rb") as file:
        start = file.read(256).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise MediaError("open", "a pointer of Git LFS, not the file: run git lfs pull")
    if start.startswith((b"<!doctype html", b"<html")):
        raise MediaError("open", "a web page saved in the file's place: download it again")


def check_size(stream: av.stream.Stream) -> None:
    """Raise MediaError for pictures and sound that no clip of a person has, before decoding."""
    context = stream.codec_context
    if stream.type == "video" and context.width * context.height > MAX_PIXELS:
        size = f"{context.width} x {context.height} pixels"
        raise MediaError("open", f"{size}; at most {MAX_PIXELS / 1e6:g} million are read")
    if stream.type == "audio" and not 0 < context.sample_rate <= MAX_RATE:
        raise MediaError("open", f"a sample rate of {context.sample_rate} Hz; at most {MAX_RATE}")


def check_length(seconds: float, max_seconds: float) -> None:
    """Raise MediaError for a clip of more than `max_seconds`."""
    if seconds > max_seconds:
        raise MediaError("length", f"longer than {max_seconds:g} s (max_seconds)")


def check_broken(kind: str, broken: int, whole: int, remarks: list[str]) -> None:
    """Add to `remarks` how much of a stream is broken; raise MediaError if all or `MOST` is."""
    total = broken + whole
    if not total:
        raise MediaError("decode", f"the {kind} is empty")
    reason = f"{kind}: {broken} of {total} packets are broken"
    if broken >= MOST * total:
        raise MediaError("decode", reason)
    if broken:
        remarks.append(reason)


def check_there(
    container: av.container.InputContainer,
    stream: av.stream.Stream,
    seconds: float,
    gaps: float,
    remarks: list[str],
) -> None:
    """Add to `remarks` how much of a stream is missing; raise MediaError if `MOST` was cut off.

    Of what the file states `seconds` were read, `gaps` of which show nothing. Only the index of an
    mp4 or mov states each track's own length: of another file no stream is refused, since its
    sound may end before its picture, or its header be wrong.
    """
    if container.format.name in NO_INDEX:
        return
    own = float((stream.duration or 0) * stream.time_base)
    stated = max(own or (container.duration or 0) / av.time_base, seconds)
    there = seconds - gaps
    if stated - there <= MISSING:
        return
    reason = f"{stream.type}: {there:.1f} of {stated:.1f} s are there"
    if container.format.name.startswith("mov") and stated - seconds >= MOST * stated:
        raise MediaError("decode", reason)
    remarks.append(reason)


def still(times: Sequence[float]) -> float:
    """Seconds without a new picture where that is unusual: over 1 s, and over 5 usual steps."""
    steps = np.diff(np.sort(times))
    return float(steps[(steps > 1) & (steps > 5 * np.median(steps))].sum()) if len(steps) else 0.0


def in_language(tracks: Sequence[av.stream.Stream], language: str) -> list[av.stream.Stream]:
    """Those sound `tracks` whose tag names the `language`, such as "deu"; or a lone one without.

    Raises MediaError if there are tracks and none is of the language.
    """
    tags = [track.metadata.get("language", "und").lower() for track in tracks]
    found = [t for t, tag in zip(tracks, tags, strict=True) if tag == language.lower()]
    if not found and tags not in ([], ["und"]):
        reason = f"no sound track in the language {language!r}; the file's are {', '.join(tags)}"
        raise MediaError("open", reason)
    return found or list(tracks)
