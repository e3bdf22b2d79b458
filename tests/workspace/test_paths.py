from pathlib import Path

import pytest

from agt_lib.workspace import paths

FOLDERS = [paths.derived, paths.features, paths.models, paths.runs]


def test_everything_lies_in_the_checkout_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("AGT_DATA", raising=False)
    assert (paths.ROOT / "pyproject.toml").is_file()
    assert paths.data() == paths.ROOT / "data"
    assert all(folder().parent == paths.data() for folder in FOLDERS)


def test_an_empty_agt_data_is_none(monkeypatch):
    monkeypatch.setenv("AGT_DATA", "")
    assert paths.data() == paths.ROOT / "data"


def test_agt_data_moves_every_folder_that_is_written(monkeypatch, tmp_path):
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "elsewhere"))
    assert paths.data() == tmp_path / "elsewhere"
    for folder in FOLDERS:
        assert folder().parent == tmp_path / "elsewhere"


def test_agt_data_may_be_relative_or_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGT_DATA", "here")
    assert paths.data() == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGT_DATA", "~/there")
    assert paths.data() == tmp_path / "there"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (paths.ROOT / "data/runs", str(Path("data/runs"))),
        (Path("/elsewhere/x"), str(Path("/elsewhere/x"))),
    ],
)
def test_a_path_is_shown_from_the_checkout_where_it_lies_inside(path, shown):
    assert paths.relative(path) == shown
