"""Fitted models on disk: `model.safetensors` and `manifest.json`, and never a pickle."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import Scaler
from agt_lib.fusion.fitted import HISTORY, FittedModel, check_fingerprints
from agt_lib.workspace.kept import MANIFEST, file_digest, read_manifest, write_manifest

WEIGHTS = "model.safetensors"


def save(model: FittedModel, folder: str | Path) -> None:
    """Write `model` into `folder`: weights and scalers as tensors, all else in the manifest."""
    folder, started = Path(folder), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_manifest(folder, write(model, folder), started)


def write(model: FittedModel, folder: Path) -> dict[str, Any]:
    """Write the weights and scalers of `model` into `folder`; return what its manifest must say."""
    tensors = {f"network.{name}": value.contiguous() for name, value in model.state.items()}
    for modality, scaler in model.scalers.items():
        tensors[f"scaler.{modality}.mean"] = torch.from_numpy(scaler.mean)
        tensors[f"scaler.{modality}.sd"] = torch.from_numpy(scaler.sd)
    save_file(tensors, folder / WEIGHTS)
    return {
        "kind": "fusion model",
        "config": model.config.plain(),
        "dims": model.dims,
        "label_set": list(model.label_set),
        "fingerprints": model.fingerprints,
        "seed": model.seed,
        "epoch": model.epoch,
        "history": {name: _plain(column) for name, column in model.history.items()},
        "weights": file_digest(folder / WEIGHTS),
    }


def load(folder: str | Path, fingerprints: Mapping[str, str] | None = None) -> FittedModel:
    """Read the model in `folder`.

    With the `fingerprints` of features (modality -> fingerprint), raises FingerprintError where
    the model was fitted on others, saying which differ. Raises FileNotFoundError where no finished
    model lies there and ValueError where its files are damaged or do not belong together.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None or not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(
            f"no finished model in {folder}: expected {MANIFEST} and {WEIGHTS}; fit and save it"
        )
    if fingerprints is not None:
        check_fingerprints(manifest["fingerprints"], fingerprints)
    if file_digest(folder / WEIGHTS) != manifest["weights"]:
        raise ValueError(
            f"{folder / WEIGHTS} is not the file that {MANIFEST} beside it describes: it was "
            "changed or cut short; fit and save the model again"
        )
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    config = FusionConfig(**manifest["config"])
    history = pd.DataFrame(manifest["history"], columns=HISTORY, dtype=float)
    history.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    return FittedModel(
        config=config,
        dims={m: manifest["dims"][m] for m in config.modalities},
        label_set=tuple(manifest["label_set"]),
        fingerprints=manifest["fingerprints"],
        scalers={
            m: Scaler(tensors[f"scaler.{m}.mean"].numpy(), tensors[f"scaler.{m}.sd"].numpy())
            for m in config.modalities
        },
        state={
            name.removeprefix("network."): value
            for name, value in tensors.items()
            if name.startswith("network.")
        },
        seed=manifest["seed"],
        epoch=manifest["epoch"],
        history=history,
    )


def _plain(column: pd.Series) -> list[float | str]:
    """Numbers that JSON can hold: a loss that was not finite is its name."""
    return [x if math.isfinite(x) else str(x) for x in column.tolist()]
