"""Decoded frames as arrays: sound of one channel at 16 kHz, pictures upright in RGB."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, groupby

import av
import numpy as np
from av.video.reformatter import VideoReformatter

SAMPLE_RATE = 16_000
"""Hz. What every speech encoder here was trained on."""


def mono(frames: Iterable[av.AudioFrame]) -> Iterator[np.ndarray]:
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


def on_show(
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
