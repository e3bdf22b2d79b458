"""MELD as downloaded (Poria et al. 2019): its CSV files, its clips, its splits.

```
train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv    anywhere below the root
train_splits/, dev_splits_complete/, output_repeated_splits_test/    dia0_utt0.mp4 and so on
```

A few rows have no clip, and some files have no row: both are known of this corpus, and are counted.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build
from agt_lib.corpora.media_files import column_of, media_below
from agt_lib.corpora.own_labels import chosen_labels
from agt_lib.corpora.tables import read_rows

OWN = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
TO_SIX = {
    "neutral": "neutral", "surprise": "surprise", "fear": "worried", "sadness": "sad",
    "joy": "happy", "anger": "angry",
}  # fmt: skip
FOLDERS = {
    "train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test",
}  # fmt: skip
COLUMNS = ["utterance", "speaker", "emotion", "dialogue_id", "utterance_id"]
QUOTES = {0x91: "'", 0x92: "'", 0x93: '"', 0x94: '"', 0x85: "...", 0x96: "-", 0x97: "-"}
"""Windows' quotation marks, which its tables hold as control characters."""


def load(root: str | Path, labels: Sequence[str] = ()) -> Corpus:
    """Read MELD from `root`: all its seven labels, or as `labels` say (see `chosen_labels`).

    Raises CorpusError with all files that are missing and all rows at fault.
    """
    root = Path(root).absolute()
    source = f"MELD at {root}"
    names, becomes = chosen_labels(labels, OWN, TO_SIX)
    clips: dict[tuple[str, str, str], Path] = {}
    strange = 0
    for path in media_below(root):
        split = next((s for s, folder in FOLDERS.items() if folder in path.parts), None)
        if split and path.stem.startswith("dia"):
            clips[column_of(path), split, path.stem] = path
        else:
            strange += 1
    parts, problems = [], []
    for split in FOLDERS:
        found = sorted(root.rglob(f"{split}_sent_emo.csv"))
        if not found:
            message = f"missing; expected a table with {', '.join(COLUMNS)}"
            problems.append(Problem(f"{split}_sent_emo.csv", "file", message))
            continue
        table, wrong = read_rows(found[0], COLUMNS, f"{found[0].name} ")
        problems += wrong
        if table is not None and set(COLUMNS) <= set(table):
            where = [f"{found[0].name} row {row}" for row in table.index]
            parts.append(table[COLUMNS].assign(split=split, where=where))
    if problems:
        raise CorpusError(source, problems)
    table = pd.concat(parts, ignore_index=True)
    stem = "dia" + table["dialogue_id"] + "_utt" + table["utterance_id"]
    for column in ("video", "audio"):
        found = [clips.get((column, *key)) for key in zip(table["split"], stem, strict=True)]
        table[column] = [path and str(path) for path in found]
    table["name"] = table["split"] + "_" + stem
    table["text"] = [
        text and text.translate(QUOTES).replace("Â", "") for text in table["utterance"]
    ]
    emotion = table["emotion"].str.strip().str.lower()
    out = emotion.isin(OWN) & ~emotion.isin(becomes)
    notes = [
        f"{n} clips of {label} are left out"
        for label, n in emotion[out].value_counts(sort=False).items()
    ]
    media = table[["video", "audio"]].stack().dropna()
    lone = table.loc[table[["video", "audio"]].isna().all(axis=1), "split"].value_counts(sort=False)
    if len(lone):
        where = ", ".join(f"{n} of {split}" for split, n in lone.items())
        notes.append(f"{lone.sum()} rows have no clip ({where}): their words alone are read")
    if strange := strange + len(set(map(str, clips.values())) - set(media)):
        notes.append(f"{strange} media files have no row: they are not read")
    table = table.assign(emotion=emotion.map(lambda label: becomes.get(label, label)))[~out]
    return build(
        "meld", table.drop(columns="where"), source=source, where=table["where"], labels=names,
        notes=notes,
    )  # fmt: skip


def recognises(root: Path) -> bool:
    """Whether MELD's three tables lie in `root` or one folder below."""
    return root.is_dir() and all(
        any([*root.glob(f"{split}_sent_emo.csv"), *root.glob(f"*/{split}_sent_emo.csv")])
        for split in FOLDERS
    )
