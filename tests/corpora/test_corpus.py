import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import COLUMNS, SHOWN, CorpusError, build, name_problem


def table(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"name": [f"c{i}" for i in range(n)], "split": ["train"] * n} | columns)


def corpus(rows, **options):
    return build("test", rows, source="a table", **options)


def problems(rows, **options):
    with pytest.raises(CorpusError) as caught:
        corpus(rows, **options)
    return [(problem.where, problem.column) for problem in caught.value.problems]


def test_a_corpus_has_all_columns_and_is_indexed_by_name():
    clips = corpus(table(emotion=["happy", None])).clips
    assert tuple(clips.columns) == COLUMNS
    assert clips.index.tolist() == ["c0", "c1"]
    assert clips.index.name == "name"
    assert clips[["speaker", "video", "audio", "text"]].isna().all(axis=None)


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA])
def test_absent_cells_stay_absent(absent):
    clips = corpus(table(emotion=["happy", absent], text=["hi", absent], speaker=["s", absent]))
    assert clips.clips.loc["c1", ["emotion", "text", "speaker"]].isna().all()


def test_a_word_that_looks_like_an_absent_cell_is_kept():
    clips = corpus(table(text=["nan", "None"], speaker=["NA", "null"])).clips
    assert clips["text"].tolist() == ["nan", "None"]
    assert clips["speaker"].tolist() == ["NA", "null"]


def test_numbers_as_names_and_speakers_become_text():
    clips = corpus(table(name=[7, 8], speaker=[1, 2])).clips
    assert clips.index.tolist() == ["7", "8"]
    assert clips["speaker"].tolist() == ["1", "2"]


def test_test_labels_become_answers_and_unlabelled_ones_are_dropped_with_a_note():
    rows = table(split=["train", "test", "unlabelled"], emotion=["happy", "sad", "angry"])
    result = corpus(rows)
    assert result.clips["emotion"].dropna().to_dict() == {"c0": "happy"}
    assert result.answers.to_dict() == {"c1": "sad"}
    assert result.notes == ("labels of unlabelled clips, which were dropped: 1",)


def test_answers_are_normalised_and_known_for_some_test_clips_or_none():
    rows = table(split=["train", "test", "test"], emotion=[None, " Sad", None])
    assert corpus(rows).answers.to_dict() == {"c1": "sad"}
    assert corpus(rows.assign(emotion=None)).answers.empty


def test_an_unknown_answer_is_a_problem():
    assert problems(table(split=["test", "test"], emotion=["bored", "sad"])) == [
        ("row 2", "emotion")
    ]


def test_only_labels_that_changed_are_counted_as_normalised():
    rows = table(emotion=["happy", " sad", "ANGRY", None, "  "])
    assert corpus(rows).notes == (
        "labels that had other case or outer spaces and were normalised: 2",
    )


def test_splits_match_in_any_case():
    assert corpus(table(split=["Train", " DEV"])).clips["split"].tolist() == ["train", "dev"]


def test_an_empty_split_is_a_problem_and_not_the_word_nan():
    with pytest.raises(CorpusError, match="row 3: split: the split is empty") as caught:
        corpus(table(split=["train", None]))
    assert "nan" not in str(caught.value)


def test_every_problem_is_listed_with_its_place():
    rows = table(
        name=["a", "a", "b/c"],
        split=["train", "tain", "test"],
        emotion=["happy", "sad", "bored"],
        audio=[None, "/nowhere/a.wav", None],
    )
    assert problems(rows, where=["line 1", "line 2", "line 3"]) == [
        ("line 2", "name"),
        ("line 3", "name"),
        ("line 2", "split"),
        ("line 3", "emotion"),
    ]


def test_rows_are_numbered_as_in_a_csv_with_a_header_unless_places_are_given():
    assert problems(table(emotion=["happy", "bored"])) == [("row 3", "emotion")]


