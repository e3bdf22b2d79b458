"""The notebook runner, on small notebooks the tests write."""

import signal
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from agt_lib.workspace import kept, story, times


@pytest.fixture
def write(tmp_path):
    """Write a notebook whose parameters cell is `x = 1`, followed by the cells given."""

    def write(*sources, tags=()):
        cells = [new_code_cell("x = 1", metadata={"tags": ["parameters"]})]
        cells += [new_code_cell(source, metadata={"tags": list(tags)}) for source in sources]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = tmp_path / "01_test.ipynb"
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return write


def test_a_notebook_runs_once_and_again_only_when_something_changed(write, tmp_path):
    source, output = write("print('x is', x)", tags=["result"]), tmp_path / "out" / "01.ipynb"
    assert story.run_notebook(source, output, {"x": 3})
    assert story.result(output).strip() == "x is 3"
    assert not story.run_notebook(source, output, {"x": 3})
    assert story.run_notebook(source, output, {"x": 4})
    assert story.result(output).strip() == "x is 4"


def test_a_notebook_whose_results_were_deleted_or_are_not_whole_runs_again(write, tmp_path):
    output = tmp_path / "out" / "01.ipynb"
    results = story.paths.runs() / "01_test-smoke-1"
    source = write(
        f"from agt_lib.workspace import kept\nkept.write_manifest({str(results)!r}, {{}}, 0)"
    )
    kept.write_manifest(story.paths.runs() / "01_test-smoke-0", {}, 0.0)  # of another run
    assert story.run_notebook(source, output, {})
    (story.paths.runs() / "01_test-smoke-0" / kept.MANIFEST).unlink()
    assert not story.run_notebook(source, output, {})
    (results / kept.MANIFEST).unlink()
    assert story.run_notebook(source, output, {})
    assert (results / kept.MANIFEST).is_file()
    assert not story.run_notebook(source, output, {})


def test_a_parameter_that_the_notebook_does_not_have_is_refused(write, tmp_path):
    with pytest.raises(story.NotebookError, match=r"no parameters \['epohcs'\]; it has"):
        story.run_notebook(write("x"), tmp_path / "out.ipynb", {"epohcs": 3})
    assert not (tmp_path / "out.ipynb").exists()


def test_text_becomes_what_the_notebooks_parameter_is(tmp_path):
    cell = new_code_cell("face = 'auto'\ntuned = True\nn = 3\nx = 0.5")
    cell.metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "01_test.ipynb")
    source = tmp_path / "01_test.ipynb"
    given = {"face": "none", "tuned": "false", "n": "5", "x": "1e-3", "odd": "7"}
    typed = story.typed(source, given)
    assert typed == {"face": "none", "tuned": False, "n": 5, "x": 0.001, "odd": "7"}
    with pytest.raises(ValueError, match="01_test: n is a int; got 'many'"):
        story.typed(source, {"n": "many"})


def test_a_cell_that_raises_fails_and_leaves_what_ran_under_another_name(write, tmp_path):
    output = tmp_path / "out.ipynb"
    with pytest.raises(story.NotebookError, match=r"(?s)no clips here.*out\.failed\.ipynb"):
        story.run_notebook(write("1 + 1", "raise ValueError('no clips here')"), output, {})
    assert [path.name for path in tmp_path.glob("out*")] == ["out.failed.ipynb"]


def test_a_running_notebook_is_named_so_and_counts_its_cells(write, tmp_path, capsys):
    (tmp_path / "out.failed.ipynb").write_text("of the run before")
    source = write(f"import glob\nprint(glob.glob('out*', root_dir={str(tmp_path)!r}))")
    output = tmp_path / "out.ipynb"
    story.run_notebook(source, output, {})
    printed = [out.text for c in nbformat.read(output, 4).cells for out in c.get("outputs", ())]
    assert printed == ["['out.running.ipynb']\n"]
    assert [path.name for path in tmp_path.glob("out*")] == ["out.ipynb"]
    assert "01_test:" in (told := capsys.readouterr().err) and "/2 [" in told


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_kernel_that_dies_is_a_failure(write, tmp_path):
    with pytest.raises(story.NotebookError):
        story.run_notebook(
            write("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "1"),
            tmp_path / "out.ipynb",
            {},
        )
    assert not (tmp_path / "out.ipynb").exists()


def test_results_that_were_deleted_are_made_again(write, tmp_path, monkeypatch):
    made = tmp_path / "made"
    source = write(f"from pathlib import Path\nPath({str(made)!r}).mkdir(exist_ok=True)")
    (tmp_path / "notebooks").mkdir()
    source.rename(tmp_path / "notebooks" / source.name)
    monkeypatch.setattr(story.paths, "ROOT", tmp_path)
    monkeypatch.setattr(story, "finished", lambda *_: made if made.exists() else None)
    run = SimpleNamespace(folder=tmp_path / "run", parameters={"profile": "smoke", "x": 2})
    assert story.results(run, "01_test") == made
    made.rmdir()  # its executed notebook still lies in the run's folder
    assert story.results(run, "01_test") == made
    assert made.exists()


def test_what_a_notebook_has_no_parameter_for_is_among_its_options(write, tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    source = write("x")
    cell = new_code_cell("options = ''\nface = 'auto'", metadata={"tags": ["parameters"]})
    notebook = nbformat.read(source, 4)
    notebook.cells[0] = cell
    nbformat.write(notebook, tmp_path / "notebooks" / source.name)
    monkeypatch.setattr(story.paths, "ROOT", tmp_path)
    monkeypatch.setattr(story, "finished", lambda *_: tmp_path if asked else None)
    asked = []
    monkeypatch.setattr(story, "execute", lambda *given: asked.append(given[2]))
    told = {
        "options": "x=1",
        "face": "crop",
        "max_seconds": 600.0,
        "corrections": "",
        "track": "deu",
    }
    story.results(SimpleNamespace(folder=tmp_path, parameters=told), "01_test")
    assert asked == [{"options": "x=1,track=deu,max_seconds=600.0", "face": "crop"}]


def test_parameters_that_a_notebook_was_given_are_said_and_its_own_are_not(
    write, tmp_path, monkeypatch
):
    (tmp_path / "notebooks").mkdir()
    write("x").rename(tmp_path / "notebooks" / "01_test.ipynb")
    monkeypatch.setattr(story.paths, "ROOT", tmp_path)
    folders = {}
    for x in (1, 3):
        folders[x] = tmp_path / f"run{x}"
        kept.write_manifest(folders[x], {"own": {"x": x}}, 0.0)
    assert story.departures({"01_test": folders[1]}) == ""
    assert "01_test with x=3" in story.departures({"01_test": folders[3]})


def test_a_notebook_with_a_letter_runs_after_that_of_its_number():
    names = [path.stem for path in story.notebooks()]
    place = names.index("07_vote")
    assert names[place : place + 3] == ["07_vote", "07b_vote_maps", "08_paper_figures"]


def test_the_story_records_how_long_the_notebooks_took_that_it_executed(monkeypatch, tmp_path):
    monkeypatch.setattr(story, "notebooks", lambda: [Path("01_new.ipynb"), Path("02_done.ipynb")])
    monkeypatch.setattr(story, "run_notebook", lambda source, *_: source.stem == "01_new")
    monkeypatch.setattr(story, "result", lambda notebook: None)
    assert story.reproduce("smoke") == 0
    assert times.read()[["notebook", "profile"]].to_numpy().tolist() == [["01_new", "smoke"]]
