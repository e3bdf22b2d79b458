"""Media files in folders: which they are, and what a clip is called."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SOUND = (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma")
VIDEO = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".flv", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts")


def media_below(folder: Path) -> list[Path]:
    """The media files in `folder` and below, in order; hidden ones are not clips."""
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in (*SOUND, *VIDEO)
        and not path.name.startswith(".")
        and path.is_file()
    )


def column_of(path: Path) -> str:
    """The column of a corpus that a media file belongs in: audio or video."""
    return "audio" if path.suffix.lower() in SOUND else "video"


def row_of(path: Path) -> dict[str, Any]:
    """A clip of one file: its audio or video, and the words in a .txt of the same name.

    Raises ValueError for words that are not UTF-8.
    """
    words, text = path.with_suffix(".txt"), None
    if words.is_file():
        try:
            text = words.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"{words} is not UTF-8: save it so, or rename it") from error
    return {column_of(path): str(path), "text": text}


def names_of(files: Sequence[Path]) -> list[str]:
    """A clip's name for each file: its name without ending, its folder's before it if two agree."""
    stems = Counter(path.stem for path in files)
    return [
        path.stem if stems[path.stem] == 1 else f"{path.parent.name}-{path.stem}" for path in files
    ]
