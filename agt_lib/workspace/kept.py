"""Keeping things: folders named by the hash of what made them, whole once their manifest exists.

`manifest.json` is written last and atomically. A folder without one is unfinished: its owner
resumes it or makes it again. A folder whose files are not those of its manifest is made again.
"""

import errno
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

import psutil
from filelock import FileLock, Timeout
from safetensors import SafetensorError

from agt_lib.workspace import paths

SCHEMA = 1
MANIFEST = "manifest.json"
LOCK = ".lock"
PACKAGES = ("numpy", "torch", "transformers", "open_clip_torch", "scikit-learn", "av", "opensmile")
FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)))
"""What the system says where a disk takes no more; libraries raise errors of their own with it."""
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, SafetensorError)
"""What readers raise of files that are not as they were written."""
Make = Callable[[Path], Mapping[str, Any]]
Read = TypeVar("Read")


class StoreError(RuntimeError):
    """A file that the disk does not take."""

    def __init__(self, path: Path, why: object, safe: str):
        super().__init__(
            f"{path} could not be written: {why}. What was made before{safe} is safe. Free some "
            "space, or point AGT_DATA to a disk that takes it, and run the same again: it goes on "
            "from there."
        )


def digest(value: Any, length: int = 16) -> str:
    """A hexadecimal hash of any JSON-able value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def file_digest(path: str | Path, length: int = 16) -> str:
    """A hexadecimal hash of a file's bytes; `path` may begin with ~, as pandas takes it."""
    with Path(path).expanduser().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:length]


def write_atomic(path: Path, content: str | bytes | Callable[[IO[bytes]], object]) -> None:
    """Write `content`, or what it writes, so that `path` holds all of it or what it held before."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:  # of a full disk names no file
        error.filename = error.filename or str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished folder, or None if there is none.

    Raises ValueError if the file is there but is no manifest of this schema.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_bytes())
        found = f"of schema {manifest['schema']}, not {SCHEMA}"
        dict(manifest.get("files", {}))
    except DAMAGE:
        manifest, found = {"schema": None}, "damaged"
    if manifest["schema"] != SCHEMA:
        raise ValueError(f"{path} is {found}; delete its folder to make it again")
    return manifest


def write_manifest(folder: Path, content: Mapping[str, Any], started: float) -> dict[str, Any]:
    """Finish a folder: add schema, versions, wall time and peak memory, and write them.

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
    """The folder of what `made_from` names, whether it is made or not."""
    return paths.derived() / f"{kind}-{digest(dict(made_from))}"


def is_whole(folder: Path) -> bool:
    """Whether `folder` has a manifest and all the files that it lists, in the sizes it lists."""
    return fault(folder) is None


def fault(folder: Path) -> str | None:
    """What keeps `folder` from being whole, to be said behind its name; None if nothing does."""
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        return f"can't be read ({error})"
    if manifest is None:
        return "is unfinished"
    files = manifest.get("files", {})
    there = _sizes(folder, files)
    changed = [name for name, size in files.items() if there.get(name) != size]
    return f"is damaged ({', '.join(changed[:5])}: gone or changed)" if changed else None


def kept(kind: str, made_from: Mapping[str, Any], make: Make) -> Path:
    """The folder of what `made_from` names; made first if it is not there or not whole.

    `made_from` is JSON-able: inputs' hashes, configuration, and the room's `VERSION`. `make` gets
    the folder, writes its files there and returns what else the manifest should say. After a stop
    it is called again on the same folder, so it can go on with what lies there. What is damaged, or
    of another schema, is put aside, said on stderr, and made anew. A second process waits for the
    first. Raises StoreError if the disk takes no more.
    """
    return kept_at(folder_of(kind, made_from), kind, made_from, make)


