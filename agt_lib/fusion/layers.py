"""Input layers: bring every modality to one token and mask what is absent.

Letters: B batch, D feature, d width, M modalities.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from agt_lib.corpora.labels import MODALITIES

ORDERS = ("standard", "layernorm_first")


def check_dims(dims: Mapping[str, int]) -> dict[str, int]:
    """Return `dims` (modality -> feature width) in the order audio, video, text.

    Raises ValueError if none is given or one is unknown.
    """
    if not dims or not set(dims) <= set(MODALITIES):
        raise ValueError(f"modalities are one to three of {MODALITIES}; got {tuple(dims)}")
    return {modality: int(dims[modality]) for modality in MODALITIES if modality in dims}


def masked(inputs: Mapping[str, Tensor], present: Tensor, modalities: tuple) -> dict[str, Tensor]:
    """The inputs (B, D) of `modalities`, zero where `present` (B, M) is False.

    Absent values, NaN and infinity included, reach neither the output nor a gradient.
    """
    return {
        m: torch.where(present[:, column, None], inputs[m], 0)
        for column, m in enumerate(modalities)
    }


class Wide(nn.Linear):
    """nn.Linear for many inputs.

    In a stack on a CPU nn.Linear makes its weights' gradient transposed and copies it. Here it is
    made as the weights lie, in a quarter of the time.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, out) of x (B, in)."""
        out = (self.weight @ x.mT).mT
        return out if self.bias is None else out + self.bias


def kept(x: Tensor, rate: float) -> Tensor:
    """Dropout's factors for x (..., D): 0 at `rate`, else 1 / (1 - rate).

    On a CPU four are made of one random number, 16 bits each. Torch's own took five times as long
    on an AMD EPYC.
    """
    if x.device.type != "cpu":
        return dropout(torch.ones_like(x), rate)
    words = (*x.shape[:-1], math.ceil(x.shape[-1] / 4))
    drawn = torch.randint(-(2**63), 2**63 - 1, words, device=x.device).view(torch.int16)
    least = min(round(rate * 2**16), 2**16 - 1) - 2**15
    return (drawn[..., : x.shape[-1]] >= least).to(x.dtype) / (1 - rate)


class Dropout(nn.Dropout):
    """nn.Dropout, on a CPU by `kept`; never in place."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., D), in training dropped out."""
        if x.device.type != "cpu":
            return super().forward(x)
        return x * kept(x, self.p) if self.training and self.p else x


class InputLayers(nn.Module):
    """One projection per modality to a token of a common width.

    `order` "standard" is Linear, LayerNorm, ReLU, Dropout. "layernorm_first" is CAMFNet's: the
    LayerNorm stands before the Linear, over the features themselves.
    """

    def __init__(
        self, dims: Mapping[str, int], width: int, dropout: float, order: str = "standard"
    ):
        super().__init__()
        if order not in ORDERS:
            raise ValueError(f"input order is one of {ORDERS}; got {order!r}")
        self.dims = check_dims(dims)
        self.layers = nn.ModuleDict()
        for modality, dim in self.dims.items():
            linear = Wide(dim, width)
            first = [linear, nn.LayerNorm(width)]
            if order == "layernorm_first":
                first = [nn.LayerNorm(dim), linear]
            self.layers[modality] = nn.Sequential(*first, nn.ReLU(), Dropout(dropout))

    def forward(self, inputs: Mapping[str, Tensor], present: Tensor) -> dict[str, Tensor]:
        """The token (B, d) of each modality; one of an absent modality means nothing."""
        values = masked(inputs, present, tuple(self.dims))
        return {m: layer(values[m]) for m, layer in self.layers.items()}


class LinearPath(nn.Module):
    """A linear map a modality from its standardised features to the logits, zero at the start."""

    def __init__(self, dims: Mapping[str, int], n_classes: int):
        super().__init__()
        self.maps = nn.ModuleDict(
            {m: Wide(dim, n_classes, bias=False) for m, dim in check_dims(dims).items()}
        )
        for linear in self.maps.values():
            nn.init.zeros_(linear.weight)

    def forward(self, inputs: Mapping[str, Tensor], here: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D) by modality, of those that are `here` (B, M) alone."""
        values = masked(inputs, here, tuple(self.maps))
        return sum(linear(values[m]) for m, linear in self.maps.items())
