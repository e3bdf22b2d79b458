"""MER2024 as downloaded: the folder `mer2024-dataset`.

```
video-labeled/                        labelled clips, .avi or .mp4
video-unlabeled-with-test2noise/      the others, about 115,000
label-disdim.csv                      name, discrete
label-transcription.csv               name, chinese
new_release/candidate_20000.csv       name: the clips whose labels the challenge asks for
reference-semi.csv                    name, discrete: the test labels, released later; optional
```
"""

import os
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build
from agt_lib.corpora.tables import read_parts

LABELLED = "video-labeled"
UNLABELLED = "video-unlabeled-with-test2noise"
LABELS = "label-disdim.csv"
TRANSCRIPTS = "label-transcription.csv"
CANDIDATES = "new_release/candidate_20000.csv"
REFERENCE = "reference-semi.csv"
EXPECTED = {
    LABELLED: "the folder of labelled clips (.avi, .mp4)",
    UNLABELLED: "the folder of unlabelled clips (.avi, .mp4)",
    LABELS: "the labels: a CSV file with the columns name, discrete",
    TRANSCRIPTS: "the transcripts: a CSV file with the columns name, chinese",
    CANDIDATES: "the candidates: a CSV file with the column name",
}
MEDIA = (".avi", ".mp4")


def load(root: str | Path) -> Corpus:
    """Read MER2024 from `root`, a folder of the layout above.

    - train: the clips of `video-labeled`; each has a label, and each label a clip.
    - test: the clips of `reference-semi.csv`, whose labels become `Corpus.answers`; without that
      file every candidate, without answers. A submission has to answer all candidates either way:
      see `submission.candidates`.
    - unlabelled: all other clips.

    Text is the column `chinese`; a clip without one has none. Raises CorpusError with all that is
    missing and what was expected where, or with all rows at fault.
    """
    root = Path(root).absolute()
    source = f"MER2024 at {root}"
    missing = [
        Problem(part, "file", f"missing; expected {what} at {root / part}")
        for part, what in EXPECTED.items()
        if not ((root / part).is_file() if part.endswith(".csv") else (root / part).is_dir())
    ]
    if missing:
        raise CorpusError(source, missing)

    columns = {LABELS: ["discrete"], TRANSCRIPTS: ["chinese"], CANDIDATES: []}
    if (root / REFERENCE).exists():
        columns[REFERENCE] = ["discrete"]
    tables, problems = read_parts(root, columns)
    if any(table is None for table in tables.values()):
        raise CorpusError(source, problems)
    labelled, unlabelled = (_clips(root / folder, problems) for folder in (LABELLED, UNLABELLED))
    problems += _strays(labelled, unlabelled, tables)

    answered = REFERENCE in tables
    test = tables[REFERENCE if answered else CANDIDATES].index.intersection(list(unlabelled))
    split = pd.Series("unlabelled", index=pd.Index([*labelled, *unlabelled], dtype="str"))
    split.iloc[: len(labelled)] = "train"
    split.loc[test] = "test"
    emotions = tables[LABELS]["discrete"].reindex(list(labelled))
    rows = tables[LABELS]["row"].to_dict()
    files = [f"{LABELLED}/{file}" for file in labelled.values()]
    files += [f"{UNLABELLED}/{file}" for file in unlabelled.values()]
    table = split.rename_axis("name").to_frame("split")
    table["emotion"] = emotions
    table["video"] = [f"{root}/{file}" for file in files]
    table["text"] = tables[TRANSCRIPTS]["chinese"].reindex(table.index)
    notes = [f"{table['text'].isna().sum()} of {len(table)} clips have no text"]
    if not answered:
        notes.append(f"no {REFERENCE}: all {len(test)} candidates are test, without answers")
    return build(
        "mer2024",
        table.reset_index(),
        source=source,
        where=[f"{LABELS} row {rows[n]}" if n in rows else n for n in labelled]
        + files[len(labelled) :],
        answers=tables[REFERENCE]["discrete"] if answered else None,
        problems=problems,
        notes=notes,
        check_files=False,  # the folders have just been listed
    )


def _clips(folder: Path, problems: list[Problem]) -> dict[str, str]:
    """Each clip's file by its name, in the order of names; faults are added to `problems`."""
    clips: dict[str, str] = {}
    with os.scandir(folder) as entries:  # says what is a file without a system call for each
        files = sorted(entry.name for entry in entries if entry.is_file())
    for file in files:
        name = file.partition(".")[0]
        if not name or not file.lower().endswith(MEDIA):  # hidden files and strangers
            continue
        if name in clips:
            message = f"is the clip {name!r}, as {clips[name]} is"
            problems.append(Problem(f"{folder.name}/{file}", "name", message))
        clips.setdefault(name, file)
    if not clips:
        problems.append(Problem(folder.name, "video", f"no {' or '.join(MEDIA)} files in {folder}"))
    return dict(sorted(clips.items()))


def _strays(
    labelled: dict[str, str], unlabelled: dict[str, str], tables: dict[str, pd.DataFrame]
) -> list[Problem]:
    """Rows without a clip and labelled clips without a label."""
    found = []
    for part, folder, clips in (
        (LABELS, LABELLED, labelled),
        (CANDIDATES, UNLABELLED, unlabelled),
        (REFERENCE, UNLABELLED, unlabelled),
    ):
        for name, row in tables[part]["row"].items() if part in tables else ():
            if name not in clips:
                message = f"no clip of the name {name!r} in {folder}"
                found.append(Problem(f"{part} row {row}", "name", message))
    labels = tables[LABELS]["discrete"]
    labels = labels[labels.notna()]
    for name in sorted(labelled.keys() - set(labels.index)):
        message = f"no label for it in {LABELS}"
        found.append(Problem(f"{LABELLED}/{labelled[name]}", "emotion", message))
    return found
