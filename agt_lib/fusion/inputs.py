"""Input layers: bring every modality to tokens of one width and mask what is not there.

Utterance-level features are one token, frame-level ones a token per frame.
Letters: B batch, T time (1 at utterance level), D feature, d width, M modalities.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agt_lib.corpora.labels import MODALITIES
from agt_lib.fusion.dropout import Dropout

ORDERS = ("standard", "layernorm_first")


def check_dims(dims: Mapping[str, int]) -> dict[str, int]:
    """Return `dims` (modality -> feature width) in the order audio, video, text.

    Raises ValueError where none is given or one is unknown.
    """
    if not dims or not set(dims) <= set(MODALITIES):
        raise ValueError(f"modalities are one to three of {MODALITIES}; got {tuple(dims)}")
    return {modality: int(dims[modality]) for modality in MODALITIES if modality in dims}


def mask_inputs(
    inputs: Mapping[str, Tensor],
    present: Tensor,
    lengths: Mapping[str, Tensor] | None,
    modalities: tuple[str, ...],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Bring inputs (B, D) or (B, T, D) to (B, T, D), with zeros wherever nothing is.

    `present` is (B, M) in the order of `modalities`; `lengths` gives the (B,) frames that are not
    padding for modalities at frame level. Returns the values and the (B, T) masks of what is
    there. Absent values, NaN and infinity included, reach neither the output nor a gradient.
    """
    values, valid = {}, {}
    for column, modality in enumerate(modalities):
        x = inputs[modality]
        x = x if x.dim() == 3 else x.unsqueeze(1)  # (B, D) -> (B, 1, D)
        mask = present[:, column, None].expand(-1, x.shape[1])  # (B,) -> (B, T)
        if lengths is not None and modality in lengths:
            frames = torch.arange(x.shape[1], device=x.device)
            mask = mask & (frames < lengths[modality][:, None])
        values[modality] = torch.where(mask.unsqueeze(-1), x, 0)
        valid[modality] = mask
    return values, valid


def mean_over_valid(x: Tensor, valid: Tensor) -> Tensor:
    """The mean of x (B, T, d) over the positions where `valid` (B, T), (B, d); zero where none."""
    weights = valid.unsqueeze(-1).to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1)


class InputLayers(nn.Module):
    """One projection per modality to tokens of a common width.

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
            self.layers[modality] = nn.Sequential(*first, nn.ReLU(), Dropout(dropout))

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        present: Tensor,
        lengths: Mapping[str, Tensor] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens (B, T, d) of each modality and the (B, T) masks of those that are there."""
        values, valid = mask_inputs(inputs, present, lengths, tuple(self.dims))
        return {m: layer(values[m]) for m, layer in self.layers.items()}, valid
