"""AGT, the audio-guided fusion: X_f = AMF(CBT(cat[A, V]) + CBT(cat[A, T])).

Equation 2, section 2.2 of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414); CBT and
AMF after CAMFNet, the paper's reference [11].
Letters: B batch, D feature, d width, M modalities, n tokens, h heads, e head width, C classes.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agt_lib.fusion.layers import InputLayers, LinearPath

LAYOUTS = ("slot_sum", "pair_sum", "drop_guide", "channel")
GATES = ("offdiag", "camfnet_z", "none")
Z_LIMIT = 1.51
"""CAMFNet's 1.5 and a hundredth: one of four tokens reaches 1.5, and by rounding would pass it."""
SMALLEST_SD = 1e-5
"""Attention that varies less is even but for rounding: no z-score of it is large."""


class SelfAttention(nn.Module):
    """Pre-norm multi-head self-attention with a joint bias-free projection to Q, K and V."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.scale = head_width**-0.5
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.drop_weights = nn.Dropout(dropout)
        self.out = nn.Sequential(nn.Linear(heads * head_width, width), nn.Dropout(dropout))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, h, n, n) before the softmax, and the value vectors (B, h, n, e)."""
        # (B, n, d) -> (B, n, 3he) -> (B, n, 3, h, e) -> 3 of (B, h, n, e)
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q @ k.transpose(-1, -2) * self.scale, v

    def weights(self, scores: Tensor, valid: Tensor) -> Tensor:
        """Softmax over the valid keys, (B, h, n, n); all zero if no key is valid."""
        keys = valid[:, None, None, :]
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(~keys, lowest).softmax(-1) * keys

    def attend(self, weights: Tensor, v: Tensor) -> Tensor:
        """Mix the values by `weights` and project, (B, n, d); the skip is the caller's."""
        mixed = self.drop_weights(weights) @ v
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
                nn.Dropout(dropout),
                nn.Linear(2 * width, width),
                nn.Dropout(dropout),
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
    """Gate the tokens, attend again over those that stay, and classify their mean.

    CAMFNet's rule gates by the z-score of the attention's diagonal, |z| > 1.5. In its released code
    (https://github.com/marco-hmc/CAMFNet) that is dead for any number of tokens: it asks whether a
    tensor `is True`. `camfnet_z` is the rule as meant, over the mean of the heads. Among n numbers
    |z| is at most (n - 1) / sqrt(n), 1.5 for four, so it takes five tokens to fire; it would also
    gate the token that agrees most. The default here, `offdiag`, gates a token whose largest
    attention to any other is below gamma / n.
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
        if self.gate == "none":
            return largest, torch.zeros_like(valid)
        return largest, (largest < self.gamma / n) & (n > 1)


def _z_scores(x: Tensor, valid: Tensor, n: Tensor) -> Tensor:
    """z-scores of x (B, n) among the valid, by the sample's standard deviation as in CAMFNet."""
    mean = (x * valid).sum(-1, keepdim=True) / n.clamp(min=1)
    square = ((x - mean) ** 2 * valid).sum(-1, keepdim=True) / (n - 1).clamp(min=1)
    return (x - mean) / square.sqrt().clamp(min=SMALLEST_SD)


