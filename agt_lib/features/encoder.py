"""What an encoder is, and what encoders share.

B clips of a batch, T frames or tokens of a clip, D features.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from agt_lib.corpora.media import MediaError, decode_audio

LEVELS = ("utterance", "frame")
LAST_FOUR = (-4, -3, -2, -1)


class CheckpointError(Exception):
    """A model's weights are missing, damaged or of another kind; the message says what mends it."""


class Encoder(Protocol):
    """Turns clips into features. What a clip gives does not depend on its batch.

    One that has to see many clips at once to be fast may say how many, as `shard_size`.
    """

    modality: str
    """audio, video or text."""
    dim: int
    """The width D of a feature."""
    level: str
    """utterance: one vector per clip; frame: a sequence of vectors."""
    fingerprint: dict[str, Any]
    """JSON-able, with whatever changes the numbers: weights, pooling, preprocessing, precision."""

    def load(self, clip: pd.Series) -> Any:
        """Read and preprocess one row of `Corpus.clips`; raises MediaError where that fails.

        Safe to call from several threads, also while `encode` runs.
        """

    def encode(self, items: list[Any]) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Features of what `load` returned, in the order given.

        Utterance level: float32 (B, D). Frame level: float32 (B, T, D), zero behind each clip's
        end, and int64 lengths (B,).
        """

    def reference(self) -> "Encoder | None":
        """The same encoder in float32 where this one computes in less, else None."""


def check_level(level: str) -> str:
    """`level` itself; raises ValueError unless it is utterance or frame."""
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(LEVELS)}; got {level!r}")
    return level


def load_waveform(clip: pd.Series, max_seconds: float) -> np.ndarray:
    """The clip's sound, float32 (samples,) at 16 kHz: its audio file, else its video's sound track.

    Raises MediaError where there is neither, it can't be read or is longer than `max_seconds`.
    """
    for column in ("audio", "video"):
        if not pd.isna(clip[column]):
            return decode_audio(clip[column], max_seconds)
    raise MediaError("absent", "the clip has no audio and no video file")


def batches(
    lengths: Sequence[int], budget: int, *, equal_length: bool = False
) -> Iterator[list[int]]:
    """Split clips into batches of similar length, longest first; yields lists of positions.

    A batch padded to its longest clip holds at most `budget` elements, or a single clip.
    `equal_length`: only clips of the same length share a batch.
    """
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch:
            longest = lengths[batch[0]]
            full = (len(batch) + 1) * longest > budget
            if full or (equal_length and lengths[position] != longest):
                yield batch
                batch = []
        batch.append(position)
    if batch:
        yield batch


def assemble(
    frames: Sequence[np.ndarray], level: str
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """What `Encoder.encode` returns, from each clip's own frames (T, D) without padding."""
    if level == "utterance":
        # Summed in float64: thousands of frames would cost float32 its last digits.
        return np.stack([clip.mean(axis=0, dtype=np.float64) for clip in frames]).astype(np.float32)
    lengths = np.array([len(clip) for clip in frames], dtype=np.int64)
    values = np.zeros((len(frames), lengths.max(), frames[0].shape[-1]), dtype=np.float32)
    for row, clip in zip(values, frames, strict=True):
        row[: len(clip)] = clip
    return values, lengths
