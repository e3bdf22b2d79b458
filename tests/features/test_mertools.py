"""What is written for the peer is what it would have made."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import build
from agt_lib.corpora.sources import load
from agt_lib.features.features import Features
from agt_lib.features.mertools import folder_name, read_features, write_tree


@pytest.fixture
def corpus():
    table = pd.DataFrame(
        {
            "name": ["a", "b", "t", "t2", "u"],
            "split": ["train", "train", "test", "test", "unlabelled"],
            "emotion": ["happy", "sad", "angry", "sad", None],
            "speaker": ["s1", "s2", "s1", "s1", "s2"],
            "text": "so",
        }
    )
    return build("mine", table, source="mine")


@pytest.fixture
def features(corpus):
    rng = np.random.default_rng(0)
    names = tuple(corpus.clips.index)
    found = {}
    for m, width in (("audio", 4), ("text", 3)):
        values = rng.standard_normal((5, width)).astype(np.float32)
        present = np.array([True, True, m == "audio", True, True])
        values[~present] = 0
        found[m] = Features(m, names, values, present, m)
    return found


def test_features_and_labels_come_back_as_they_were(corpus, features, tmp_path):
    folders = {"audio": folder_name("opensmile"), "text": folder_name("causal_lm:a/b")}
    root = write_tree(corpus, features, folders, tmp_path / "out")
    assert sorted(p.name for p in (root / "features").iterdir()) == [
        "causal_lm-a-b-UTT", "opensmile-UTT",
    ]  # fmt: skip
    again = load("mertools", root)
    assert again.clips["split"].to_dict() == corpus.clips["split"].to_dict()
    assert again.labelled["emotion"].to_dict() == corpus.labelled["emotion"].to_dict()
    assert again.labelled["speaker"].to_dict() == {"a": "s1", "b": "s2"}
    assert again.answers.to_dict() == corpus.answers.to_dict()
    for m, part in features.items():
        read = read_features(root, folders[m], m, part.names, 0.5)
        np.testing.assert_array_equal(read.values, part.values)
        np.testing.assert_array_equal(read.present, part.present)


def test_a_valence_that_the_corpus_knows_is_written_and_comes_back(corpus, features, tmp_path):
    known = replace(corpus, clips=corpus.clips.assign(valence=["1.5", "-2", None, None, None]))
    root = write_tree(known, features, {"audio": "a-UTT", "text": "t-UTT"}, tmp_path / "o")
    table = pd.read_csv(root / "label-disdim.csv", index_col="name")
    assert table["valence"].to_dict() == {"a": 1.5, "b": -2.0}
    assert load("mertools", root).clips.loc[["a", "b"], "valence"].tolist() == ["1.5", "-2"]


def test_the_npz_alone_says_the_same(corpus, features, tmp_path):
    root = write_tree(
        corpus, features, dict.fromkeys(features, "x-UTT") | {"text": "y-UTT"}, tmp_path / "o"
    )
    for name in ("label-disdim.csv", "reference-semi.csv"):
        (root / name).unlink()
    again = load("mertools", root)
    assert again.labelled["emotion"].to_dict() == {"a": "happy", "b": "sad"}
    assert again.split("test").index.tolist() == ["t", "t2"]


def test_without_answers_test_clips_stay_test_clips(corpus, features, tmp_path):
    silent = replace(corpus, answers=corpus.answers[:0])
    root = write_tree(silent, features, {"audio": "a-UTT", "text": "t-UTT"}, tmp_path / "o")
    again = load("mertools", root)
    assert again.split("test").index.tolist() == ["t", "t2"]
    assert again.answers.empty
    with pytest.raises(ValueError, match="a folder of its own"):
        write_tree(corpus, features, dict.fromkeys(features, "x-UTT"), tmp_path / "p")


def test_nothing_is_overwritten_and_what_was_left_unfinished_is(corpus, features, tmp_path):
    folders = {"audio": "a-UTT", "text": "t-UTT"}
    (tmp_path / ".out.partial" / "features").mkdir(parents=True)
    write_tree(corpus, features, folders, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(FileExistsError, match="nothing is overwritten"):
        write_tree(corpus, features, folders, tmp_path / "out")
