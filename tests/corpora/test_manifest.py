import codecs
import os

import pytest

from agt_lib.corpora.corpus import CorpusError
from agt_lib.corpora.sources import load


@pytest.fixture
def write(tmp_path):
    """Writes a manifest beside a clip `a.mp4` and returns its path."""
    (tmp_path / "a.mp4").write_bytes(b"not read by the manifest")

    def write(content):
        path = tmp_path / "clips.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def problems(path, **options):
    """Each problem of the manifest as (row, column, message)."""
    with pytest.raises(CorpusError) as caught:
        load("manifest", path, **options)
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    return [(problem.where, problem.column, problem.message) for problem in caught.value.problems]


def only_problem(path, **options):
    (problem,) = problems(path, **options)
    return problem


def test_every_column_of_a_manifest_reaches_the_corpus(write, tmp_path):
    corpus = load(
        "manifest",
        write("name,split,emotion,speaker,video,text\nx,dev,sad,s1,a.mp4,so it goes\n"),
    )
    assert corpus.clips.loc["x"].dropna().to_dict() == {
        "split": "dev",
        "emotion": "sad",
        "speaker": "s1",
        "video": str(tmp_path / "a.mp4"),
        "text": "so it goes",
    }


def test_files_are_found_from_the_manifests_folder_and_not_the_working_one(
    write, tmp_path, monkeypatch
):
    path = write("name,video\nx,a.mp4\n")
    monkeypatch.chdir(tmp_path.parent)
    corpus = load("manifest", path.relative_to(tmp_path.parent))
    assert corpus.clips.loc["x", "video"] == str(tmp_path / "a.mp4")


def test_an_absolute_path_is_taken_as_it_is(write, tmp_path):
    path = write(f"name,audio\nx,{tmp_path / 'a.mp4'}\n")
    assert load("manifest", path).clips.loc["x", "audio"] == str(tmp_path / "a.mp4")


def test_without_a_split_column_clips_with_an_emotion_are_train(write):
    corpus = load("manifest", write("name,text,emotion\nx,hi,happy\ny,hm,\n"))
    assert corpus.clips["split"].to_dict() == {"x": "train", "y": "unlabelled"}
    assert any("no split column" in note for note in corpus.notes)


def test_labels_of_test_rows_are_answers_and_not_in_the_table(write):
    corpus = load("manifest", write("name,text,split,emotion\nx,hi,test,happy\ny,hm,train,sad\n"))
    assert corpus.clips["emotion"].dropna().to_dict() == {"y": "sad"}
    assert corpus.answers.to_dict() == {"x": "happy"}


def test_a_manifest_without_any_emotion_serves_for_extraction(write):
    corpus = load("manifest", write("name,video\nx,a.mp4\n"))
    assert corpus.clips["split"].tolist() == ["unlabelled"]
    assert corpus.labelled.empty


def test_a_label_in_other_case_or_with_spaces_is_normalised_and_noted(write):
    corpus = load("manifest", write("name,text,emotion\nx,hi, Happy \ny,hm,SAD\nz,oh,angry\n"))
    assert corpus.clips["emotion"].tolist() == ["happy", "sad", "angry"]
    assert "labels that had other case or outer spaces and were normalised: 2" in corpus.notes


def test_empty_text_is_absent_and_counted(write):
    corpus = load("manifest", write("name,video,text\nx,a.mp4,\ny,a.mp4,  \nz,a.mp4,yes\n"))
    assert corpus.clips["text"].notna().tolist() == [False, False, True]
    assert "2 of 3 clips have no text" in corpus.notes


def test_the_words_na_and_null_are_text_and_names(write):
    corpus = load("manifest", write("name,text\nnull,NA\n"))
    assert corpus.clips["text"].to_dict() == {"null": "NA"}


def test_names_of_digits_keep_their_zeros(write):
    assert load("manifest", write("name,text\n0012,hi\n")).clips.index.tolist() == ["0012"]


def test_a_byte_order_mark_and_windows_line_ends_are_read(write):
    corpus = load("manifest", write(codecs.BOM_UTF8 + "name,text\r\nx,你好\r\n".encode()))
    assert corpus.clips["text"].to_dict() == {"x": "你好"}


def test_headers_may_have_other_case_and_spaces(write):
    assert load("manifest", write("Name, TEXT\nx,hi\n")).clips["text"].tolist() == ["hi"]


def test_unknown_columns_are_ignored_with_a_note(write):
    corpus = load("manifest", write("name,text,emotoin\nx,hi,happy\n"))
    assert "ignored columns: 'emotoin'" in corpus.notes


def test_another_label_set_is_taken_by_option(write):
    corpus = load(
        "manifest", write("name,text,emotion\nx,hi,joy\n"), labels=["Anger", "Joy", "disgust"]
    )
    assert corpus.labels == ("anger", "joy", "disgust")
    assert corpus.clips["emotion"].tolist() == ["joy"]


