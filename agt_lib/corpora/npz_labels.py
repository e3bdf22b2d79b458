"""MERTools' labels in an .npz: pickled dictionaries, read without running anything."""

import pickle
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import CorpusError, Problem, name_problems

LARGEST = 2**28
"""Bytes that one table of labels may be when it is unpacked: a million clips take a tenth."""
PARTS = ("train_corpus", "test1_corpus", "test2_corpus", "test3_corpus")


class _Dtype:
    """Stands in for `numpy.dtype`: remembers its code, and takes whatever state it is given."""

    def __init__(self, code: str, *_: Any):
        self.code = str(code)

    def __setstate__(self, _: Any) -> None:
        pass


class _Array:
    """Stands in for an array of one object, such as NumPy pickles a dictionary in."""

    item: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, _, _, content = state
        if shape != () or not isinstance(content, list) or len(content) != 1:
            raise pickle.UnpicklingError("an array in it is not of one object")
        self.item = content[0]


def _scalar(dtype: _Dtype, content: bytes = b"", *_: Any) -> float | None:
    """A number of NumPy's, decoded here; None for what is no number."""
    known = isinstance(dtype, _Dtype) and re.fullmatch(r"[fiub][1248]", dtype.code)
    if not known or not isinstance(content, bytes) or len(content) != int(dtype.code[1]):
        return None
    return float(np.frombuffer(content, dtype.code)[0])


STAND_INS = {
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _Dtype,
    **{
        (f"numpy.{core}.multiarray", name): made
        for core in ("core", "_core")
        for name, made in (("_reconstruct", lambda *_: _Array()), ("scalar", _scalar))
    },
}
"""All that a pickle here may name, and what it gets: never NumPy's own, which trust their state.
Dictionaries, lists, text and plain numbers need no name."""


class _Unpickler(pickle._Unpickler):
    """Refuses every name that has no stand-in; nothing is imported.

    It is the one written in Python: the other makes room for as much as a file says it holds.
    """

    dispatch = {op: f for op, f in pickle._Unpickler.dispatch.items() if op != pickle.BYTEARRAY8[0]}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no label")
        return STAND_INS[module, name]


def read_npz_labels(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The labels of `path`: a table by clip name with emotion, split and where; and notes.

    `train_corpus` holds the training labels, `test1_corpus` to `test3_corpus` those of other clips,
    each {name: {"emo": label}}. They are test clips, unless their labels are all the same: that
    is MERTools' filling, and they are unlabelled. Raises CorpusError for what is no such file, is
    too large, or holds anything else.
    """
    rows, notes = [], []
    try:
        if not path.is_file():
            raise ValueError("no regular file")  # a pipe would be waited for
        with zipfile.ZipFile(path) as archive:
            there = {part: f"{part}.npy" for part in PARTS if f"{part}.npy" in archive.namelist()}
            if "train_corpus" not in there:
                raise ValueError(f"no train_corpus in it; it has {', '.join(archive.namelist())}")
            for part, member in there.items():
                if archive.getinfo(member).file_size > LARGEST:
                    raise ValueError(f"{part} is larger than {LARGEST >> 20} MiB")
                with archive.open(member) as file:
                    found = _labels(file, part)
                split = "train" if part == "train_corpus" else "test"
                if split == "test" and len(set(found.values())) == 1:
                    notes.append(f"the labels of {part} are all the same: they are left out")
                    found, split = dict.fromkeys(found), "unlabelled"
                rows += [(name, label, split, f"{part} {name!r}") for name, label in found.items()]
    except (
        OSError, zipfile.BadZipFile, zlib.error, RuntimeError, pickle.UnpicklingError, ValueError,
        EOFError,
    ) as error:  # fmt: skip
        raise CorpusError(str(path), [Problem(path.name, "file", str(error))]) from None
    table = pd.DataFrame(rows, columns=["name", "emotion", "split", "where"])
    if unfit := name_problems(table["name"], table["where"]):
        raise CorpusError(str(path), unfit)
    return table.set_index("name"), notes


def _labels(file: BinaryIO, part: str) -> dict[str, str]:
    """The label by clip name in one member, an array of one pickled object."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"{part} is an array of version {version}")
    shape, _, dtype = read[version](file)
    if not dtype.hasobject or shape != ():
        raise ValueError(f"{part} is an array {shape} of {dtype}; expected one dictionary")
    try:
        found = _Unpickler(file).load()
    except (pickle.UnpicklingError, EOFError):
        raise
    except Exception as error:  # a damaged pickle raises of all kinds
        raise ValueError(f"{part} is damaged ({type(error).__name__})") from error
    found = found.item if isinstance(found, _Array) else found
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(about, dict) and isinstance(about.get("emo"), str)
        for name, about in found.items()
    ):
        raise ValueError(f'{part} is not {{name: {{"emo": label}}}} throughout')
    return {name: about["emo"] for name, about in found.items()}
