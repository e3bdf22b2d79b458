"""Tuning one CLIP on labelled clips, on one process or several, stopped and taken up again.

N clips, B clips of a step, b of them in a part, T frames.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from agt_lib.clip_tuning import augment, checkpoint
from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.frames import KeptFrames
from agt_lib.clip_tuning.network import groups, prepare, tuned_parameters
from agt_lib.features.clip import Source
from agt_lib.workspace.machine import pick_precision
from agt_lib.workspace.progress import bar

HISTORY = "history.csv"


class TuneError(RuntimeError):
    """Tuning that left nothing to keep; the message says what to change."""


@dataclass(frozen=True)
class TuneTask:
    """What a model is tuned on: clips by their place in `frames`, their labels' numbers, a seed.

    `clips` and `labels` are (N,).
    """

    frames: KeptFrames
    clips: np.ndarray
    labels: np.ndarray
    label_set: tuple[str, ...]
    seed: int = 0


def tune(
    task: TuneTask,
    source: Source,
    config: TuneConfig,
    folder: Path,
    *,
    accelerator: Accelerator,
    progress: bool = True,
) -> dict[str, Any]:
    """Tune the CLIP of `source` and leave it in `folder` as open_clip's `local-dir` checkpoint.

    AdamW, cosine with warm-up, `config.epochs` epochs: no label chooses the epoch. Every random
    number follows from seed and epoch, so a run that was killed goes on from its last whole epoch
    to the same bits. With several processes each takes its part of every step; losses and updates
    are those of one process, up to rounding. Returns what the artefact's manifest should say.

    A loss or weight that is not finite stops it: the last good epoch is kept, and `stopped` says
    so. Raises TuneError where that was the first epoch, ValueError where a part of a step would be
    without clips.
    """
    steps = math.ceil(len(task.clips) / config.batch_size)
    parts = accelerator.num_processes * config.accumulate
    if len(task.clips) // max(steps, 1) < parts:
        raise ValueError(
            f"{len(task.clips)} clips in steps of {config.batch_size} can't fill {parts} parts "
            "(processes x accumulate): take fewer parts or a larger batch_size"
        )
    dtype = pick_precision(config.precision, accelerator.device)
    network = prepare(source, task.label_set, config, dtype).to(accelerator.device)
    parameters = tuned_parameters(network)
    raw = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    optimiser = torch.optim.AdamW(
        groups(network, config), lr=config.learning_rate, betas=config.betas, fused=True
    )
    history = checkpoint.load_state(folder, parameters, optimiser)
    wrapped, stopped = accelerator.prepare_model(network), None
    shown = bar(
        config.epochs * steps,
        "tuning CLIP",
        "step",
        shown=progress and accelerator.is_main_process,
        done=len(history) * steps,
    )
    with shown:
        for epoch in range(len(history), config.epochs):
            loss = _epoch(task, source, config, wrapped, optimiser, accelerator, epoch, shown)
            if not (math.isfinite(loss) and all(p.isfinite().all() for p in parameters.values())):
                stopped = f"not finite in epoch {epoch + 1}; epoch {len(history)} is kept"
                break
            history.append({"epoch": epoch + 1, "loss": loss})
            if accelerator.is_main_process:
                checkpoint.save_state(folder, parameters, optimiser, history)
    if stopped and not history:
        raise TuneError(
            f"tuning {source.name}: the loss or a weight was not finite in the first epoch: there "
            f"is nothing to keep. Lower learning_rate (now {config.learning_rate:g}), or take "
            "precision='float32'"
        )
    accelerator.wait_for_everyone()
    if stopped:
        checkpoint.load_state(folder, parameters, optimiser)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(raw[name].lerp(parameter, config.wise_ft))
    if accelerator.is_main_process:
        checkpoint.export(network.clip, source, folder)
        pd.DataFrame(history).to_csv(folder / HISTORY, index=False)
        (folder / checkpoint.STATE).unlink(missing_ok=True)
    return {
        "clips": len(task.clips),
        "epochs": len(history),
        "loss": history[-1]["loss"] if history else None,
        "stopped": stopped,
        "processes": accelerator.num_processes,
    }


def _epoch(
    task: TuneTask,
    source: Source,
    config: TuneConfig,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    accelerator: Accelerator,
    epoch: int,
    shown: tqdm,
) -> float:
    """One pass over the clips; returns the mean loss, or at once a step's that is not finite."""
    steps = math.ceil(len(task.clips) / config.batch_size)
    network.train()
    total = 0.0
    with _random_numbers(task.seed, epoch, accelerator.device) as rng:
        order = rng.permutation(len(task.clips))
        draws = augment.drawn(len(task.clips), config, rng)
        for number, batch in enumerate(np.array_split(order, steps)):
            progress = (epoch * steps + number + 0.5) / (config.epochs * steps)
            for group in optimiser.param_groups:
                rate = config.learning_rate * group["rate"]
                group["lr"] = rate * _schedule(progress, config.warmup)
            loss = _step(task, source, config, network, accelerator, batch, draws)
            if not math.isfinite(loss):
                return loss
            optimiser.step()
            optimiser.zero_grad()
            scale = accelerator.unwrap_model(network).clip.logit_scale
            with torch.no_grad():
                scale.clamp_(0, math.log(config.clamp))
            total += loss * len(batch) / len(order)
            shown.update()
    return total


def _step(
    task: TuneTask,
    source: Source,
    config: TuneConfig,
    network: nn.Module,
    accelerator: Accelerator,
    batch: np.ndarray,
    draws: np.ndarray,
) -> float:
    """Gradients of the clips `batch` (B,), of all processes and parts; returns their mean loss."""
    here, everywhere = accelerator.process_index, accelerator.num_processes
    parts = np.array_split(batch, everywhere * config.accumulate)[here::everywhere]
    labels = torch.from_numpy(task.labels[batch]).to(accelerator.device)
    total = torch.zeros((), device=accelerator.device)
    for number, part in enumerate(parts):
        kept = task.frames.take(task.clips[part], augment.frame_numbers(draws[part], config))
        frames = augment.normalised(
            torch.from_numpy(kept).to(accelerator.device), draws[part], config, source.preprocessing
        )  # (b, T, 3, S, S)
        own = torch.from_numpy(task.labels[part]).to(accelerator.device)
        last = number == len(parts) - 1
        with nullcontext() if last else accelerator.no_sync(network):
            loss = network(frames, own, labels) / len(batch)
            # Gradients are averaged over processes, where a sum is wanted.
            accelerator.backward(loss * everywhere)
        total += loss.detach()
    return accelerator.reduce(total, "sum").item()


def _schedule(progress: float, warmup: float) -> float:
    """The share of the learning rate at `progress` (0 to 1): up a line, down a cosine."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


@contextmanager
def _random_numbers(seed: int, epoch: int, device: torch.device) -> Iterator[np.random.Generator]:
    """The epoch's own generator, torch's seeded alike, and denormal numbers taken as zero.

    The small CLIP's saturated attention has so many denormal gradients that a CPU takes a third
    longer with them.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed * 10_000 + epoch)
        torch.set_flush_denormal(True)
        try:
            yield np.random.default_rng([seed, epoch])
        finally:
            torch.set_flush_denormal(False)
