"""AMF: self-attention over the modality tokens that leaves out a token unlike all others.

Equation 2 and section 2.2, after CAMFNet, the paper's reference [11].
Letters: B batch, n tokens, d width, h heads, C classes.

CAMFNet gates by the z-score of the attention's diagonal, |z| > 1.5. Among n numbers |z| is at
most (n - 1) / sqrt(n): 1.155 for three, 1.5 for four, so with up to four tokens that rule never
fires; with more it would also gate the token that agrees most. The default here, `offdiag`,
gates a token whose largest attention to any other is below gamma / n.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agt_lib.fusion.cbt import SelfAttention

GATES = ("offdiag", "camfnet_z", "none")
Z_LIMIT = 1.5


@dataclass(frozen=True)
class Gate:
    """What AMF saw and did. Columns follow `tokens`; rows are clips.

    `similarity` (B, n) is the largest off-diagonal attention of a token (`offdiag`, `none`) or
    the z-score of its diagonal (`camfnet_z`); NaN where `valid` (B, n) is False. `kept` (B, n)
    are the tokens that stayed.
    """

    tokens: tuple[str, ...]
    valid: Tensor
    similarity: Tensor
    kept: Tensor


class AMF(nn.Module):
    """Gate, attend again over the survivors, and classify their mean."""

    def __init__(
        self,
        width: int,
        n_classes: int,
        tokens: tuple[str, ...],
        heads: int = 3,
        head_width: int = 64,
        dropout: float = 0.5,
        gate: str = "offdiag",
        gamma: float = 0.5,
    ):
        super().__init__()
        if gate not in GATES:
            raise ValueError(f"gate is one of {GATES}; got {gate!r}")
        n = len(tokens)
        if gate == "camfnet_z" and (n - 1) / n**0.5 <= Z_LIMIT:
            warnings.warn(
                f"camfnet_z can never gate one of {n} tokens: |z| is at most (n - 1) / sqrt(n) = "
                f"{(n - 1) / n**0.5:.3f}, and it takes more than {Z_LIMIT}",
                stacklevel=2,
            )
        self.tokens, self.gate, self.gamma = tuple(tokens), gate, gamma
        self.attention = SelfAttention(width, heads, head_width, dropout)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, n_classes)

    def forward(
        self, x: Tensor, valid: Tensor, return_gate: bool = False
    ) -> Tensor | tuple[Tensor, Gate]:
        """Tokens x (B, n, d), of which those in `valid` (B, n) are there, to logits (B, C)."""
        scores, v = self.attention.project(x)
        first = self.attention.weights(scores, valid).float().mean(1)  # (B, h, n, n) -> (B, n, n)
        similarity, lonely = self.judge(first.detach(), valid)
        kept = valid & ~lonely
        kept = torch.where(kept.any(-1, keepdim=True), kept, _first_of(valid))
        x = x + self.attention.attend(self.attention.weights(scores, kept), v)
        weights = kept.unsqueeze(-1).to(x.dtype)
        mean = (x * weights).sum(1) / weights.sum(1).clamp(min=1)  # (B, n, d) -> (B, d)
        logits = self.classifier(self.norm(mean))
        if not return_gate:
            return logits
        return logits, Gate(
            self.tokens, valid, similarity.masked_fill(~valid, torch.nan).detach(), kept
        )

    def judge(self, attention: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Each token's similarity (B, n) and whether it falls to the gate (B, n).

        `attention` (B, n, n) has rows that sum to one over the valid tokens.
        """
        n = valid.sum(-1, keepdim=True)  # (B, 1)
        if self.gate == "camfnet_z":
            z = _z_scores(attention.diagonal(dim1=-2, dim2=-1), valid, n)
            return z, z.abs() > Z_LIMIT
        others = 1 - torch.eye(attention.shape[-1], device=attention.device)
        largest = (attention * others * valid[:, None, :]).amax(-1)  # (B, n, n) -> (B, n)
        if self.gate == "none":
            return largest, torch.zeros_like(valid)
        return largest, (largest < self.gamma / n) & (n > 1)


def _z_scores(x: Tensor, valid: Tensor, n: Tensor) -> Tensor:
    """z-scores of x (B, n) among the valid, by the sample's standard deviation as in CAMFNet."""
    mean = (x * valid).sum(-1, keepdim=True) / n.clamp(min=1)
    square = ((x - mean) ** 2 * valid).sum(-1, keepdim=True) / (n - 1).clamp(min=1)
    return (x - mean) / square.sqrt().clamp(min=1e-12)


def _first_of(valid: Tensor) -> Tensor:
    """The first valid token of each row alone: audio where it is there. (B, n) bool."""
    return valid & (valid.cumsum(-1) == 1)
