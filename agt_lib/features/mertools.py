"""MERTools' features, one .npy file a clip (see `agt_lib.corpora.mertools`): read and written."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, name_problem
from agt_lib.corpora.mertools import (
    ARCHIVES,
    CANDIDATES,
    ENDINGS,
    LABELS,
    REFERENCE,
    feature_files,
    feature_folders,
)
from agt_lib.features import VERSION
from agt_lib.features.features import FAILURE_COLUMNS, Features
from agt_lib.workspace import kept
from agt_lib.workspace.progress import bar
from agt_lib.workspace.shards import ABSENT, Shards
from agt_lib.workspace.words import neutral

AT_ONCE = 1024
"""Clips that are read or kept together."""
ZEROS = "all values are zero"


def read_features(
    root: str | Path,
    folder: str,
    modality: str,
    names: Sequence[str],
    max_failures: float = 0.05,
    counted: Sequence[str] | None = None,
) -> Features:
    """Read the features `folder` of the clips `names`: (N, D); frames (T, D) are averaged.

    All files of the folder are read once and kept as shards, where they stay until rows are asked
    for; they are read again when one of them has changed. A clip is absent and listed in `failures`
    if it has no file, if its features are all zero (MERTools writes zeros if it could read
    nothing), and if its file is at fault: no numeric .npy, NaN or infinity, another number of
    dimensions than the folder's name says, or another width than most files. The fingerprint
    hashes what was read.

    Raises CorpusError for an unknown folder, for names that are unfit, if there is no file at all,
    and, listing all of them, if more than the share `max_failures` of the clips `counted` (all, if
    none are named) are absent. Zeros don't count: they say that there was nothing to read.
    """
    root, names = Path(root).absolute(), list(names)
    source = f"features {folder!r} at {root}"
    folders = feature_folders(root)
    if folder not in folders:
        available = ", ".join(folders) or f"none; expected {', '.join(ENDINGS)}"
        message = f"no such feature folder; available: {available}"
        raise CorpusError(source, [Problem(folder, modality, message)])
    unfit = [Problem("names", "name", message) for name in names if (message := name_problem(name))]
    if unfit:
        raise CorpusError(source, unfit)

    place = folders[folder]
    made_from = {"mertools": folder, "files": kept.stamp(feature_files(place)), "version": VERSION}
    about, stored = kept.read_kept(
        "import", made_from, lambda into: _import(place, into), _read_store
    )
    row = {name: number for number, name in about["names"].items()}
    present = np.array([name in row for name in names], dtype=bool)
    why = {name: about["faults"].get(name, f"no such file: {place / name}.npy") for name in names}
    failures = [
        (name, ABSENT if why[name] == ZEROS else "file", why[name])
        for name in names
        if name not in row
    ]
    if not present.any() and not about["faults"]:
        message = f"none of {len(names)} clips has features here"
        raise CorpusError(source, [Problem(str(place), modality, message)])
    asked = set(names if counted is None else counted)
    failed = [line for line in failures if line[0] in asked and line[1] != ABSENT]
    if len(failed) > max_failures * len(asked) or not present.any():
        problems = [Problem(f"{name}.npy", modality, reason) for name, _, reason in failed]
        raise CorpusError(
            f"{source}: {len(failed)} of {len(asked)} clips are absent (max_failures "
            f"{max_failures:g})", problems or [Problem(str(place), modality, "nothing but zeros")],
        )  # fmt: skip
    values = stored.rows([row.get(name) for name in names], about["dim"])
    return Features(
        modality=modality,
        names=tuple(names),
        values=values,
        present=present,
        fingerprint=kept.digest({"mertools": folder, "content": about["content"]}),
        failures=pd.DataFrame(failures, columns=list(FAILURE_COLUMNS), dtype="str"),
    )


def _import(place: Path, into: Path) -> dict[str, object]:
    """Read all files of the folder `place` into shards, and say what is wrong with others."""
    n_dims = 1 if place.name.endswith("UTT") else 2
    files, shards = feature_files(place), Shards(into)
    for left in into.glob("shard-*"):  # of an import that was stopped
        left.unlink()
    widths: dict[str, int] = {}
    faults: dict[str, str] = {}
    with bar(len(files), place.name, "file") as progress:
        for start in range(0, len(files), AT_ONCE):
            arrays = {}
            for number, path in enumerate(files[start : start + AT_ONCE], start):
                try:
                    arrays[str(number)] = _read(path, n_dims)
                except (ValueError, OSError) as error:
                    faults[path.stem] = f"{error}"
                progress.update()
            shards.append(arrays)
            widths |= {key: array.size for key, array in arrays.items()}
    by_width = Counter(widths.values())
    dim = max(by_width, key=by_width.get, default=0)
    names = {key: files[int(key)].stem for key in widths}
    for key, width in widths.items():
        if width != dim:
            others = f"expected {dim}, as in {by_width[dim]} other files"
            faults[names.pop(key)] = f"width {width}; {others}"
    contents = [kept.file_digest(path) for path in sorted(into.glob("shard-*"))]
    return {"names": names, "faults": faults, "dim": dim, "content": kept.digest(contents, 32)}


def _read_store(store: Path) -> tuple[dict[str, Any], Shards]:
    """What `_import` returned and wrote. Raises `kept.DAMAGE` if it is something else."""
    about, shards = kept.read_manifest(store), Shards(store)
    if shards.whole(list(about["names"])) != set(about["names"]):
        raise ValueError("a shard was changed")
    if not isinstance(about["faults"], dict) or not isinstance(about["dim"], int):
        raise ValueError(f"{kept.MANIFEST} was changed")
    return about, shards


def _read(path: Path, n_dims: int) -> np.ndarray:
    """One file as float32 (D,), frames averaged; ValueError says what is wrong with it."""
    if not path.is_file():
        raise ValueError("no regular file")
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
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is masked
        array = np.ascontiguousarray(array, dtype=np.float32)
        array = array if n_dims == 1 else array.mean(0)  # (T, D) -> (D,)
    kinds = [("NaN", np.isnan(array).sum()), ("infinity", np.isinf(array).sum())]
    if bad := " and ".join(f"{kind} in {n} values" for kind, n in kinds if n):
        raise ValueError(bad)
    if not array.any():
        raise ValueError(ZEROS)
    return array


def write_tree(
    corpus: Corpus, features: Mapping[str, Features], folders: Mapping[str, str], root: str | Path
) -> Path:
    """Write features and labels as MERTools reads them, into the new folder `root`; returns it.

    Each modality's features go to `features/FOLDER/{name}.npy`, an absent clip as zeros, as
    MERTools does. Labels of train and dev go to `label-disdim.csv`, those of test clips, if they
    are known, to `reference-semi.csv`; without any the test clips' names go to
    `track_all_candidates.csv`. `label-6way.npz` says the same to MERTools: its test part are the
    clips with answers, or all test clips under the first label, as MERTools fills them. Raises
    FileExistsError if something lies at `root`, and ValueError for two modalities in one folder.
    """
    if len({folders[m] for m in features}) < len(features):
        raise ValueError(f"each modality needs a folder of its own; got {dict(folders)}")
    root = Path(root).expanduser().absolute()
    if root.exists():
        raise FileExistsError(f"{root} exists: name a new folder, nothing is overwritten")
    unfinished = root.with_name(f".{root.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    clips, answers = corpus.clips, corpus.answers
    train = clips[clips["emotion"].notna()].reindex(columns=["emotion", "speaker", "valence"])
    train = train.rename(columns={"emotion": "discrete"}).dropna(axis=1, how="all")
    neutral(train.rename_axis("name")).to_csv(unfinished / LABELS)
    test = corpus.split("test").index
    known = answers[answers.index.isin(test)].rename("discrete").rename_axis("name")
    if len(known):
        known.to_csv(unfinished / REFERENCE)
    elif len(test):
        pd.DataFrame({"name": test}).to_csv(unfinished / CANDIDATES, index=False)
    filled = known if len(known) else pd.Series(corpus.labels[0], index=test)
    parts = {"train_corpus": train["discrete"], "test1_corpus": filled}
    tables = {k: {name: {"emo": e} for name, e in part.items()} for k, part in parts.items()}
    np.savez_compressed(unfinished / ARCHIVES[0], **tables)
    for modality, part in features.items():
        place = unfinished / "features" / folders[modality]
        place.mkdir(parents=True)
        with bar(len(part.names), place.name, "file") as progress:
            for start in range(0, len(part.names), AT_ONCE):
                own = slice(start, start + AT_ONCE)
                for name, row in zip(part.names[own], part.values[own], strict=True):
                    np.save(place / f"{name}.npy", row)
                    progress.update()
    unfinished.rename(root)
    return root


def folder_name(spec: str) -> str:
    """A feature folder's name for an encoder's: "clip:ViT-B-32/x" -> "clip-ViT-B-32-x-UTT"."""
    if spec.endswith(ENDINGS):  # of features that came from such a folder
        spec = spec[:-4]
    return "".join(c if c.isalnum() or c in "._" else "-" for c in spec) + "-UTT"
