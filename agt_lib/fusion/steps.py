"""The steps of an epoch for the models of a stack: which clips, how blended, what is hidden.

All that is drawn for a model depends on its own clips and seed alone.
Letters: M models, R clips (rows), B clips of a step, D feature.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agt_lib.fusion.config import FusionConfig


@dataclass(frozen=True)
class Clips:
    """Clips of a stack: `inputs` (R, D) by modality, `present` (R, modalities).

    `targets` (M, R, C) are each model's shares of the classes. `mean` and `sd` (M, 1, D) by
    modality bring the inputs to each model's scale. `labels` (R,) are known where an epoch is
    chosen. An absent input may be anything.
    """

    inputs: dict[str, Tensor]
    present: Tensor
    targets: Tensor
    labels: np.ndarray
    mean: dict[str, Tensor]
    sd: dict[str, Tensor]

    def scaled(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Standardised inputs (M, B, D) and `present` (M, B, ...) of each model's `rows` (M, B)."""
        inputs = {m: x[rows].sub_(self.mean[m]).div_(self.sd[m]) for m, x in self.inputs.items()}
        return inputs, self.present[rows]


class Step(NamedTuple):
    """What is drawn for a step: `rows` (M, B) and their `weight`, 0 where they only fill up,
    mixup's `share` (M,), and numbers (M, B, modalities) that say which modalities are `hidden`."""

    rows: Tensor
    weight: Tensor
    share: Tensor
    hidden: Tensor


def n_steps(config: FusionConfig, n_clips: int) -> int:
    """The steps of an epoch over `n_clips`."""
    return math.ceil(n_clips / config.batch_size)


def epoch_steps(
    config: FusionConfig,
    rows: Sequence[np.ndarray],
    steps: int,
    draws: Sequence[np.random.Generator],
    n_modalities: int,
) -> Iterator[Step]:
    """All clips of each model in a random order, divided evenly into `steps`."""
    models, width = len(rows), max(math.ceil(len(own) / steps) for own in rows)
    table = np.zeros((steps, models, width), np.int64)
    weight, share = np.zeros(table.shape), np.ones((steps, models))
    hidden = np.ones((*table.shape, n_modalities))
    for k, (own, rng) in enumerate(zip(rows, draws, strict=True)):
        for step, part in enumerate(np.array_split(rng.permutation(own), steps)):
            # fillers are the last clips again, so that the first one's partner is the last
            table[step, k] = np.resize(part[::-1], width)[::-1] if len(part) < width else part
            weight[step, k, width - len(part) :] = 1
        if config.mixup:
            drawn = rng.beta(config.mixup, config.mixup, steps)
            share[:, k] = np.maximum(drawn, 1 - drawn)
        if config.modality_dropout:
            own_width = math.ceil(len(own) / steps)
            hidden[:, k, width - own_width :] = rng.random((steps, own_width, n_modalities))
    dtype = torch.get_default_dtype()
    rows, *drawn = map(torch.from_numpy, (table, weight, share, hidden))
    return map(Step, rows, *(part.to(dtype) for part in drawn))


def mix(
    inputs: Mapping[str, Tensor], present: Tensor, targets: Tensor, share: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Blend each clip with the one before it, and its target likewise, by its model's `share` (M,).

    Clips are in random order. A clip keeps the larger share and its present modalities; what its
    partner lacks of them is not blended.
    """
    share, mixed = share[:, None, None], {}
    for column, (m, x) in enumerate(inputs.items()):
        mixed[m] = torch.lerp(x.roll(1, 1), x, share)
        there = present[..., column, None].roll(1, 1)  # (M, B, 1)
        if not there.all():
            mixed[m] = torch.where(there, mixed[m], x)
    return mixed, torch.lerp(targets.roll(1, 1), targets, share)


def hide(present: Tensor, drawn: Tensor, probability: float) -> Tensor:
    """Hide present modalities (..., modalities) where `drawn` from [0, 1) is below `probability`.

    A clip's last one stays.
    """
    drawn = drawn * present
    spared = drawn == drawn.amax(-1, keepdim=True)
    return present & (spared | (drawn >= probability))
