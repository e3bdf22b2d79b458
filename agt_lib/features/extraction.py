"""Run an encoder over a corpus: clips in, features out, resumable at any moment.

B: clips of a shard, D: features.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.media import ACCESS, MediaError
from agt_lib.features.encoder import Encoder, fingerprint_of
from agt_lib.features.features import FAILURE_COLUMNS, Features
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest
from agt_lib.workspace.progress import bar as progress_bar
from agt_lib.workspace.shards import ABSENT, LEDGER, Shards, check_share

SOURCES = {"audio": ("audio", "video"), "video": ("video",), "text": ("text",)}
"""The columns of a corpus that may hold a modality, the first that is filled counts."""

LACKS = {
    "audio": "the clip has neither an audio nor a video file",
    "video": "the clip has no video file",
    "text": "the clip has no words",
}

RETRIED = (ACCESS, "length")
"""Failures that are tried again: the disk may have mended, or `max_seconds` may be another."""

SHARD_SIZES = {"audio": 64, "video": 64, "text": 512}
"""Clips of a shard. Texts are light, and batches of similar length need less padding: of batches
drawn from 64 texts a third would be padding."""


def extract(
    corpus: Corpus,
    encoder: Encoder,
    *,
    max_failures: float = 0.05,
    progress: bool = True,
) -> Features:
    """The features of the corpus' clips, in the corpus' order.

    They are kept in a folder of `data/features` that the encoder's fingerprint names. What is
    there is read. The rest is loaded by threads ahead of the model, and kept in shards of as many
    clips as the encoder asks for (`shard_size`), else `SHARD_SIZES`. Loaded clips of two shards are
    in memory at most. A process killed at any moment loses at most one shard. A second process on
    the same folder waits for the first. A clip is read anew when its file's path, size or time of
    change differs, or its text.

    Clips that can't be read go to the ledger and the run goes on. They are absent from the
    features, with the reason. They are tried again when the file has changed; what the disk
    refused or `max_seconds` ruled out, at every call. Raises ExtractionError when their share
    exceeds `max_failures` (clips that lack the modality don't count), and StoreError when the disk
    takes no more.
    """
    clips = corpus.clips
    sources = _sources(clips, encoder.modality)
    keys = {name: _key(name, source, encoder.modality) for name, source in sources.dropna().items()}
    fingerprint = fingerprint_of(encoder)
    shards = Shards(paths.features() / f"{encoder.modality}-{fingerprint}")
    found = shards.read(list(keys.values()))

    def failures() -> pd.DataFrame:
        """The ledger's rows about these clips as they are now."""
        ledger = shards.failures()
        return ledger[ledger["key"].isin(set(keys.values()) - found.keys())]

    def check() -> None:
        where = paths.relative(shards.folder / LEDGER)
        check_share(failures(), len(keys), max_failures, encoder.modality, where)

    def missing() -> list[str]:
        ledger = failures()
        known = found.keys() | set(ledger.loc[~ledger["stage"].isin(RETRIED), "key"])
        return [name for name, key in keys.items() if key not in known]

    if missing():
        with shards.locked():
            # A process that was waited for may have made some or all of them.
            found |= shards.read([keys[name] for name in missing()])
            todo = missing()
            shards.forget([keys[name] for name in todo])
            check()
            size = getattr(encoder, "shard_size", None) or SHARD_SIZES[encoder.modality]
            loading = closing(_loaded(encoder, clips.loc[todo], size))
            what, done = f"{encoder.modality} features", len(keys) - len(todo)
            with (
                loading as parts,
                progress_bar(len(keys), what, "clip", shown=progress, done=done) as shown,
            ):
                unreadable = 0
                for part in parts:
                    encoded = dict(zip(part, _encode(encoder, list(part.values())), strict=True))
                    errors = {n: x for n, x in encoded.items() if isinstance(x, MediaError)}
                    new = {keys[n]: x for n, x in encoded.items() if n not in errors}
                    shards.append(new)
                    found |= new
                    shards.record(
                        [
                            {"key": keys[n], "name": n, "stage": e.stage, "reason": e.reason}
                            for n, e in errors.items()
                        ]
                    )
                    shown.update(len(part))
                    if errors:
                        unreadable += len(errors)
                        shown.set_postfix(unreadable=unreadable, refresh=False)
                        check()
    check()
    present = np.array([keys.get(name) in found for name in clips.index], dtype=bool)
    values = np.zeros((len(clips), encoder.dim), dtype=np.float32)
    for row in np.flatnonzero(present):
        values[row] = found[keys[clips.index[row]]]
    lacking = pd.DataFrame({"name": clips.index[sources.isna()], "stage": ABSENT})
    lacking["reason"] = LACKS[encoder.modality]
    why = pd.concat([lacking, failures()[list(FAILURE_COLUMNS)]]).set_index("name")
    why = why.reindex(clips.index[clips.index.isin(why.index)]).rename_axis("name").reset_index()
    return Features(
        encoder.modality, tuple(clips.index), values, present, fingerprint, why.astype("str")
    )


def _sources(clips: pd.DataFrame, modality: str) -> pd.Series:
    """The words or the file that each clip's features come from, or missing."""
    first, *others = SOURCES[modality]
    sources = clips[first]
    for column in others:
        sources = sources.fillna(clips[column])
    return sources


def _key(name: str, source: str, modality: str) -> str:
    """What identifies a source: the words, or the file as it is now."""
    if modality != "text" and Path(source).is_file():
        status = Path(source).stat()
        return digest([name, source, status.st_size, status.st_mtime_ns], length=24)
    return digest([name, source], length=24)


def _loaded(encoder: Encoder, clips: pd.DataFrame, size: int) -> Iterator[dict[str, Any]]:
    """Item or MediaError by name, of `size` clips at a time, while the next ones are loading."""

    def load(clip: pd.Series) -> Any:
        try:
            return encoder.load(clip)
        except MediaError as error:
            return error

    pool = ThreadPoolExecutor(os.cpu_count())
    ahead: deque[dict[str, Future]] = deque()
    try:
        for start in range(0, len(clips), size):
            rows = clips.iloc[start : start + size].iterrows()
            ahead.append({name: pool.submit(load, clip) for name, clip in rows})
            if len(ahead) > 1:
                yield {name: future.result() for name, future in ahead.popleft().items()}
        while ahead:
            yield {name: future.result() for name, future in ahead.popleft().items()}
    finally:
        pool.shutdown(cancel_futures=True)


def _encode(encoder: Encoder, items: list[Any]) -> list[np.ndarray | MediaError]:
    """Each item's features (D,), or what is wrong with it; items that are errors stay.

    Raises ValueError where the encoder returns another shape than (B, D).
    """
    readable = [item for item in items if not isinstance(item, MediaError)]
    if not readable:
        return items
    try:
        values = encoder.encode(readable)  # (B, D)
    except MediaError as error:
        # One at a time finds the clip that it is about.
        return [error] if len(items) == 1 else [_encode(encoder, [item])[0] for item in items]
    kind, expected = type(encoder).__name__, (len(readable), encoder.dim)
    if values.shape != expected:
        raise ValueError(
            f"{kind}.encode returned values of shape {values.shape}; expected {expected} for "
            f"{len(readable)} clips"
        )
    bad = MediaError("encode", f"{kind} returned NaN or infinity")
    encoded = iter(row if np.isfinite(row).all() else bad for row in values.astype(np.float32))
    return [item if isinstance(item, MediaError) else next(encoded) for item in items]
