"""An append-only feature store: one folder per encoder, written shard by shard.

A folder is named by modality and by the hash of whatever makes the encoder's numbers. Inside,
each clip's features stand under a key that identifies what was read (see `extract`), so
that a corpus that grows keeps what it has, and a clip that changes is read anew:

- `shard-00000.safetensors`, ...: `values` (rows, D) float32 of some clips one after another; at
  frame level also `lengths` (clips,), the rows of each; keys and names in the metadata;
- `failures.csv`: the ledger of clips that could not be read: key, name, stage, reason;
- `extraction-*/manifest.json`: the record of each finished extraction.

Every file appears whole or not at all, so that a process killed at any moment loses at most the
shard it was working on.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from agt_lib.features.features import Features
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest, read_manifest, write_atomic
from agt_lib.workspace.shards import LEDGER, LEDGER_COLUMNS


class StoreError(RuntimeError):
    """A shard that can't be written, or one on disk that can't be trusted."""


class _Place(NamedTuple):
    shard: Path
    start: int
    length: int


class FeatureStore:
    """The features that one encoder made, on disk.

    `fingerprint` is the hash of the encoder's own fingerprint with its modality, level and width;
    a saved model compares it with the one it was trained on.
    """

    def __init__(
        self,
        modality: str,
        level: str,
        dim: int,
        encoder: Mapping[str, Any],
    ):
        if level not in ("utterance", "frame"):
            raise ValueError(f"level is 'utterance' or 'frame'; got {level!r}")
        self.modality = modality
        self.level = level
        self.dim = dim
        self.fingerprint = digest(
            {"modality": modality, "level": level, "dim": dim, "encoder": dict(encoder)}
        )
        self.folder = paths.features() / f"{modality}-{self.fingerprint}"
        self._places: dict[str, _Place] = {}
        self._scanned: set[Path] = set()

    def stored(self) -> set[str]:
        """The keys of all clips in whole shards, those of other processes included.

        Raises StoreError for a shard that is damaged or of another shape.
        """
        for shard in sorted(set(self.folder.glob("shard-*.safetensors")) - self._scanned):
            self._scan(shard)
        return set(self._places)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to write; waits, saying so, while another process has it.

        The operating system holds the lock: it ends with its process, however that ends.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            where = paths.relative(self.folder)
            print(f"another process is writing to {where}: waiting for it", file=sys.stderr)
            lock.acquire()
        try:
            for partial in self.folder.glob(".*.partial"):
                partial.unlink()
            yield
        finally:
            lock.release()

    def append(
        self, keys: Sequence[str], names: Sequence[str], clips: Sequence[np.ndarray]
    ) -> None:
        """Write the features of `clips` as one shard, under the lock: all of it or nothing.

        Each clip is (D,) at utterance level and (T, D) at frame level, finite. Raises StoreError
        where the disk does not take it.
        """
        if not keys:
            return
        rows = [np.atleast_2d(np.asarray(clip, dtype=np.float32)) for clip in clips]
        tensors = {"values": np.concatenate(rows)}
        if self.level == "frame":
            tensors["lengths"] = np.array([len(row) for row in rows], dtype=np.int64)
        metadata = {"keys": json.dumps(list(keys)), "names": json.dumps(list(names))}
        number = 1 + max(
            (int(shard.stem.split("-")[1]) for shard in self.folder.glob("shard-*.safetensors")),
            default=-1,
        )
        self._write(f"shard-{number:05d}.safetensors", save(tensors, metadata))

    def failures(self) -> pd.DataFrame:
        """The ledger: key, name, stage and reason of each clip that could not be read."""
        path = self.folder / LEDGER
        if not path.is_file():
            return pd.DataFrame(columns=list(LEDGER_COLUMNS), dtype="str")
        return pd.read_csv(path, dtype="str", keep_default_na=False)

    def record(self, failures: Sequence[Mapping[str, str]]) -> None:
        """Add `failures` (dicts of key, name, stage, reason) to the ledger, under the lock."""
        if failures:
            added = pd.DataFrame(failures, columns=list(LEDGER_COLUMNS), dtype="str")
            ledger = pd.concat([self.failures(), added]).drop_duplicates("key", keep="last")
            self._write(LEDGER, ledger.to_csv(index=False))

    def forget(self, keys: Sequence[str]) -> None:
        """Take what the ledger says of `keys` back, under the lock: they are tried again."""
        ledger = self.failures()
        kept = ledger[~ledger["key"].isin(keys)]
        if len(kept) < len(ledger):
            self._write(LEDGER, kept.to_csv(index=False))

    def read(self, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """The features under `keys`, in that order: values, lengths, present.

        Utterance level: values float32 (N, D), lengths None. Frame level: values (N, T, D) with
        zeros behind each clip's end, lengths (N,). Rows of unknown keys are zero and not present.
        Raises StoreError for a shard that is damaged or holds NaN or infinity.
        """
        stored = self.stored()
        present = np.array([key in stored for key in keys], dtype=bool)
        lengths = np.array(
            [self._places[key].length if key in stored else 0 for key in keys], dtype=np.int64
        )
        frames = (max(lengths, default=0),) if self.level == "frame" else ()
        values = np.zeros((len(keys), *frames, self.dim), dtype=np.float32)
        wanted: dict[Path, list[int]] = defaultdict(list)
        for position in np.flatnonzero(present):
            wanted[self._places[keys[position]].shard].append(position)
        for shard, positions in wanted.items():
            rows = self._rows(shard)
            for position in positions:
                _, start, length = self._places[keys[position]]
                clip = rows[start : start + length]
                if self.level == "frame":
                    values[position, :length] = clip
                else:
                    values[position] = clip[0]
        return values, lengths if self.level == "frame" else None, present

    def _scan(self, path: Path) -> None:
        try:
            with safe_open(path, framework="numpy") as shard:
                metadata = shard.metadata() or {}
                shape = tuple(shard.get_slice("values").get_shape())
                keys = json.loads(metadata["keys"])
                frames = self.level == "frame"
                lengths = shard.get_tensor("lengths") if frames else np.ones(len(keys), np.int64)
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise StoreError(_mend(path, f"is damaged ({error})")) from error
        expected = (int(lengths.sum()), self.dim)
        if len(lengths) != len(keys) or shape != expected:
            message = f"holds {len(keys)} clips in values of shape {shape}; expected {expected}"
            raise StoreError(_mend(path, message))
        starts = np.cumsum(lengths) - lengths
        for key, start, length in zip(keys, starts.tolist(), lengths.tolist(), strict=True):
            self._places[key] = _Place(path, start, length)
        self._scanned.add(path)

    def _rows(self, path: Path) -> np.ndarray:
        try:
            with safe_open(path, framework="numpy") as shard:
                rows = shard.get_tensor("values")
        except (SafetensorError, OSError) as error:
            raise StoreError(_mend(path, f"is damaged ({error})")) from error
        if not np.isfinite(rows).all():
            raise StoreError(_mend(path, "holds NaN or infinity"))
        return rows

    def _write(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        try:
            write_atomic(path, content)
        except OSError as error:
            raise StoreError(
                f"{path} could not be written: {error.strerror or error}. What was extracted "
                f"before ({len(self.stored())} clips) is safe. Free some space, or point AGT_DATA "
                "to a disk that has it, and run the same again: it goes on from there."
            ) from error


def extraction_record(features: Features) -> dict[str, Any] | None:
    """The manifest of the extraction that last added to the store `features` come from.

    None where they come from no store, as the peer toolkit's do.
    """
    folder = paths.features() / f"{features.modality}-{features.fingerprint}"
    manifests = sorted(folder.glob("extraction-*/manifest.json"), key=lambda p: p.stat().st_mtime)
    return read_manifest(manifests[-1].parent) if manifests else None


def _mend(path: Path, message: str) -> str:
    return f"{path} {message}. Delete it and run again: its clips alone are extracted anew."
