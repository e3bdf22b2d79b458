"""Labels and names of clips as MERTools lays them out beside its features, without any media.

```
label-disdim.csv                      name, discrete, and speaker if known
features/{FEATURE}/{name}.npy         or {FEATURE}/{name}.npy
reference-semi.csv                    name, discrete: the test labels; optional
```

In place of the first, in this order: `track1_train_disdim.csv` (MER2025; its answers stand in
`track1_test_dis.csv`), or `label-6way.npz`, `track1_label_6way.npz`. Without answers
`track_all_candidates.csv` names the test clips. A FEATURE ending in -UTT or
_UTT is one vector (D,) a clip, in -FRA or _FRA one a frame (T, D).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, Problem, build
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.corpora.npz_labels import read_npz_labels
from agt_lib.corpora.tables import read_parts
from agt_lib.workspace.kept import stamp

LABELS, LABELS_2025 = "label-disdim.csv", "track1_train_disdim.csv"
REFERENCE, REFERENCE_2025 = "reference-semi.csv", "track1_test_dis.csv"
CANDIDATES = "track_all_candidates.csv"
ARCHIVES = ("label-6way.npz", "track1_label_6way.npz")
LEAK = (
    "MER2025's labelled clips seem to hold MER2024's test sets: don't report scores on MER2024's "
    "test clips of models that were trained on them"
)
ENDINGS = ("-UTT", "_UTT", "-FRA", "_FRA")
"""Endings of the names of feature folders."""


def load(root: str | Path, labels: Sequence[str] = EMOTIONS) -> Corpus:
    """Read labels and names from `root`, a folder of the layout above.

    Clips with a label are train. Clips whose labels were released later are test and these are
    `Corpus.answers`; candidates are test without answers. All others that a feature folder knows
    are unlabelled. Raises CorpusError with all problems found.
    """
    root = Path(root).absolute()
    source = f"MERTools features at {root}"
    folders = feature_folders(root)
    message = f"none in {root / 'features'} or {root}: expected one ending in {', '.join(ENDINGS)}"
    missing = [] if folders else [Problem("features", "folder", message)]
    labelled, beside, problems, notes = read_labels(root, source, missing)
    known = {path.stem for folder in folders.values() for path in feature_files(folder)}
    if unread := len(set(labelled.index) - known):
        notes.append(f"{unread} of {len(labelled)} clips with labels have no feature file at all")
    others = pd.DataFrame(index=pd.Index(sorted(known - set(labelled.index)), dtype="str"))
    others = others.assign(split="unlabelled", where="clip " + others.index)
    table = pd.concat([labelled, others]).rename_axis("name")
    return build(
        root.name,
        table.join(beside).reset_index(),
        source=source,
        where=table["where"],
        labels=labels,
        problems=problems,
        notes=notes,
        features_at=root,
    )


def read_labels(
    root: Path, source: str, missing: Sequence[Problem] = ()
) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem], list[str]]:
    """The labels that lie in `root`: a table by clip name with emotion, split and where.

    Beside it speakers and valences by name, as far as they are known, what is wrong with the files,
    and notes. Raises CorpusError, with what is `missing` already, if there are none or they can't
    be read.
    """
    there = [name for name in (LABELS, LABELS_2025, *ARCHIVES) if (root / name).exists()]
    first = there[0] if there else LABELS
    notes = [f"labels are read from {first}, not {', '.join(there[1:])}"] if there[1:] else []
    notes += [LEAK] * (first in (LABELS_2025, ARCHIVES[1]))
    of_2025 = first in (LABELS_2025, ARCHIVES[1])
    test = (REFERENCE_2025, CANDIDATES) if of_2025 else (REFERENCE, CANDIDATES)
    test = [name for name in test if (root / name).exists()][:1]
    columns = {} if first in ARCHIVES else {first: ["discrete"]}
    columns |= {name: [] if name == CANDIDATES else ["discrete"] for name in test}
    tables, problems = read_parts(source, root, columns, missing)
    notes += [note for table in tables.values() for note in table.attrs.get("notes", ())]
    beside = pd.DataFrame({"speaker": []})
    if first in ARCHIVES:
        table, more = read_npz_labels(root / first)
        notes += more
        if of_2025 and not test:  # what is filled there are the candidates
            table.loc[table["split"] == "unlabelled", "split"] = "test"
    else:
        table = tables[first][["discrete", "where"]].dropna().assign(split="train")
        table = table.rename(columns={"discrete": "emotion"})
        beside = tables[first].reindex(columns=["speaker", "valence"])
    for name in test:
        named = tables[name].reindex(columns=["discrete", "where"]).assign(split="test")
        if first in ARCHIVES:
            others = table.index[(table["split"] != "train") & table.index.isin(named.index)]
            table = table.drop(others)
            table.loc[table["split"] == "test", ["split", "emotion"]] = "unlabelled", None
        table = pd.concat([table, named.rename(columns={"discrete": "emotion"})])
    return table, beside, problems, notes


def feature_folders(root: str | Path) -> dict[str, Path]:
    """The feature folders of `root` by name: those in `features`, then those in `root` itself."""
    folders: dict[str, Path] = {}
    for parent in (Path(root) / "features", Path(root)):
        for folder in sorted(parent.glob("*")):
            if folder.name.endswith(ENDINGS) and folder.is_dir():
                folders.setdefault(folder.name, folder)
    return folders


def stamps(root: str | Path, folders: Mapping[str, str]) -> dict[str, str]:
    """The stamp of each modality's feature files: see `kept.stamp`.

    Raises ValueError, with the folders there are, if one of `folders` is missing.
    """
    there = feature_folders(root)
    if missing := [f"{m} {name!r}" for m, name in folders.items() if name not in there]:
        raise ValueError(
            "MERTools' features are given by a folder's name for each modality, or an empty one; "
            f"not there: {', '.join(missing)}. Folders: {', '.join(there)}"
        )
    return {modality: stamp(feature_files(there[name])) for modality, name in folders.items()}


def feature_files(folder: Path) -> list[Path]:
    """The feature files in `folder`, by name; hidden ones are no clips'."""
    return sorted(path for path in folder.glob("*.npy") if not path.name.startswith("."))


def recognises(root: Path) -> bool:
    """Whether `root` holds MERTools' features and labels, and no clips."""
    labels = (LABELS, LABELS_2025, *ARCHIVES)
    here = root.is_dir() and any((root / name).is_file() for name in labels)
    clips = any((root / name).is_dir() for name in ("video", "video-labeled"))
    return here and not clips and bool(feature_folders(root))
