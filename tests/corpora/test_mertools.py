import io
import os
import pickle

import numpy as np
import pytest

from agt_lib.corpora.corpus import CorpusError
from agt_lib.corpora.mertools import feature_folders
from agt_lib.corpora.sources import load
from agt_lib.features import mertools
from agt_lib.features.mertools import read_features as features

UTT, FRA = "voice-UTT", "face_FRA"
VECTORS = {
    "a": np.array([1, 2, 3], dtype=np.float32),
    "b": np.array([4, 5, 6], dtype=np.float16),
    "c": np.array([-1, 0, 0.5], dtype=np.float64),
    "pool": np.array([7, 8, 9], dtype=np.float32),
}
FRAMES = {
    "a": np.array([[1, 2], [3, 4]], dtype=np.float32),
    "b": np.array([[5, 6]], dtype=np.float32),
    "c": np.array([[0, 0], [0, 1], [2, 2]], dtype=np.float32),
}


def write_tree(root, folders, labels, parent="features"):
    """Write a tree of MERTools' layout: arrays by folder and clip, and the label table's text."""
    for folder, arrays in folders.items():
        (root / parent / folder).mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            np.save(root / parent / folder / f"{name}.npy", array)
    (root / "label-disdim.csv").write_text(labels)
    return root


@pytest.fixture
def root(tmp_path):
    labels = "name,discrete\na,happy\nb,Sad\nc,neutral\n"
    return write_tree(tmp_path / "tree", {UTT: VECTORS, FRA: FRAMES}, labels)


def path(root, name, folder=UTT):
    return root / "features" / folder / f"{name}.npy"


def problems(function, *arguments):
    """Each problem as (place, message)."""
    with pytest.raises(CorpusError) as caught:
        function(*arguments)
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    return [(problem.where, problem.message) for problem in caught.value.problems]


def only_fault(root, names=("a", "b", "c"), folder=UTT):
    (problem,) = problems(features, root, folder, "audio", names)
    return problem


# labels and names


def test_labelled_clips_are_train_and_others_with_features_unlabelled(root):
    corpus = load("mertools", root)
    assert corpus.clips["split"].to_dict() == {
        "a": "train",
        "b": "train",
        "c": "train",
        "pool": "unlabelled",
    }
    assert corpus.clips["emotion"].dropna().to_dict() == {"a": "happy", "b": "sad", "c": "neutral"}


def test_the_corpus_has_no_media(root):
    assert load("mertools", root).clips[["video", "audio", "text"]].isna().all(axis=None)


def test_released_labels_make_their_clips_test_and_are_answers_only(root):
    (root / "reference-semi.csv").write_text("name,discrete\npool,angry\n")
    corpus = load("mertools", root)
    assert corpus.split("test").index.tolist() == ["pool"]
    assert corpus.answers.to_dict() == {"pool": "angry"}
    assert corpus.split("test")["emotion"].isna().all()


def test_a_speaker_column_is_used_if_it_is_there(root):
    (root / "label-disdim.csv").write_text("name,discrete,speaker\na,happy,s1\nb,sad,s2\n")
    corpus = load("mertools", root)
    assert corpus.clips["speaker"].dropna().to_dict() == {"a": "s1", "b": "s2"}
    assert corpus.clips.loc["c", "split"] == "unlabelled"


def test_the_speaker_of_a_clip_without_label_is_known_too(root):
    (root / "label-disdim.csv").write_text("name,discrete,speaker\na,happy,s1\npool,,s9\n")
    (root / "reference-semi.csv").write_text("name,discrete\npool,angry\n")
    assert load("mertools", root).clips.loc["pool", ["split", "speaker"]].tolist() == ["test", "s9"]


def test_other_columns_of_the_peers_table_but_valence_are_ignored(root):
    text = "name,discrete,valence,split,video,row,text\na,happy,1,dev,a.mp4,7,hi\n"
    (root / "label-disdim.csv").write_text(text)
    clip = load("mertools", root).clips.loc["a"]
    assert clip.dropna().to_dict() == {"split": "train", "emotion": "happy", "valence": "1"}


def test_a_label_without_any_feature_stays_and_is_counted(root):
    with (root / "label-disdim.csv").open("a") as file:
        file.write("d,angry\n")
    corpus = load("mertools", root)
    assert "d" in corpus.labelled.index
    assert any("1 of 4 clips with labels" in note for note in corpus.notes)


def test_another_label_set_is_taken_by_option(root):
    (root / "label-disdim.csv").write_text("name,discrete\na,joy\n")
    assert load("mertools", root, labels=["joy", "anger"]).labels == ("joy", "anger")


def test_a_missing_label_table_is_named(root):
    (root / "label-disdim.csv").unlink()
    ((where, message),) = problems(load, "mertools", root)
    assert where == str(root / "label-disdim.csv")
    assert "expected a CSV file with the columns name, discrete" in message


