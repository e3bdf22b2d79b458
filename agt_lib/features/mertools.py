"""Features that MERTools made, one .npy file a clip (see `agt_lib.corpora.mertools`)."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import CorpusError, Problem, name_problem
from agt_lib.corpora.mertools import ENDINGS, feature_folders
from agt_lib.features.features import FAILURE_COLUMNS, Features
from agt_lib.workspace.kept import digest


def read_features(root: str | Path, folder: str, modality: str, names: Sequence[str]) -> Features:
    """Read the features `folder` of the clips `names`: (N, D); frames (T, D) are averaged.

    A clip without a file is absent and listed in `failures`. So is a clip whose features are all
    zero: MERTools writes zeros if it could read nothing. The fingerprint hashes what was read. Read
    all clips at once and `select` from them, so that parts keep the same one.

    Raises CorpusError for an unknown folder, for names that are unfit, and if there is no file at
    all. Raises it too, listing every file at fault, for files that are no numeric .npy, or hold
    NaN, infinity, another number of dimensions than the folder's name says, or another width than
    most files.
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

    n_dims = 1 if folder.endswith("UTT") else 2
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
    widths = Counter(array.size for array in arrays.values())
    dim = max(widths, key=widths.get, default=0)
    for name, array in arrays.items():
        if array.size != dim:
            message = f"width {array.size}; expected {dim}, as in {widths[dim]} other files"
            problems.append(Problem(f"{name}.npy", modality, message))
    if problems:
        raise CorpusError(source, problems)
    content = {name: hashlib.sha256(array).hexdigest() for name, array in arrays.items()}
    return Features(
        modality=modality,
        names=tuple(names),
        values=np.stack([arrays.get(name, np.zeros(dim, np.float32)) for name in names]),
        present=np.array([name in arrays for name in names]),
        fingerprint=digest({"mertools": folder, "dim": dim, "content": content}),
        failures=pd.DataFrame(failures, columns=list(FAILURE_COLUMNS), dtype="str"),
    )


def _read(path: Path, n_dims: int) -> np.ndarray:
    """One file as float32 (D,), frames averaged.

    ValueError says what is wrong with it, FileNotFoundError that it is missing.
    """
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
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        kinds = [("NaN", np.isnan(array).sum()), ("infinity", np.isinf(array).sum())]
        raise ValueError(" and ".join(f"{kind} in {n} values" for kind, n in kinds if n))
    return array if n_dims == 1 else array.mean(0)  # (T, D) -> (D,)
