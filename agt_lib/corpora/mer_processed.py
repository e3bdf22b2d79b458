"""MER2024 and MER2025 as the toolkit lays them out for training: all clips in one folder.

```
video/{name}.mp4 or .avi      every clip
audio/{name}.wav              optional: else the sound of the video
LABELS                        as beside features: see `corpora.mertools`
WORDS                         name, chinese, and english if there is one
```
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build, listed
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.corpora.media_files import media_below
from agt_lib.corpora.mertools import read_labels
from agt_lib.corpora.tables import read_parts

LANGUAGES = ("chinese", "english")


def check_language(language: str) -> None:
    """Raise ValueError for what is no language of the transcripts."""
    if language not in LANGUAGES:
        raise ValueError(f"language is one of {', '.join(LANGUAGES)}; got {language!r}")


def load(
    name: str, root: Path, words: Sequence[str], language: str, labels: Sequence[str] = EMOTIONS
) -> Corpus:
    """Read the corpus `name` from `root`, a folder of the layout above.

    `words` are the files that may hold transcripts; the first that is there is read. Clips without
    a label that are no test clips are unlabelled. Raises CorpusError with all that is missing or
    at fault, the language among it.
    """
    check_language(language)
    source = f"{name} at {root}"
    videos, sounds = (_by_name(root / folder) for folder in ("video", "audio"))
    missing = []
    if not videos and not sounds:
        missing.append(Problem("video", "folder", f"no media files in {root / 'video'} or audio"))
    table, beside, problems, notes = read_labels(root, source, missing)
    others = sorted((videos.keys() | sounds.keys()) - set(table.index))
    others = pd.DataFrame(index=pd.Index(others, dtype="str"))
    others = others.assign(split="unlabelled", where="clip " + others.index)
    table = pd.concat([table, others]).rename_axis("name").join(beside)
    double = [f for found in (videos, sounds) for files in found.values() for f in files[1:]]
    problems += [Problem(f, "name", "another file has this name too") for f in double]
    gone = [clip for clip in table.index if clip not in videos and clip not in sounds]
    if gone:  # each is a clip that fails when it is read
        notes.append(f"{len(gone)} clips of the tables have no file: {listed(gone, 5)}")
    expected = {clip: [str(root / "video" / f"{clip}.mp4")] for clip in gone}
    table["video"] = [(videos | expected).get(clip, [None])[0] for clip in table.index]
    table["audio"] = [sounds.get(clip, [None])[0] for clip in table.index]
    there = [file for file in words if (root / file).is_file()][:1]
    for file in there:
        texts, wrong = read_parts(source, root, {file: [language]}, [])
        problems += wrong
        table["text"] = texts[file][language].reindex(table.index)
    if problems:
        raise CorpusError(source, problems)
    silent = int(table["text"].isna().sum()) if there else len(table)
    notes.append(f"{silent} of {len(table)} clips have no text")
    return build(
        name, table.reset_index(), source=source, where=table["where"], labels=labels, notes=notes,
        check_files=False,
    )  # fmt: skip


def _by_name(folder: Path) -> dict[str, list[str]]:
    """The media files in `folder` by clip name, which ends at the first point."""
    found: dict[str, list[str]] = {}
    for path in media_below(folder):
        found.setdefault(path.name.partition(".")[0], []).append(str(path))
    return found
