"""Shards: an append-only folder of arrays by key, and the ledger of what could not be made.

- `shard-00000.safetensors`, ...: one tensor for each key of some items;
- `failures.csv`: key, name, stage and reason of each item that could not be made.

Every file appears whole or not at all: a process killed at any moment loses at most the shard it
was working on. A shard that is damaged, or holds NaN or infinity, is put aside with a message. Its
items are then made again.
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save

from agt_lib.workspace import paths
from agt_lib.workspace.kept import DAMAGE, StoreError, locked, write_atomic

LEDGER = "failures.csv"
LEDGER_COLUMNS = ("key", "name", "stage", "reason")

ABSENT = "absent"
"""The stage of clips that never had the modality: absent with a reason, but no failures."""


AGAIN = "run the same again, it makes what is missing"


class ExtractionError(RuntimeError):
    """More clips could not be read than the caller allows; the message counts the reasons."""


class Shards:
    """The arrays in `folder`, each under a key that names what it was made from."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._keys: dict[Path, list[str]] = {}  # of each whole shard

    def keys(self) -> set[str]:
        """The keys in whole shards, those of other processes included."""
        for path in sorted(set(self.folder.glob("shard-*.safetensors")) - self._keys.keys()):
            if (arrays := self._open(path)) is not None:
                self._keys[path] = list(arrays)
        return set().union(*self._keys.values())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to write, as `kept.locked`."""
        with locked(self.folder):
            yield

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write `arrays` by key as one shard, under the lock: all of it or nothing.

        Raises StoreError if the disk does not take it, ValueError for NaN or infinity.
        """
        if not arrays:
            return
        if bad := [key for key, array in arrays.items() if not _finite(array)]:
            raise ValueError(f"NaN or infinity in the arrays of {', '.join(bad[:5])}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with os.scandir(self.folder) as entries:  # a glob is slow where thousands of shards lie
            names = [entry.name for entry in entries if entry.name.startswith("shard-")]
        numbers = (name[6:].split(".")[0] for name in names)  # a copy may be "shard-00001 (1)"
        number = 1 + max((int(text) for text in numbers if text.isdecimal()), default=-1)
        name = f"shard-{number:05d}.safetensors"
        self._write(name, save({key: np.ascontiguousarray(x) for key, x in arrays.items()}))

    def read(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """The arrays under those of `keys` that are there, in the order of `keys`.

        Each shard is opened once. A shard that turns out to be damaged is not there any more.
        """
        wanted, found = self.keys().intersection(keys), {}
        for path, inside in list(self._keys.items()):
            found |= self._sound(path, wanted.intersection(inside))
        return {key: found[key] for key in keys if key in found}

    def whole(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that `read` would find; one shard at a time is in memory."""
        wanted, found = self.keys().intersection(keys), set()
        for path, inside in list(self._keys.items()):
            found |= self._sound(path, wanted.intersection(inside)).keys()
        return found

    def rows(self, keys: Sequence[str | None], dim: int) -> "StoredRows":
        """The arrays (D,) under `keys` as the rows of a matrix that stays on disk; None: zeros.

        Raises ValueError if a key is not there.
        """
        self.keys()
        paths, places = list(self._keys), {None: -1}
        for number, path in enumerate(paths):
            places |= dict.fromkeys(self._keys[path], number)
        if missing := [key for key in keys if key not in places]:
            raise ValueError(f"{self.folder} lacks {len(missing)} of its items: {AGAIN}")
        found = np.fromiter((places[key] for key in keys), int, len(keys))
        return StoredRows(paths, found, np.array(keys, dtype=object), dim)

    def failures(self) -> pd.DataFrame:
        """The ledger: key, name, stage and reason of each item that could not be made.

        A damaged one is put aside with a message: its items are tried again.
        """
        path, empty = self.folder / LEDGER, pd.DataFrame(columns=list(LEDGER_COLUMNS), dtype="str")
        if not path.is_file():
            return empty
        try:
            table = pd.read_csv(path, dtype="str", keep_default_na=False)
            return table[list(LEDGER_COLUMNS)].astype("str")
        except DAMAGE as error:
            self._discard(path, error)
            return empty

    def record(self, failures: Sequence[Mapping[str, str] | Sequence[str]]) -> None:
        """Add `failures` (of each key, name, stage and reason) to the ledger, under the lock."""
        if failures:
            added = pd.DataFrame(failures, columns=list(LEDGER_COLUMNS), dtype="str")
            ledger = pd.concat([self.failures(), added]).drop_duplicates("key", keep="last")
            self._write(LEDGER, ledger.to_csv(index=False))

    def forget(self, keys: Sequence[str]) -> None:
        """Delete the rows of `keys` from the ledger, under the lock: they are tried again."""
        ledger = self.failures()
        still = ledger[~ledger["key"].isin(keys)]
        if len(still) < len(ledger):
            self._write(LEDGER, still.to_csv(index=False))

    def check_share(
        self, keys: Collection[str], n_clips: int, max_failures: float, modality: str
    ) -> None:
        """Raise ExtractionError if more than the share `max_failures` of `n_clips` failed.

        The ledger's rows of `keys` count, except those of clips that lack the modality. The message
        groups equal reasons, the most frequent first, and names the ledger.
        """
        ledger = self.failures()
        failed = ledger[ledger["key"].isin(keys) & (ledger["stage"] != ABSENT)]
        if len(failed) <= max_failures * n_clips:
            return
        lines = [
            f"{modality}: {len(failed)} of {n_clips} clips could not be read "
            f"({len(failed) / n_clips:.1%}; max_failures allows {max_failures:.1%}):"
        ]
        # Numbers differ from clip to clip where the reason is the same.
        alike = failed["stage"] + failed["reason"].str.replace(r"\d+(\.\d+)?", "#", regex=True)
        for _, group in sorted(failed.groupby(alike), key=lambda pair: -len(pair[1])):
            examples = ", ".join(group["name"].head(3)) + ", ..." * (len(group) > 3)
            first = group.iloc[0]
            lines.append(f"  {len(group)} x {first['stage']}: {first['reason']} ({examples})")
        lines.append(
            f"All of them: {paths.relative(self.folder / LEDGER)}. Mend these files (a file that "
            "changed is read anew), take the clips out of the corpus, or raise max_failures. What "
            "was extracted is kept."
        )
        raise ExtractionError("\n".join(lines))

    def _open(self, path: Path, keys: Collection[str] = ()) -> dict[str, np.ndarray | None] | None:
        """The arrays of a shard under `keys`, None for its other keys; None if it is damaged.

        Raises OSError if the system does not let it be read: that is no damage.
        """
        try:
            with safe_open(path, framework="numpy") as shard:
                if keys:
                    return {key: shard.get_tensor(key) for key in keys}
                return dict.fromkeys(shard.keys())
        except FileNotFoundError:  # another process discarded it
            self._keys.pop(path, None)
        except DAMAGE as error:
            self._discard(path, error)
        return None

    def _sound(self, path: Path, keys: Collection[str]) -> dict[str, np.ndarray]:
        """The arrays of a shard under `keys`, of which it has all; none if it is damaged."""
        arrays = self._open(path, keys) if keys else {}
        if arrays is not None and not all(map(_finite, arrays.values())):
            self._discard(path, "it holds NaN or infinity")
            return {}
        return arrays or {}

    def _discard(self, path: Path, why: object) -> None:
        aside = path.with_suffix(".damaged")
        with suppress(FileNotFoundError):  # another process was faster
            path.replace(aside)
        self._keys.pop(path, None)
        print(
            f"{paths.relative(path)} is damaged ({why}): it lies as {aside.name} now, and its "
            "items are made again",
            file=sys.stderr,
        )

    def _write(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        try:
            write_atomic(path, content)
        except OSError as error:
            safe = f" ({len(self.keys())} items)"
            raise StoreError(path, error.strerror or error, safe) from error


class StoredRows:
    """A matrix (N, D) of float32 that lies in shards: only the rows asked for are read.

    `places` (N,) number the shard of `paths` that holds each row, -1 for a row of zeros; `keys`
    (N,) name it there. It is indexed as an array is by rows, and an array comes back. Raises
    ValueError if a shard can't be read any more.
    """

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(self, paths: Sequence[Path], places: np.ndarray, keys: np.ndarray, dim: int):
        self.paths, self.places, self.keys, self.shape = paths, places, keys, (len(keys), dim)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, int | np.integer):
            return self[[rows]][0]
        places, keys = self.places[rows], self.keys[rows]
        found = np.zeros((len(keys), self.shape[1]), self.dtype)
        for place in np.unique(places[places >= 0]):
            try:
                with safe_open(self.paths[place], framework="numpy") as shard:
                    for row in np.flatnonzero(places == place):
                        found[row] = shard.get_tensor(keys[row])
            except (OSError, *DAMAGE) as error:
                raise ValueError(f"{self.paths[place]} has changed ({error}): {AGAIN}") from error
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def take(self, rows: np.ndarray) -> "StoredRows":
        """The matrix of `rows` (n,), still on disk; -1: a row of zeros."""
        known = rows >= 0
        places, keys = (
            np.where(known, self.places[rows], -1),
            np.where(known, self.keys[rows], None),
        )
        return StoredRows(self.paths, places, keys, self.shape[1])


def _finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
