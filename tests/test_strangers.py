"""What strangers made is refused or does nothing, in whichever room it comes in.

Their checkpoints: tests/features/test_checkpoint.py and test_clip.py; bundles:
tests/prediction/test_bundle.py; endpoints: tests/prompts/test_llm.py; pickles of labels:
tests/corpora/test_mertools.py and test_peer_labels.py.
"""

import io
import os
import re
import socket
import struct
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agt_lib.__main__ import main
from agt_lib.corpora import manifest, mertools, npz_labels, submission
from agt_lib.corpora.corpus import build
from agt_lib.corpora.sources import corrected
from agt_lib.evaluation.predictions import Predictions
from agt_lib.features.frames import clip_frames
from agt_lib.features.mertools import write_tree
from agt_lib.prediction import read_clips
from agt_lib.probing.files import read_scores
from agt_lib.voting import read_prior
from agt_lib.workspace import paths
from agt_lib.workspace.run import Run

ROOMS = ("corpora/", "features/", "fusion/", "prediction/", "prompts/", "workspace/")
FORMULA = "=cmd|' /C calc'!A0"


def corpus_of(**columns):
    table = pd.DataFrame({"name": ["a", "b"], "split": "train", "emotion": ["sad", "happy"]})
    return build("tiny", table.assign(**columns), source="the test", check_files=False)


READERS = {
    "candidates": (submission.candidates, "name,discrete"),
    "corrections": (lambda path: corrected(corpus_of(), path), "name,label"),
    "manifest": (manifest.load, "name,emotion,text"),
    "prior": (lambda path: read_prior(path, ("sad", "happy")), "label,share"),
    "scores": (lambda path: read_scores(path, ("sad", "happy")), "label,score"),
    "predictions": (Predictions.from_csv, "name,sad,happy"),
    "labels of MERTools": (lambda path: mertools.load(path.parent), "name,discrete"),
}
"""Every CSV that a user or a stranger hands in, as it is read, and its header."""


@pytest.fixture
def place(tmp_path):
    """Where a CSV lies, beside a folder of features, as MERTools would have it."""
    folder = tmp_path / "features" / "made-UTT"
    folder.mkdir(parents=True)
    np.save(folder / "a.npy", np.ones(3))
    return tmp_path / "label-disdim.csv"


@pytest.mark.parametrize("name", READERS)
def test_a_row_longer_than_the_header_is_a_fault_and_shifts_no_column(name, place):
    read, header = READERS[name]
    longer = ["a", "sad", "b", "c"][: header.count(",") + 2]
    place.write_text(f"{header}\n{','.join(longer)}\n")
    with pytest.raises(ValueError, match=f"{len(longer)} fields, but the header has"):
        read(place)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_not_waited_for(name, kind, place, monkeypatch):
    monkeypatch.chdir(place.parent)  # the name of a socket is short
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(place.name)
    else:
        place.symlink_to("/dev/zero")
    with pytest.raises((ValueError, OSError)):
        READERS[name][0](place)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_for_labels_or_faces_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "label-6way.npz")
    with pytest.raises(ValueError, match="no regular file"):
        npz_labels.read_npz_labels(tmp_path / "label-6way.npz")
    faces = tmp_path / "openface_face" / "a"
    faces.mkdir(parents=True)
    os.mkfifo(faces / "a.npy")
    clip = pd.Series({"video": str(tmp_path / "video" / "a.mp4")}, name="a")
    with pytest.raises(Exception, match="no aligned faces"):
        clip_frames(clip, 2, 10.0, "npy", 0.0)


@pytest.mark.parametrize(
    "body",
    [b"\x80\x04Nr" + struct.pack("<I", 2**27), b"\x80\x05\x96" + struct.pack("<Q", 2**31)],
    ids=["a number of objects", "a length of bytes"],
)
def test_labels_that_ask_for_gigabytes_get_none(body, tmp_path):
    member = io.BytesIO()
    about = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(member, about)
    with zipfile.ZipFile(tmp_path / "label-6way.npz", "w") as archive:
        archive.writestr("train_corpus.npy", member.getvalue() + body + b".")
    tracemalloc.start()
    with pytest.raises(ValueError, match="train_corpus is"):
        npz_labels.read_npz_labels(tmp_path / "label-6way.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_words_that_a_link_would_take_from_another_folder_are_not_read(tmp_path):
    (tmp_path / "secret").write_text("the key")
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.wav").write_bytes(b"no sound")
    (folder / "a.txt").symlink_to(tmp_path / "secret")
    (folder / "b.txt").write_text("hello")
    text = read_clips(folder).clips["text"]
    assert pd.isna(text["a"])
    assert text["b"] == "hello"


def cells(path):
    """Every cell of a CSV, its header and row names among them."""
    table = pd.read_csv(path, header=None, dtype="str", keep_default_na=False)
    return table.to_numpy().ravel().tolist()


def test_no_table_that_is_exported_holds_a_formula(tmp_path, monkeypatch):
    table = pd.DataFrame({FORMULA: [FORMULA, "+1+1"]}, index=pd.Index([FORMULA, "@x"], name="n"))
    run = SimpleNamespace(folder=tmp_path, caption=FORMULA)
    Run.table(run, table, "table")
    corpus = corpus_of(speaker=[FORMULA, "-2+3"])
    write_tree(corpus, {}, {}, tmp_path / "tree")
    files = [tmp_path / "table.csv", *sorted((tmp_path / "tree").glob("*.csv"))]
    found = [cell for path in files for cell in cells(path)]
    assert f"'{FORMULA}" in found
    assert not [cell for cell in found if cell.startswith(("=", "+", "-", "@"))]


def test_a_submission_holds_no_formula(tmp_path):
    (tmp_path / "candidates.csv").write_text(f'name\n"{FORMULA}"\n')
    names = submission.candidates(tmp_path / "candidates.csv")
    with pytest.raises(ValueError, match="no clip names"):
        submission.write(tmp_path / "s.csv", pd.Series("sad", index=names), names, ["sad"])
    assert not (tmp_path / "s.csv").exists()


def test_every_promise_names_a_test_that_there_is():
    text = (paths.ROOT / "docs" / "security.md").read_text()
    files = {
        p.relative_to(paths.ROOT / "tests").as_posix(): p
        for p in Path(__file__).parent.rglob("*.py")
    }
    held = "".join(path.read_text() for path in files.values())
    named = re.findall(r"`([\w/.]+)`", text)
    assert {name for name in named if name.startswith(ROOMS) and "/" in name} <= set(files)
    tests = [name for name in named if name.count("_") > 2 and "." not in name and "/" not in name]
    assert len(tests) > 25
    assert [name for name in tests if f"def test_{name}(" not in held] == []


def test_the_command_names_a_data_folder_that_it_cant_write_to(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "file"))
    Path(tmp_path / "a.wav").write_bytes(b"no sound")
    assert main(["predict", str(tmp_path / "a.wav"), "--model", "x"]) == 1
    assert "file (AGT_DATA) can't be written to" in capsys.readouterr().err