def test_own_labels_are_those_that_occur_and_six_are_the_six(write):
    path = write("name,text,emotion\nx,hi,Bored\ny,hi,joy\nz,hi,\n")
    assert load("manifest", path, labels=("own",)).labels == ("bored", "joy")
    with pytest.raises(CorpusError, match="'bored'"):
        load("manifest", path, labels=("six",))


def test_a_missing_name_column_is_named_with_the_header_found(write):
    row, column, message = only_problem(write("clip,text\nx,hi\n"))
    assert (row, column) == ("row 1", "name")
    assert "missing column; the header has clip, text" in message


def test_a_manifest_without_any_media_column_is_refused(write):
    row, _, message = only_problem(write("name,emotion\nx,happy\n"))
    assert row == "row 1"
    assert "at least one of video, audio, text" in message


def test_a_duplicate_name_is_given_with_both_rows(write):
    assert only_problem(write("name,text\nx,hi\ny,hi\nx,ho\n")) == (
        "row 4",
        "name",
        "'x' is in row 2 too",
    )


def test_an_unknown_emotion_is_given_with_its_row_and_the_label_set(write):
    row, column, message = only_problem(write("name,text,emotion\nx,hi,happy\ny,hi,bored\n"))
    assert (row, column) == ("row 3", "emotion")
    assert "'bored'" in message
    assert "neutral, angry, happy, sad, worried, surprise" in message


@pytest.mark.parametrize("name", ["a/b", "..", "../a", "a..b", "a\\b", ".", ""])
def test_a_name_that_could_leave_its_folder_is_refused(write, name):
    row, column, _ = only_problem(write(f"name,text\nx,hi\n{name},hi\n"))
    assert (row, column) == ("row 3", "name")


@pytest.mark.parametrize("name", ["gone.mp4", "clips", "a" * 5000], ids=["gone", "folder", "long"])
def test_a_missing_file_is_noted_and_is_one_clip_that_fails(write, tmp_path, name):
    (tmp_path / "clips").mkdir()
    corpus = load("manifest", write(f"name,video\nx,a.mp4\ny,{name}\n"))
    assert corpus.clips.index.tolist() == ["x", "y"]
    (note,) = [note for note in corpus.notes if "missing" in note]
    assert note.startswith("1 media files are missing: ")
    assert str(tmp_path / name) in note


def test_chinese_in_another_encoding_is_refused_with_row_byte_and_remedy(write):
    text = "name,text\nx,hi\ny,你好\n"
    row, column, message = only_problem(write(text.encode("gb18030")))
    assert (row, column) == ("row 3", "encoding")
    assert "0xc4" in message
    assert "iconv -f GB18030" in message


@pytest.mark.parametrize(
    ("encoding", "text", "note"),
    [
        ("utf-16", "name,text\nx,你好\n", "clips.csv is UTF-16"),
        ("cp1252", "name,text\nx,don’t, café\n".replace(", c", " c"), "clips.csv is Windows-1252"),
        ("utf-8", "name;text\nx;a, b\n", "clips.csv is separated by semicolons"),
        ("cp1252", "name;text\nx;“Wait…” é à ü ö\n", "clips.csv is Windows-1252"),
        ("utf-16", "name\ttext\nx\tso\n", "clips.csv is separated by tabs"),
    ],
)
def test_what_spreadsheets_write_is_read_and_said(write, encoding, text, note):
    corpus = load("manifest", write(text.encode(encoding)))
    assert corpus.clips["text"].tolist() == [text.split("x")[-1][1:].strip()]
    assert note in corpus.notes


def test_a_spreadsheets_line_that_names_the_separator_is_no_header(write):
    corpus = load("manifest", write("sep=;\nname;text\nx;a, b\n"))
    assert corpus.clips["text"].to_dict() == {"x": "a, b"}


def test_other_names_of_splits_and_of_the_six_are_understood_and_noted(write):
    rows = [
        "name,text,split,emotion", "a,x,val,happiness", "b,x,Validation,Fear", "c,x,train,joy",
        "d,x,train,生气", "e,x,train,surprised", "f,x,train,sadness",
    ]  # fmt: skip
    corpus = load("manifest", write("\n".join(rows)))
    emotions = ["happy", "worried", "happy", "angry", "surprise", "sad"]
    assert corpus.clips["emotion"].tolist() == emotions
    assert corpus.clips["split"].tolist()[:2] == ["dev", "dev"]
    notes = "\n".join(corpus.notes)
    assert "split understood: 'val' as dev (1 clips), 'validation' as dev (1 clips)" in notes
    assert "'fear' as worried (1 clips)" in notes
    own = write("name,text,emotion\nx,hi,fear\ny,hi,joy\n")
    corpus = load("manifest", own, labels=("fear", "joy"))
    assert corpus.clips["emotion"].tolist() == ["fear", "joy"]


