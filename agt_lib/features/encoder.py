"""What an encoder is, which there are, and what they share.

To add one: a file with a class like `Encoder`, and a line in `ENCODERS`.

B clips of a batch, T frames or tokens of a clip, D features.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, Protocol

import numpy as np
import pandas as pd

from agt_lib import corpora
from agt_lib.corpora.media import MediaError, Window, decode_audio
from agt_lib.features import VERSION
from agt_lib.workspace.kept import digest
from agt_lib.workspace.numbers import PARAMETERS, SOME, check_numbers
from agt_lib.workspace.words import visible

ENCODERS = {
    "opensmile": "agt_lib.features.opensmile:OpenSmileEncoder",
    "clip": "agt_lib.features.clip:ClipEncoder",
    "fer": "agt_lib.features.expression:ExpressionEncoder",
    "hubert": "agt_lib.features.hubert:HubertEncoder",
    "whisper": "agt_lib.features.whisper:WhisperEncoder",
    "causal_lm": "agt_lib.features.language_model:CausalLMEncoder",
    "smollm2": "agt_lib.features.smollm2:SmolLM2Encoder",
}
"""The class of each kind of encoder, as module:Class; imported when it is built."""

HUB_SECONDS = 10
"""The hub is asked once and briefly: its clients would retry for a minute offline."""

LAST_FOUR = (-4, -3, -2, -1)


class CheckpointError(RuntimeError):
    """A model's weights are missing, damaged or of another kind; the message says what mends it."""


class Encoder(Protocol):
    """Turns clips into features. What a clip gives does not depend on its batch.

    One that has to see many clips at once to be fast may say how many, as `shard_size`. One that
    has something to say of clips that it read has `remarks`, by clip name, which `load` fills. One
    that reads another file than the corpus names says which by `reads(name, source)`.
    """

    modality: str
    """audio, video or text."""
    dim: int
    """The width D of a feature."""
    fingerprint: dict[str, Any]
    """All that changes the numbers: weights, pooling, preprocessing, precision. JSON-able."""

    def load(self, clip: pd.Series) -> Any:
        """Read and preprocess one row of `Corpus.clips`; raises MediaError if that fails.

        Safe to call from several threads, also while `encode` runs.
        """

    def encode(self, items: list[Any]) -> np.ndarray:
        """Features of what `load` returned, in the order given: float32 (B, D)."""


def build(spec: str, **options: Any) -> Encoder:
    """The encoder that `spec` names, "KIND" or "KIND:MODEL"; `options` go to its constructor.

    - "opensmile": eGeMAPSv02 functionals; "fer": a small network for the expressions of real faces;
    - "clip" (the small CLIP of this repository), "clip:ViT-L-14/openai", "clip:local-dir:FOLDER";
    - "hubert:MODEL", "whisper:MODEL", "causal_lm:MODEL": a name on the hub, or a folder (or GGUF
      file) here; "causal_lm:baichuan-inc/Baichuan-13B-Base" is the paper's, loaded without its
      remote code;
    - "smollm2": the language model that `make model` puts under `data/models`.

    Raises ValueError for an unknown kind, a model missing from or wrong in `spec`, and numbers that
    make no sense, and
    CheckpointError if the model is not available.
    """
    kind, _, model = spec.partition(":")
    check_numbers(options, {"n_frames": SOME, "max_seconds": PARAMETERS["max_seconds"]})
    if kind not in ENCODERS:
        raise ValueError(f"unknown encoder {spec!r}; expected one of {', '.join(ENCODERS)}[:MODEL]")
    module, _, name = ENCODERS[kind].partition(":")
    make = getattr(import_module(module), name)
    takes = signature(make).parameters.get("model")
    if model and takes is None:
        raise ValueError(f"encoder {spec!r}: {kind} takes no model; expected {kind!r}")
    if not model and takes is not None and takes.default is Parameter.empty:
        raise ValueError(f"encoder {spec!r} names no model; expected {kind}:NAME_OR_FOLDER")
    return make(model, **options) if model else make(**options)


def fingerprint_of(encoder: Encoder) -> str:
    """The hash that names an encoder's features: its fingerprint and the versions of the code."""
    made_from = {
        "modality": encoder.modality,
        "dim": encoder.dim,
        "encoder": encoder.fingerprint,
        "version": [VERSION, corpora.VERSION],
    }
    return digest(made_from)


def load_waveform(
    clip: pd.Series, max_seconds: float, remarks: dict[str, str], track: str = ""
) -> np.ndarray:
    """The clip's sound, float32 (samples,) at 16 kHz: its audio file, else its video's sound track.

    `track` is the language of the track to take of several (see `media.decode_audio`). What is
    damaged goes to `remarks` under the clip's name. Raises MediaError if there is no sound, or if
    it is unreadable or longer than `max_seconds`.
    """
    for column in ("audio", "video"):
        if not pd.isna(clip[column]):
            damage: list[str] = []
            waveform = decode_audio(clip[column], max_seconds, window_of(clip), damage, track)
            if damage:
                remarks[clip.name] = "; ".join(damage)
            return waveform
    raise MediaError("absent", "the clip has no audio and no video file")


def track_fingerprint(track: str) -> dict[str, Any]:
    """What of the choice of a sound track changes an encoder's numbers."""
    return {"track": track.lower()} if track else {}


def window_of(clip: pd.Series) -> Window | None:
    """The part of its file that a clip is, if its row has `start` and `end` in seconds."""
    return (clip["start"], clip["end"]) if "start" in clip else None


def batches(lengths: Sequence[int], budget: int, equal_length: bool = False) -> Iterator[list[int]]:
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


def in_batches(
    encode: Callable[[list], np.ndarray],
    items: Sequence[Sequence],
    budget: int,
    equal_length: bool = False,
) -> np.ndarray:
    """What `encode` makes of `items`, called on one of their `batches` at a time: (B, D)."""
    rows = {}
    for batch in batches([len(item) for item in items], budget, equal_length):
        rows |= zip(batch, encode([items[i] for i in batch]), strict=True)
    return np.stack([rows[i] for i in range(len(items))])


def reason(error: Exception) -> str:
    """The first two lines of what an error says, as one, for the message of another."""
    lines = [line.strip() for line in visible(str(error)).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300].rstrip(".:") or type(error).__name__


@contextmanager
def asking_hub(name: str, place: str, advice: str) -> Iterator[None]:
    """Whatever goes wrong inside is a CheckpointError: the hub did not give the model `name`."""
    try:
        yield
    except Exception as error:  # the client's own, httpx's and OSError, by version
        raise CheckpointError(
            f"{name}: not found here (neither as {place} nor in the hub's cache), and the hub did "
            f"not give it ({reason(error)}). {advice}"
        ) from error


def mean_rows(clips: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over each clip's own frames or tokens: arrays (T, D) to float32 (B, D)."""
    # Summed in float64: thousands of frames would cost float32 its last digits.
    return np.stack([clip.mean(axis=0, dtype=np.float64) for clip in clips]).astype(np.float32)
