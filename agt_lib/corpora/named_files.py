"""Corpora whose files' names carry labels and speakers: their one reader."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build
from agt_lib.corpora.media_files import SOUND, VIDEO, column_of, media_below
from agt_lib.corpora.own_labels import OWN, chosen_labels

LOSSLESS = (".wav", ".flac")
LOOKED_AT = 500
"""Files that are looked at before a folder is recognised."""


@dataclass(frozen=True)
class Naming:
    """How a corpus names its files.

    `read` makes of a match of `pattern` (with a file's name without ending) what is known of a
    clip: emotion (one of `own`), speaker, text; or None for a file that is no clip. Files with the
    same `utterance`, or without it the same name, are one clip. `default` is that of
    `own_labels.chosen_labels`.
    """

    corpus: str
    pattern: re.Pattern
    own: tuple[str, ...]
    to_six: Mapping[str, str]
    read: Callable[[re.Match], Mapping[str, str] | None]
    default: str = OWN

    def recognises(self, root: Path) -> bool:
        """Whether nearly all media files in `root` and below are named so."""
        if not root.is_dir():
            return False
        found = (
            path
            for path in root.rglob("*")
            if path.suffix.lower() in (*SOUND, *VIDEO) and not path.name.startswith(".")
        )
        fits = [bool(self.pattern.fullmatch(path.stem)) for path in islice(found, LOOKED_AT)]
        return bool(fits) and sum(fits) > 0.9 * len(fits)

    def load(self, root: str | Path, labels: Sequence[str] = ()) -> Corpus:
        """Read the files in `root` and below; raises CorpusError if there is none of this name."""
        root = Path(root).absolute()
        source = f"{self.corpus} at {root}"
        names, becomes = chosen_labels(labels, self.own, self.to_six, self.default)
        files = media_below(root)
        files.sort(key=lambda path: path.suffix.lower() not in LOSSLESS)
        rows: dict[str, dict] = {}
        strange = double = 0
        for path in files:
            match = self.pattern.fullmatch(path.stem)
            about = match and self.read(match)
            if not about:
                strange += 1
                continue
            row = rows.setdefault(about.get("utterance", path.stem), {"name": path.stem} | about)
            double += column_of(path) in row
            row.setdefault(column_of(path), str(path))
        if not rows:
            message = f"no file is named as {self.corpus} names them; {len(files)} media files here"
            raise CorpusError(source, [Problem(str(root), "files", message)])
        table = pd.DataFrame(rows.values())
        out = ~table["emotion"].isin(becomes)
        notes = [
            f"{n} clips of {label} are left out"
            for label, n in table.loc[out, "emotion"].value_counts(sort=False).items()
        ]
        if strange:
            notes.append(f"{strange} of {len(files)} media files are no clips of {self.corpus}")
        if double:
            notes.append(f"{double} files are further copies of a clip; wav or flac go first")
        table = table[~out].assign(split="train", emotion=table["emotion"].map(becomes))
        return build(
            self.corpus, table, source=source, labels=names, notes=notes,
            where=[f"clip {name!r}" for name in table["name"]],
        )  # fmt: skip
