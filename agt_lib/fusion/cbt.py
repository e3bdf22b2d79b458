"""Self-attention over the tokens of one channel: CBT, after CAMFNet, the paper's reference [11].

Letters: B batch, d width, n tokens, h heads, e head width.
"""

import torch
from torch import Tensor, nn

from agt_lib.fusion.layers import Dropout


class SelfAttention(nn.Module):
    """Pre-norm multi-head self-attention with a joint bias-free projection to Q, K and V."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.scale = head_width**-0.5
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.drop_weights = Dropout(dropout)
        self.out = nn.Sequential(nn.Linear(heads * head_width, width), Dropout(dropout))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, h, n, n) before the softmax, and the value vectors (B, h, n, e)."""
        # (B, n, d) -> (B, n, 3he) -> (B, n, 3, h, e) -> 3 of (B, h, n, e)
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        # of two or three tokens a sum of products is faster than a batch of tiny matrix products
        return (q.unsqueeze(-2) * k.unsqueeze(-3)).sum(-1) * self.scale, v

    def weights(self, scores: Tensor, valid: Tensor) -> Tensor:
        """Softmax over the valid keys, (B, h, n, n); all zero if no key is valid."""
        keys = valid[:, None, None, :]
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(~keys, lowest).softmax(-1) * keys

    def attend(self, weights: Tensor, v: Tensor) -> Tensor:
        """Mix the values by `weights` and project, (B, n, d); the skip is the caller's."""
        mixed = (self.drop_weights(weights).unsqueeze(-1) * v.unsqueeze(-3)).sum(-2)
        return self.out(mixed.transpose(1, 2).flatten(2))  # (B, h, n, e) -> (B, n, he) -> (B, n, d)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Attend from each of x (B, n, d) to the tokens where `valid` (B, n)."""
        scores, v = self.project(x)
        return self.attend(self.weights(scores, valid), v)


class CBT(nn.Module):
    """Self-attention over the tokens of one channel, then a feed-forward, both with a skip.

    `depth` such blocks. The paper names feed-forward layers (twice the width here); CAMFNet's
    released code has none (`ffn` False).
    """

    def __init__(
        self, width: int, heads: int, head_width: int, depth: int, dropout: float, ffn: bool
    ):
        super().__init__()
        self.attention = nn.ModuleList(
            SelfAttention(width, heads, head_width, dropout) for _ in range(depth)
        )
        self.feedforward = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 2 * width),
                nn.GELU(),
                Dropout(dropout),
                nn.Linear(2 * width, width),
                Dropout(dropout),
            )
            for _ in range(depth * ffn)
        )

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Tokens (B, n, d) to tokens (B, n, d); those outside `valid` (B, n) reach no other."""
        for block, attention in enumerate(self.attention):
            x = x + attention(x, valid)
            if self.feedforward:
                x = x + self.feedforward[block](x)
        return x
