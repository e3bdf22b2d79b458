"""The record of a notebook's run: what it was told, what it runs on, where its results go."""

import ast
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

import agt_lib
from agt_lib.workspace import kept, machine, paths
from agt_lib.workspace.figure_files import save_figure
from agt_lib.workspace.numbers import PARAMETERS, check_numbers
from agt_lib.workspace.profiles import PROFILES, Profile, within_reach
from agt_lib.workspace.words import neutral

AUTO = "auto"
ENCODERS = ("audio", "video", "text")
SHARED = {
    "profile": "mini", "corpus": AUTO, "root": "", **dict.fromkeys(ENCODERS, ""), "labels": "",
    "corrections": "", "options": "", "face": AUTO, "track": "", "max_seconds": 120.0,
    "n_folds": 0, "n_seeds": 0, "max_failures": 0.05, "seed": 0,
}  # fmt: skip
"""The parameters that several notebooks have, and their values in a notebook that lacks them.

All other parameters are a notebook's own.
"""
READING = ("corrections", "face", "track", "max_seconds")
"""Those that a notebook may have among its `options`, in place of a parameter each."""
FILLED_IN = "probe/"
"""The part of a run's folder whose files a user fills in: they may change."""
SYNTHETIC = " (synthetic: rendered clips, no evidence about people)"


@dataclass(frozen=True)
class Run:
    """One notebook with its parameters resolved; made by `start`.

    `encoders` maps each modality in use to its encoder's specification, or to the folder of
    features for the corpus "mertools". `own` are parameters that this notebook alone has, `code`
    is a hash of its code when the run began. `facts` are what the run was told of its inputs
    (`tell`), JSON-able.
    """

    notebook: str
    profile: Profile
    source: str
    root: str | None
    encoders: Mapping[str, str]
    labels: tuple[str, ...]
    corrections: str
    options: Mapping[str, str]
    max_seconds: float
    face: str
    track: str
    seed: int
    max_failures: float
    own: Mapping[str, Any]
    code: str
    started: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict)

    def tell(self, what: str, facts: Mapping[str, Any]) -> None:
        """Record `facts` under `what`.

        "corpus" has name, fingerprint, answers and synthetic; "scale" has a caption.
        """
        self.facts[what] = dict(facts)

    @property
    def seeds(self) -> list[int]:
        """The seeds of a table's rows."""
        return [self.seed + i for i in range(self.profile.n_seeds)]

    @property
    def parameters(self) -> dict[str, Any]:
        """The `SHARED` parameters as resolved, ready to be given to another notebook."""
        return {
            "profile": self.profile.name,
            "corpus": self.source,
            "root": self.root or "",
            **{modality: self.encoders.get(modality, "") for modality in ENCODERS},
            "labels": ",".join(self.labels),
            "corrections": self.corrections,
            "options": ",".join(f"{name}={value}" for name, value in self.options.items()),
            "max_seconds": self.max_seconds,
            "face": self.face,
            "track": self.track,
            "n_folds": self.profile.n_folds,
            "n_seeds": self.profile.n_seeds,
            "max_failures": self.max_failures,
            "seed": self.seed,
        }

    def encoder_options(self, modality: str) -> dict[str, Any]:
        """What the encoder of a `modality` is built with beside its name."""
        if modality == "text":
            return {}
        name, default = ("face", AUTO) if modality == "video" else ("track", "")
        told = {name: getattr(self, name)} if getattr(self, name) != default else {}
        return {"max_seconds": self.max_seconds} | told

    def made_from(self, notebook: str) -> dict[str, Any]:
        """What the results of `notebook` come from on the inputs of this run.

        These are the shared parameters, the corpus with its answers, each room's version, the
        packages and the code in the notebook. The notebook's own parameters are not among them.
        Raises ValueError if no corpus was told: results of two corpora would share a folder.
        """
        if "corpus" not in self.facts:
            raise ValueError("this run was told no corpus: load it by corpora.of_run(run) first")
        return {
            "notebook": notebook,
            "code": self.code if notebook == self.notebook else _code_digest(notebook),
            "parameters": self.parameters,
            "profile": asdict(self.profile),
            "corpus": self.facts["corpus"],
            "rooms": kept.room_versions(),
            "versions": kept.versions(),
        }

    @cached_property
    def folder(self) -> Path:
        """Where this run's tables and figures go, named by what they are made from."""
        content = kept.digest([self.made_from(self.notebook), self.own], 8)
        folder = paths.runs() / f"{self.notebook}-{self.profile.name}-{content}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / kept.MANIFEST).unlink(missing_ok=True)  # not whole until this run is
        kept.clear(folder)
        return folder

    @property
    def caption(self) -> str:
        """The name of the corpus, that it is synthetic if it is, and how features are scaled."""
        corpus, scale = self.facts["corpus"], self.facts.get("scale", {}).get("caption")
        said = f"corpus {corpus['name']}{SYNTHETIC * corpus['synthetic']}"
        return f"{said}; {scale}" if scale else said

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Save `table` as `name`.csv, its last column the corpus it is from; returns `table`."""
        index = not isinstance(table.index, pd.RangeIndex)
        content = neutral(table.assign(corpus=self.caption)).to_csv(index=index)
        kept.write_atomic(self.folder / f"{name}.csv", content)
        return table

    def figure(self, figure: Figure, name: str, data: pd.DataFrame) -> None:
        """Save a figure beside the CSV it was drawn from; both say which corpus they are from."""
        figure.supxlabel(self.caption, fontsize=7, color="grey", x=0.99, ha="right")
        folders, data = [self.folder / "figures"], data.assign(corpus=self.caption)
        save_figure(figure, folders, name, "", data, bbox_inches="tight")

    def finish(self, **content: Any) -> None:
        """Write the run's manifest, `content` included, and print where the results are."""
        about = {"made_from": self.made_from(self.notebook), "own": self.own, "facts": self.facts}
        files = kept.files_of(self.folder).items()
        about["files"] = {name: size for name, size in files if not name.startswith(FILLED_IN)}
        manifest = kept.write_manifest(self.folder, about | content, self.started)
        print(
            f"{manifest['seconds']:.0f} s, {manifest['peak_memory_mb']} MiB at most. Results: "
            f"{paths.relative(self.folder)}"
        )


