"""AMF: a gate over the tokens, attention over those that stay, and the classifier.

Section 2.2 of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414); after CAMFNet, the
paper's reference [11].
Letters: B batch, d width, n tokens, h heads, C classes.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agt_lib.fusion.cbt import SelfAttention

GATES = ("offdiag", "agreement", "camfnet_z", "none")
Z_LIMIT = 1.51
"""CAMFNet's 1.5 and a hundredth: one of four tokens reaches 1.5, and by rounding would pass it."""
SMALLEST_SD = 1e-5
"""Attention that varies less is even but for rounding: no z-score of it is large."""


@dataclass(frozen=True)
class Gate:
    """What the gate saw and did. Columns follow `tokens`; rows are clips.

    `similarity` (B, n) is the largest off-diagonal attention of a token (`offdiag`, `none`), the
    z-score of its diagonal (`camfnet_z`), or a modality's largest agreement with another
    (`agreement`); NaN where `valid` (B, n) is False. `kept` (B, n) are the tokens that stayed.
    `opinions` (B, n, C) are each modality's own logits, for `agreement` alone.
    """

    tokens: tuple[str, ...]
    valid: Tensor
    similarity: Tensor
    kept: Tensor
    opinions: Tensor | None = None


class AMF(nn.Module):
    """Gate the tokens, attend again over those that stay, and classify their mean.

    CAMFNet's rule gates by the z-score of the attention's diagonal, |z| > 1.5. In its released code
    (https://github.com/marco-hmc/CAMFNet) that is dead for any number of tokens: it asks whether a
    tensor `is True`. `camfnet_z` is the rule as meant, over the mean of the heads. Among n numbers
    |z| is at most (n - 1) / sqrt(n), 1.5 for four, so it takes five tokens to fire; it would also
    gate the token that agrees most. The default here, `offdiag`, gates a token whose largest
    attention to any other is below gamma / n. (`agreement` gates modalities before they meet: see
    `AGT`; AMF then gates none.)
    """

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

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Gate]:
        """Logits (B, C) of the tokens x (B, n, d) where `valid` (B, n), and what the gate did."""
        scores, v = self.attention.project(x)
        first = self.attention.weights(scores, valid).float().mean(1)  # (B, h, n, n) -> (B, n, n)
        similarity, lonely = self.judge(first.detach(), valid)
        kept = valid & ~lonely
        first_valid = valid & (valid.cumsum(-1) == 1)  # audio if it is there
        kept = torch.where(kept.any(-1, keepdim=True), kept, first_valid)
        x = x + self.attention.attend(self.attention.weights(scores, kept), v)
        weights = kept.unsqueeze(-1).to(x.dtype)
        mean = (x * weights).sum(1) / weights.sum(1).clamp(min=1)  # (B, n, d) -> (B, d)
        logits = self.classifier(self.norm(mean))
        return logits, Gate(self.tokens, valid, similarity.masked_fill(~valid, torch.nan), kept)

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
        if self.gate in ("none", "agreement"):
            return largest, torch.zeros_like(valid)
        return largest, (largest < self.gamma / n) & (n > 1)


def _z_scores(x: Tensor, valid: Tensor, n: Tensor) -> Tensor:
    """z-scores of x (B, n) among the valid, by the sample's standard deviation as in CAMFNet."""
    mean = (x * valid).sum(-1, keepdim=True) / n.clamp(min=1)
    square = ((x - mean) ** 2 * valid).sum(-1, keepdim=True) / (n - 1).clamp(min=1)
    return (x - mean) / square.sqrt().clamp(min=SMALLEST_SD)


def agreement(opinions: Tensor, present: Tensor) -> Tensor:
    """Each modality's largest agreement with another, (B, M): 0 where there is no other.

    Two modalities agree by the probability that one label drawn from each is the same. `opinions`
    (B, M, C) are logits; those not `present` (B, M) agree with none.
    """
    p = opinions.softmax(-1) * present[..., None]
    pairs = p @ p.transpose(1, 2)  # (B, M, C) -> (B, M, M)
    return (pairs * (1 - torch.eye(p.shape[1], device=p.device))).amax(-1)
