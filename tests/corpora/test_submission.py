"""A submission is whole and right, or it is not written."""

import pandas as pd
import pytest

from agt_lib.corpora import submission

LABELS = ("neutral", "angry", "happy")
CANDIDATES = ["b", "a", "c"]


@pytest.fixture
def predicted():
    return pd.Series({"a": "angry", "b": "happy", "c": "angry"})


def test_a_submission_has_a_line_for_each_candidate_in_their_order(tmp_path, predicted):
    path = submission.write(tmp_path / "out" / "s.csv", predicted, CANDIDATES, LABELS)
    assert path.read_text() == "name,discrete\nb,happy\na,angry\nc,angry\n"
    assert [p.name for p in path.parent.iterdir()] == ["s.csv"]


def test_names_that_look_like_missing_values_or_numbers_stay_as_they_are(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name\nNA\n007\n1e5\n")
    names = submission.candidates(path)
    assert names == ["NA", "007", "1e5"]
    written = submission.write(tmp_path / "s.csv", pd.Series("angry", names), names, LABELS)
    assert written.read_text() == "name,discrete\nNA,angry\n007,angry\n1e5,angry\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.drop("c"), "without a prediction: c"),
        (lambda p: pd.concat([p, pd.Series({"z": "angry"})]), "no candidates: z"),
        (lambda p: pd.concat([p, p[["a"]]]), "predicted more than once: a"),
        (lambda p: p.replace("happy", "Happy"), "none of neutral, angry, happy: 'Happy'"),
        (lambda p: p.where(p.index != "b"), "none of neutral, angry, happy: nan"),
    ],
)
def test_a_wrong_submission_is_not_written_and_the_error_names_the_clips(
    tmp_path, predicted, change, message
):
    with pytest.raises(ValueError, match=message):
        submission.write(tmp_path / "s.csv", change(predicted), CANDIDATES, LABELS)
    assert list(tmp_path.iterdir()) == []


def test_all_problems_are_listed_together(tmp_path):
    predicted = pd.Series({"a": "calm", "z": "angry"})
    with pytest.raises(ValueError, match=r"(?s)without a prediction: b, c.*: z.*'calm'"):
        submission.write(tmp_path / "s.csv", predicted, CANDIDATES, LABELS)


def test_an_earlier_submission_is_replaced_and_any_other_file_is_left_alone(tmp_path, predicted):
    path = submission.write(tmp_path / "s.csv", predicted, CANDIDATES, LABELS)
    submission.write(path, predicted.replace("angry", "neutral"), CANDIDATES, LABELS)
    assert "neutral" in path.read_text()
    for foreign in ("name,discrete\nother,happy\n", "name,discrete,valence\na,happy,1\n", "\0"):
        path.write_text(foreign)
        with pytest.raises(FileExistsError, match=r"s\.csv is there"):
            submission.write(path, predicted, CANDIDATES, LABELS)
        assert path.read_text() == foreign


def test_a_candidate_list_with_names_that_the_corpus_does_not_know_is_refused(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name,discrete\na,\nx,\n\na,\n,happy\n")
    with pytest.raises(ValueError, match=r"row 6; more than once: a; .*clips: x$"):
        submission.candidates(path, known=["a", "b"])


def test_a_candidate_list_needs_names(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("clip\na\n")
    with pytest.raises(ValueError, match="row 1: name: missing column; the header has clip"):
        submission.candidates(path)
    path.write_text("name\n")
    with pytest.raises(ValueError, match="no candidates"):
        submission.candidates(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"name\nclip1,happy\nclip2,sad\n", "row 2: fields: 2 fields, but the header has 1"),
        (b"name,discrete\nclip1,happy\nclip2\n", "row 3: fields: 1 fields"),
        ("name,discrete\nclip1,高兴\n".encode("gb18030"), "row 2: encoding: .*GB18030"),
    ],
)
def test_a_candidate_list_whose_rows_do_not_fit_its_header_is_refused(tmp_path, content, problem):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"list\.csv: {problem}"):
        submission.candidates(tmp_path / "list.csv")


def test_a_candidate_list_may_come_from_a_spreadsheet(tmp_path):
    (tmp_path / "list.csv").write_bytes("\ufeffName,Discrete,\r\nclip1,,\r\n,,\r\n".encode())
    assert submission.candidates(tmp_path / "list.csv") == ["clip1"]
