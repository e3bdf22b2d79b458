"""Artefacts: folders named by the hash of what made them, whole once their manifest exists.

`manifest.json` is written last and atomically. A folder without one is unfinished: its owner
resumes it or makes it again.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from agt_lib import paths

SCHEMA = 1
MANIFEST = "manifest.json"
PACKAGES = ("numpy", "torch", "transformers", "open_clip_torch", "scikit-learn", "av", "opensmile")


def digest(value: Any, length: int = 16) -> str:
    """A hexadecimal hash of any JSON-able value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def file_digest(path: str | Path, length: int = 16) -> str:
    """A hexadecimal hash of a file's bytes; `path` may begin with ~, as pandas takes it."""
    with Path(path).expanduser().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:length]


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` so that `path` holds all of it or what it held before."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished artefact, or None where it is missing.

    Raises ValueError where the file is there but is no manifest of this schema.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete its folder to make it again"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} is no manifest of schema {SCHEMA}; delete its folder to make it again"
        )
    return manifest


def write_manifest(folder: Path, content: Mapping[str, Any], started: float) -> dict[str, Any]:
    """Finish an artefact: add schema, versions, wall time and peak memory, and write it.

    `started` is `time.monotonic()` from when the work began.
    """
    manifest = {
        **content,
        "schema": SCHEMA,
        "versions": versions(),
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_mb": peak_memory_mb(),
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(Path(folder) / MANIFEST, text + "\n")
    return manifest


def folder_of(kind: str, made_from: Mapping[str, Any]) -> Path:
    """Where the artefact that `made_from` names lies, made or not."""
    return paths.derived() / f"{kind}-{digest(dict(made_from))}"


def made(
    kind: str, made_from: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]
) -> Path:
    """The folder of the artefact that `made_from` names; made first where it is not whole.

    `made_from` is JSON-able: inputs' hashes, configuration, and the producer's version. `make`
    gets the folder, writes its files there and returns what else the manifest should say. It is
    called again on the same folder where it was stopped before, so it can go on with what lies
    there. A second process waits for the first.
    """
    folder = folder_of(kind, made_from)
    if read_manifest(folder) is None:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if read_manifest(folder) is None:
                started = time.monotonic()
                content = make(folder)
                write_manifest(folder, {"kind": kind, "made_from": made_from} | content, started)
    return folder


def versions() -> dict[str, str]:
    """The versions of Python and of the packages whose code changes numbers."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in PACKAGES
    }


def peak_memory_mb() -> int:
    """The largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (2**20 if sys.platform == "darwin" else 2**10))


def code_digest(*parts: str) -> str:
    """A hash of this library's own files, or of `parts` alone: modules and folders, by their names.

    What they make may change with any of them.
    """
    folder = Path(__file__).parent
    found = [folder / part for part in parts] or [folder]
    files = {p for place in found for p in [place, *place.rglob("*")] if p.is_file()}
    files = sorted(p for p in files if "__pycache__" not in p.parts)
    return digest({str(p.relative_to(folder)): file_digest(p) for p in files})
