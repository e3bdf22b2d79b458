"""A user's own clips, listed in a CSV file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agt_lib.corpora.corpus import COLUMNS, Corpus, CorpusError, Problem, build
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.corpora.tables import read_rows

MEDIA = ("video", "audio", "text")


def load(root: str | Path, labels: Sequence[str] = EMOTIONS) -> Corpus:
    """Read the CSV file `root`: UTF-8, one header, one row per clip.

    Columns: `name`, at least one of `video`, `audio` and `text`, and, where known, `split`,
    `emotion` and `speaker`; others are ignored with a note. Files are named relative to the CSV's
    own folder (or absolutely). Without a `split` column, clips with an emotion are train and the
    others unlabelled. Emotions are of `labels`, in any case; a corpus without any serves for
    extraction. An empty text is an absent one. Labels of test rows become `Corpus.answers`.

    Raises CorpusError with every problem and its row (the header is row 1).
    """
    path = Path(root).absolute()
    table, problems = read_rows(path, ["name"])
    if table is None:
        raise CorpusError(str(path), problems)
    if not any(column in table for column in MEDIA):
        message = f"missing columns: at least one of {', '.join(MEDIA)} is needed"
        problems.append(Problem("row 1", "media", message))

    notes = []
    if ignored := [column for column in table if column not in ("name", *COLUMNS)]:
        notes.append(f"ignored columns: {', '.join(map(repr, ignored))}")
    where = [f"row {row}" for row in table.index]
    if "name" not in table:
        table["name"] = where  # so that the other columns' problems are found as well
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
