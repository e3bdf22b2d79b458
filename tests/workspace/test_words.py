"""What strangers wrote is shown and written so that nothing runs it."""

import pandas as pd
import pytest

from agt_lib.corpora.corpus import CorpusError, Problem
from agt_lib.corpora.media import MediaError
from agt_lib.workspace import paths
from agt_lib.workspace.words import hidden, neutral, visible

ESCAPE = "\x1b[2Jgone"


def test_invisible_characters_are_found_and_replaced():
    assert not hidden("样本 01-a.b ~é")
    for text in (
        ESCAPE, "a\u202eb", "a\u200bb", "\u009b31m", "a\u034fb", "\u3164", "a\ufe0f", "a\u2800",
        "a\U000e0100", "\u2066a", "\ufeffa",
    ):  # fmt: skip
        assert hidden(text)
        assert "?" in visible(text)
        assert not hidden(visible(text))
    assert visible("two\nlines\tand 中文") == "two\nlines\tand 中文"


def test_no_message_carries_an_escape_code():
    for error in (
        MediaError("open", "no such file", f"/x/{ESCAPE}.mp4"),
        CorpusError("here", [Problem("row 2", "name", ESCAPE)]),
    ):
        assert "\x1b" not in str(error)
        assert "?[2Jgone" in str(error)


def test_text_that_a_spreadsheet_would_run_is_quoted_and_numbers_are_not():
    texts = ["=cmd|' /C calc'!A0", "-1", "-x", "@a", "plain"]
    found = neutral(pd.DataFrame({"text": texts, "n": [1, -2, 3, 4, 5]}))
    assert found["text"].tolist() == ["'=cmd|' /C calc'!A0", "-1", "'-x", "'@a", "plain"]
    assert found["n"].tolist() == [1, -2, 3, 4, 5]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_names_of_rows_and_columns_are_quoted_too(sign):
    text = f"{sign}cmd|' /C calc'!A0"
    found = neutral(pd.DataFrame({text: [text]}, index=pd.Index([text], name="name")))
    assert found.columns.tolist() == found.index.tolist() == found.iloc[0].tolist() == [f"'{text}"]
    assert found.index.name == "name"
    pairs = neutral(pd.DataFrame({"n": [1]}, index=pd.MultiIndex.from_tuples([("a", text)])))
    assert pairs.index.tolist() == [("a", f"'{text}")]


def test_a_data_folder_that_is_a_file_is_named_with_its_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"file \(AGT_DATA\) can't be written to"):
        paths.check_data()
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "new" / "one"))
    paths.check_data()
    assert paths.data().is_dir()
