"""Run the numbered notebooks in order, headless, each once: `python -m agt_lib.workspace.story`.

An executed notebook is kept under what it was made from (its source, the rooms' versions, the
parameters), with the names of the results it left. While these stay it is not run again.
"""

import argparse
import ast
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill

from agt_lib.workspace import kept, paths, profiles
from agt_lib.workspace.run import ENCODERS, Run

RESULT_TAG = "result"
QUIET = ["--log-level=ERROR"]
"""For the kernels: each warns that it talks by TCP, as every kernel does."""
SHARED_SETTINGS = ("profile", "corpus", "root", "encoders", "labels", "seed", "max_failures")
"""What two notebooks' runs must agree on for one to use the other's results."""


class NotebookError(RuntimeError):
    """A notebook that could not be run to its end."""


def notebooks() -> list[Path]:
    """The numbered notebooks, in order."""
    return sorted((paths.ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))


def run_notebook(
    source: Path, output: Path, parameters: Mapping[str, object], *, again: bool = False
) -> bool:
    """Execute `source` into `output` unless that was done from the same inputs; True if it ran.

    It runs again where the results that it left in `paths.runs()` are gone, and where `again`: then
    a bar shows how far it is.
    Raises NotebookError for a parameter the notebook does not have, for a cell that raises and for
    a kernel that dies; what was executed until then lies in `output` with `.failed` in its name.
    """
    known = papermill.inspect_notebook(source)
    if unknown := sorted(set(parameters) - set(known)):
        raise NotebookError(f"{source.name} has no parameters {unknown}; it has {sorted(known)}")
    made_from = {
        "notebook": kept.file_digest(source),
        "parameters": dict(parameters),
        "rooms": kept.room_versions(),
        "versions": kept.versions(),
    }
    folder = kept.folder_of("notebook", made_from)
    done = kept.read_manifest(folder) if kept.is_whole(folder) else None
    left = [] if done is None else [paths.runs() / name for name in done["results"]]
    if done is not None and (again or not all(map(kept.is_whole, left))):
        kept.discard(folder, "is asked for again" if again else "has lost its results")
        done = None
    failed = output.with_suffix(".failed.ipynb")
    failed.parent.mkdir(parents=True, exist_ok=True)
    folder = kept.kept(
        "notebook", made_from, lambda it: _execute(source, it, failed, parameters, bar=again)
    )
    shutil.copy(folder / source.name, output)
    return done is None


def _execute(
    source: Path, folder: Path, failed: Path, parameters: Mapping[str, object], *, bar: bool
) -> dict[str, list[str]]:
    """Execute `source` as `failed`, move it into `folder`, and name the results that it left."""
    began = time.time()
    try:
        papermill.execute_notebook(
            source,
            failed,
            dict(parameters),
            kernel_name="python3",
            progress_bar=bar,
            extra_arguments=list(QUIET),
        )
    except Exception as error:
        raise NotebookError(
            f"{source.name} stopped: {error}\nWhat it did until then: {paths.relative(failed)}"
        ) from None
    cells = [cell for cell in nbformat.read(failed, 4).cells if cell.cell_type == "code"]
    if any(cell.execution_count is None for cell in cells):
        raise NotebookError(f"{source.name}: not all cells ran; see {paths.relative(failed)}")
    shutil.move(failed, folder / source.name)
    manifests = paths.runs().glob(f"{source.stem}-*/{kept.MANIFEST}")
    return {"results": sorted(p.parent.name for p in manifests if p.stat().st_mtime > began)}


