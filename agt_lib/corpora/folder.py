"""A folder of recordings: a folder for each emotion, or loose clips without labels."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build
from agt_lib.corpora.labels import EMOTIONS, normalise, understood
from agt_lib.corpora.media_files import media_below, rows_of
from agt_lib.corpora.own_labels import OWN, SIX


def load(root: str | Path, labels: Sequence[str] = EMOTIONS, speaker: str = "") -> Corpus:
    """Read all media files in `root` and below.

    A clip's emotion is the name of the nearest folder above it that is one of `labels` ("own": all
    folders' names, "six": MER2024's); without one it is unlabelled. Its words are those of a .txt
    beside it. `speaker` is a regular expression: what its first group (or all of it) finds in the
    clip's path below `root` is the speaker. Raises CorpusError for a folder without media, and
    ValueError for what is no regular expression.
    """
    root = Path(root).absolute()
    source, labels = f"recordings in {root}", tuple(labels) or EMOTIONS
    try:
        pattern = re.compile(speaker) if speaker else None
    except re.error as error:
        raise ValueError(f"speaker={speaker!r} is no regular expression: {error}") from error
    files = media_below(root) if root.is_dir() else []
    if not files:
        message = "no media files in it" if root.is_dir() else "no such folder"
        raise CorpusError(source, [Problem(str(root), "files", message)])
    rows, unnamed, strange = rows_of(root, files), 0, Counter()
    if labels == (OWN,):
        names = {normalise(row["below"].split("/")[-2]) for row in rows if "/" in row["below"]}
        labels = tuple(sorted(names))
    labels = EMOTIONS if labels == (SIX,) else labels
    for row in rows:
        folders = row["below"].split("/")[:-1]
        found = [label for part in folders if (label := understood(part, labels))]
        row |= {
            "emotion": found[-1] if found else None,
            "split": "train" if found else "unlabelled",
        }
        if folders and not found:
            strange[folders[-1]] += 1
        if pattern is not None:
            match = pattern.search(row["below"])
            unnamed += match is None
            row["speaker"] = match and match.group(1 if pattern.groups else 0)
    notes = [f"{unnamed} of {len(rows)} clips have no speaker by {speaker!r}"] if unnamed else []
    no_label = "which is no label: they are unlabelled (labels own takes all folders)"
    notes += [f"{n} clips in a folder {f!r}, {no_label}" for f, n in strange.items()]
    where = [row["below"] for row in rows]
    return build(
        root.name, pd.DataFrame(rows), source=source, where=where, labels=labels, notes=notes
    )


def recognises(root: Path) -> bool:
    """Whether `root` has folders of two of the six emotions, and most are named after one."""
    if not root.is_dir():
        return False
    folders = [path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."]
    named = sum(understood(name, EMOTIONS) is not None for name in folders)
    return named > max(1, len(folders) / 2)
