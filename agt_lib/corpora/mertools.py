"""Labels and names of clips as MERTools lays them out beside its features, without any media.

```
label-disdim.csv                      name, discrete, and speaker where known
features/{FEATURE}/{name}.npy         or {FEATURE}/{name}.npy
reference-semi.csv                    name, discrete: the test labels; optional
```

A FEATURE ending in -UTT or _UTT is one vector (D,) a clip, in -FRA or _FRA one a frame (T, D).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.corpora.tables import read_parts
from agt_lib.workspace.kept import digest

LABELS = "label-disdim.csv"
REFERENCE = "reference-semi.csv"
LEVELS = {"-UTT": "utterance", "_UTT": "utterance", "-FRA": "frame", "_FRA": "frame"}
"""What a feature folder's ending says."""
ENDINGS = f"in {', '.join(LEVELS)}"


def load(root: str | Path, labels: Sequence[str] = EMOTIONS) -> Corpus:
    """Read labels and names from `root`, a folder of the layout above.

    Clips with a label are train. Clips of `reference-semi.csv` are test and their labels
    `Corpus.answers`. All others that a feature folder knows are unlabelled. Raises CorpusError
    with all problems found.
    """
    root = Path(root).absolute()
    source = f"MERTools features at {root}"
    parts = [LABELS, *[REFERENCE] * (root / REFERENCE).exists()]
    tables, problems = read_parts(root, dict.fromkeys(parts, ["discrete"]))
    labelled, answers = tables[LABELS], tables.get(REFERENCE)
    folders = feature_folders(root)
    if not folders:
        message = f"none in {root / 'features'} or {root}; expected one ending {ENDINGS}"
        problems.append(Problem("features", "folder", message))
    if any(table is None for table in tables.values()):
        raise CorpusError(source, problems)

    columns = labelled.reindex(columns=["discrete", "speaker"])
    labelled = labelled[labelled["discrete"].notna()]
    rows = labelled["row"].to_dict()
    test = [] if answers is None else answers.index
    for name in labelled.index.intersection(test):
        message = f"{name!r} is a test clip in {REFERENCE} too"
        problems.append(Problem(f"{LABELS} row {rows[name]}", "name", message))
    known = set().union(*(_stems(folder) for folder in folders.values()))
    named = {**dict.fromkeys(labelled.index, "train"), **dict.fromkeys(test, "test")}
    others = dict.fromkeys(sorted(known - named.keys()), "unlabelled")
    table = pd.Series({**named, **others}, name="split", dtype="str").rename_axis("name")
    table = table.to_frame().join(columns.rename(columns={"discrete": "emotion"}))
    notes = []
    if unread := len(named.keys() - known):
        notes.append(f"{unread} of {len(named)} clips with labels have no feature file at all")
    return build(
        root.name,
        table.reset_index(),
        source=source,
        where=[f"{LABELS} row {rows[n]}" if n in rows else f"clip {n}" for n in table.index],
        labels=labels,
        answers=None if answers is None else answers["discrete"],
        problems=problems,
        notes=notes,
        features_at=root,
    )


def feature_folders(root: str | Path) -> dict[str, Path]:
    """The feature folders of `root` by name: those in `features`, then those in `root` itself."""
    folders: dict[str, Path] = {}
    for parent in (Path(root) / "features", Path(root)):
        if parent.is_dir():
            for folder in sorted(parent.iterdir()):
                if folder.name[-4:] in LEVELS and folder.is_dir():
                    folders.setdefault(folder.name, folder)
    return folders


def stamps(root: str | Path, folders: Mapping[str, str]) -> dict[str, str]:
    """A hash of the feature files of each modality's folder: names, sizes, times of change.

    Raises ValueError, listing the folders there are, where one is not there.
    """
    there = feature_folders(root)
    if missing := [f"{m} {name!r}" for m, name in folders.items() if name not in there]:
        raise ValueError(
            "MERTools' features are given by a folder's name for each modality, or an empty one; "
            f"not there: {', '.join(missing)}. Folders: {', '.join(there)}"
        )
    found = {}
    for modality, name in folders.items():
        files = sorted(there[name].glob("*.npy"))
        status = [(path.name, path.stat()) for path in files]
        found[modality] = digest([name, [(n, s.st_size, s.st_mtime_ns) for n, s in status]])
    return found


def _stems(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name.removesuffix(".npy") for entry in entries if entry.name.endswith(".npy")}
