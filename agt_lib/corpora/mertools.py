"""Labels and names of clips as MERTools lays them out beside its features, without any media.

```
label-disdim.csv                      name, discrete, and speaker if known
features/{FEATURE}/{name}.npy         or {FEATURE}/{name}.npy
reference-semi.csv                    name, discrete: the test labels; optional
```

A FEATURE ending in -UTT or _UTT is one vector (D,) a clip, in -FRA or _FRA one a frame (T, D).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, Problem, build
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.corpora.tables import read_parts
from agt_lib.workspace.kept import digest

LABELS = "label-disdim.csv"
REFERENCE = "reference-semi.csv"
ENDINGS = ("-UTT", "_UTT", "-FRA", "_FRA")
"""Endings of the names of feature folders."""


def load(root: str | Path, labels: Sequence[str] = EMOTIONS) -> Corpus:
    """Read labels and names from `root`, a folder of the layout above.

    Clips with a label are train. Clips of `reference-semi.csv` are test and their labels
    `Corpus.answers`. All others that a feature folder knows are unlabelled. Raises CorpusError
    with all problems found.
    """
    root = Path(root).absolute()
    source = f"MERTools features at {root}"
    folders = feature_folders(root)
    message = f"none in {root / 'features'} or {root}: expected one ending in {', '.join(ENDINGS)}"
    missing = [] if folders else [Problem("features", "folder", message)]
    parts = [LABELS, *[REFERENCE] * (root / REFERENCE).exists()]
    tables, problems = read_parts(source, root, dict.fromkeys(parts, ["discrete"]), missing)
    columns = ["discrete", "where"]
    train = tables[LABELS][columns].dropna().assign(split="train")
    test = tables.get(REFERENCE, train[:0])[columns].assign(split="test")
    labelled = pd.concat([train, test]).rename(columns={"discrete": "emotion"})
    known = {path.stem for folder in folders.values() for path in folder.glob("*.npy")}
    notes = []
    if unread := len(set(labelled.index) - known):
        notes.append(f"{unread} of {len(labelled)} clips with labels have no feature file at all")
    others = pd.DataFrame(index=pd.Index(sorted(known - set(labelled.index)), dtype="str"))
    others = others.assign(split="unlabelled", where="clip " + others.index)
    table = pd.concat([labelled, others]).rename_axis("name")
    speakers = tables[LABELS].reindex(columns=["speaker"])
    return build(
        root.name,
        table.join(speakers).reset_index(),
        source=source,
        where=table["where"],
        labels=labels,
        problems=problems,
        notes=notes,
        features_at=root,
    )


def feature_folders(root: str | Path) -> dict[str, Path]:
    """The feature folders of `root` by name: those in `features`, then those in `root` itself."""
    folders: dict[str, Path] = {}
    for parent in (Path(root) / "features", Path(root)):
        for folder in sorted(parent.glob("*")):
            if folder.name.endswith(ENDINGS) and folder.is_dir():
                folders.setdefault(folder.name, folder)
    return folders


def stamps(root: str | Path, folders: Mapping[str, str]) -> dict[str, str]:
    """A hash of the feature files of each modality's folder: names, sizes, times of change.

    Raises ValueError, with the folders there are, if one of `folders` is missing.
    """
    there = feature_folders(root)
    if missing := [f"{m} {name!r}" for m, name in folders.items() if name not in there]:
        raise ValueError(
            "MERTools' features are given by a folder's name for each modality, or an empty one; "
            f"not there: {', '.join(missing)}. Folders: {', '.join(there)}"
        )
    found = {}
    for modality, name in folders.items():
        status = [(path.name, path.stat()) for path in sorted(there[name].glob("*.npy"))]
        found[modality] = digest([name, [(n, s.st_size, s.st_mtime_ns) for n, s in status]])
    return found