def test_a_tree_without_feature_folders_is_refused(tmp_path):
    root = write_tree(tmp_path, {}, "name,discrete\na,happy\n")
    ((where, message),) = problems(load, "mertools", root)
    assert where == "features"
    assert "-UTT" in message


def test_an_unknown_emotion_is_given_with_its_row(root):
    (root / "label-disdim.csv").write_text("name,discrete\na,happy\n\nb,bored\n")
    ((where, message),) = problems(load, "mertools", root)
    assert where == "label-disdim.csv row 4"
    assert "'bored'" in message


def test_a_repeated_name_and_one_that_leaves_the_folder_are_given_with_their_rows(root):
    (root / "label-disdim.csv").write_text("name,discrete\na,happy\na,sad\n../b,sad\n")
    found = problems(load, "mertools", root)
    assert [where for where, _ in found] == ["label-disdim.csv row 3", "label-disdim.csv row 4"]


def test_a_clip_that_is_both_train_and_test_is_refused(root):
    (root / "reference-semi.csv").write_text("name,discrete\nb,angry\n")
    ((where, message),) = problems(load, "mertools", root)
    assert where == "reference-semi.csv row 2"
    assert "'b' is in label-disdim.csv row 3 too" in message


# features


def test_utterance_features_are_rows_in_the_order_asked_for(root):
    found = features(root, UTT, "audio", ["c", "pool", "a", "b"])
    np.testing.assert_array_equal(
        found.values, [[-1, 0, 0.5], [7, 8, 9], [1, 2, 3], [4, 5, 6]], strict=False
    )
    assert found.values.dtype == np.float32
    assert found.names == ("c", "pool", "a", "b")
    assert found.present.all()
    assert (found.modality, found.dim) == ("audio", 3)


def test_frame_features_are_averaged(root):
    found = features(root, FRA, "video", ["b", "gone", "c"], 0.5)
    np.testing.assert_allclose(found.values, [[5, 6], [0, 0], [2 / 3, 1]])
    assert found.present.tolist() == [True, False, True]


def test_feature_folders_may_lie_in_the_root_itself(tmp_path):
    root = write_tree(tmp_path, {UTT: VECTORS}, "name,discrete\na,happy\n", parent="")
    assert features(root, UTT, "audio", ["a"]).present.all()
    assert "b" in load("mertools", root).clips.index


def test_a_missing_file_is_masked_and_listed(root):
    found = features(root, UTT, "audio", ["a", "gone", "b"], 0.5)
    assert found.present.tolist() == [True, False, True]
    assert not found.values[1].any()
    assert found.failures[["name", "stage"]].values.tolist() == [["gone", "file"]]
    assert str(path(root, "gone")) in found.failures["reason"][0]


def test_an_all_zero_vector_is_masked_and_listed(root):
    np.save(path(root, "b"), np.zeros(3, dtype=np.float32))
    found = features(root, UTT, "audio", ["a", "b"])
    assert found.present.tolist() == [True, False]
    assert "all values are zero" in found.failures["reason"][0]


def test_no_file_at_all_is_refused(root):
    assert "none of 2 clips has features here" in only_fault(root, ["x", "y"])[1]


def test_an_unknown_folder_lists_those_there_are(root):
    (root / "features/notes").mkdir()
    message = only_fault(root, folder="voice-utt")[1]
    assert "no such feature folder; available: face_FRA, voice-UTT" in message
    assert list(feature_folders(root)) == [FRA, UTT]


@pytest.mark.parametrize("folder", ["../tree/features/voice-UTT", "", "features/voice-UTT", "."])
def test_a_folder_name_is_no_path(root, folder):
    assert "no such feature folder" in only_fault(root, folder=folder)[1]


@pytest.mark.parametrize("name", ["../voice-UTT/a", "/etc/passwd", ".."])
def test_a_clip_name_cannot_leave_the_folder(root, name):
    where, message = only_fault(root, ["a", name])
    assert where == "names"
    assert "is not a clip name" in message


def test_another_width_than_most_files_is_named_with_its_file(root):
    np.save(path(root, "b"), np.ones(4, dtype=np.float32))
    assert only_fault(root) == ("b.npy", "width 4; expected 3, as in 3 other files")


