"""Run an encoder over a few clips, or over a corpus: kept, and resumable at any moment.

B: clips of a shard, D: features.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.media import ACCESS, MediaError
from agt_lib.features.encoder import Encoder, build, fingerprint_of
from agt_lib.features.features import FAILURE_COLUMNS, Features
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest
from agt_lib.workspace.progress import bar as progress_bar
from agt_lib.workspace.shards import ABSENT, Shards, StoredRows

SOURCES = {"audio": ("audio", "video"), "video": ("video",), "text": ("text",)}
"""The columns of a clip that may hold a modality; the first that is filled counts."""

LACKS = {
    "audio": "the clip has neither an audio nor a video file",
    "video": "the clip has no video file",
    "text": "the clip has no words",
}

REMARK = "remark"
"""The ledger's stage of clips that were read, and of which there is something to say."""

RETRIED = (ACCESS, "length", REMARK)
"""What is tried again: the disk may work again, `max_seconds` may be another, and a clip with a
remark was read, but its shard is damaged."""

SHARD_SIZES = {"audio": 64, "video": 64, "text": 512}
"""Clips of a shard. Texts of similar length share a batch: with 64 to choose from, a third would be
padding."""


SEEN = 2**16
"""Bytes at a file's beginning, middle and end that tell it from others of its name and size."""

Clip = str | Path | Mapping[str, Any]


def encode(
    clips: Clip | Sequence[Clip] | pd.DataFrame, spec: str | Encoder, **options: Any
) -> np.ndarray:
    """Features of clips of your own: float32 (D,) of one clip, (N, D) of a list or table.

    A clip is the path of a media file, or a mapping (such as a row of a table) with `video`,
    `audio` or `text`: paths and the words. An encoder of sound takes `audio`, else the sound of
    `video`. `spec` names an encoder as `build` takes it ("opensmile", "clip", "smollm2",
    "hubert:MODEL", ...), and `options` go to it; or it is an encoder that `build` made, which then
    serves many calls. Nothing is kept on disk.

        encode("clip.mp4", "opensmile")  # (88,)
        encode([{"text": "What a day!"}, {"text": "Oh no."}], "smollm2")  # (2, 576)

    Raises ValueError for a clip without the encoder's modality or one that can't be read,
    FileNotFoundError for a file that is not there, and what `build` raises.
    """
    if not isinstance(spec, str) and (options or not hasattr(spec, "encode")):
        raise ValueError("an encoder is given by its name with `options`, or built without any")
    encoder = build(spec, **options) if isinstance(spec, str) else spec
    if isinstance(clips, pd.DataFrame):
        clips = clips.to_dict("records")
    one = isinstance(clips, str | Path | Mapping | pd.Series) or not isinstance(clips, Iterable)
    rows = [_row(clip, encoder.modality) for clip in ([clips] if one else clips)]
    table = pd.DataFrame(rows, columns=["video", "audio", "text"], dtype=object)
    found = []
    for part in _encoded(encoder, table):
        for number, values in part.items():
            if isinstance(values, MediaError):
                raise ValueError(f"clip {number}, {rows[number]}: {values.reason}") from values
            found.append(values)
    values = np.array(found, dtype=np.float32).reshape(-1, encoder.dim)
    return values[0] if one else values


