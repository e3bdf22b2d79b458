"""Run an encoder over a corpus: clips in, features out, resumable at any moment.

B: clips of a shard, T: time, D: features.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.media import ACCESS, MediaError
from agt_lib.features.encoder import Encoder
from agt_lib.features.features import FAILURE_COLUMNS, Features
from agt_lib.features.store import FeatureStore
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest, read_manifest, write_manifest
from agt_lib.workspace.progress import bar as progress_bar
from agt_lib.workspace.shards import ABSENT, LEDGER, check_share

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
"""Clips of a shard. Texts are light, and among many more are of one length: of batches drawn from
64 a third is padding."""

SAMPLE = 8
"""How many clips are encoded again in float32, to report what bfloat16 changes."""


def extract(
    corpus: Corpus,
    encoder: Encoder,
    *,
    splits: Sequence[str] | None = None,
    max_failures: float = 0.05,
    shard_size: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Features:
    """The features of the corpus' clips (of `splits`, or all), in the corpus' order.

    What the store has is read; the rest is loaded by `workers` threads (as many as processors)
    ahead of the model, and stored in shards of `shard_size` clips (by default as many as the
    encoder asks for, else `SHARD_SIZES`); loaded clips of two shards are in memory at most. Killed
    at any moment it loses at most one shard. A second process on the same store waits for the
    first. A clip is read anew when its file's path, size or time of change differs, or its text.

    Clips that can't be read go to the ledger and the run goes on; they are absent from the
    features, with the reason. They are tried again when the file has changed; what the disk
    refused or `max_seconds` ruled out, at every call. Raises ExtractionError when their share
    exceeds `max_failures` (clips that lack the modality don't count), and StoreError when the disk
    takes no more.
    """
    clips = corpus.clips if splits is None else corpus.split(*splits)
    sources = _sources(clips, encoder.modality)
    lacking = dict.fromkeys(clips.index[sources.isna()], LACKS[encoder.modality])
    keys = {name: _key(name, source, encoder.modality) for name, source in sources.dropna().items()}
    store = FeatureStore(encoder.modality, encoder.level, encoder.dim, encoder.fingerprint)
    started, difference = time.monotonic(), None
    if missing := _missing(store, keys):
        with store.locked():
            started = time.monotonic()
            # A process that was waited for may have done some or all of it.
            missing = _missing(store, keys)
            store.forget([keys[name] for name in missing])
            _check(store, keys, max_failures)
            own = getattr(encoder, "shard_size", None)
            size = shard_size or own or SHARD_SIZES[encoder.modality]
            shards = _shards(encoder, clips.loc[missing], size, workers)
            shown = progress_bar(
                len(keys),
                f"{encoder.modality} features",
                "clip",
                shown=progress,
                done=len(keys) - len(missing),
            )
            with shown, closing(shards):
                difference = _fill(store, encoder, keys, shards, max_failures, shown)
    _check(store, keys, max_failures)
    record = store.folder / f"extraction-{digest(sorted(keys.values()))}"
    if missing or read_manifest(record) is None:
        failures = _failures(store, keys)[list(FAILURE_COLUMNS)]
        content = {
            "kind": "features",
            "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint},
            "splits": None if splits is None else list(splits),
            "modality": encoder.modality,
            "level": encoder.level,
            "dim": encoder.dim,
            "encoder": encoder.fingerprint,
            "fingerprint": store.fingerprint,
            "clips": len(clips),
            "present": len(keys) - len(failures),
            "absent": len(lacking),
            "failures": failures.to_dict("records"),
            "extracted": len(missing),
            "clips_per_second": round(len(missing) / (time.monotonic() - started), 2),
            "difference_from_float32": difference,
        }
        write_manifest(record, content, started)
    values, lengths, present = store.read([keys.get(name, "") for name in clips.index])
    return Features(
        encoder.modality,
        tuple(clips.index),
        values,
        present,
        store.fingerprint,
        lengths,
        _reasons(store, keys, lacking, clips.index),
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


def _missing(store: FeatureStore, keys: Mapping[str, str]) -> list[str]:
    failures = store.failures()
    final = failures[~failures["stage"].isin(RETRIED)]
    known = store.stored() | set(final["key"])
    return [name for name, key in keys.items() if key not in known]


def _shards(
    encoder: Encoder, clips: pd.DataFrame, size: int, workers: int | None
) -> Iterator[list[tuple[str, Any]]]:
    """(name, item or MediaError) of a shard's clips at a time, while the next shard is loading."""

    def load(clip: pd.Series) -> Any:
        try:
            return encoder.load(clip)
        except MediaError as error:
            return error

    pool = ThreadPoolExecutor(workers or os.cpu_count())
    ahead: deque[list[tuple[str, Future]]] = deque()
    try:
        for start in range(0, len(clips), size):
            rows = clips.iloc[start : start + size].iterrows()
            ahead.append([(name, pool.submit(load, clip)) for name, clip in rows])
            if len(ahead) > 1:
                yield [(name, future.result()) for name, future in ahead.popleft()]
        while ahead:
            yield [(name, future.result()) for name, future in ahead.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def _fill(
    store: FeatureStore,
    encoder: Encoder,
    keys: Mapping[str, str],
    shards: Iterator[list[tuple[str, Any]]],
    max_failures: float,
    bar: tqdm,
) -> dict[str, float] | None:
    """Encode and store shard after shard; returns what bfloat16 changed in the first clips."""
    sample: list[tuple[Any, np.ndarray]] = []
    unreadable = 0
    for shard in shards:
        errors = {name: item for name, item in shard if isinstance(item, MediaError)}
        loaded = {name: item for name, item in shard if name not in errors}
        encoded = dict(zip(loaded, _encode(encoder, list(loaded.values())), strict=True))
        errors |= {name: clip for name, clip in encoded.items() if isinstance(clip, MediaError)}
        good = {name: clip for name, clip in encoded.items() if name not in errors}
        sample += [(loaded[name], good[name]) for name in list(good)[: SAMPLE - len(sample)]]
        store.append([keys[name] for name in good], list(good), list(good.values()))
        store.record(
            [
                {"key": keys[name], "name": name, "stage": error.stage, "reason": error.reason}
                for name, error in errors.items()
            ]
        )
        bar.update(len(shard))
        if errors:
            unreadable += len(errors)
            bar.set_postfix(unreadable=unreadable, refresh=False)
            _check(store, keys, max_failures)
    return _difference(encoder, sample)


def _encode(encoder: Encoder, items: list[Any]) -> list[np.ndarray | MediaError]:
    """Each clip's features, (D,) or (T, D), or what is wrong with them."""
    if not items:
        return []
    try:
        clips = _split(encoder, encoder.encode(items), len(items))
    except MediaError as error:
        # One at a time finds the clip that it is about.
        return [error] if len(items) == 1 else [_encode(encoder, [item])[0] for item in items]
    bad = MediaError("encode", f"{type(encoder).__name__} returned nothing, NaN or infinity")
    return [clip if len(clip) and np.isfinite(clip).all() else bad for clip in clips]


def _split(encoder: Encoder, encoded: Any, n_clips: int) -> list[np.ndarray]:
    """The encoder's output clip by clip; raises ValueError where its shape breaks the contract."""
    if encoder.level == "frame":
        values, lengths = encoded  # (B, T, D), (B,)
        expected = (n_clips, int(max(lengths, default=0)), encoder.dim)
        fits = values.ndim == 3 and values.shape[1] >= expected[1] and len(lengths) == n_clips
        fits = fits and values.shape[::2] == expected[::2]
    else:
        values, lengths = encoded, None  # (B, D)
        expected = (n_clips, encoder.dim)
        fits = values.shape == expected
    if not fits:
        raise ValueError(
            f"{type(encoder).__name__}.encode returned values of shape {values.shape}; "
            f"expected {expected} for {n_clips} clips at {encoder.level} level"
        )
    if lengths is None:
        return list(values)
    return [clip[:length] for clip, length in zip(values, lengths, strict=True)]


def _difference(
    encoder: Encoder, sample: Sequence[tuple[Any, np.ndarray]]
) -> dict[str, float] | None:
    """How far the features of `sample` are from float32: |a - b| / |b| of each clip."""
    reference = encoder.reference() if sample else None
    if reference is None:
        return None
    exact = _split(reference, reference.encode([item for item, _ in sample]), len(sample))
    relative = [
        float(np.linalg.norm(clip - other) / (np.linalg.norm(other) or 1.0))
        for (_, clip), other in zip(sample, exact, strict=True)
    ]
    return {"clips": len(sample), "mean": float(np.mean(relative)), "largest": max(relative)}


def _failures(store: FeatureStore, keys: Mapping[str, str]) -> pd.DataFrame:
    """The ledger's rows about these clips as they are now."""
    ledger = store.failures()
    current = set(keys.values()) - store.stored()
    return ledger[np.array([key in current for key in ledger["key"]], dtype=bool)]


def _check(store: FeatureStore, keys: Mapping[str, str], max_failures: float) -> None:
    where = paths.relative(store.folder / LEDGER)
    check_share(_failures(store, keys), len(keys), max_failures, store.modality, where)


def _reasons(
    store: FeatureStore, keys: Mapping[str, str], lacking: Mapping[str, str], order: pd.Index
) -> pd.DataFrame:
    """Why clips are absent from the features, in the corpus' order: name, stage, reason."""
    lacks = pd.DataFrame(
        [(name, ABSENT, reason) for name, reason in lacking.items()],
        columns=list(FAILURE_COLUMNS),
        dtype="str",
    )
    table = pd.concat([lacks, _failures(store, keys)[list(FAILURE_COLUMNS)]]).set_index("name")
    return table.reindex(order[order.isin(table.index)]).rename_axis("name").reset_index()