@pytest.mark.parametrize(
    ("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_a_value_that_is_not_finite_is_named_with_its_file(root, value, kind):
    np.save(path(root, "b"), np.array([1, value, 2], dtype=np.float32))
    assert only_fault(root) == ("b.npy", f"{kind} in 1 values")


def test_a_number_beyond_float32_is_infinity(root):
    np.save(path(root, "b"), np.array([1, 1e300, 2]))
    assert only_fault(root) == ("b.npy", "infinity in 1 values")


@pytest.mark.parametrize(
    ("folder", "array"),
    [(UTT, np.ones((5, 3))), (UTT, np.float32(1)), (UTT, np.ones(0)), (FRA, np.ones(2))]
    + [(FRA, np.ones((1, 2, 2))), (FRA, np.ones((0, 2)))],
)
def test_a_shape_that_does_not_fit_the_folders_name_is_named_with_its_file(root, folder, array):
    np.save(path(root, "b", folder), array)
    where, message = only_fault(root, folder=folder)
    assert where == "b.npy"
    assert f"shape {array.shape}; expected" in message


@pytest.mark.parametrize("array", [np.array(["x", "y", "z"]), np.ones(3, dtype=complex)])
def test_what_is_no_real_number_is_named_with_its_file(root, array):
    np.save(path(root, "b"), array)
    assert only_fault(root)[0] == "b.npy"


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_pickle_is_refused_and_never_run(root, tmp_path, wrapped):
    mark = tmp_path / "ran"
    if wrapped:
        np.save(path(root, "b"), np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    else:
        path(root, "b").write_bytes(pickle.dumps(Bomb(mark)))
    where, message = only_fault(root)
    assert where == "b.npy"
    assert "no numeric .npy file" in message
    assert not mark.exists()


def whole_file():
    file = io.BytesIO()
    np.save(file, np.ones(3, dtype=np.float32))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an array",
        whole_file()[:-2],
        whole_file()[:40],
        whole_file().replace(b"(3,)", b"(3.)"),
        whole_file().replace(b"{'descr'", b"'''descr'"),
        whole_file().replace(b"(3,), }", b"(9999999999999,)}"),
    ],
    ids=["empty", "text", "truncated", "no header", "bad shape", "bad header", "huge shape"],
)
def test_a_damaged_file_is_named(root, content):
    path(root, "b").write_bytes(content)
    where, message = only_fault(root)
    assert where == "b.npy"
    assert "no numeric .npy file" in message


def spoiled(root):
    """Two files at fault, an empty one, and names without any."""
    np.save(path(root, "a"), np.array([np.nan, 1, 2]))
    np.save(path(root, "c"), np.ones(7))
    path(root, "pool").write_bytes(b"")
    np.save(path(root, "d"), np.ones(3))
    return ["a", "b", "c", "pool", "gone", "d"]


def test_faulty_files_above_the_share_are_told_together(root):
    found = problems(features, root, UTT, "audio", spoiled(root))
    assert {where for where, _ in found} == {"a.npy", "c.npy", "pool.npy", "gone.npy"}


def test_faulty_files_below_the_share_are_masked_and_listed(root):
    names = spoiled(root)
    found = features(root, UTT, "audio", names, 0.7)
    assert found.present.tolist() == [name in "bd" for name in names]
    reasons = found.failures.set_index("name")["reason"]
    assert reasons["a"] == "NaN in 1 values"
    assert "width 7" in reasons["c"]
    assert "no numeric .npy file" in reasons["pool"]
    assert "no such file" in reasons["gone"]


def test_a_folder_that_nobody_chose_makes_nothing_fatal_and_zeros_are_no_failures(root):
    names = ["a", "b", "c", *(f"old{k}" for k in range(50))]
    found = features(root, UTT, "audio", names, 0.05, ["a", "b", "c"])
    assert found.present.sum() == 3
    np.save(path(root, "b"), np.zeros(3, dtype=np.float32))
    found = features(root, UTT, "audio", ["a", "b"])
    assert found.failures["stage"].tolist() == ["absent"]


def test_a_folder_is_read_once_and_again_when_a_file_changed(root, monkeypatch):
    before = features(root, UTT, "audio", ["a", "b"])
    read = mertools._read
    monkeypatch.setattr(mertools, "_read", None)
    again = features(root, UTT, "audio", ["b", "a"])
    np.testing.assert_array_equal(again.values, before.values[::-1])
    monkeypatch.setattr(mertools, "_read", read)
    np.save(path(root, "b"), VECTORS["a"])
    np.testing.assert_array_equal(features(root, UTT, "audio", ["b"]).values, [VECTORS["a"]])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
def test_hidden_files_and_what_is_no_file_are_no_clips(root):
    path(root, "._a").write_bytes(b"x")
    os.mkfifo(path(root, "fifo"))
    assert "._a" not in load("mertools", root).clips.index
    assert "no regular file" in only_fault(root, ["a", "fifo"])[1]


def test_the_fingerprint_changes_with_a_number_and_not_with_the_order(root):
    before = features(root, UTT, "audio", ["a", "b"]).fingerprint
    assert features(root, UTT, "audio", ["b", "a"]).fingerprint == before
    np.save(path(root, "b"), VECTORS["b"] + 1)
    assert features(root, UTT, "audio", ["a", "b"]).fingerprint != before


def test_the_fingerprint_tells_equal_numbers_of_two_folders_apart(root):
    write_tree(root, {"copy-UTT": VECTORS}, "name,discrete\na,happy\n")
    first, second = (features(root, folder, "audio", ["a"]) for folder in (UTT, "copy-UTT"))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.fingerprint != second.fingerprint