def extract(
    corpus: Corpus, encoder: Encoder, *, max_failures: float = 0.05, progress: bool = True
) -> Features:
    """The features of the corpus' clips, in the corpus' order.

    They are kept in a folder of `data/features` that the encoder's fingerprint names, and stay
    there until rows are asked for. What is missing is loaded by threads ahead of the model, and
    kept in shards of as many clips as the encoder asks for (`shard_size`), else `SHARD_SIZES`.
    Loaded clips of two shards are in memory at most. A process killed at any moment loses at most
    one shard. A second process on the same folder waits for the first. A clip is read anew when its
    name, its text, or its file's content, size or time of change differs (`key_of`), and not for
    being in another folder.

    Clips that can't be read go to the ledger and the run goes on. They are absent from the
    features, with the reason. They are tried again when the file has changed. Files that the
    disk refused and clips longer than `max_seconds` are tried again at every call. Raises
    ExtractionError if the share of failures exceeds `max_failures` (clips that lack the modality
    don't count), and StoreError if the disk takes no more.
    """
    clips, modality = corpus.clips, encoder.modality
    sources = clips[list(SOURCES[modality])].bfill(axis=1).iloc[:, 0]
    reads = getattr(encoder, "reads", lambda _, source: source)
    there = sources.dropna().items()
    keys = {name: key_of(name, reads(name, source), modality) for name, source in there}
    fingerprint = fingerprint_of(encoder)
    shards = Shards(paths.features() / f"{modality}-{fingerprint}")
    found = shards.whole(list(keys.values()))

    def failures() -> pd.DataFrame:
        """The ledger's rows about these clips as they are now."""
        ledger = shards.failures()
        return ledger[ledger["key"].isin(set(keys.values()) - found)]

    def check() -> None:
        lacking = set(keys.values()) - found
        shards.check_share(lacking, len(keys), max_failures, modality)

    def missing() -> list[str]:
        ledger = failures()
        known = found | set(ledger.loc[~ledger["stage"].isin(RETRIED), "key"])
        return [name for name, key in keys.items() if key not in known]

    if missing():
        with shards.locked():
            # A process that was waited for may have made some or all of them.
            found |= shards.whole([keys[name] for name in missing()])
            todo = missing()
            shards.forget([keys[name] for name in todo])
            check()
            done, title = len(keys) - len(todo), f"{modality} features"
            bar = progress_bar(len(keys), title, "clip", shown=progress, done=done)
            with bar, closing(_encoded(encoder, clips.loc[todo])) as parts:
                for part in parts:
                    errors = {n: x for n, x in part.items() if isinstance(x, MediaError)}
                    new = {keys[n]: x for n, x in part.items() if n not in errors}
                    shards.append(new)
                    found |= new.keys()
                    told = [(keys[n], n, e.stage, e.reason) for n, e in errors.items()]
                    remarks = getattr(encoder, "remarks", {})
                    told += [
                        (keys[n], n, REMARK, remarks.pop(n))
                        for n in part
                        if n in remarks and n not in errors
                    ]
                    shards.record(told)
                    bar.update(len(part))
                    if errors:
                        bar.set_postfix(unreadable=len(failures()), refresh=False)
                        check()
    check()
    stored = [keys[name] if keys.get(name) in found else None for name in clips.index]
    ledger = shards.failures()
    remarks = ledger[ledger["key"].isin(set(keys.values()) & found)]
    parts = (part[list(FAILURE_COLUMNS)] for part in (failures(), remarks))
    present = np.array([key is not None for key in stored], dtype=bool)
    return _features(corpus, encoder, shards.rows(stored, encoder.dim), present, *parts)


def encode_all(corpus: Corpus, encoder: Encoder) -> Features:
    """The features of the corpus' clips as `extract` gives them, and nothing is kept on disk."""
    found, failures, remarks = {}, [], getattr(encoder, "remarks", {})
    clips = corpus.clips[corpus.clips[list(SOURCES[encoder.modality])].notna().any(axis=1)]
    for part in _encoded(encoder, clips):
        for name, values in part.items():
            if isinstance(values, MediaError):
                failures.append((name, values.stage, values.reason))
            else:
                found[name] = values
    told = [(name, REMARK, remarks.pop(name)) for name in clips.index if name in remarks]
    ledgers = (
        pd.DataFrame(p, columns=list(FAILURE_COLUMNS), dtype="str") for p in (failures, told)
    )
    present = corpus.clips.index.isin(found)
    values = np.zeros((len(present), encoder.dim), dtype=np.float32)
    for row in np.flatnonzero(present):
        values[row] = found[corpus.clips.index[row]]
    return _features(corpus, encoder, values, present, *ledgers)


