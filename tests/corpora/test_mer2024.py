import shutil

import pytest

from agt_lib.corpora.corpus import CorpusError
from agt_lib.corpora.sources import load

PARTS = [
    "video-labeled",
    "video-unlabeled-with-test2noise",
    "label-disdim.csv",
    "label-transcription.csv",
    "new_release/candidate_20000.csv",
]


@pytest.fixture
def root(tmp_path):
    """A small tree of MER2024's layout: 3 labelled clips, 4 others of which 3 are candidates."""
    root = tmp_path / "mer2024-dataset"
    files = {
        "video-labeled": ["sample_00000000.mp4", "sample_00000001.avi", "sample_00000002.x.mp4"],
        "video-unlabeled-with-test2noise": [f"samplenew_{i}.mp4" for i in range(4)],
    }
    for folder, names in files.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_bytes(b"not read by the reader")
    (root / "label-disdim.csv").write_text(
        "name,discrete,valence\n"
        "sample_00000000,happy,1\nsample_00000001,sad,-2\nsample_00000002,worried,-1\n"
    )
    (root / "label-transcription.csv").write_text(
        "name,chinese\nsample_00000000,你好\nsample_00000001,\nsamplenew_1,再见\n"
    )
    (root / "new_release").mkdir()
    (root / "new_release/candidate_20000.csv").write_text(
        "name\nsamplenew_3\nsamplenew_0\nsamplenew_1\n"
    )
    return root


def problems(root):
    """Each problem of the tree as (place, message)."""
    with pytest.raises(CorpusError) as caught:
        load("mer2024", root)
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    return [(problem.where, problem.message) for problem in caught.value.problems]


def append(path, text):
    path.write_text(path.read_text() + text)


def test_labelled_clips_are_train_with_label_words_and_video(root):
    train = load("mer2024", root).split("train")
    assert train["emotion"].to_dict() == {
        "sample_00000000": "happy",
        "sample_00000001": "sad",
        "sample_00000002": "worried",
    }
    assert train["text"].notna().tolist() == [True, False, False]
    assert train.loc["sample_00000000", "text"] == "你好"
    assert train.loc["sample_00000001", "video"] == str(root / "video-labeled/sample_00000001.avi")


def test_a_clips_name_ends_at_the_first_point(root):
    video = load("mer2024", root).clips.loc["sample_00000002", "video"]
    assert video.endswith("sample_00000002.x.mp4")


def test_without_released_labels_all_candidates_are_test_without_answers(root):
    corpus = load("mer2024", root)
    assert set(corpus.split("test").index) == {"samplenew_0", "samplenew_1", "samplenew_3"}
    assert corpus.split("unlabelled").index.tolist() == ["samplenew_2"]
    assert corpus.answers.empty
    assert any("reference-semi.csv" in note for note in corpus.notes)


def test_released_labels_make_their_clips_test_and_are_answers_only(root):
    (root / "reference-semi.csv").write_text("name,discrete\nsamplenew_1, Angry\n")
    corpus = load("mer2024", root)
    assert corpus.split("test").index.tolist() == ["samplenew_1"]
    assert corpus.answers.to_dict() == {"samplenew_1": "angry"}
    assert corpus.clips.loc["samplenew_1":, "emotion"].isna().all()
    assert len(corpus.split("unlabelled")) == 3


def test_clips_without_text_are_counted(root):
    assert "5 of 7 clips have no text" in load("mer2024", root).notes


def test_hidden_files_and_strangers_are_no_clips(root):
    for name in (".DS_Store", "._sample_00000000.mp4", "readme.txt"):
        (root / "video-labeled" / name).write_bytes(b"")
    assert len(load("mer2024", root).split("train")) == 3


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named_with_what_was_expected_where(root, part):
    path = root / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    ((where, message),) = problems(root)
    assert where == str(path)
    assert "expected" in message


def test_an_empty_folder_misses_all_parts_at_once(tmp_path):
    assert [where for where, _ in problems(tmp_path)] == [str(tmp_path / part) for part in PARTS]


def test_a_file_in_place_of_a_folder_is_a_missing_part(root):
    shutil.rmtree(root / "video-labeled")
    (root / "video-labeled").write_bytes(b"")
    assert [where for where, _ in problems(root)] == [str(root / "video-labeled")]


