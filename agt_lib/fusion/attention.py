"""The baseline fusion: MER2024's official `attention` network.

After `attention` of MERTools (https://github.com/zeroQiaoba/MERTools), the baseline of the
paper's tables. Letters: B batch, D feature, H hidden, M modalities, C classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agt_lib.fusion.dropout import Dropout
from agt_lib.fusion.inputs import check_dims, mask_inputs, mean_over_valid


def encoder(dim: int, hidden: int, dropout: float) -> nn.Sequential:
    """Dropout, then three times Linear and ReLU, `dim` to `hidden`."""
    return nn.Sequential(
        Dropout(dropout),
        *(nn.Linear(dim, hidden), nn.ReLU()),
        *(nn.Linear(hidden, hidden), nn.ReLU()),
        *(nn.Linear(hidden, hidden), nn.ReLU()),
    )


class Attention(nn.Module):
    """Each modality encoded alone; all together give the weights (no softmax) of their sum.

    Where the original has no notion of absence, an absent modality is a zero hidden vector here.
    Frames are averaged before they are encoded.
    """

    def __init__(
        self, dims: Mapping[str, int], n_classes: int, hidden: int = 128, dropout: float = 0.3
    ):
        super().__init__()
        dims = check_dims(dims)
        self.encoders = nn.ModuleDict({m: encoder(dim, hidden, dropout) for m, dim in dims.items()})
        self.weigher = nn.Sequential(
            encoder(len(dims) * hidden, hidden, dropout), nn.Linear(hidden, len(dims))
        )
        self.classifier = nn.Linear(hidden, n_classes)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        present: Tensor,
        lengths: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits (B, C); the arguments are those of `AGT.forward`."""
        values, valid = mask_inputs(inputs, present, lengths, tuple(self.encoders))
        hidden = torch.stack(
            [enc(mean_over_valid(values[m], valid[m])) for m, enc in self.encoders.items()], 1
        )
        hidden = hidden * present.unsqueeze(-1).to(hidden.dtype)  # (B, M, H)
        weights = self.weigher(hidden.flatten(1))  # (B, M, H) -> (B, MH) -> (B, M)
        fused = (hidden * weights.unsqueeze(-1)).sum(1)  # (B, M, H) -> (B, H)
        return self.classifier(fused)
