"""A data folder for each file of tests to share, and notebooks run headless in it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agt_lib.workspace import paths, story

DATA = Path(os.environ.get("AGT_DATA") or paths.ROOT / "data")
SMOLLM2 = DATA / "models" / "smollm2-135m-instruct"
NOTEBOOKS = paths.ROOT / "notebooks"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with nothing in it but the language model that `make model` converted."""
    folder = tmp_path_factory.mktemp("data")
    if not SMOLLM2.is_dir():
        pytest.fail(f"{SMOLLM2} is missing: run `make model`, or all tests by `make test`")
    (folder / "models").mkdir()
    (folder / "models" / SMOLLM2.name).symlink_to(SMOLLM2, target_is_directory=True)
    return folder


@pytest.fixture
def data_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the tests of a file share, in the place of a fresh one for each."""
    monkeypatch.setenv("AGT_DATA", str(home))
    return home


def _results(notebook: str) -> Path:
    found = paths.runs().glob(f"{notebook}-*/")
    return max(found, key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="session")
def execute() -> Callable[..., Path]:
    """Run a notebook into `output`, in profile smoke, and return the folder of its results."""

    def execute(notebook: str, output: Path, **parameters: object) -> Path:
        source = NOTEBOOKS / f"{notebook}.ipynb"
        story.run_notebook(source, output, {"profile": "smoke"} | parameters)
        return _results(notebook)

    return execute


@pytest.fixture(scope="session")
def by_papermill() -> Callable[[str, Path], Path]:
    """`execute` as a notebook's reader does it, by papermill from the notebooks' folder."""

    def by_papermill(notebook: str, output: Path) -> Path:
        done = subprocess.run(
            [Path(sys.executable).parent / "papermill", f"{notebook}.ipynb", output]
            + ["-p", "profile", "smoke"],
            cwd=NOTEBOOKS,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return _results(notebook)

    return by_papermill
