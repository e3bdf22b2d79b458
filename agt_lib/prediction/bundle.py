"""A run's bundle: one folder with all that a prediction of new clips needs, to be copied anywhere.

```
manifest.json              what it holds, and a hash of every other file
speakers.safetensors       statistics of speakers, if features are scaled by them
components.safetensors     principal components, if features were brought to some
models/000/ ...            the fitted models, as `FittedModel.write` leaves them
```

There is no pickle in it, and its files are named here, not by the manifest.
Letters: D feature, S speakers, C classes.
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from agt_lib.corpora.labels import MODALITIES, label_set
from agt_lib.fusion import AGT, BASELINE, FittedModel
from agt_lib.fusion.reduction import Reduction
from agt_lib.fusion.rows import AGT_BY_FOLD
from agt_lib.fusion.scaling import Scaler, SpeakerScaler
from agt_lib.workspace import kept

FORMAT = 1
FOLDER = "bundle"
"""Where a run's bundle lies in the folder of its results."""
SPEAKERS, COMPONENTS, MODELS = "speakers.safetensors", "components.safetensors", "models"

Models = tuple[tuple[FittedModel, ...], ...]
"""By seed and fold."""


@dataclass(frozen=True)
class Bundle:
    """The models of a run, and what brings a new clip's features to them.

    `models` are by name: `AGT`, `AGT_BY_FOLD` where features are scaled by speaker, `BASELINE`,
    and each modality's own network under the modality's name. `encoders` name the encoder of each
    modality, `options` say what else it is built with (how it comes to the face, for one),
    `fingerprints` the features it must make. `shares` are those of the training labels,
    `temperatures` are those of `AGT` and `AGT_BY_FOLD`. `corpus` says what all was trained on.
    """

    corpus: str
    labels: tuple[str, ...]
    encoders: Mapping[str, str]
    options: Mapping[str, Mapping[str, Any]]
    fingerprints: Mapping[str, str]
    models: Mapping[str, Models]
    shares: Mapping[str, float]
    temperatures: Mapping[str, float]
    by_speaker: SpeakerScaler | None = None
    components: Mapping[str, Reduction] | None = None

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers whose statistics are here."""
        return () if self.by_speaker is None else tuple(map(str, self.by_speaker.speakers))

    @property
    def dims(self) -> dict[str, int]:
        """The width D of each modality's features as an encoder makes them."""
        if self.components is not None:
            return {m: len(how.components) for m, how in self.components.items()}
        return self.models[AGT][0][0].dims

    def write(self, folder: Path) -> None:
        """Write all into `folder`; an older bundle there goes first.

        Raises FileExistsError if something else lies there, StoreError if the disk takes no more.
        """
        with kept.storing(folder):
            self._write(Path(folder))

    def _write(self, folder: Path) -> None:
        started = time.monotonic()
        if folder.exists() and any(folder.iterdir()):
            unfinished = (folder / MODELS).is_dir() and not (folder / kept.MANIFEST).exists()
            if not unfinished and "format" not in _about(folder):
                raise FileExistsError(f"{folder} holds something else than a bundle")
            for path in sorted(
                folder.iterdir(), key=lambda p: (p.name != kept.MANIFEST, p.is_dir())
            ):
                shutil.rmtree(path) if path.is_dir() else path.unlink()  # `MODELS` goes last
        folder.mkdir(parents=True, exist_ok=True)
        places: list[str] = []
        for name, by_seed in self.models.items():
            for of_seed in by_seed:
                for model in of_seed:
                    place = folder / MODELS / f"{len(places):03d}"
                    place.mkdir(parents=True)
                    kept.write_manifest(place, model.write(place), started)
                    places.append(name)
        about = {
            "format": FORMAT,
            "corpus": self.corpus,
            "labels": list(self.labels),
            "encoders": dict(self.encoders),
            "options": {m: dict(options) for m, options in self.options.items()},
            "fingerprints": dict(self.fingerprints),
            "models": places,
            "shares": list(self.shares.values()),
            "temperatures": dict(self.temperatures),
        }
        if self.by_speaker is not None:
            scaler = self.by_speaker
            about["speakers"] = [str(speaker) for speaker in scaler.speakers]
            arrays = {f"{m}.mean": x for m, x in scaler.mean.items()}
            save_file(arrays | {f"{m}.sd": x for m, x in scaler.sd.items()}, folder / SPEAKERS)
        if self.components is not None:
            arrays = {}
            for m, how in self.components.items():
                arrays |= {f"{m}.mean": how.scaler.mean, f"{m}.sd": how.scaler.sd}
                arrays[f"{m}.components"] = np.ascontiguousarray(how.components)
            save_file(arrays, folder / COMPONENTS)
        files = [folder / name for name in kept.files_of(folder)]
        files += sorted(folder.glob(f"{MODELS}/*/{kept.MANIFEST}"))
        about["files"] = {p.relative_to(folder).as_posix(): kept.file_digest(p) for p in files}
        kept.write_manifest(folder, about, started)

    @classmethod
    def load(cls, folder: str | Path) -> "Bundle":
        """Read the bundle in `folder`, checked whole.

        Raises FileNotFoundError if there is none. Raises ValueError if it was written by a newer
        version, if a file is missing or is not the one that was written, and if its parts do not
        belong together.
        """
        folder = Path(folder)
        about = _manifest(folder)
        try:
            for path in [*folder.rglob("*"), *(folder / name for name in about["files"])]:
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise ValueError(f"{folder}: {path} lies outside of the bundle")
            for name, digest in about["files"].items():
                path = folder / name
                if not path.is_file() or kept.file_digest(path) != digest:
                    raise ValueError(
                        f"{path} is missing or is not the file that the bundle was written with: "
                        "copy the whole bundle again"
                    )
            bundle = cls._read(folder, about)
            problems = bundle._problems()
        except (KeyError, TypeError, AttributeError, IndexError, SafetensorError) as error:
            raise ValueError(
                f"the bundle {folder} is damaged, or another version of agt_lib wrote it: run "
                f"notebook 04 again ({error!r})"
            ) from error
        if problems:
            more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise ValueError(
                f"the parts of the bundle {folder} do not belong together (labels "
                f"{', '.join(bundle.labels)}): {'; '.join(problems[:3])}{more}"
            )
        return bundle

    @classmethod
    def _read(cls, folder: Path, about: Mapping[str, Any]) -> "Bundle":
        models: dict[str, dict[int, list[FittedModel]]] = {}
        for number, name in enumerate(about["models"]):
            model = FittedModel.load(folder / MODELS / f"{number:03d}")
            models.setdefault(name, {}).setdefault(model.seed, []).append(model)
        order = [
            m for m in MODALITIES if m in about["fingerprints"]
        ]  # the file's is the alphabet's
        by_speaker = components = None
        if "speakers" in about:
            arrays = load_file(folder / SPEAKERS)
            mean, sd = ({m: arrays[f"{m}.{part}"] for m in order} for part in
                        ("mean", "sd"))  # fmt: skip
            by_speaker = SpeakerScaler(pd.Index(about["speakers"], dtype=object), mean, sd)
        if (folder / COMPONENTS).is_file():
            arrays = load_file(folder / COMPONENTS)
            components = {
                m: Reduction(Scaler(arrays[f"{m}.mean"], arrays[f"{m}.sd"]),
                             arrays[f"{m}.components"])
                for m in order
            }  # fmt: skip
        return cls(
            corpus=str(about["corpus"]),
            labels=label_set(about["labels"]),
            encoders={m: about["encoders"][m] for m in order},
            options={m: about["options"][m] for m in order},
            fingerprints={m: about["fingerprints"][m] for m in order},
            models={n: tuple(map(tuple, by_seed.values())) for n, by_seed in models.items()},
            shares=dict(zip(about["labels"], map(float, about["shares"]), strict=True)),
            temperatures={name: float(t) for name, t in about["temperatures"].items()},
            by_speaker=by_speaker,
            components=components,
        )

    def _problems(self) -> list[str]:
        """What keeps the parts from belonging together: labels, widths, numbers that can't be."""
        needed = {AGT, *self.encoders} | ({BASELINE} if len(self.encoders) > 1 else set())
        problems = [f"there is no model called {name}" for name in needed - set(self.models)]
        if problems:
            return problems
        expected = self.models[AGT][0][0].dims
        for name, by_seed in self.models.items():
            for model in (model for of_seed in by_seed for model in of_seed):
                if model.label_set != self.labels:
                    labels = ", ".join(model.label_set)
                    problems.append(f"a model of {name} has the labels {labels}")
                if any(expected.get(m) != width for m, width in model.dims.items()):
                    problems.append(f"a model of {name} reads widths {model.dims}, not {expected}")
                if model.config.scale == "speaker" and self.by_speaker is None:
                    problems.append(f"a model of {name} is scaled by speaker, without statistics")
        hot = [self.temperatures[name] for name in (AGT, AGT_BY_FOLD) if name in self.models]
        if not all(0 < temperature < np.inf for temperature in hot):
            problems.append(f"temperatures are {hot}")
        values = [value for options in self.options.values() for value in options.values()]
        if not all(isinstance(value, str | int | float) for value in values):
            problems.append(f"options of encoders are {values}")
        for m, how in (self.components or {}).items():
            shape = how.scaler.mean.shape, how.scaler.sd.shape, how.components.shape
            width = (len(how.components),)
            if shape != (width, width, (*width, expected[m])) or not (how.scaler.sd > 0).all():
                problems.append(f"components of {m} have the shapes {shape}")
            elif not (np.isfinite(how.components).all() and np.isfinite(how.scaler.mean).all()):
                problems.append(f"components of {m} are not finite")
        for m, width in self.dims.items() if self.by_speaker is not None else ():
            shape = (len(self.by_speaker.speakers) + 1, width)
            arrays = self.by_speaker.mean[m], self.by_speaker.sd[m]
            if any(x.shape != shape or not np.isfinite(x).all() for x in arrays):
                problems.append(f"statistics of speakers for {m} are not finite numbers {shape}")
            elif not (self.by_speaker.sd[m] > 0).all():
                problems.append(f"a standard deviation of {m} is not above zero")
        return problems


def _about(folder: Path) -> dict[str, Any]:
    """What the manifest in `folder` says; empty if there is none that can be read."""
    try:
        about = json.loads((folder / kept.MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the bundle in `folder`, of this format."""
    path = folder / kept.MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"no bundle in {folder}: {kept.MANIFEST} is missing")
    about = _about(folder)
    if not isinstance(version := about.get("format"), int):
        raise ValueError(f"{path} is no manifest of a bundle, or it is damaged")
    if version > FORMAT:
        raise ValueError(
            f"the bundle {folder} was written by a newer agt_lib (format {version}; this one reads "
            f"{FORMAT}): update agt_lib"
        )
    return about
