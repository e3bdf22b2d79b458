"""What AGT is measured against: MER2024's official `attention` network, and one modality alone.

Letters: B batch, D feature, H hidden, M modalities, C classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agt_lib.fusion.layers import Dropout, InputLayers, LinearPath, Wide, check_dims, masked


def encoder(dim: int, hidden: int) -> nn.Sequential:
    """Three times Linear and ReLU, `dim` to `hidden`."""
    return nn.Sequential(
        *(Wide(dim, hidden), nn.ReLU()),
        *(nn.Linear(hidden, hidden), nn.ReLU()),
        *(nn.Linear(hidden, hidden), nn.ReLU()),
    )


class Attention(nn.Module):
    """Each modality encoded alone; all together give the weights (no softmax) of their sum.

    After `attention` of MERTools (https://github.com/zeroQiaoba/MERTools), the baseline of the
    paper's tables. Where the original has no notion of absence, an absent modality is a zero hidden
    vector here. In training hidden vectors are dropped out before the weights, and inputs before
    the encoders: by `kept`, which the trainer draws at the rate `input_dropout` (`stack.Stack`).
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        n_classes: int,
        hidden: int = 128,
        dropout: float = 0.3,
        linear_path: bool = False,
    ):
        super().__init__()
        dims = check_dims(dims)
        self.input_dropout = dropout
        self.encoders = nn.ModuleDict({m: encoder(dim, hidden) for m, dim in dims.items()})
        dropped = nn.Sequential(Dropout(dropout), *encoder(len(dims) * hidden, hidden))
        self.weigher = nn.Sequential(dropped, nn.Linear(hidden, len(dims)))
        self.classifier = nn.Linear(hidden, n_classes)
        if linear_path:
            self.path = LinearPath(dims, n_classes)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        present: Tensor,
        kept: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits (B, C); inputs and present are those of `AGT.forward`, `kept` (B, D) factors."""
        values = masked(inputs, present, tuple(self.encoders))
        if kept is not None:
            values = {m: x * kept[m] for m, x in values.items()}
        hidden = torch.stack([enc(values[m]) for m, enc in self.encoders.items()], 1)
        hidden = hidden * present.unsqueeze(-1).to(hidden.dtype)  # (B, M, H)
        weights = self.weigher(hidden.flatten(1))  # (B, M, H) -> (B, MH) -> (B, M)
        fused = (hidden * weights.unsqueeze(-1)).sum(1)  # (B, M, H) -> (B, H)
        logits = self.classifier(fused)
        return logits + self.path(inputs, present) if hasattr(self, "path") else logits


class Unimodal(nn.Module):
    """One modality alone: the paper's HuBERT-only model (section 2.3) and its peers.

    The paper gives no network for it: one hidden layer here, the input layer of AGT, and Linear.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        n_classes: int,
        width: int = 256,
        dropout: float = 0.5,
        input_order: str = "standard",
        linear_path: bool = False,
    ):
        super().__init__()
        if len(dims) != 1:
            raise ValueError(f"unimodal takes one modality; got {tuple(dims)}")
        self.inputs = InputLayers(dims, width, dropout, input_order)
        self.classifier = nn.Linear(width, n_classes)
        if linear_path:
            self.path = LinearPath(dims, n_classes)

    def forward(self, inputs: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Logits (B, C); the arguments are those of `AGT.forward`. An absent clip gets the bias."""
        (x,) = self.inputs(inputs, present).values()
        logits = self.classifier(x * present.to(x.dtype))
        return logits + self.path(inputs, present) if hasattr(self, "path") else logits
