"""Media files in folders: which they are, and what a clip is called."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agt_lib.corpora.tables import decoded

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


def rows_of(root: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """The clips that `files` below `root` are, in order: name, video, audio, text, and `below`.

    Files of one folder with the same name but for the ending are one clip. A clip's name is its
    file's, with as many folders before it as tell it from others. Its words are those of a .txt of
    the same name, in any encoding that tables may have; `below` is its file's path from `root`.
    Raises ValueError for words in another encoding.
    """
    clips: dict[Path, dict[str, Any]] = {}
    for path in files:
        row = clips.setdefault(path.with_suffix(""), {"text": _words(path)})
        row.setdefault(column_of(path), str(path))
    below = [place.relative_to(root).parts for place in clips]
    names, depth = [""] * len(below), 1
    todo = range(len(below))
    while todo:
        for k in todo:
            names[k] = "-".join(below[k][-depth:])
        alike = Counter(names)
        todo = [k for k in todo if alike[names[k]] > 1 and depth < len(below[k])]
        depth += 1
    first = {path.with_suffix(""): path for path in reversed(files)}
    found = zip(names, clips.items(), strict=True)
    return [
        {"name": name, "below": first[place].relative_to(root).as_posix()} | row
        for name, (place, row) in found
    ]


def _words(path: Path) -> str | None:
    """What stands in the .txt beside a media file, if there is one.

    A link to another folder is none: words may be sent to an endpoint.
    """
    words = path.with_suffix(".txt")
    if not words.is_file() or not words.resolve().is_relative_to(path.parent.resolve()):
        return None
    try:
        return decoded(words.read_bytes(), []).strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{words} is not UTF-8: save it so, or rename it") from error