def start(notebook: str, parameters: Mapping[str, Any]) -> Run:
    """Resolve a notebook's parameters and print them in one line with versions and device.

    `parameters` are the notebook's names after its parameters cell: `locals()`. For corpus and
    encoders "auto" is the profile's value. An empty encoder leaves its modality out. 0 folds or
    seeds are the profile's. `labels` names another label set than the six emotions, separated by
    commas; `corrections` a CSV of other labels; `options` are those of the corpus' own reader.
    `face` is how a video encoder comes to the face ("auto": as it is made for), `track` the
    language of the sound track to take of several. Clips longer than `max_seconds` are unreadable;
    `max_failures` is the share of these that stops an extraction. All other names of the parameters
    cell are the notebook's own (all literals, if the notebook is not one of `notebooks/`). They are
    on record and name the run's folder, as do the contents of files that they name.

    Raises ValueError for numbers that make no sense, if there is no such profile, if neither
    profile nor parameters name a corpus, or if no modality is left.
    """
    literals = (str, int, float, bool, type(None))
    known = _parameter_names(notebook)
    names = known or [name for name in parameters if name[0] != "_"]
    told = {k: parameters[k] for k in names if isinstance(parameters.get(k, ()), literals)}
    own = {name: value for name, value in told.items() if name not in SHARED}
    files = [value for value in own.values() if isinstance(value, str) and _is_file(value)]
    own["contents"] = [kept.file_digest(path) for path in files]
    told = SHARED | told
    options = _options(told["options"])
    for name in [name for name in READING if name in options]:
        told[name] = type(SHARED[name])(options.pop(name))
    check_numbers({name: told[name] for name in {*SHARED, *known} if name in told}, PARAMETERS)
    if told["n_folds"] == 1:
        raise ValueError("n_folds is 2 or more, or 0 for the profile's; got 1")
    if told["profile"] not in PROFILES:
        raise ValueError(f"no profile {told['profile']!r}; there are {', '.join(PROFILES)}")
    preset = within_reach(PROFILES[told["profile"]], [m for m in ENCODERS if told[m] == AUTO])
    inputs = {
        name: getattr(preset, name) if told[name] == AUTO else told[name]
        for name in ("corpus", *ENCODERS)
    }
    source = inputs.pop("corpus")
    if told["root"] and told["corpus"] == AUTO:
        source = AUTO  # the layout of the root says which
    if not source:
        raise ValueError(
            f"profile {preset.name!r} runs on your own corpus: give the parameters corpus (see "
            "agt_lib.corpora.SOURCES) and root"
        )
    if not any(inputs.values()):
        raise ValueError("every modality was left out; give at least one of audio, video, text")
    paths.check_data()
    machine.seed_everything(told["seed"])
    way, sign, file = told["face"].partition(":")
    labels = [label.strip().lower() for label in (told["labels"] or "").split(",")]
    run = Run(
        notebook=notebook,
        profile=replace(
            preset,
            n_folds=told["n_folds"] or preset.n_folds,
            n_seeds=told["n_seeds"] or preset.n_seeds,
        ),
        source=source,
        root=_absolute(told["root"]) or None,
        encoders={modality: spec for modality, spec in inputs.items() if spec},
        labels=tuple(label for label in labels if label),
        corrections=_absolute(told["corrections"]),
        options=options,
        max_seconds=float(told["max_seconds"]),
        face=way + sign + (_absolute(file) if _is_file(file) else file),
        track=told["track"],
        seed=told["seed"],
        max_failures=told["max_failures"],
        own=own,
        code=_code_digest(notebook),
    )
    print(_line(run))
    return run