class AGT(nn.Module):
    """Audio guides every other modality through a channel of its own; AMF weighs the outcome.

    The guide is audio, or without audio the first modality; a lone modality is a channel by
    itself. `layout` is how the channels' outputs become AMF's tokens, the paper's "+":

    - `slot_sum`: added slot by slot, (A' + A'', V', T');
    - `pair_sum`: the literal sum of two pairs, (A' + A'', V' + T');
    - `drop_guide`: CAMFNet's, (V', T'); audio stays for a clip that has nothing else;
    - `channel`: each channel joins its two modalities' features in one token of width 2d.

    `share_cbt` gives all channels the same weights. `linear_path` adds a linear map from the
    features to the logits; a modality that the gate leaves out has no part in it.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        n_classes: int,
        width: int = 256,
        heads: int = 3,
        head_width: int = 64,
        depth: int = 1,
        dropout: float = 0.5,
        ffn: bool = True,
        share_cbt: bool = False,
        layout: str = "slot_sum",
        gate: str = "offdiag",
        gamma: float = 0.5,
        input_order: str = "standard",
        linear_path: bool = False,
    ):
        super().__init__()
        if layout not in LAYOUTS:
            raise ValueError(f"layout is one of {LAYOUTS}; got {layout!r}")
        self.layout = layout
        self.inputs = InputLayers(dims, width, dropout, input_order)
        guide, *others = self.inputs.dims
        self.guide, self.others = guide, tuple(others)
        self.channels = [(guide, other) for other in others] or [(guide,)]
        if layout == "channel":
            width = width * len(self.channels[0])
        n_cbt = 1 if share_cbt else len(self.channels)
        self.cbt = nn.ModuleList(
            CBT(width, heads, head_width, depth, dropout, ffn) for _ in range(n_cbt)
        )
        self.amf = AMF(
            width, n_classes, self.token_names(), heads, head_width, dropout, gate, gamma
        )
        if linear_path:
            self.path = LinearPath(dims, n_classes)

    def token_names(self) -> tuple[str, ...]:
        """The names of AMF's tokens: the modalities in each."""
        if self.layout == "channel":
            return ("+".join((self.guide, *self.others)),)
        if self.layout == "pair_sum" and self.others:
            return self.guide, "+".join(self.others)
        return self.guide, *self.others

    def forward(
        self, inputs: Mapping[str, Tensor], present: Tensor, return_gate: bool = False
    ) -> Tensor | tuple[Tensor, Gate]:
        """Logits (B, C) of inputs (B, D) by modality, and with `return_gate` AMF's gate.

        `present` (B, M) says which modalities each clip has, in the order audio, video, text.
        """
        tokens = self.inputs(inputs, present)
        here = dict(zip(tokens, present.unbind(1), strict=True))
        layout = self._join_features if self.layout == "channel" else self._sum_slots
        logits, gate = self.amf(*layout(tokens, here))
        if hasattr(self, "path"):
            logits = logits + self.path(inputs, present & ~self._gated(gate))
        return (logits, gate) if return_gate else logits

    def _gated(self, gate: Gate) -> Tensor:
        """Which modalities (B, M) the gate has left out."""
        out = gate.valid & ~gate.kept
        columns = [
            torch.stack([out[:, k] for k, name in enumerate(gate.tokens) if m in name.split("+")])
            for m in self.inputs.dims
        ]
        return torch.stack([column.any(0) for column in columns], 1)

    def _cbt(self, channel: int) -> CBT:
        return self.cbt[min(channel, len(self.cbt) - 1)]

    def _sum_slots(
        self, tokens: dict[str, Tensor], here: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        slots = dict.fromkeys(tokens, 0)
        for number, channel in enumerate(self.channels):
            x = torch.stack([tokens[m] for m in channel], 1)  # (B, 2, d)
            x = self._cbt(number)(x, torch.stack([here[m] for m in channel], 1))
            for place, m in enumerate(channel):
                slots[m] = slots[m] + x[:, place] * here[m][:, None].to(x.dtype)
        if self.others and self.layout in ("pair_sum", "drop_guide"):
            any_other = torch.stack([here[m] for m in self.others]).any(0)
            if self.layout == "pair_sum":
                joined = sum(slots[m] for m in self.others)
                slots = {self.guide: slots[self.guide], "others": joined}
                here = {self.guide: here[self.guide], "others": any_other}
            else:
                here = here | {self.guide: here[self.guide] & ~any_other}
        return torch.stack(list(slots.values()), 1), torch.stack(list(here.values()), 1)

    def _join_features(
        self, tokens: dict[str, Tensor], here: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        total, any_here = 0, torch.zeros_like(here[self.guide])
        for number, channel in enumerate(self.channels):
            x = torch.cat([tokens[m] * here[m][:, None].to(tokens[m].dtype) for m in channel], -1)
            mask = torch.stack([here[m] for m in channel]).any(0)  # (B,)
            x = self._cbt(number)(x.unsqueeze(1), mask[:, None])  # (B, 1, 2d)
            total = total + x * mask[:, None, None].to(x.dtype)
            any_here = any_here | mask
        return total, any_here[:, None]