def test_a_folder_without_clips_is_named(root):
    shutil.rmtree(root / "video-unlabeled-with-test2noise")
    (root / "video-unlabeled-with-test2noise").mkdir()
    assert problems(root)[0] == (
        "video-unlabeled-with-test2noise",
        f"no .avi or .mp4 files in {root / 'video-unlabeled-with-test2noise'}",
    )


def test_a_label_without_a_clip_is_given_with_its_row(root):
    append(root / "label-disdim.csv", "gone,happy,1\n")
    assert problems(root) == [("label-disdim.csv row 5", "no clip has the name 'gone'")]


def test_a_clip_without_a_label_is_named(root):
    (root / "video-labeled/extra.mp4").write_bytes(b"")
    append(root / "label-disdim.csv", "sample_00000003,,\n")
    (root / "video-labeled/sample_00000003.mp4").write_bytes(b"")
    assert problems(root) == [
        ("video-labeled/extra.mp4", "no label for it in label-disdim.csv"),
        ("video-labeled/sample_00000003.mp4", "no label for it in label-disdim.csv"),
    ]


def test_an_unknown_emotion_is_given_with_its_row(root):
    path = root / "label-disdim.csv"
    path.write_text(path.read_text().replace("sad", "bored"))
    ((where, message),) = problems(root)
    assert where == "video-labeled/sample_00000001.avi (label-disdim.csv row 3)"
    assert "unknown emotion 'bored'" in message


def test_an_unknown_emotion_among_the_answers_is_named(root):
    (root / "reference-semi.csv").write_text("name,discrete\nsamplenew_1,bored\n")
    ((where, message),) = problems(root)
    assert where == "video-unlabeled-with-test2noise/samplenew_1.mp4 (reference-semi.csv row 2)"
    assert "unknown emotion 'bored'" in message


def test_a_repeated_label_is_given_with_both_rows(root):
    append(root / "label-disdim.csv", "sample_00000000,sad,1\n")
    assert problems(root) == [
        ("label-disdim.csv row 5", "'sample_00000000' is in label-disdim.csv row 2 too")
    ]


def test_a_candidate_without_a_clip_is_given_with_its_row(root):
    append(root / "new_release/candidate_20000.csv", "samplenew_9\n")
    ((where, message),) = problems(root)
    assert where == "new_release/candidate_20000.csv row 5"
    assert "'samplenew_9'" in message


def test_two_files_of_one_name_are_told(root):
    (root / "video-labeled/sample_00000000.avi").write_bytes(b"")
    ((where, message),) = problems(root)
    assert where == "video-labeled/sample_00000000.mp4 (label-disdim.csv row 2)"
    assert "sample_00000000.avi" in message


def test_a_clip_in_both_folders_is_told(root):
    (root / "video-unlabeled-with-test2noise/sample_00000000.mp4").write_bytes(b"")
    ((where, message),) = problems(root)
    assert where == "video-unlabeled-with-test2noise/sample_00000000.mp4"
    assert "label-disdim.csv row 2" in message


def test_a_table_in_another_encoding_is_given_with_its_row(root):
    path = root / "label-transcription.csv"
    path.write_bytes(path.read_text().encode("gb18030"))
    ((where, message),) = problems(root)
    assert where == "label-transcription.csv row 2"
    assert "UTF-8" in message


def test_a_table_without_its_column_is_told(root):
    path = root / "label-transcription.csv"
    path.write_text("name,english\nsample_00000000,hello\n")
    ((where, message),) = problems(root)
    assert where == "label-transcription.csv row 1"
    assert "missing column; the header has name, english" in message


def test_all_faults_of_all_parts_are_told_together(root):
    append(root / "label-disdim.csv", "gone,happy,1\n../x,sad,1\n")
    append(root / "new_release/candidate_20000.csv", "samplenew_9\n")
    (root / "video-labeled/extra.mp4").write_bytes(b"")
    assert {where for where, _ in problems(root)} == {
        "label-disdim.csv row 5",
        "label-disdim.csv row 6",
        "new_release/candidate_20000.csv row 5",
        "video-labeled/extra.mp4",
    }