def finished(run: Run, notebook: str) -> Path | None:
    """The newest finished results of `notebook` from its inputs (`Run.inputs`) and the settings of
    `run`, or None."""
    shared = {key: run.settings[key] for key in SHARED_SETTINGS} | {"notebook": notebook}
    wanted = json.loads(json.dumps([shared, run.inputs(notebook)]))
    found = []
    for folder in paths.runs().glob(f"{notebook}-{run.profile.name}-*"):
        manifest = kept.read_manifest(folder) or {}
        settings = manifest.get("settings", {})
        if [{key: settings.get(key) for key in shared}, manifest.get("inputs")] == wanted:
            found.append(folder)
    return max(found, key=lambda f: (f / kept.MANIFEST).stat().st_mtime, default=None)


def results(run: Run, notebook: str) -> Path:
    """The folder of `notebook`'s results on the corpus and settings of `run`.

    Where there are none of this state of library and notebook it is run first, headless; its
    executed copy lies in the folder of `run`. Raises NotebookError as `run_notebook` does.
    """
    if (found := finished(run, notebook)) is not None:
        return found
    source = paths.ROOT / "notebooks" / f"{notebook}.ipynb"
    settings = run.settings
    parameters = {
        "profile": run.profile.name,
        "corpus": run.source,
        "root": run.root or "",
        "labels": ",".join(run.labels),
        "n_folds": run.profile.n_folds,
        "n_seeds": run.profile.n_seeds,
        "max_failures": run.max_failures,
        "seed": run.seed,
        **{modality: settings["encoders"].get(modality, "") for modality in ENCODERS},
    }
    known = papermill.inspect_notebook(source)
    output = run.folder / "notebooks" / source.name
    print(f"{notebook} has no results of this corpus, library and notebook yet: running it")
    given = {name: value for name, value in parameters.items() if name in known}
    run_notebook(source, output, given, again=True)
    found = finished(run, notebook)
    if found is None:
        raise NotebookError(f"{source.name} left no finished results; see {paths.relative(output)}")
    return found


def departures(folders: Mapping[str, Path]) -> str:
    """In a sentence, which of their own parameters notebooks were given other values than theirs.

    `folders` hold the results by notebook. Empty where all kept their defaults.
    """
    said = []
    for notebook, folder in folders.items():
        known = papermill.inspect_notebook(paths.ROOT / "notebooks" / f"{notebook}.ipynb")
        own = kept.read_manifest(folder)["settings"]["own"]
        changed = [
            f"{key}={value!r}"
            for key, value in own.items()
            if key in known and ast.literal_eval(known[key]["default"]) != value
        ]
        said += [f"{notebook} with {', '.join(changed)}"] if changed else []
    return f"Parameters other than the notebooks' own: {'; '.join(said)}." if said else ""


def result(notebook: Path) -> str | None:
    """The text of an executed notebook's cell tagged "result", or None where there is none."""
    for cell in nbformat.read(notebook, 4).cells:
        if RESULT_TAG in cell.metadata.get("tags", []) and cell.cell_type == "code":
            texts = [_text(output) for output in cell.outputs]
            return "\n".join(text for text in texts if text)
    return None


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text
    shown = output.get("data", {})
    return shown.get("text/markdown") or shown.get("text/plain", "")


def main() -> int:
    """Run all notebooks with one profile and print the last result; 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="mini", choices=list(profiles.PROFILES))
    profile = parser.parse_args().profile
    folder = paths.runs() / "notebooks" / profile
    started, last = time.monotonic(), None
    for source in notebooks():
        print(f"{source.stem} ...", end=" ", flush=True)
        began = time.monotonic()
        try:
            ran = run_notebook(source, folder / source.name, {"profile": profile})
        except NotebookError as error:
            print(f"failed\n{error}", file=sys.stderr)
            return 1
        print(f"{time.monotonic() - began:.0f} s" if ran else "done before, unchanged")
        last = result(folder / source.name) or last
    width = shutil.get_terminal_size().columns
    print(f"\n{last or ''}\n{'-' * min(width, 60)}")
    print(
        f"{time.monotonic() - started:.0f} s in all. Executed notebooks: {paths.relative(folder)}"
    )
    print("Tables, predictions and figures lie where each notebook's last line says.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
