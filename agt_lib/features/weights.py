"""The tensors of a checkpoint by name, read from disk when they are asked for."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers.utils import cached_file

FILES = (  # in the order in which transformers looks for them
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


@dataclass(frozen=True)
class Weights:
    """Where each tensor is: its name in the base model to its file and its name in there.

    What the checkpoint of a whole causal language model calls "model.layers..." is "layers..." in
    its base model, and found under that.
    """

    places: Mapping[str, tuple[Path, str]]

    @classmethod
    def find(cls, model: str | Path, *, local_files_only: bool = False, **_: Any) -> "Weights":
        """The weights of a folder or of a model's name on the hub: safetensors, else `.bin`.

        Raises FileNotFoundError where there are none or a shard is missing, ValueError where an
        index is damaged.
        """

        def file(name: str) -> Path | None:
            found = cached_file(
                model,
                name,
                local_files_only=local_files_only,
                _raise_exceptions_for_missing_entries=False,
            )
            return None if found is None else Path(found)

        first = next((found for name in FILES if (found := file(name))), None)
        if first is None:
            raise FileNotFoundError(f"no weights there; expected {FILES[0]} or {FILES[2]}")
        if first.suffix != ".json":
            with _opened(first) as (names, _read):
                return cls({_base(name): (first, name) for name in names})
        shards = _shards(first)
        files = {shard: file(shard) for shard in sorted(set(shards.values()))}
        _check(first, [shard for shard, path in files.items() if path is None], len(files))
        return cls({_base(name): (files[shard], name) for name, shard in shards.items()})

    def read(self, names: Iterable[str], dtype: torch.dtype) -> dict[str, Tensor]:
        """Copies in memory, in `dtype`, of the tensors called `names`; raises KeyError.

        A file stays open while it is read and no longer: a page of a mapped file counts as this
        process' memory until it is closed.
        """
        wanted: dict[Path, list[str]] = defaultdict(list)
        for name in names:
            wanted[self.places[name][0]].append(name)
        tensors = {}
        for path, its_names in wanted.items():
            with _opened(path) as (_, read):
                for name in its_names:
                    tensors[name] = read(self.places[name][1]).to(dtype, copy=True)
        return tensors


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder that `Weights.find` would read, without opening them; none: empty.

    Raises as `Weights.find` where shards are missing.
    """
    first = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if first is None or first.suffix != ".json":
        return [] if first is None else [first]
    files = [folder / shard for shard in sorted(set(_shards(first).values()))]
    _check(first, [str(f.relative_to(folder)) for f in files if not f.is_file()], len(files))
    return files


def _shards(index: Path) -> dict[str, str]:
    """The file of each tensor; raises ValueError where `index` does not say it."""
    try:
        return dict(json.loads(index.read_bytes())["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{index.name} is damaged: it has no weight_map that can be read"
        ) from error


def _check(index: Path, missing: list[str], n_shards: int) -> None:
    if missing:
        raise FileNotFoundError(
            f"missing {', '.join(missing)}, of the {n_shards} files that {index.name} names"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Iterable[str], Callable[[str], Tensor]]]:
    """The names of a file's tensors, and a function that reads one of them from the mapped file."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            yield file.keys(), file.get_tensor
    else:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        yield tensors.keys(), tensors.__getitem__


def _base(name: str) -> str:
    return name.removeprefix("model.")
