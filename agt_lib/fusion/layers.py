"""Input layers: bring every modality to one token and mask what is absent.

Letters: B batch, D feature, d width, M modalities.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

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
            linear = nn.Linear(dim, width)
            first = [linear, nn.LayerNorm(width)]
            if order == "layernorm_first":
                first = [nn.LayerNorm(dim), linear]
            self.layers[modality] = nn.Sequential(*first, nn.ReLU(), nn.Dropout(dropout))

    def forward(self, inputs: Mapping[str, Tensor], present: Tensor) -> dict[str, Tensor]:
        """The token (B, d) of each modality; one of an absent modality means nothing."""
        values = masked(inputs, present, tuple(self.dims))
        return {m: layer(values[m]) for m, layer in self.layers.items()}


class LinearPath(nn.Module):
    """A linear map a modality from its standardised features to the logits, zero at the start."""

    def __init__(self, dims: Mapping[str, int], n_classes: int):
        super().__init__()
        self.maps = nn.ModuleDict(
            {m: nn.Linear(dim, n_classes, bias=False) for m, dim in check_dims(dims).items()}
        )
        for linear in self.maps.values():
            nn.init.zeros_(linear.weight)

    def forward(self, inputs: Mapping[str, Tensor], here: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D) by modality, of those that are `here` (B, M) alone."""
        values = masked(inputs, here, tuple(self.maps))
        return sum(linear(values[m]) for m, linear in self.maps.items())