def test_numbers_for_emotions_are_refused_with_the_order_asked_for(write):
    _, _, message = only_problem(write("name,text,emotion\nx,hi,3\n"))
    assert "the number 3" in message
    assert "0 neutral, 1 angry, 2 happy, 3 sad, 4 worried, 5 surprise" in message


@pytest.mark.skipif(os.sep != "/", reason="here a path of Windows is a path")
def test_a_path_of_windows_gets_a_hint(write):
    found = problems(write("name,video\nx,clips\\a.mp4\ny,C:\\data\\b.mp4\n"))
    assert [place for place, _, _ in found] == ["row 2", "row 3"]
    assert "separated by '/', as in clips/a.mp4" in found[0][2]


def test_a_missing_name_is_the_files_where_that_is_unique(write, tmp_path):
    (tmp_path / "b.c.wav").write_bytes(b"x")
    corpus = load("manifest", write("video,audio\na.mp4,\n,b.c.wav\n"))
    assert corpus.clips.index.tolist() == ["a", "b.c"]
    assert "2 clips have no name: their files' names are taken" in corpus.notes
    corpus = load("manifest", write("name,video\n,a.mp4\nx,a.mp4\n"))
    assert corpus.clips.index.tolist() == ["a", "x"]
    assert "'a' is in row 2 too" in only_problem(write("video\na.mp4\nsub/a.mp4\n"))[2]


@pytest.mark.parametrize("content", ["name,text\n", "name,text\n\n,\n"])
def test_zero_rows_are_refused(write, content):
    assert "no clips at all" in only_problem(write(content))[2]


def test_an_empty_file_is_refused(write):
    assert {row for row, _, _ in problems(write(""))} == {"row 1"}


def test_a_manifest_that_is_not_there_is_named(tmp_path):
    where, column, message = only_problem(tmp_path / "gone.csv")
    assert (where, column) == (str(tmp_path / "gone.csv"), "file")
    assert "No such file" in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
def test_a_pipe_in_place_of_the_manifest_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "clips.csv")
    assert "no regular file" in only_problem(tmp_path / "clips.csv")[2]


def test_a_folder_in_place_of_the_manifest_is_named(tmp_path):
    assert only_problem(tmp_path)[1] == "file"


def test_an_unquoted_comma_is_told_and_its_row_not_misread(write):
    row, column, message = only_problem(write("name,text,emotion\nx,well, yes,happy\ny,hi,sad\n"))
    assert (row, column) == ("row 2", "fields")
    assert "4 fields, but the header has 3" in message


def test_an_open_quote_is_told(write):
    assert only_problem(write('name,text\nx,hi\ny,"oh\n'))[1] == "fields"


def test_a_repeated_column_is_told(write):
    row, column, _ = only_problem(write("name,text,text\nx,hi,ho\n"))
    assert (row, column) == ("row 1", "text")


def test_blank_columns_and_rows_of_a_spreadsheet_are_left_out(write):
    corpus = load("manifest", write("\n,name,text,,\n0,x,hi,,\n,,,,\n"))
    assert corpus.clips["text"].to_dict() == {"x": "hi"}
    assert not any("ignored" in note for note in corpus.notes)


def test_an_unknown_and_an_empty_split_are_told(write):
    found = problems(write("name,text,split\nx,hi,later\ny,hi,\nz,hi,Train\n"))
    assert [row for row, _, _ in found] == ["row 2", "row 3"]
    assert "'later' is no split" in found[0][2]
    assert "the split is empty" in found[1][2]


def test_rows_are_numbered_as_a_spreadsheet_shows_them(write):
    """Blank rows count, and a text of two lines is one row."""
    path = write('name,text,emotion\nx,"two\nlines",happy\n\ny,hi,bored\n')
    assert only_problem(path)[0] == "row 4"


def test_all_problems_are_in_one_message_with_their_rows(write):
    found = problems(
        write(
            "name,split,emotion,video\n"
            "x,train,happy,a.mp4\n"
            "x,train,bored,gone.mp4\n"
            "../y,train,sad,a.mp4\n"
            "z,later,sad,a.mp4\n"
            "w,train\n"
        )
    )
    assert {(row, column) for row, column, _ in found} == {
        ("row 3", "name"),
        ("row 3", "emotion"),
        ("row 4", "name"),
        ("row 5", "split"),
        ("row 6", "fields"),
    }


def test_a_missing_column_does_not_hide_the_other_columns_problems(write):
    found = problems(write("clip,text,emotion\nx,hi,bored\n"))
    assert {(row, column) for row, column, _ in found} == {("row 1", "name"), ("row 2", "emotion")}
