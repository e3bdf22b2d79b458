"""MER2024 as downloaded, or as the toolkit lays it out (`corpora.mer_processed`).

```
video-labeled/                        labelled clips, .avi or .mp4
video-unlabeled-with-test2noise/      the others, about 115,000
label-disdim.csv                      name, discrete
label-transcription.csv               name, chinese, and english if there is one
new_release/candidate_20000.csv       name: the clips whose labels the challenge asks for
reference-semi.csv                    name, discrete: the test labels, released later; optional
```
"""

import os
from pathlib import Path

import pandas as pd

from agt_lib.corpora import mer_processed
from agt_lib.corpora.corpus import Corpus, Problem, build
from agt_lib.corpora.tables import read_parts

LABELLED = "video-labeled"
UNLABELLED = "video-unlabeled-with-test2noise"
LABELS = "label-disdim.csv"
TRANSCRIPTS = "label-transcription.csv"
CANDIDATES = "new_release/candidate_20000.csv"
REFERENCE = "reference-semi.csv"
MEDIA = (".avi", ".mp4")
WORDS = ("transcription-merge.csv", "label-transcription.csv")
"""Of the toolkit's layout."""


def load(root: str | Path, language: str = "chinese") -> Corpus:
    """Read MER2024 from `root`, a folder of the layout above; `language` is that of the words.

    - train: the clips of `video-labeled`; each has a label, and each label a clip.
    - test: the clips of `reference-semi.csv`, whose labels become `Corpus.answers`; without that
      file every candidate, without answers. A submission has to answer all candidates either way:
      see `submission.candidates`.
    - unlabelled: all other clips.

    With a folder `video` in place of these it is the toolkit's layout. Raises CorpusError with all
    files and folders that are missing or can't be read, or else with all rows and clips at fault.
    """
    mer_processed.check_language(language)
    root = Path(root).absolute()
    if (root / "video").is_dir() and not (root / LABELLED).exists():
        return mer_processed.load("mer2024", root, WORDS, language)
    source = f"MER2024 at {root}"
    missing = [
        Problem(str(root / folder), "folder", f"missing; expected clips ({' or '.join(MEDIA)})")
        for folder in (LABELLED, UNLABELLED)
        if not (root / folder).is_dir()
    ]
    columns = {LABELS: ["discrete"], TRANSCRIPTS: [language], CANDIDATES: []}
    if answered := (root / REFERENCE).exists():
        columns[REFERENCE] = ["discrete"]
    tables, problems = read_parts(source, root, columns, missing)
    labelled, others = (_clips(root / folder, problems) for folder in (LABELLED, UNLABELLED))
    for part, clips in ((LABELS, labelled), (CANDIDATES, others), (REFERENCE, others)):
        for name, where in tables[part]["where"].items() if part in tables else ():
            if name not in clips.index:
                problems.append(Problem(where, "name", f"no clip has the name {name!r}"))

    test = tables[REFERENCE if answered else CANDIDATES].reindex(columns=["discrete", "where"])
    others = others.assign(split="unlabelled").join(test)
    others.loc[others["where"].notna(), "split"] = "test"
    labelled = labelled.assign(split="train").join(
        tables[LABELS].reindex(columns=["discrete", "where", "valence"])
    )
    for video in labelled.loc[labelled["discrete"].isna(), "video"]:
        problems.append(Problem(video, "emotion", f"no label for it in {LABELS}"))
    table = pd.concat([labelled, others]).rename(columns={"discrete": "emotion"})
    table["text"] = tables[TRANSCRIPTS][language].reindex(table.index)
    notes = [f"{table['text'].isna().sum()} of {len(table)} clips have no text"]
    if not answered:
        notes.append(f"no {REFERENCE}: all {len(test)} candidates are test, without answers")
    return build(
        "mer2024",
        table.assign(video=f"{root}/" + table["video"]).reset_index(),
        source=source,
        where=table["video"] + (" (" + table["where"] + ")").fillna(""),
        problems=problems,
        notes=notes,
        check_files=False,  # the folders have just been listed
    )


def _clips(folder: Path, problems: list[Problem]) -> pd.DataFrame:
    """The clips' files as `video` ("FOLDER/FILE"), indexed by name, in the order of names.

    If there are none, `problems` gets one more.
    """
    with os.scandir(folder) as entries:  # says what is a file without a system call for each
        files = sorted(entry.name for entry in entries if entry.is_file())
    files = [f for f in files if f.lower().endswith(MEDIA) and not f.startswith(".")]
    if not files:
        problems.append(Problem(folder.name, "video", f"no {' or '.join(MEDIA)} files in {folder}"))
    names = pd.Index([file.partition(".")[0] for file in files], dtype="str", name="name")
    videos = pd.DataFrame({"video": [f"{folder.name}/{file}" for file in files]}, names)
    return videos.sort_index(kind="stable")


def recognises(root: Path) -> bool:
    """Whether `root` holds MER2024, as downloaded or as the toolkit lays it out."""
    processed = (root / "video").is_dir() and any(
        (root / name).is_file() for name in (LABELS, "label-6way.npz")
    )
    return (root / LABELLED).is_dir() or processed
