"""Run the numbered notebooks in order, headless, each once: `agt reproduce`.

An executed notebook is kept under what it was made from (its source, the rooms' versions, the
parameters), with the names of the results it left. While these stay it is not run again.
"""

import ast
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill

from agt_lib.workspace import kept, paths, times
from agt_lib.workspace.run import READING, SHARED, Run


class NotebookError(RuntimeError):
    """A notebook that could not be run to its end."""


LAST = "08_paper_figures"
"""Where the story ends: what comes after it looks at results."""


def notebooks() -> list[Path]:
    """The numbered notebooks, in order."""
    return sorted((paths.ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))


def execute(source: Path, output: Path, parameters: Mapping[str, object]) -> None:
    """Execute the notebook `source` headless into `output`, with a bar that counts its cells.

    Meanwhile the file has `.running` in its name. Raises NotebookError for a parameter that the
    notebook does not have, for a cell that raises and for a kernel that dies. What was executed
    until then lies in `output` with `.failed` in its name.
    """
    known = papermill.inspect_notebook(source)
    if unknown := sorted(set(parameters) - set(known)):
        raise NotebookError(f"{source.name} has no parameters {unknown}; it has {sorted(known)}")
    running, failed = (output.with_suffix(f".{state}.ipynb") for state in ("running", "failed"))
    output.parent.mkdir(parents=True, exist_ok=True)
    failed.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            source,
            running,
            dict(parameters),
            kernel_name="python3",
            progress_bar={"desc": source.stem, "leave": False},
            extra_arguments=["--log-level=ERROR"],  # else each kernel warns that it talks by TCP
        )
    except Exception as error:
        if running.is_file():
            running.replace(failed)
        raise NotebookError(
            f"{source.name} stopped: {error}\nWhat it did until then: {paths.relative(failed)}"
        ) from None
    cells = [cell for cell in nbformat.read(running, 4).cells if cell.cell_type == "code"]
    if any(cell.execution_count is None for cell in cells):
        running.replace(failed)
        raise NotebookError(f"{source.name}: not all cells ran; see {paths.relative(failed)}")
    running.replace(output)


def typed(source: Path, given: Mapping[str, str]) -> dict[str, object]:
    """Parameters given as text, as the notebook `source` has them: text stays what it is.

    Raises ValueError for a number or a truth value that can't be read as one.
    """
    known = papermill.inspect_notebook(source)
    found: dict[str, object] = {}
    for name, text in given.items():
        default = ast.literal_eval(known[name]["default"]) if name in known else ""
        try:
            if isinstance(default, bool):
                found[name] = {"true": True, "false": False}[text.lower()]
            else:
                found[name] = type(default)(text)
        except (ValueError, KeyError):
            kind = type(default).__name__
            raise ValueError(f"{source.stem}: {name} is a {kind}; got {text!r}") from None
    return found


def run_notebook(source: Path, output: Path, parameters: Mapping[str, object]) -> bool:
    """`execute`, unless that was done from the same inputs; True if it was executed now.

    It is executed again if the results that it left in `paths.runs()` are gone.
    """
    made_from = {
        "notebook": kept.file_digest(source),
        "parameters": dict(parameters),
        "rooms": kept.room_versions(),
        "versions": kept.versions(),
    }
    folder = kept.folder_of("notebook", made_from)
    if done := kept.is_whole(folder):
        left = [paths.runs() / name for name in kept.read_manifest(folder)["results"]]
        if done := all(map(kept.is_whole, left)):
            output.parent.mkdir(parents=True, exist_ok=True)
        else:
            kept.discard(folder, "has lost its results")

    def make(folder: Path) -> dict[str, list[str]]:
        began = time.time()
        execute(source, output, parameters)
        shutil.copy(output, folder / source.name)
        return {"results": [left.name for left in results_since(source.stem, began)]}

    shutil.copy(kept.kept("notebook", made_from, make) / source.name, output)
    return not done