def kept_at(folder: Path, kind: str, made_from: Mapping[str, Any], make: Make) -> Path:
    """As `kept`, in the `folder` that `folder_of` named, maybe in another process."""
    if is_whole(folder):
        return folder
    with locked(folder):
        if is_whole(folder):  # made by the process that was waited for
            return folder
        if (folder / MANIFEST).is_file():
            discard(folder, fault(folder))
        started = time.monotonic()
        with storing(folder):
            content = dict(make(folder))
            about = {"kind": kind, "made_from": made_from, "files": files_of(folder)}
            write_manifest(folder, about | content, started)
    return folder


def read_kept(
    kind: str, made_from: Mapping[str, Any], make: Make, read: Callable[[Path], Read]
) -> Read:
    """What `read` finds in the `kept` folder; if it raises `DAMAGE`, all is made anew once."""
    folder = kept(kind, made_from, make)
    try:
        return read(folder)
    except DAMAGE as error:
        with locked(folder):
            discard(folder, f"is damaged ({error})")
    return read(kept(kind, made_from, make))


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Raises StoreError for any library's error that says that the disk takes no more."""
    try:
        yield
    except Exception as error:
        if why := next((why for why in FULL if why in str(error)), None):
            raise StoreError(folder, why, "") from error
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the right to write into `folder`. Waits, and says so, while another process has it.

    The lock belongs to the operating system: it ends with its process, however that ends. What a
    killed process had half written is deleted. A thread may hold it several times over. Raises
    StoreError if no lock can be had there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            where = paths.relative(folder)
            print(f"another process is writing to {where}: waiting for it", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise StoreError(folder, error.strerror or error, "") from error
    try:
        for partial in filter(Path.is_file, folder.rglob(".*.partial")):
            partial.unlink()
        yield
    finally:
        lock.release()


def clear(folder: Path) -> None:
    """Delete what processes of this machine that are gone had half written in `folder`."""
    for partial in filter(Path.is_file, folder.rglob(".*.partial")):
        number = partial.name.split(".")[-2]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            partial.unlink(missing_ok=True)


def discard(folder: Path, why: str) -> None:
    """Put what lies in a kept `folder` aside, and say so on stderr with the reason `why`."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name != MANIFEST):
        if path.name != LOCK:
            with suppress(FileNotFoundError):  # another process was faster
                path.rename(aside / path.name)
    said = f"what lay there is in {aside.name} now, and it is made again"
    print(f"{paths.relative(folder)} {why}: {said}", file=sys.stderr)


def files_of(folder: Path) -> dict[str, int]:
    """The bytes of each file in `folder`, by its path there, but the manifest and hidden files."""
    found = [p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    found = [path for path in found if not path.name.startswith(".")]
    return _sizes(folder, [p.relative_to(folder).as_posix() for p in found])


def stamp(paths: Iterable[str | Path]) -> str:
    """A hash of files as they are now: paths, sizes and times of change; 0 for those not there."""
    found = []
    for path in map(Path, paths):
        status = path.stat() if path.exists() else None
        found.append([str(path), *((status.st_size, status.st_mtime_ns) if status else (0, 0))])
    return digest(found)


def _sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """The bytes of each file that is there."""
    files = {name: folder / name for name in names}
    return {name: path.stat().st_size for name, path in files.items() if path.is_file()}


@cache
def room_versions() -> dict[str, int]:
    """The `VERSION` of each room of the library and of the rendered corpus: what decides numbers.

    A room raises it when its numbers change, so a comment in a plot makes nothing anew.
    """
    rooms = sorted(path.parent.name for path in paths.LIBRARY.glob("*/__init__.py"))
    modules = [f"agt_lib.{room}" for room in rooms] + ["mini_corpus"]
    found = {name: importlib.import_module(name) for name in modules}
    return {name: module.VERSION for name, module in found.items() if hasattr(module, "VERSION")}


@cache
def versions() -> dict[str, str]:
    """The versions of Python and of the packages whose code changes numbers."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | packages


def peak_memory_mb() -> int:
    """The largest resident memory of this process so far, in MiB."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows, where psutil knows the peak
        return psutil.Process().memory_info().peak_wset >> 20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (2**20 if sys.platform == "darwin" else 2**10))