def _absolute(path: str | None) -> str:
    return str(Path(path).expanduser().resolve()) if path else ""


def _options(text: str | None) -> dict[str, str]:
    """The corpus' options in "name=value, name=value"."""
    texts = re.split(r",(?=\s*\w+\s*=)", text or "")  # a value may hold a comma
    parts = [part.partition("=") for part in texts if part.strip()]
    if not all(sign for _, sign, _ in parts):
        raise ValueError(f"options are name=value, separated by commas; got {text!r}")
    return {name.strip(): value.strip() for name, _, value in parts}


def _is_file(text: str) -> bool:
    # Not by pathlib, which raises for a text that is longer than a path can be.
    return os.path.isfile(os.path.expanduser(text))  # noqa: PTH111, PTH113


def _code(notebook: str, *, parameters: bool) -> list[str]:
    """The code of a notebook's parameters cell, or of all others; empty if it has no file."""
    path = paths.ROOT / "notebooks" / f"{notebook}.ipynb"
    cells = json.loads(path.read_bytes())["cells"] if path.is_file() else []
    return [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code"
        and ("parameters" in cell["metadata"].get("tags", [])) == parameters
    ]


def _code_digest(notebook: str) -> str:
    return kept.digest(_code(notebook, parameters=False))


def _parameter_names(notebook: str) -> list[str]:
    """What the parameters cell assigns: later cells may hold other literals when it runs again."""
    nodes = ast.parse("\n".join(_code(notebook, parameters=True))).body
    return [node.targets[0].id for node in nodes if isinstance(node, ast.Assign)]


def _line(run: Run) -> str:
    where = machine.pick_device()
    precision = str(machine.pick_precision(AUTO, where)).removeprefix("torch.")
    versions = f"agt_lib {agt_lib.__version__} · torch {torch.__version__}"
    processor = f"{where.type} ({os.cpu_count()} cores, {precision})"
    used = " · ".join(f"{modality} {spec}" for modality, spec in run.encoders.items())
    return (
        f"{versions} · {processor} · profile {run.profile.name} · corpus {run.source} · {used} · "
        f"seeds {run.seeds}"
    )