def results_since(notebook: str, began: float) -> list[Path]:
    """The folders of results that `notebook` finished after `began` (`time.time()`)."""
    manifests = paths.runs().glob(f"{notebook}-*/{kept.MANIFEST}")
    return sorted(path.parent for path in manifests if path.stat().st_mtime > began)


def finished(run: Run, notebook: str) -> Path | None:
    """The newest finished results of `notebook` on the inputs of `run`, or None."""
    wanted, found = kept.digest(run.made_from(notebook)), []
    for folder in paths.runs().glob(f"{notebook}-{run.profile.name}-*"):
        if not kept.is_whole(folder):
            continue
        if kept.digest(kept.read_manifest(folder)["made_from"]) == wanted:
            found.append(folder)
    return max(found, key=lambda f: (f / kept.MANIFEST).stat().st_mtime, default=None)


def results(run: Run, notebook: str) -> Path:
    """The folder of `notebook`'s results on the inputs of `run`.

    If there are none of this state of library and notebook, it is executed first. Its executed
    copy lies in the folder of `run`. Raises NotebookError as `execute` does.
    """
    if (found := finished(run, notebook)) is not None:
        return found
    source = paths.ROOT / "notebooks" / f"{notebook}.ipynb"
    known = papermill.inspect_notebook(source)
    given = {name: value for name, value in run.parameters.items() if name in known}
    if "options" in known:
        others = [n for n in READING if n not in known and run.parameters[n] != SHARED[n]]
        told = [f"{name}={run.parameters[name]}" for name in others]
        given["options"] = ",".join(filter(None, [given["options"], *told]))
    output = run.folder / "notebooks" / source.name
    print(f"{notebook} has no results of this corpus, library and notebook yet: running it")
    execute(source, output, given)
    found = finished(run, notebook)
    if found is None:
        raise NotebookError(f"{source.name} left no finished results; see {paths.relative(output)}")
    return found


def departures(folders: Mapping[str, Path]) -> str:
    """In a sentence, which notebooks were given other values of their own parameters, and which.

    `folders` hold the results by notebook. Empty if all kept their defaults.
    """
    said = []
    for notebook, folder in folders.items():
        known = papermill.inspect_notebook(paths.ROOT / "notebooks" / f"{notebook}.ipynb")
        changed = [
            f"{key}={value!r}"
            for key, value in kept.read_manifest(folder)["own"].items()
            if key in known and ast.literal_eval(known[key]["default"]) != value
        ]
        if changed:
            said.append(f"{notebook} with {', '.join(changed)}")
    return f"Parameters other than the notebooks' own: {'; '.join(said)}." if said else ""


def result(notebook: Path) -> str | None:
    """What an executed notebook's cell tagged "result" shows, or None if there is none."""
    for cell in nbformat.read(notebook, 4).cells:
        if "result" in cell.metadata.get("tags", []):
            return "\n".join(filter(None, map(_text, cell.outputs)))
    return None


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text
    shown = output.get("data", {})
    return shown.get("text/markdown") or shown.get("text/plain", "")


def reproduce(profile: str) -> int:
    """Run the notebooks up to `LAST` with one profile and print its result; 1 when one fails."""
    folder = paths.runs() / "notebooks" / profile
    started, last = time.monotonic(), None
    for source in (path for path in notebooks() if path.stem <= LAST):
        began = time.monotonic()
        try:
            ran = run_notebook(source, folder / source.name, {"profile": profile})
        except NotebookError as error:
            print(f"{source.stem}: failed\n{error}", file=sys.stderr)
            return 1
        took = time.monotonic() - began
        print(f"{source.stem}: {f'{took:.0f} s' if ran else 'done before, unchanged'}", flush=True)
        if ran:
            times.record(source.stem, profile, took)
        last = result(folder / source.name) or last
    print(f"\n{last or ''}\n{'-' * 60}")
    seconds = f"{time.monotonic() - started:.0f} s"
    print(f"{seconds} in all. Executed notebooks: {paths.relative(folder)}")
    print("Tables, predictions and figures lie where each notebook's last line says.")
    return 0