def test_a_long_list_of_problems_is_cut_in_the_message_but_not_in_the_error():
    with pytest.raises(CorpusError) as caught:
        corpus(table(emotion=["bored"] * 100))
    assert len(caught.value.problems) == 100
    assert str(caught.value).count("unknown emotion") == SHOWN
    assert f"and {100 - SHOWN} more" in str(caught.value)


def test_no_clips_at_all_is_a_problem():
    assert problems(table(emotion=[])) == [("a table", "name")]


def test_the_index_of_the_table_given_does_not_matter():
    rows = table(emotion=["happy", "sad"]).set_axis([5, 5])
    assert corpus(rows).clips["emotion"].tolist() == ["happy", "sad"]


def test_the_table_given_is_left_as_it_was():
    rows = table(emotion=["Happy", None])
    before = rows.copy(deep=True)
    corpus(rows)
    pd.testing.assert_frame_equal(rows, before)


def test_splits_are_selected_in_the_corpus_order():
    result = corpus(table(split=["test", "train", "dev", "train"]))
    assert result.split("dev", "train").index.tolist() == ["c1", "c2", "c3"]


def test_labelled_clips_are_those_of_train_with_an_emotion():
    result = corpus(table(split=["train", "train", "dev"], emotion=["sad", None, "sad"]))
    assert result.labelled.index.tolist() == ["c0"]


def test_the_fingerprint_follows_content_and_not_paths(tmp_path):
    for name in ("one.wav", "two.wav"):
        (tmp_path / name).write_bytes(b"")
    rows = table(emotion=["happy", None], audio=[str(tmp_path / "one.wav")] * 2)
    before = corpus(rows).fingerprint
    assert corpus(rows.assign(audio=str(tmp_path / "two.wav"))).fingerprint == before
    for column, values in (
        ("emotion", ["sad", None]),
        ("text", ["hi", None]),
        ("split", ["dev", "train"]),
        ("speaker", ["s1", "s2"]),
        ("name", ["x", "c1"]),
    ):
        assert corpus(rows.assign(**{column: values})).fingerprint != before, column


def test_the_fingerprint_does_not_know_the_answers():
    rows = table(split=["train", "test"], emotion=["happy", "sad"])
    other = rows.assign(emotion=["happy", "angry"])
    assert corpus(rows).fingerprint == corpus(other).fingerprint


def test_the_order_of_labels_is_part_of_the_fingerprint():
    rows = table(emotion=["happy", "sad"])
    first, second = (corpus(rows, labels=labels) for labels in (["happy", "sad"], ["sad", "happy"]))
    assert first.fingerprint != second.fingerprint


def test_what_is_no_label_set_is_refused():
    with pytest.raises(ValueError, match="two or more different labels"):
        corpus(table(emotion=["happy"]), labels=["happy", "Happy"])


@pytest.mark.parametrize(
    "name",
    ["a/b", "a\\b", "..", ".", "../x", "a..b", "", " ", None, "a\nb", "a\x00b", " a", "a\x7f"]
    + ["a\u009bb", "a\u202eb", "a\u200bb", "a\ufeff", "a\ud800", "=cmd", "+1", "@x"]
    + ["＝cmd", "-1+cmd|' /C calc'!A0", "-sum(a)", "a\u3164", "a\ufe0f"],
)
def test_names_that_are_no_file_names_are_unfit(name):
    assert name_problem(name)


@pytest.mark.parametrize(
    "name", ["sample_00000001", "a b", "01-02", "样本", "a.b", "~x", 7, "-3g5yACwYnA_3"]
)
def test_ordinary_names_are_fit(name):
    assert name_problem(name) is None


def test_a_corpus_of_some_splits_keeps_their_clips_and_answers_alone():
    rows = pd.DataFrame({"name": ["a", "b", "c"], "split": ["train", "test", "unlabelled"]})
    whole = corpus(rows.assign(emotion=[None, "sad", None]))
    assert list(whole.only("train", "test").clips.index) == ["a", "b"]
    assert whole.only("train", "test").answers.to_dict() == {"b": "sad"}
    assert whole.only("unlabelled").answers.empty
