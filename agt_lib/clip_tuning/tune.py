"""Tuning one CLIP on labelled clips, on one process or several; it can be stopped and continued.

N clips, B clips of a step, b of them in a part, T frames.
"""

import json
import math
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.network import (
    drawn,
    frame_numbers,
    groups,
    normalised,
    prepare,
    tuned_parameters,
)
from agt_lib.features.clip import CONFIG, WEIGHTS, Source
from agt_lib.workspace.kept import write_atomic
from agt_lib.workspace.machine import pick_precision
from agt_lib.workspace.progress import bar
from agt_lib.workspace.shards import Shards

HISTORY = "history.csv"
STATE = ".state.pt"  # hidden: no file of the model, and gone once that is kept
BETAS = (0.9, 0.98)  # AdamW's, as ViFi-CLIP's
WARMUP = 0.1  # share of the steps; cosine to zero afterwards
MAX_SCALE = 100.0  # of 1 / temperature, as CLIP itself was trained


class TuneError(RuntimeError):
    """Tuning that could not end; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """One CLIP to tune; `name` says which.

    `keys` name its N clips in `frames`, each (F, P, P, 3); `labels` (N,) number `label_set`.
    `made_from` names the kept model.
    """

    name: str
    source: Source
    config: TuneConfig
    frames: Shards
    keys: tuple[str, ...]
    labels: np.ndarray
    label_set: tuple[str, ...]
    seed: int
    cpu: bool
    made_from: dict[str, Any]


def tune(
    job: Job, folder: Path, *, accelerator: Accelerator, progress: bool = True
) -> dict[str, Any]:
    """Tune a CLIP and leave it in `folder` as open_clip's `local-dir` checkpoint.

    AdamW, cosine with warm-up, `config.epochs` epochs: no label chooses the epoch. Every random
    number follows from seed and epoch, so a run that was killed goes on from its last whole epoch
    to the same bits. With several processes each takes its part of every step; losses and updates
    are those of one process, up to rounding. Returns what the kept model's manifest says.

    A loss or weight that is not finite stops it: the last good epoch is kept, and `stopped` says
    so. Raises TuneError if that was the first epoch or if kept frames are damaged, ValueError if a
    part of a step would be without clips.
    """
    config = job.config
    steps = math.ceil(len(job.keys) / config.batch_size)
    parts = accelerator.num_processes * config.accumulate
    if len(job.keys) // steps < parts:
        raise ValueError(
            f"{len(job.keys)} clips in steps of {config.batch_size} can't fill {parts} parts "
            "(processes x accumulate): take fewer parts or a larger batch_size"
        )
    dtype = pick_precision(config.precision, accelerator.device)
    network = prepare(job.source, job.label_set, config, dtype).to(accelerator.device)
    parameters = tuned_parameters(network)
    optimiser = torch.optim.AdamW(groups(network, config), betas=BETAS, fused=True)
    history = load_state(folder, parameters, optimiser)
    wrapped, stopped = accelerator.prepare_model(network), None
    bar_of = {"shown": progress and accelerator.is_main_process, "done": len(history) * steps}
    with bar(config.epochs * steps, f"tuning CLIP, {job.name}", "step", **bar_of) as shown:
        for epoch in range(len(history), config.epochs):
            loss = _epoch(job, wrapped, parameters, optimiser, accelerator, epoch, shown)
            if not (math.isfinite(loss) and all(p.isfinite().all() for p in parameters.values())):
                stopped = f"not finite in epoch {epoch + 1}; epoch {epoch} is kept"
                break
            history.append({"epoch": epoch + 1, "loss": loss})
            if accelerator.is_main_process:
                save_state(folder, parameters, optimiser, history)
    if not history:
        raise TuneError(
            f"tuning {job.source.name}: the loss or a weight was not finite in the first epoch: "
            f"there is nothing to keep. Lower learning_rate (now {config.learning_rate:g}), or "
            "take precision='float32'"
        )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if stopped:
            load_state(folder, parameters, optimiser)
        export(network.clip, job.source, folder)
        pd.DataFrame(history).to_csv(folder / HISTORY, index=False)
    return {
        "clips": len(job.keys),
        "epochs": len(history),
        "loss": history[-1]["loss"],
        "stopped": stopped,
        "processes": accelerator.num_processes,
    }


def _epoch(
    job: Job,
    network: nn.Module,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    accelerator: Accelerator,
    epoch: int,
    shown: tqdm,
) -> float:
    """One pass over the clips; returns the mean loss, or at once a step's that is not finite."""
    config, n = job.config, len(job.keys)
    steps, total = math.ceil(n / config.batch_size), 0.0
    rng = np.random.default_rng([job.seed, epoch])
    order, draws = rng.permutation(n), drawn(n, config, rng)
    # The small CLIP's saturated attention has many denormal gradients: with them a CPU takes a
    # third longer.
    torch.set_flush_denormal(True)
    try:
        for number, batch in enumerate(np.array_split(order, steps)):
            share = _schedule((epoch * steps + number + 0.5) / (config.epochs * steps))
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * group["rate"] * share
            loss = _step(job, network, accelerator, batch, draws)
            if not math.isfinite(loss):
                return loss
            optimiser.step()
            optimiser.zero_grad()
            with torch.no_grad():
                parameters["clip.logit_scale"].clamp_(0, math.log(MAX_SCALE))
            total += loss * len(batch) / n
            shown.update()
    finally:
        torch.set_flush_denormal(False)
    return total


