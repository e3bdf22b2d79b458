"""A user's own clips, listed in a CSV file."""

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import COLUMNS, Corpus, CorpusError, Problem, build
from agt_lib.corpora.labels import EMOTIONS, normalise
from agt_lib.corpora.own_labels import OWN, SIX
from agt_lib.corpora.tables import read_rows

MEDIA = ("video", "audio", "text")


def load(root: str | Path, labels: Sequence[str] = EMOTIONS) -> Corpus:
    """Read the CSV file `root`: one header, one row per clip (see `tables.read_rows`).

    Columns: `name`, at least one of `video`, `audio` and `text`, and, where known, `split`,
    `emotion` and `speaker`; others are ignored with a note. A clip without a name has that of its
    file, without its ending. Files are named relative to the CSV's own folder (or absolutely).
    Without a `split` column, clips with an emotion are train and the others unlabelled. Emotions
    are of `labels` ("own": those that occur, "six": MER2024's), in any case; a corpus without any
    serves for extraction. An empty text is an absent one. Labels of test rows become
    `Corpus.answers`.

    Raises CorpusError with every problem and its row (the header is row 1).
    """
    path = Path(root).absolute()
    table, problems = read_rows(path, [])
    if table is None:
        raise CorpusError(str(path), problems)
    notes = list(table.attrs["notes"])
    if not any(column in table for column in MEDIA):
        message = f"missing columns: at least one of {', '.join(MEDIA)} is needed"
        problems.append(Problem("row 1", "media", message))

    if ignored := [column for column in table if column not in ("name", *COLUMNS)]:
        notes.append(f"ignored columns: {', '.join(map(repr, ignored))}")
    where = [f"row {row}" for row in table.index]
    notes += _named(table, where, problems)
    if tuple(labels) in ((SIX,), (OWN,)):
        found = {normalise(e) for e in table.get("emotion", ())} - {None}
        own = tuple(sorted(found)) if len(found) > 1 else (*found, *EMOTIONS)
        labels = EMOTIONS if tuple(labels) == (SIX,) else tuple(dict.fromkeys(own))
    has_split = "split" in table
    table = table.reindex(columns=["name", *COLUMNS]).astype("str")
    if not has_split:
        table["split"] = np.where(table["emotion"].notna(), "train", "unlabelled")
        notes.append("no split column: clips with an emotion are train, the others unlabelled")
    for column in ("name", "speaker", "text"):
        table[column] = table[column].str.strip()
    for column in ("video", "audio"):
        table[column] = [
            path.parent / cell.strip() if isinstance(cell, str) else None for cell in table[column]
        ]
    if n := int(table["text"].isna().sum()):
        notes.append(f"{n} of {len(table)} clips have no text")
    return build(
        path.stem,
        table,
        source=str(path),
        where=where,
        labels=labels,
        notes=notes,
        problems=problems,
    )


def _named(table: pd.DataFrame, where: Sequence[str], problems: list[Problem]) -> list[str]:
    """Give clips without a name that of their file; `problems` gain a column that is missing."""
    files = [column for column in ("video", "audio") if column in table]
    if "name" not in table and not files:
        header = ", ".join(table.columns) or "nothing"
        problems.append(Problem("row 1", "name", f"missing column; the header has {header}"))
        table["name"] = list(where)  # so that the other columns' problems are found as well
        return []
    given = table["name"] if "name" in table else pd.Series(None, table.index, dtype=object)
    stems = table[files].bfill(axis=1).iloc[:, 0] if files else given
    stems = [None if pd.isna(file) else PureWindowsPath(file.strip()).stem for file in stems]
    empty = given.isna().to_numpy()
    table["name"] = [s if e else g for s, e, g in zip(stems, empty, given, strict=True)]
    named = int(sum(e and s is not None for s, e in zip(stems, empty, strict=True)))
    return [f"{named} clips have no name: their files' names are taken"] if named else []


def recognises(root: Path) -> bool:
    """Whether `root` is a CSV file."""
    return root.is_file() and root.suffix.lower() in (".csv", ".tsv", ".txt")
