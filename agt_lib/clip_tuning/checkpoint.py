"""What tuning leaves on disk: a checkpoint as open_clip writes it, and the state to go on from.

Weights are safetensors throughout.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from agt_lib.features.clip import CONFIG, WEIGHTS, Source
from agt_lib.workspace.kept import write_atomic

STATE = "state.safetensors"
KEPT = ("exp_avg", "exp_avg_sq", "step")


def export(model: nn.Module, source: Source, folder: Path) -> None:
    """Write `model`, tuned from `source`, so that `local-dir:FOLDER` names it to open_clip."""
    preprocessing = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in vars(source.preprocessing).items()
        if key in ("mean", "std", "interpolation", "resize_mode", "fill_color")
    }
    content = {"model_cfg": source.config, "preprocess_cfg": preprocessing}
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    _whole(folder / WEIGHTS[0], lambda path: save_file(weights, path))
    write_atomic(folder / CONFIG, json.dumps(content, indent=1) + "\n")


def save_state(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    history: list[dict[str, float]],
) -> None:
    """Write all that the epochs so far have changed: weights, moments and the losses.

    Random numbers are drawn anew from seed and epoch, so none need be kept.
    """
    tensors = {}
    for name, parameter in parameters.items():
        tensors[f"weight.{name}"] = parameter.detach().cpu().contiguous()
        for kept in KEPT:
            tensors[f"{kept}.{name}"] = optimiser.state[parameter][kept].cpu().contiguous()
    metadata = {"history": json.dumps(history)}
    _whole(folder / STATE, lambda path: save_file(tensors, path, metadata))


def load_state(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> list[dict[str, float]]:
    """Put back what `save_state` wrote; returns its history, empty where there is no state."""
    path = folder / STATE
    if not path.is_file():
        return []
    tensors = load_file(path)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"weight.{name}"])
            optimiser.state[parameter] = {
                kept: tensors[f"{kept}.{name}"].to(parameter.device) for kept in KEPT
            }
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["history"])


def _whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` write a file that appears whole or not at all, too large for the memory."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
