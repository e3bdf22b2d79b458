"""A fitted fusion model: its weights, what it was fitted with, its predictions and its files.

On disk it is `model.safetensors` and a manifest, and never a pickle.
Letters: N clips, D feature, M modalities, C classes.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agt_lib.fusion.agt import AGT
from agt_lib.fusion.amf import Gate
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import AT_ONCE, FusionData
from agt_lib.fusion.networks import skeleton
from agt_lib.fusion.scaling import Scaler
from agt_lib.workspace.kept import MANIFEST, file_digest, read_manifest

HISTORY = ("train_loss", "inner_waf")
WEIGHTS = "model.safetensors"


class FingerprintError(ValueError):
    """Features that were not made as those the model was fitted on."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: on networks this small more of them wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class FittedModel:
    """A fit's weights, with all it takes to predict new clips.

    The weights are of `epoch`, counted from 1: the last, or the one chosen. `history` has one row
    per epoch and the columns `HISTORY`; inner_waf is on the part of the training fold that chose
    the epoch, NaN if none did.
    """

    config: FusionConfig
    dims: dict[str, int]
    label_set: tuple[str, ...]
    fingerprints: dict[str, str]
    scalers: dict[str, Scaler]
    state: dict[str, Tensor]
    seed: int
    epoch: int
    history: pd.DataFrame

    @cached_property
    def network(self) -> nn.Module:
        """The network on these weights (not a copy), in evaluation mode."""
        network = skeleton(self.config.model, self.dims, len(self.label_set), **self.config.network)
        network.load_state_dict(self.state, assign=True)
        return network.eval()

    def predict(self, data: FusionData) -> np.ndarray:
        """Class probabilities (N, C) in the order of `label_set`; raises as `predict_each` does."""
        return predict_each([self], data)[0]

    @one_thread()
    @torch.no_grad()
    def gate(self, data: FusionData) -> Gate:
        """What AMF saw and gated in each clip. Raises TypeError for a network without AMF."""
        if not isinstance(self.network, AGT):
            raise TypeError(f"{self.config.model} has no gate; only agt has")
        check_fingerprints(self.fingerprints, data.fingerprints)
        inputs = (self._inputs(part.scaled(self.config.scale)) for part in data.parts())
        gates = [self.network(*batch, return_gate=True)[1] for batch in inputs]
        names = ["valid", "similarity", "kept", "opinions"][: 3 + (gates[0].opinions is not None)]
        parts = {name: torch.cat([getattr(gate, name) for gate in gates]) for name in names}
        return Gate(tokens=gates[0].tokens, **parts)

    def _inputs(self, data: FusionData) -> tuple[dict[str, Tensor], Tensor]:
        """The network's standardised inputs, and `present`, of clips scaled as its config says."""
        data = data.only(tuple(self.dims))
        inputs = {m: torch.from_numpy(self.scalers[m](x)) for m, x in data.features.items()}
        return inputs, torch.from_numpy(data.present)

    def write(self, folder: Path) -> dict[str, Any]:
        """Write weights and scalers into `folder`; return what its manifest must say."""
        tensors = {f"network.{name}": value.contiguous() for name, value in self.state.items()}
        for modality, scaler in self.scalers.items():
            tensors[f"scaler.{modality}.mean"] = torch.from_numpy(scaler.mean)
            tensors[f"scaler.{modality}.sd"] = torch.from_numpy(scaler.sd)
        save_file(tensors, folder / WEIGHTS)
        return {
            "config": self.config.plain(),
            "dims": self.dims,
            "label_set": list(self.label_set),
            "fingerprints": self.fingerprints,
            "seed": self.seed,
            "epoch": self.epoch,
            "history": {name: _plain(column) for name, column in self.history.items()},
            "weights": file_digest(folder / WEIGHTS),
        }

    @classmethod
    def load(cls, folder: str | Path) -> "FittedModel":
        """Read the model in `folder` (`data/derived/fit-*`).

        Raises FileNotFoundError if no finished model lies there, and ValueError if its files
        are damaged or do not belong together, or if a number in them makes no sense.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        if manifest is None or not (folder / WEIGHTS).is_file():
            raise FileNotFoundError(
                f"no finished model in {folder}: expected {MANIFEST} and {WEIGHTS}"
            )
        if file_digest(folder / WEIGHTS) != manifest["weights"]:
            raise ValueError(
                f"{folder / WEIGHTS} is not the file that {MANIFEST} beside it describes: it was "
                "changed or cut short"
            )
        tensors = load_file(folder / WEIGHTS)
        config = FusionConfig(**manifest["config"])
        history = pd.DataFrame(manifest["history"], columns=HISTORY, dtype=float)
        history.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
        weights = {name: x for name, x in tensors.items() if name.startswith("network.")}
        model = cls(
            config=config,
            dims={m: manifest["dims"][m] for m in config.modalities},
            label_set=tuple(manifest["label_set"]),
            fingerprints=manifest["fingerprints"],
            scalers={
                m: Scaler(*(tensors[f"scaler.{m}.{part}"].numpy() for part in ("mean", "sd")))
                for m in config.modalities
            },
            state={name.removeprefix("network."): x for name, x in weights.items()},
            seed=manifest["seed"],
            epoch=manifest["epoch"],
            history=history,
        )
        if fault := model._fault():
            raise ValueError(f"{folder / WEIGHTS}: {fault}")
        return model

    def _fault(self) -> str | None:
        """What keeps the model from predicting, or None."""
        for modality, scaler in self.scalers.items():
            width = (self.dims[modality],)
            if scaler.mean.shape != width or scaler.sd.shape != width:
                return f"the scaler of {modality} is {scaler.mean.shape} wide, its features {width}"
            if not (np.isfinite(scaler.mean).all() and np.isfinite(scaler.sd).all()):
                return f"the scaler of {modality} is not finite"
            if not (scaler.sd > 0).all():
                return f"the scaler of {modality} has a standard deviation that is not above zero"
        if broken := [name for name, x in self.state.items() if not x.isfinite().all()]:
            return f"weights are not finite: {', '.join(broken[:3])}"
        try:
            self.network  # noqa: B018
        except RuntimeError as error:
            return f"weights do not fit the network {self.config.model} ({error})"
        return None


@one_thread()
def predict_each(models: Sequence[FittedModel], data: FusionData) -> np.ndarray:
    """Each model's class probabilities (R, N, C) of R models; every clip's features are read once.

    So clips that lie on disk need not fit into memory. A thread predicts one part of them. Raises
    ValueError if a modality is missing or an answer is not finite, and FingerprintError if features
    were made in another way than those of the fit.
    """
    needed = {m for model in models for m in model.dims}
    data = data.only(tuple(needed))
    for model in models:
        check_fingerprints(model.fingerprints, data.fingerprints)
    n_threads = os.cpu_count() if len(data.names) > AT_ONCE else 1
    parallel = joblib.Parallel(n_jobs=n_threads, prefer="threads")
    found = parallel(joblib.delayed(_predict_part)(models, part) for part in data.parts())
    return np.concatenate(found, axis=1)


@torch.no_grad()
def _predict_part(models: Sequence[FittedModel], part: FusionData) -> np.ndarray:
    scaled = {scale: part.scaled(scale) for scale in {m.config.scale for m in models}}
    logits = [model.network(*model._inputs(scaled[model.config.scale])) for model in models]
    for model, own in zip(models, logits, strict=True):
        if not (finite := own.isfinite().all(1)).all():
            name = part.names[int(finite.int().argmin())]
            raise ValueError(
                f"{model.config.model} has no finite answer for {name!r}: its features are far "
                "from all that the model was trained on; extract them again, or leave the clip out"
            )
    return torch.stack(logits).softmax(-1).numpy()


def check_fingerprints(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise FingerprintError naming each modality whose features were made in another way."""
    other = [
        f"{m}: the model was fitted on {expected[m]}, these features are {found.get(m)}"
        for m in expected
        if expected[m] != found.get(m)
    ]
    if other:
        raise FingerprintError(
            "; ".join(other) + ". Extract the features as for the fit, or fit the model again."
        )


def _plain(column: pd.Series) -> list[float | str]:
    """Numbers that JSON can hold: a loss that was not finite is its name."""
    return [x if math.isfinite(x) else str(x) for x in column.tolist()]