def _step(
    job: Job, network: nn.Module, accelerator: Accelerator, batch: np.ndarray, draws: np.ndarray
) -> float:
    """Gradients of the clips `batch` (B,), of all processes and parts; returns their mean loss."""
    here, everywhere = accelerator.process_index, accelerator.num_processes
    parts = np.array_split(batch, everywhere * job.config.accumulate)[here::everywhere]
    labels = torch.from_numpy(job.labels).to(accelerator.device)
    total = torch.zeros((), device=accelerator.device)
    for number, part in enumerate(parts):
        frames = _pictures(job, part, draws[part]).to(accelerator.device)
        frames = normalised(frames, draws[part], job.config, job.source.preprocessing)
        last = number == len(parts) - 1
        with nullcontext() if last else accelerator.no_sync(network):
            loss = network(frames, labels[part], labels[batch]) / len(batch)
            # Gradients are averaged over processes, where a sum is wanted.
            accelerator.backward(loss * everywhere)
        total += loss.detach()
    return accelerator.reduce(total, "sum").item()


def _pictures(job: Job, part: np.ndarray, draws: np.ndarray) -> Tensor:
    """The drawn frames of the clips `part` (b,): uint8 (b, T, P, P, 3)."""
    keys = [job.keys[clip] for clip in part]
    kept = job.frames.read(keys)
    if gone := set(keys) - set(kept):
        raise TuneError(
            f"tuning CLIP for {job.name}: the kept frames of {len(gone)} clips were damaged. Start "
            "it again: they are decoded anew, and it goes on at the last whole epoch"
        )
    chosen = zip(keys, frame_numbers(draws, job.config), strict=True)
    return torch.from_numpy(np.stack([kept[key][numbers] for key, numbers in chosen]))


def _schedule(progress: float) -> float:
    """The share of the learning rate at `progress` (0 to 1): up a line, down a cosine."""
    if progress < WARMUP:
        return progress / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


def export(model: nn.Module, source: Source, folder: Path) -> None:
    """Write `model`, tuned from `source`, so that `local-dir:FOLDER` names it to open_clip."""
    preprocessing = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in vars(source.preprocessing).items()
        if key in ("mean", "std", "interpolation", "resize_mode", "fill_color")
    }
    content = {"model_cfg": source.config, "preprocess_cfg": preprocessing}
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS[0])
    (folder / CONFIG).write_text(json.dumps(content, indent=1) + "\n")


def save_state(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    history: list[dict[str, float]],
) -> None:
    """Write all that the epochs so far have changed, whole or not at all."""
    weights = {name: parameter.detach() for name, parameter in parameters.items()}
    state = {"weights": weights, "optimiser": optimiser.state_dict(), "history": history}
    write_atomic(folder / STATE, lambda file: torch.save(state, file))


def load_state(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> list[dict[str, float]]:
    """Put back what `save_state` wrote; returns its history, empty if there is no state.

    A damaged state is deleted with a message: the tuning begins again.
    """
    path = folder / STATE
    if not path.is_file():
        return []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises of all kinds
        print(f"{path} is damaged ({error}): the tuning begins again", file=sys.stderr)
        path.unlink(missing_ok=True)
        return []
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state["weights"][name])
    optimiser.load_state_dict(state["optimiser"])
    return state["history"]
