"""Clips as tensors on the device, and what training does to them: mix them, hide a modality.

Letters: N clips, b clips of a step, T time, D feature, M modalities, C classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from agt_lib.fusion.data import FusionData


@dataclass(frozen=True)
class Clips:
    """Standardised clips on the device."""

    inputs: dict[str, Tensor]
    present: Tensor
    lengths: dict[str, Tensor]
    labels: Tensor

    @classmethod
    def of(cls, data: FusionData, rows: np.ndarray, scalers: dict, device: torch.device):
        return cls(
            {m: torch.from_numpy(scalers[m](x[rows])).to(device) for m, x in data.features.items()},
            torch.from_numpy(data.present[rows]).to(device),
            {m: torch.from_numpy(x[rows]).to(device) for m, x in data.lengths.items()},
            torch.from_numpy(data.labels[rows]).to(device),
        )

    def __getitem__(self, rows: Tensor) -> "Clips":
        return Clips(
            {m: x[rows] for m, x in self.inputs.items()},
            self.present[rows],
            {m: x[rows] for m, x in self.lengths.items()},
            self.labels[rows],
        )

    def beside(self, other: "Clips") -> "Clips":
        """These clips, then the `other` ones; the shorter frames are padded."""
        inputs = {}
        for m, x in self.inputs.items():
            parts = [x, other.inputs[m]]
            if m in self.lengths:  # (n, T, D), where T may differ
                longest = max(part.shape[1] for part in parts)
                parts = [pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
            inputs[m] = torch.cat(parts)
        return Clips(
            inputs,
            torch.cat([self.present, other.present]),
            {m: torch.cat([x, other.lengths[m]]) for m, x in self.lengths.items()},
            torch.cat([self.labels, other.labels]),
        )


def mix(clips: Clips, targets: Tensor, alpha: float) -> tuple[Clips, Tensor]:
    """Blend each clip with another, and its target likewise, by a share from Beta(alpha, alpha).

    The clip keeps the larger share, its lengths and its present modalities; what its
    partner lacks of them, modality or frames, is not blended.
    """
    other = torch.randperm(len(targets), device=targets.device)
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    share = max(share, 1 - share)
    inputs = {}
    for column, (m, x) in enumerate(clips.inputs.items()):
        there = clips.present[other, column, None]  # (b, 1)
        if m in clips.lengths:
            frames = torch.arange(x.shape[1], device=x.device)
            there = (there & (frames < clips.lengths[m][other, None])).unsqueeze(-1)  # (b, T, 1)
        inputs[m] = torch.where(there, share * x + (1 - share) * x[other], x)
    mixed = Clips(inputs, clips.present, clips.lengths, clips.labels)
    return mixed, share * targets + (1 - share) * targets[other]


def hide(present: Tensor, probability: float) -> Tensor:
    """Hide each present modality (B, M) with `probability`, but never a clip's last one."""
    if not probability:
        return present
    draw = torch.rand(present.shape, device=present.device) * present
    spared = draw == draw.amax(-1, keepdim=True)
    return present & (spared | (draw >= probability))
