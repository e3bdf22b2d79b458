"""AGT, the audio-guided fusion: X_f = AMF(CBT(cat[A, V]) + CBT(cat[A, T])).

Equation 2, section 2.2 of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414).
Letters: B batch, T time, D feature, d width, M modalities, n tokens, C classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agt_lib.fusion.amf import AMF, Gate
from agt_lib.fusion.cbt import CBT
from agt_lib.fusion.inputs import InputLayers, mean_over_valid

LAYOUTS = ("slot_sum", "pair_sum", "drop_guide", "channel")


class AGT(nn.Module):
    """Audio guides every other modality through a channel of its own; AMF weighs the outcome.

    The guide is audio, or without audio the first modality; a lone modality is a channel by
    itself. `layout` is how the channels' outputs become AMF's tokens, the paper's "+":

    - `slot_sum`: added slot by slot, (A' + A'', V', T');
    - `pair_sum`: the literal sum of two pairs, (A' + A'', V' + T');
    - `drop_guide`: CAMFNet's, (V', T'); audio stays for a clip that has nothing else;
    - `channel`: each channel joins its two modalities' features in one token of width 2d.

    Frames are averaged after their channel (before it for `channel`), so AMF sees one token a
    slot. `share_cbt` gives all channels the same weights.
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

    def token_names(self) -> tuple[str, ...]:
        """The names of AMF's tokens: the modalities in each."""
        if self.layout == "channel":
            return ("+".join((self.guide, *self.others)),)
        if self.layout == "pair_sum" and self.others:
            return self.guide, "+".join(self.others)
        return self.guide, *self.others

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        present: Tensor,
        lengths: Mapping[str, Tensor] | None = None,
        return_gate: bool = False,
    ) -> Tensor | tuple[Tensor, Gate]:
        """Logits (B, C) of inputs (B, D) or (B, T, D) by modality, and with `return_gate` AMF's
        gate.

        `present` (B, M) says which modalities each clip has, in the order audio, video, text;
        `lengths` the (B,) number of frames of modalities at frame level.
        """
        tokens, valid = self.inputs(inputs, present, lengths)
        layout = self._join_features if self.layout == "channel" else self._sum_slots
        return self.amf(*layout(tokens, valid), return_gate=return_gate)

    def _cbt(self, channel: int) -> CBT:
        return self.cbt[min(channel, len(self.cbt) - 1)]

    def _sum_slots(
        self, tokens: dict[str, Tensor], valid: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        slots = dict.fromkeys(tokens, 0)
        for number, channel in enumerate(self.channels):
            x = torch.cat([tokens[m] for m in channel], 1)  # (B, T1 + T2, d)
            x = self._cbt(number)(x, torch.cat([valid[m] for m in channel], 1))
            sizes = [tokens[m].shape[1] for m in channel]
            for m, frames in zip(channel, x.split(sizes, 1), strict=True):
                slots[m] = slots[m] + mean_over_valid(frames, valid[m])  # (B, T, d) -> (B, d)
        here = {m: mask.any(1) for m, mask in valid.items()}
        if self.others and self.layout == "pair_sum":
            joined = sum(slots[m] for m in self.others)
            slots = {self.guide: slots[self.guide], "others": joined}
            others = torch.stack([here[m] for m in self.others]).any(0)
            here = {self.guide: here[self.guide], "others": others}
        if self.others and self.layout == "drop_guide":
            others = torch.stack([here[m] for m in self.others]).any(0)
            here[self.guide] = here[self.guide] & ~others
        return torch.stack(list(slots.values()), 1), torch.stack(list(here.values()), 1)

    def _join_features(
        self, tokens: dict[str, Tensor], valid: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        pooled = {m: mean_over_valid(x, valid[m]) for m, x in tokens.items()}
        here = {m: mask.any(1) for m, mask in valid.items()}
        total, any_here = 0, torch.zeros_like(here[self.guide])
        for number, channel in enumerate(self.channels):
            x = torch.cat([pooled[m] for m in channel], -1).unsqueeze(1)  # (B, 1, 2d)
            mask = torch.stack([here[m] for m in channel]).any(0)  # (B,)
            x = self._cbt(number)(x, mask[:, None])
            total = total + x * mask[:, None, None].to(x.dtype)
            any_here = any_here | mask
        return total, any_here[:, None]
