"""Features and labels as MERTools writes them, without any media.

```
label-disdim.csv                      name, discrete, and speaker where known
features/{FEATURE}/{name}.npy         or {FEATURE}/{name}.npy
reference-semi.csv                    name, discrete: the test labels; optional
```

A FEATURE ending in -UTT or _UTT is one vector (D,) a clip, in -FRA or _FRA one a frame (T, D).
"""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib.artefact import digest
from agt_lib.corpora.tables import read_named
from agt_lib.corpus import Corpus, CorpusError, Problem, build, name_problem
from agt_lib.emotions import EMOTIONS
from agt_lib.features import FAILURE_COLUMNS, Features

LABELS = "label-disdim.csv"
REFERENCE = "reference-semi.csv"
LEVELS = {"-UTT": "utterance", "_UTT": "utterance", "-FRA": "frame", "_FRA": "frame"}


def load(root: str | Path, labels: Sequence[str] = EMOTIONS) -> Corpus:
    """Read labels and names from `root`, a folder of the layout above.

    Clips with a label are train. Clips of `reference-semi.csv` are test and their labels
    `Corpus.answers`. All others that a feature folder knows are unlabelled. Raises CorpusError
    with all problems found.
    """
    root = Path(root).absolute()
    source = f"MERTools features at {root}"
    labelled, problems = read_named(root / LABELS, ["discrete"], f"{LABELS} ")
    answers = None
    if (root / REFERENCE).exists():
        answers, found = read_named(root / REFERENCE, ["discrete"], f"{REFERENCE} ")
        problems += found
    folders = feature_folders(root)
    if not folders:
        message = f"none in {root / 'features'} or {root}; expected one ending {_endings()}"
        problems.append(Problem("features", "folder", message))
    if labelled is None or (answers is None and (root / REFERENCE).exists()):
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


def features(root: str | Path, folder: str, modality: str, names: Sequence[str]) -> Features:
    """Read the features `folder` of the clips `names`: (N, D), or (N, T, D) with lengths.

    A clip without a file, or whose features are all zero (which is what MERTools writes where it
    could read nothing), is absent and listed in `failures`. The fingerprint hashes what was read:
    read all clips at once and `select` from them, so that parts keep the same one.

    Raises CorpusError for an unknown folder, names that are unfit, no file at all, and, listing
    every file at fault, for files that are no numeric .npy, or hold NaN, infinity, another number
    of dimensions than the folder's name says, or another width than most files.
    """
    root, names = Path(root).absolute(), list(names)
    source = f"features {folder!r} at {root}"
    folders = feature_folders(root)
    if folder not in folders:
        available = ", ".join(folders) or f"none; expected folders ending {_endings()}"
        message = f"no such feature folder; available: {available}"
        raise CorpusError(source, [Problem(folder, modality, message)])
    unfit = [Problem("names", "name", message) for name in names if (message := name_problem(name))]
    if unfit:
        raise CorpusError(source, unfit)

    n_dims = 1 if LEVELS[folder[-4:]] == "utterance" else 2
    arrays: dict[str, np.ndarray] = {}
    problems, failures = [], []
    for name in names:
        path = folders[folder] / f"{name}.npy"
        try:
            array = _read(path, n_dims)
        except FileNotFoundError:
            failures.append((name, "file", f"no such file: {path}"))
        except ValueError as error:
            problems.append(Problem(path.name, modality, str(error)))
        else:
            if array.any():
                arrays[name] = array
            else:
                failures.append((name, "file", f"all values are zero: {path}"))
    if not arrays and not problems:
        message = f"none of {len(names)} clips has features here"
        problems.append(Problem(str(folders[folder]), modality, message))
    widths = Counter(array.shape[-1] for array in arrays.values())
    dim = widths.most_common(1)[0][0] if widths else 0
    for name, array in arrays.items():
        if array.shape[-1] != dim:
            message = f"width {array.shape[-1]}; expected {dim}, as in {widths[dim]} other files"
            problems.append(Problem(f"{name}.npy", modality, message))
    if problems:
        raise CorpusError(source, problems)
    content = {name: hashlib.sha256(array).hexdigest() for name, array in arrays.items()}
    values, lengths = _stack(arrays, names, dim, n_dims)
    return Features(
        modality=modality,
        names=tuple(names),
        values=values,
        present=np.array([name in arrays for name in names]),
        fingerprint=digest({"mertools": folder, "dim": dim, "content": content}),
        lengths=lengths,
        failures=pd.DataFrame(failures, columns=list(FAILURE_COLUMNS), dtype="str"),
    )


def _endings() -> str:
    return f"in {', '.join(LEVELS)}"


def _stems(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name.removesuffix(".npy") for entry in entries if entry.name.endswith(".npy")}


def _read(path: Path, n_dims: int) -> np.ndarray:
    """One file as float32. ValueError says what is wrong with it, FileNotFoundError that it is
    missing."""
    with path.open("rb") as file:
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except Exception as error:  # NumPy's parser raises of all kinds over a damaged header
            raise ValueError(f"no numeric .npy file: {error}") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"holds {array.dtype}; expected numbers")
    if array.ndim != n_dims or not array.size:
        expected = "(D,), one vector" if n_dims == 1 else "(T, D), one vector for each frame"
        raise ValueError(f"shape {array.shape}; expected {expected}")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is told below
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        kinds = [("NaN", np.isnan(array).sum()), ("infinity", np.isinf(array).sum())]
        raise ValueError(" and ".join(f"{kind} in {n} values" for kind, n in kinds if n))
    return array


def _stack(
    arrays: dict[str, np.ndarray], names: Sequence[str], dim: int, n_dims: int
) -> tuple[np.ndarray, np.ndarray | None]:
    if n_dims == 1:
        values = np.zeros((len(names), dim), dtype=np.float32)
        for i, name in enumerate(names):
            if name in arrays:
                values[i] = arrays[name]
        return values, None
    lengths = np.array([len(arrays.get(name, ())) for name in names], dtype=np.int64)
    values = np.zeros((len(names), lengths.max(), dim), dtype=np.float32)  # (N, T, D)
    for i, name in enumerate(names):
        if name in arrays:
            values[i, : lengths[i]] = arrays[name]
    return values, lengths
