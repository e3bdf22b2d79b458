"""The peer's label files beside features: MER2025's tables and the pickled .npz."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from agt_lib.corpora import npz_labels
from agt_lib.corpora.corpus import CorpusError
from agt_lib.corpora.npz_labels import read_npz_labels
from agt_lib.corpora.sources import load


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "features" / "voice-UTT"
    place.mkdir(parents=True)
    for name in ("a", "b", "t1", "t2", "free"):
        np.save(place / f"{name}.npy", np.ones(3, np.float32))
    return tmp_path


def write_npz(path, test=("angry", "sad"), **more):
    train = {"a": {"emo": "happy", "val": -10}, "b": {"emo": "sad", "val": np.float32(1)}}
    tests = {f"t{k + 1}": {"emo": label} for k, label in enumerate(test)}
    np.savez_compressed(path, train_corpus=train, test1_corpus=tests, **more)
    return path


@pytest.mark.parametrize("name", ["label-6way.npz", "track1_label_6way.npz"])
def test_an_npz_of_labels_is_read(root, name):
    write_npz(root / name)
    corpus = load("mertools", root)
    splits = {"a": "train", "b": "train", "t1": "test", "t2": "test", "free": "unlabelled"}
    assert corpus.clips["split"].to_dict() == splits
    assert corpus.clips["emotion"].dropna().to_dict() == {"a": "happy", "b": "sad"}
    assert corpus.answers.to_dict() == {"t1": "angry", "t2": "sad"}


def test_test_labels_that_are_all_the_same_are_the_peers_filling(root):
    write_npz(root / "label-6way.npz", test=("neutral", "neutral"))
    corpus = load("mertools", root)
    assert corpus.answers.empty
    assert corpus.split("unlabelled").index.tolist() == ["t1", "t2", "free"]
    assert any("test1_corpus are all the same" in note for note in corpus.notes)


def test_a_csv_goes_before_the_npz_and_it_is_said(root):
    write_npz(root / "label-6way.npz")
    (root / "label-disdim.csv").write_text("name,discrete\na,angry\n")
    corpus = load("mertools", root)
    assert corpus.labelled["emotion"].to_dict() == {"a": "angry"}
    assert any("from label-disdim.csv, not label-6way.npz" in note for note in corpus.notes)


def test_mer2025s_tables_name_train_and_candidates_and_the_leak_is_said(root):
    (root / "track1_train_disdim.csv").write_text(
        "name,discrete,valence\na,happy,1\nb,worried,-1\n"
    )
    (root / "track_all_candidates.csv").write_text("name\nt1\nt2\n")
    corpus = load("mertools", root)
    assert corpus.split("test").index.tolist() == ["t1", "t2"]
    assert corpus.answers.empty
    assert any("MER2024's test" in note for note in corpus.notes)
    (root / "track1_test_dis.csv").write_text("name,discrete\nt1,sad\n")
    corpus = load("mertools", root)
    assert corpus.answers.to_dict() == {"t1": "sad"}
    assert corpus.clips.loc["t2", "split"] == "unlabelled"


class Calls:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def write_member(path, content, name="train_corpus.npy"):
    header = b"\x93NUMPY\x01\x00"
    about = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    about += b" " * (118 - len(about) - 1) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, header + len(about).to_bytes(2, "little") + about + content)
    return path


def refused(path, message):
    with pytest.raises(CorpusError, match=message):
        read_npz_labels(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_that_calls_anything_is_refused_by_name_and_not_run(tmp_path, protocol):
    mark = tmp_path / "ran"
    inside = {"a": {"emo": Calls(f"touch {mark}")}}
    path = tmp_path / "label-6way.npz"
    refused(write_member(path, pickle.dumps(inside, protocol)), r"asks for (posix|nt)\.system")
    builtin = pickle.dumps({"a": {"emo": print}}, protocol)
    refused(write_member(path, builtin), r"builtins?\w*\.print")
    np.savez(path, train_corpus={"a": {"emo": Calls(f"touch {mark}")}})
    refused(path, "which is no label")
    assert not mark.exists()


class Forged:
    """Builds one of NumPy's classes with what is given."""

    def __init__(self, kind, *arguments):
        self.kind, self.arguments = kind, arguments

    def __reduce__(self):
        return self.kind, self.arguments


def test_numpys_own_classes_are_never_built(tmp_path):
    path = tmp_path / "label-6way.npz"
    pointer = Forged(np.ndarray, (), Forged(np.dtype, "O"), b"A" * 8)  # crashes NumPy
    refused(write_member(path, pickle.dumps(pointer)), "damaged|throughout")
    refused(write_member(path, pickle.dumps({"a": {"emo": pointer}})), "damaged|throughout")
    inside = {"a": {"emo": "sad", "x": np.arange(3), "y": np.dtype("f8")}}
    refused(write_member(path, pickle.dumps(inside)), "not of one object")


def test_what_is_damaged_too_large_or_of_another_kind_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "label-6way.npz"
    path.write_bytes(b"no archive")
    refused(path, "not a zip file")
    np.savez(path, other=np.ones(3))
    refused(path, "no train_corpus in it; it has other.npy")
    write_npz(path)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    refused(path, "label-6way.npz")
    np.savez(path, train_corpus=np.ones(3))
    refused(path, "expected one dictionary")
    refused(write_member(path, pickle.dumps(["a", "b"])), "throughout")
    refused(write_member(path, pickle.dumps({"a": {"emo": 3}})), "throughout")
    refused(
        write_member(path, pickle.dumps({"a": {"emo": "sad"}})[:-4]), "truncated|damaged|Ran out"
    )
    refused(write_member(path, pickle.dumps({"../a": {"emo": "sad"}})), "is not a clip name")
    monkeypatch.setattr(npz_labels, "LARGEST", 2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_corpus.npy", bytes(2**20 + 1))
    refused(path, "larger than 1 MiB")


def test_labels_pickled_by_an_older_numpy_are_read(tmp_path):
    inside = pickle.dumps({"a": {"emo": "sad", "val": np.float64(2.5)}}, 3)
    older = inside.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    table, _ = read_npz_labels(write_member(tmp_path / "label-6way.npz", older))
    assert table["emotion"].to_dict() == {"a": "sad"}
