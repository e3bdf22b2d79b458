import sys

import pytest

from agt_lib.corpora.sources import SOURCES, load


def test_an_unknown_source_is_refused_with_the_sources_there_are():
    with pytest.raises(ValueError, match="unknown corpus 'melt'") as caught:
        load("melt")
    assert all(source in str(caught.value) for source in SOURCES)


@pytest.mark.parametrize("source", ["manifest", "mer2024", "mertools"])
@pytest.mark.parametrize("root", [None, "", " "])
def test_a_source_on_disk_asks_for_its_root_and_says_what_that_is(source, root):
    with pytest.raises(ValueError, match=f"corpus '{source}' needs a root") as caught:
        load(source, root)
    assert "mer2024-dataset" in str(caught.value)


def test_a_root_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "clips.csv").write_text("name,text\nx,hi\n")
    assert load("manifest", "~/clips.csv").clips.index.tolist() == ["x"]


def test_a_manifest_is_read_without_importing_the_renderer(tmp_path, monkeypatch):
    for module in [name for name in sys.modules if name.startswith("mini_corpus")]:
        monkeypatch.delitem(sys.modules, module)
    (tmp_path / "clips.csv").write_text("name,text\nx,hi\n")
    load("manifest", tmp_path / "clips.csv")
    assert "mini_corpus" not in sys.modules


def test_an_option_that_a_reader_does_not_take_is_refused_with_those_it_takes(tmp_path):
    with pytest.raises(ValueError, match="corpus 'mer2024' takes no labels, only root, language"):
        load("mer2024", tmp_path, labels=("joy", "anger"))
    with pytest.raises(ValueError, match="corpus 'manifest' takes no seed, only root, labels"):
        load("manifest", tmp_path, seed=1)


def test_a_new_source_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "own", ("agt_lib.corpora.manifest:load", "root: a CSV file"))
    (tmp_path / "clips.csv").write_text("name,text\nx,hi\n")
    assert load("own", tmp_path / "clips.csv").clips.index.tolist() == ["x"]
