"""The record of a notebook's run: what it was told, what it runs on, where its results go."""

import json
import os
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
from agt_lib.workspace import kept, machine, paths, profiles, times

AUTO = "auto"
ENCODERS = ("audio", "video", "text")
SHARED = (
    "profile", "corpus", "root", *ENCODERS, "labels", "n_folds", "n_seeds", "max_failures", "seed",
)  # fmt: skip
"""The parameters that several notebooks have. All others are a notebook's own."""
SYNTHETIC = " (synthetic: rendered clips, no evidence about people)"


@dataclass(frozen=True)
class Run:
    """One notebook with its parameters resolved; made by `start`.

    `encoders` maps each modality in use to its encoder's specification, or to the folder of
    features for the corpus "mertools". `own` are parameters that this notebook alone has. `facts`
    are what the run was told of its inputs (`tell`), JSON-able.
    """

    notebook: str
    profile: profiles.Profile
    source: str
    root: str | None
    encoders: Mapping[str, str]
    labels: tuple[str, ...]
    seed: int
    max_failures: float
    own: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict)

    def tell(self, what: str, facts: Mapping[str, Any]) -> None:
        """Record `facts` under `what`; "corpus" has name, fingerprint, answers and synthetic."""
        self.facts[what] = dict(facts)

    @property
    def seeds(self) -> list[int]:
        """The seeds of a table's rows."""
        return [self.seed + i for i in range(self.profile.n_seeds)]

    @cached_property
    def folder(self) -> Path:
        """Where this run's tables and figures go, named by what they are made from.

        Raises ValueError where no corpus was told: results of two corpora would share a folder.
        """
        made_from = {"settings": self.settings} | self.inputs(self.notebook)
        name = f"{self.notebook}-{self.profile.name}-{kept.digest(made_from, 8)}"
        folder = paths.runs() / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / kept.MANIFEST).unlink(missing_ok=True)  # not whole until this run is
        return folder

    def inputs(self, notebook: str) -> dict[str, Any]:
        """What `notebook`'s results come from beside the settings.

        These are the corpus with its answers, each room's version, the packages, and the code in
        the notebook.
        """
        if "corpus" not in self.facts:
            raise ValueError("this run was told no corpus: load it by corpora.of_run(run) first")
        return {
            "corpus": self.facts["corpus"],
            "rooms": kept.room_versions(),
            "versions": kept.versions(),
            "notebook": _source_digest(notebook),
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved parameters, as plain data."""
        return {
            "notebook": self.notebook,
            "profile": asdict(self.profile),
            "corpus": self.source,
            "root": self.root,
            "encoders": dict(self.encoders),
            "labels": list(self.labels),
            "seed": self.seed,
            "max_failures": self.max_failures,
            "own": dict(self.own),
        }

    @property
    def caption(self) -> str:
        """The corpus' name, and that it is synthetic where it is."""
        corpus = self.facts["corpus"]
        return f"corpus {corpus['name']}{SYNTHETIC * corpus['synthetic']}"

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Save `table` as `name`.csv, its last column the corpus it is from; returns `table`."""
        index = not isinstance(table.index, pd.RangeIndex)
        content = table.assign(corpus=self.caption).to_csv(index=index)
        kept.write_atomic(self.folder / f"{name}.csv", content)
        return table

    def figure(self, figure: Figure, name: str, data: pd.DataFrame, source: str = "") -> None:
        """Say on a figure what it is from; save it beside the CSV it was drawn from.

        That is the run's corpus, or the `source` given.
        """
        said = source or self.caption
        figure.supxlabel(said, fontsize=7, color="grey", x=0.99, ha="right")
        save_figure(figure, self.folder / "figures", name, data.assign(corpus=said))

    def finish(self, **content: Any) -> None:
        """Write the run's manifest (settings, inputs, facts, `content`) and say where it is."""
        made_of = {
            "settings": self.settings,
            "inputs": self.inputs(self.notebook),
            "synthetic": self.facts["corpus"]["synthetic"],
            "facts": self.facts,
        }
        manifest = kept.write_manifest(self.folder, made_of | content, self.started)
        if self.source == self.profile.corpus:
            times.record(self.notebook, self.profile.name, manifest["seconds"])
        print(
            f"{manifest['seconds']:.0f} s, {manifest['peak_memory_mb']} MiB at most. Results: "
            f"{paths.relative(self.folder)}"
        )


def start(notebook: str, parameters: Mapping[str, Any]) -> Run:
    """Resolve a notebook's parameters and print them in one line with versions and device.

    `parameters` are the notebook's names after its parameters cell: `locals()`. Of `SHARED`,
    "auto" takes the profile's value. An empty encoder leaves its modality out, as does one
    that the notebook has no parameter for. `labels` names
    another label set than the six emotions, separated by commas. 0 folds or seeds are the
    profile's. `max_failures` is the share of unreadable clips that stops an extraction. All other
    literals are the notebook's own: they stand in its record and name its folder, as do the
    contents of files that they name.

    Raises ValueError where the profile names no corpus and none is given, or no modality is left.
    """
    literals = (str, int, float, bool, type(None))
    given = {k: v for k, v in parameters.items() if k[0] != "_" and isinstance(v, literals)}
    own = {name: value for name, value in given.items() if name not in SHARED}
    files = [path for path in own.values() if isinstance(path, str) and _is_file(path)]
    own["contents"] = [kept.file_digest(path) for path in files]
    preset = profiles.get(given["profile"])
    preset = replace(
        preset,
        n_folds=given.get("n_folds") or preset.n_folds,
        n_seeds=given.get("n_seeds") or preset.n_seeds,
    )
    corpus, root = given.get("corpus", AUTO), given.get("root", "")
    source = preset.corpus if corpus == AUTO else corpus
    if not source:
        raise ValueError(
            f"profile {preset.name!r} runs on your own corpus: give the parameters corpus (see "
            "agt_lib.corpora.SOURCES) and root"
        )
    asked = {modality: given.get(modality, "") for modality in ENCODERS}
    encoders = {m: getattr(preset, m) if spec == AUTO else spec for m, spec in asked.items()}
    used = {modality: spec for modality, spec in encoders.items() if spec}
    if not used:
        raise ValueError("every modality was left out; give at least one of audio, video, text")
    seed = int(given.get("seed", 0))
    machine.seed_everything(seed)
    run = Run(
        notebook=notebook,
        profile=preset,
        source=source,
        root=str(Path(root).expanduser().resolve()) if root else None,
        encoders=used,
        labels=tuple(
            filter(None, (label.strip().lower() for label in given.get("labels", "").split(",")))
        ),
        seed=seed,
        max_failures=given.get("max_failures", 0.05),
        own=own,
    )
    print(_line(run))
    return run


def _is_file(text: str) -> bool:
    try:
        return bool(text) and Path(text).expanduser().is_file()
    except OSError:  # longer than a path can be
        return False


def save_figure(figure: Figure, folder: Path, name: str, data: pd.DataFrame) -> None:
    """Write `name`.png, .pdf and the .csv of the data drawn into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    data.to_csv(folder / f"{name}.csv", index=not isinstance(data.index, pd.RangeIndex))
    for ending in ("png", "pdf"):
        figure.savefig(folder / f"{name}.{ending}", bbox_inches="tight")


def _source_digest(notebook: str) -> str | None:
    """A hash of a notebook's code; its parameters are left out, for their values are settings."""
    path = paths.ROOT / "notebooks" / f"{notebook}.ipynb"
    if not path.is_file():
        return None
    cells = json.loads(path.read_bytes())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    return kept.digest(
        [c["source"] for c in code if "parameters" not in c["metadata"].get("tags", [])]
    )


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
