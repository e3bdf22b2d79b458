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

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build
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
    videos = {path.name.partition(".")[0]: str(path) for path in media_below(root / "video")}
    sounds = {path.name.partition(".")[0]: str(path) for path in media_below(root / "audio")}
    missing = []
    if not videos and not sounds:
        missing.append(Problem("video", "folder", f"no media files in {root / 'video'} or audio"))
    table, speakers, problems, notes = read_labels(root, source, missing)
    others = sorted((videos.keys() | sounds.keys()) - set(table.index))
    others = pd.DataFrame(index=pd.Index(others, dtype="str"))
    others = others.assign(split="unlabelled", where="clip " + others.index)
    table = pd.concat([table, others]).rename_axis("name").join(speakers)
    for clip, where in table["where"].items():
        if clip not in videos and clip not in sounds:
            problems.append(Problem(where, "name", f"no clip has the name {clip!r}"))
    table["video"] = table.index.map(videos.get)
    table["audio"] = table.index.map(sounds.get)
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
