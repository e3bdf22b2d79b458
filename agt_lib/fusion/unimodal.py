"""One modality alone: the paper's HuBERT-only model (section 2.3), and its video and text peers.

The paper gives no network for it: one hidden layer, the input layer of AGT.
Letters: B batch, D feature, C classes.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from agt_lib.fusion.inputs import InputLayers, mean_over_valid


class Unimodal(nn.Module):
    """Input layer, mean over frames, Linear."""

    def __init__(
        self,
        dims: Mapping[str, int],
        n_classes: int,
        width: int = 256,
        dropout: float = 0.5,
        input_order: str = "standard",
    ):
        super().__init__()
        if len(dims) != 1:
            raise ValueError(f"unimodal takes one modality; got {tuple(dims)}")
        self.inputs = InputLayers(dims, width, dropout, input_order)
        self.classifier = nn.Linear(width, n_classes)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        present: Tensor,
        lengths: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits (B, C); the arguments are those of `AGT.forward`. An absent clip gets the bias."""
        tokens, valid = self.inputs(inputs, present, lengths)
        ((modality, x),) = tokens.items()
        return self.classifier(mean_over_valid(x, valid[modality]))
