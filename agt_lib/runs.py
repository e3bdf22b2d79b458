"""The record of a notebook's run: what it was told, what it runs on, where its results go."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

import agt_lib
from agt_lib import artefact, corpora, device, feature_sets, paths, plots, profiles
from agt_lib.corpora import mertools
from agt_lib.corpus import Corpus
from agt_lib.crossval import dev_fold
from agt_lib.emotions import normalise
from agt_lib.features import Features
from agt_lib.folds import make_folds
from agt_lib.fusion_data import FusionData, from_corpus
from agt_lib.store import extraction_record

AUTO = "auto"
MODALITIES = ("audio", "video", "text")


@dataclass(frozen=True)
class Run:
    """One notebook with its parameters resolved; made by `start`.

    `encoders` maps each modality in use to its encoder's specification, or to the folder of
    features for the corpus "mertools"; `own` are parameters that this notebook alone has.
    """

    notebook: str
    profile: profiles.Profile
    source: str
    root: str | None
    encoders: Mapping[str, str]
    labels: tuple[str, ...]
    seed: int
    max_failures: float
    splits: tuple[str, ...] | None
    tuned: bool = False
    own: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus; rendered first where the profile's own is not there yet."""
        options = {"labels": self.labels} if self.labels else {}
        return corpora.load(self.source, self.root, **options)

    @cached_property
    def features(self) -> dict[str, Features]:
        """The features of each modality in use: from the store, or extracted into it.

        In a `tuned` run those that can be tuned are (see `feature_sets.tuned`).
        """
        options = {"splits": self.splits, "max_failures": self.max_failures}
        root = self.root if self.source == "mertools" else None
        found = feature_sets.raw(self.corpus, self.encoders, root=root, **options)
        if self.tuned and root is not None:
            print("features that MERTools made can't be tuned: there are no clips here; raw ones")
        elif self.tuned:
            ranker = "llm" if self.profile.name == "paper" else "classifier"  # GPT-4, section 2.1
            found |= feature_sets.tuned(
                self.corpus, self.folds, self.encoders, ranker=ranker, seed=self.seed,
                max_epochs=self.profile.max_epochs, **options,
            )  # fmt: skip
        return found

    @cached_property
    def data(self) -> FusionData:
        """The labelled clips to train and validate on, with their features.

        A modality that none of them has is left out, and said.
        """
        data = from_corpus(self.corpus, self.features, ("train", "dev"))
        there = [m for m in data.modalities if data.is_present(m).any()]
        if not there:
            raise ValueError("no labelled clip has features: see the reasons in notebook 01")
        for modality in set(data.modalities) - set(there):
            print(f"no labelled clip has {modality}: it is left out")
        return data.only(there)

    @cached_property
    def test(self) -> FusionData | None:
        """The test clips with their features and no labels, or None where there are none."""
        found = from_corpus(self.corpus, self.features, ("test",))
        return found.only(self.data.modalities) if found.names else None

    @cached_property
    def pool(self) -> FusionData | None:
        """The unlabelled clips, test clips among them, with their features; None without any."""
        found = from_corpus(self.corpus, self.features, ("test", "unlabelled"))
        return found.only(self.data.modalities) if found.names else None

    @cached_property
    def folds(self) -> pd.Series:
        """The corpus' own dev split where it has one, else its folds."""
        if self.corpus.split("dev")["emotion"].notna().any():
            return dev_fold(self.corpus)
        return make_folds(self.corpus, self.profile.n_folds, self.profile.fold_seed)

    def with_tuned(self) -> "Run":
        """The same run on tuned features."""
        return replace(self, tuned=True)

    @property
    def seeds(self) -> list[int]:
        """The seeds of a table's rows."""
        return [self.seed + i for i in range(self.profile.n_seeds)]

    @cached_property
    def folder(self) -> Path:
        """Where this run's tables and figures go, named by what they are made from."""
        made_from = {"settings": self.settings} | self.inputs(self.notebook)
        name = f"{self.notebook}-{self.profile.name}-{artefact.digest(made_from, 8)}"
        folder = paths.runs() / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / artefact.MANIFEST).unlink(missing_ok=True)  # not whole until this run is
        return folder

    def inputs(self, notebook: str) -> dict[str, Any]:
        """What `notebook`'s results come from beside the settings: clips, test answers, features,
        the library and the packages, and what stands in the notebook itself."""
        brought = self.features.items() if self.source == "mertools" else ()
        return {
            "corpus": self.corpus.fingerprint,
            "answers": artefact.digest(self.corpus.answers.to_dict()),
            "features": {modality: part.fingerprint for modality, part in brought},
            "library": artefact.code_digest(),
            "versions": artefact.versions(),
            "notebook": _source_digest(notebook),
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved parameters, as plain data."""
        return {
            "notebook": self.notebook,
            "profile": vars(self.profile),
            "corpus": self.source,
            "root": self.root,
            "encoders": dict(self.encoders),
            "labels": list(self.labels),
            "seed": self.seed,
            "max_failures": self.max_failures,
            "splits": self.splits,
            "tuned": self.tuned,
            "own": dict(self.own),
        }

    @property
    def caption(self) -> str:
        """The corpus' name, and that it is synthetic where it is."""
        said = " (synthetic: rendered clips, no evidence about people)"
        return f"corpus {self.corpus.name}{said * self.corpus.synthetic}"

    def feature_summary(self) -> pd.DataFrame:
        """One row a modality: encoder, width, clips present and absent, speed, rounding."""
        rows = []
        for modality, part in self.features.items():
            record = extraction_record(part) or {}
            difference = record.get("difference_from_float32") or {}
            row = {
                "encoder": self.encoders[modality],
                "width": part.dim,
                "present": int(part.present.sum()),
                "absent": int((~part.present).sum()),
                "clips/s": record.get("clips_per_second"),
                "difference from float32": difference.get("mean"),
            }
            rows.append(row)
        return pd.DataFrame(rows, index=pd.Index(self.features, name="modality"))

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Save `table` as `name`.csv, its last column the corpus it is from; returns `table`."""
        index = not isinstance(table.index, pd.RangeIndex)
        content = table.assign(corpus=self.caption).to_csv(index=index)
        artefact.write_atomic(self.folder / f"{name}.csv", content)
        return table

    def figure(self, figure: Figure, name: str, data: pd.DataFrame) -> None:
        """Say on a figure what corpus it is from; save it beside the CSV it was drawn from."""
        figure.supxlabel(self.caption, fontsize=7, color="grey", x=0.99, ha="right")
        plots.save(figure, self.folder / "figures", name, data.assign(corpus=self.caption))

    def finish(self, **content: Any) -> None:
        """Write the run's manifest (settings, corpus, features, `content`) and say where it is."""
        made_of = {
            "settings": self.settings,
            "corpus": {"name": self.corpus.name, "fingerprint": self.corpus.fingerprint},
            "inputs": self.inputs(self.notebook),
            "synthetic": self.corpus.synthetic,
            "features": {  # those that the notebook used: filing results extracts none
                modality: {"fingerprint": f.fingerprint, "present": int(f.present.sum())}
                for modality, f in vars(self).get("features", {}).items()
            },
        }
        manifest = artefact.write_manifest(self.folder, made_of | content, self.started)
        print(
            f"{manifest['seconds']:.0f} s, {manifest['peak_memory_mb']} MiB at most. Results: "
            f"{paths.relative(self.folder)}"
        )


def start(
    notebook: str,
    *,
    profile: str,
    corpus: str = AUTO,
    root: str = "",
    audio: str = AUTO,
    video: str = AUTO,
    text: str = AUTO,
    labels: str = "",
    n_folds: int = 0,
    n_seeds: int = 0,
    max_failures: float = 0.05,
    splits: tuple[str, ...] | None = None,
    tuned: bool = False,
    seed: int = 0,
    own: Mapping[str, Any] | None = None,
) -> Run:
    """Resolve a notebook's parameters and print them in one line with versions and device.

    "auto" takes the profile's value; an empty encoder leaves its modality out; `labels` names
    another label set than the six emotions, separated by commas; 0 folds or seeds are the
    profile's; `max_failures` is the share of unreadable clips that stops extraction; features are
    extracted of `splits` alone (all by default), and `tuned` on emotions where they can be. `own`
    are the notebook's own parameters, for its record and its folder's name. Raises ValueError where
    the profile names no corpus and none is given, where its label set is its own, or no modality is
    left.
    """
    preset = profiles.get(profile)
    preset = replace(preset, n_folds=n_folds or preset.n_folds, n_seeds=n_seeds or preset.n_seeds)
    source = preset.corpus if corpus == AUTO else corpus
    if not source:
        raise ValueError(
            f"profile {profile!r} runs on your own corpus: give the parameters corpus "
            f"({', '.join(corpora.SOURCES)}) and root"
        )
    given = {"audio": audio, "video": video, "text": text}
    if source == "mertools" and AUTO in given.values():
        missing = ", ".join(m for m, value in given.items() if value == AUTO)
        raise ValueError(
            f"corpus mertools takes a feature folder's name for each modality, or an empty "
            f"one; not given: {missing}. Folders: {', '.join(mertools.feature_folders(root))}"
        )
    specs = {m: getattr(preset, m) if value == AUTO else value for m, value in given.items()}
    used = {modality: spec for modality, spec in specs.items() if spec}
    if not used:
        raise ValueError("every modality was left out; give at least one of audio, video, text")
    plots.use_style()
    device.seed_everything(seed)
    folder = str(Path(root).expanduser().resolve()) if root else None
    label_set = tuple(filter(None, map(normalise, labels.split(","))))
    if label_set and source not in ("manifest", "mertools"):
        raise ValueError(
            f"corpus {source!r} has its own label set; leave the parameter labels empty"
        )
    run = Run(
        notebook, preset, source, folder, used, label_set, int(seed), max_failures, splits, tuned,
        own or {},
    )  # fmt: skip
    print(_line(run))
    return run


def _source_digest(notebook: str) -> str | None:
    """A hash of a notebook's code; its parameters are left out, for their values are settings."""
    path = paths.ROOT / "notebooks" / f"{notebook}.ipynb"
    if not path.is_file():
        return None
    cells = json.loads(path.read_bytes())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    return artefact.digest(
        [c["source"] for c in code if "parameters" not in c["metadata"].get("tags", [])]
    )


def _line(run: Run) -> str:
    where = device.pick_device()
    precision = str(device.pick_precision(AUTO, where)).removeprefix("torch.")
    versions = f"agt_lib {agt_lib.__version__} · torch {torch.__version__}"
    processor = f"{where.type} ({os.cpu_count()} cores, {precision})"
    used = " · ".join(f"{modality} {spec}" for modality, spec in run.encoders.items())
    return (
        f"{versions} · {processor} · profile {run.profile.name} · corpus {run.source} · {used} · "
        f"seeds {run.seeds}"
    )