def _features(
    corpus: Corpus,
    encoder: Encoder,
    values: np.ndarray | StoredRows,
    present: np.ndarray,
    failures: pd.DataFrame,
    remarks: pd.DataFrame,
) -> Features:
    """Features of all clips: those `present` (N,); the others' `failures`, and `remarks`."""
    clips, modality = corpus.clips, encoder.modality
    absent = clips[list(SOURCES[modality])].isna().all(axis=1)
    lacking = pd.DataFrame({"name": clips.index[absent], "stage": ABSENT})
    lacking["reason"] = LACKS[modality]
    why = pd.concat([lacking, failures]).set_index("name")
    why = why.reindex(clips.index[clips.index.isin(why.index)]).rename_axis("name").reset_index()
    made_by = fingerprint_of(encoder)
    names = tuple(clips.index)
    return Features(modality, names, values, present, made_by, why.astype("str"), remarks)


def _row(clip: Clip, modality: str) -> dict[str, str]:
    """The `encode`d clip as a row of a corpus; raises ValueError and FileNotFoundError."""
    if isinstance(clip, str | Path):
        if modality == "text":
            raise ValueError(
                f"this encoder reads words, expected {{'text': ...}}; got a path, {str(clip)!r}"
            )
        clip = {modality: clip}
    if not isinstance(clip, Mapping | pd.Series):
        raise ValueError(f"a clip is a path, or a mapping with video, audio or text; got {clip!r}")
    row = {c: str(clip[c]) for c in LACKS if c in clip and not pd.isna(clip[c])}
    source = next((column for column in SOURCES[modality] if column in row), None)
    if source is None:
        expected, given = " or ".join(SOURCES[modality]), ", ".join(row) or "none of them"
        raise ValueError(f"this encoder reads {expected}; the clip {dict(clip)} has {given}")
    if source != "text":
        row[source] = str(Path(row[source]).expanduser())
        if not Path(row[source]).is_file():
            raise FileNotFoundError(f"no such file: {row[source]}")
    return row


def key_of(name: str, source: str, modality: str) -> str:
    """What identifies a source: the words, or the file as it is now, wherever it lies.

    Of a file these are the clip's name, size, time of change, and the bytes at three places.
    """
    path = Path(source)
    if modality != "text" and path.is_file():
        status, seen = path.stat(), hashlib.sha256()
        with suppress(OSError), path.open("rb", buffering=0) as file:
            for place in (0, (status.st_size - SEEN) // 2, status.st_size - SEEN):
                file.seek(max(place, 0))
                seen.update(file.read(SEEN))
            source = seen.hexdigest()
        return digest([name, source, status.st_size, status.st_mtime_ns], length=24)
    return digest([name, source], length=24)


def _encoded(encoder: Encoder, clips: pd.DataFrame) -> Iterator[dict[str, np.ndarray | MediaError]]:
    """Features (D,) or MediaError by name, of one shard after another; the next one is loading."""
    size = getattr(encoder, "shard_size", None) or SHARD_SIZES[encoder.modality]

    def load(clip: pd.Series) -> Any:
        try:
            return encoder.load(clip)
        except MediaError as error:
            return error

    def encode_first() -> dict[str, np.ndarray | MediaError]:
        items = {name: future.result() for name, future in ahead.popleft().items()}
        return dict(zip(items, _encode(encoder, list(items.values())), strict=True))

    pool = ThreadPoolExecutor(os.cpu_count())
    ahead: deque[dict[str, Future]] = deque()
    try:
        for start in range(0, len(clips), size):
            rows = clips.iloc[start : start + size].iterrows()
            ahead.append({name: pool.submit(load, clip) for name, clip in rows})
            if len(ahead) > 1:
                yield encode_first()
        while ahead:
            yield encode_first()
    finally:
        pool.shutdown(cancel_futures=True)


def _encode(encoder: Encoder, items: list[Any]) -> list[np.ndarray | MediaError]:
    """Each item's features (D,), or what is wrong with it; items that are errors stay.

    Raises ValueError if the encoder returns another shape than (B, D).
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
        raise ValueError(f"{kind}.encode returned shape {values.shape}; expected {expected}")
    bad = MediaError("encode", f"{kind} returned NaN or infinity")
    encoded = iter(row if np.isfinite(row).all() else bad for row in values.astype(np.float32))
    return [item if isinstance(item, MediaError) else next(encoded) for item in items]
