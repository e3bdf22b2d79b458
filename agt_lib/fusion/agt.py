"""AGT, the audio-guided fusion: X_f = AMF(CBT(cat[A, V]) + CBT(cat[A, T])).

Equation 2, section 2.2 of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414).
Letters: B batch, D feature, d width, M modalities, C classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agt_lib.fusion.amf import AMF, Gate, agreement
from agt_lib.fusion.cbt import CBT
from agt_lib.fusion.layers import InputLayers, LinearPath

LAYOUTS = ("slot_sum", "pair_sum", "drop_guide", "channel")


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

    The gate `agreement` asks each modality, before it has seen the others, for its own opinion: a
    linear head on its token, trained beside the network. A modality that agrees with each other by
    less than `least_agreement` counts as absent. Of fewer than three nobody can say which one
    deviates: none is left out, and none if all would be. (The paper: "if a specific modality
    exhibits very low similarity with all other modalities, it is considered to express a different
    emotion, and its features are zeroed out".)
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
        least_agreement: float = 0.0,
    ):
        super().__init__()
        if layout not in LAYOUTS:
            raise ValueError(f"layout is one of {LAYOUTS}; got {layout!r}")
        self.layout = layout
        self.inputs = InputLayers(dims, width, dropout, input_order)
        guide, *others = self.inputs.dims
        self.guide, self.others = guide, tuple(others)
        self.channels = [(guide, other) for other in others] or [(guide,)]
        token_width = width
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
        self.least_agreement = least_agreement
        if gate == "agreement":
            self.opinions = nn.ModuleDict(
                {m: nn.Linear(token_width, n_classes) for m in self.inputs.dims}
            )

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
        asked = self._ask(tokens, present) if hasattr(self, "opinions") else None
        present = present if asked is None else asked.kept
        here = dict(zip(tokens, present.unbind(1), strict=True))
        layout = self._join_features if self.layout == "channel" else self._sum_slots
        logits, gate = self.amf(*layout(tokens, here))
        if hasattr(self, "path"):
            logits = logits + self.path(inputs, present & ~self._gated(gate))
        return (logits, asked or gate) if return_gate else logits

    def _ask(self, tokens: dict[str, Tensor], present: Tensor) -> Gate:
        """What each modality says by itself, and those that agree with another."""
        said = torch.stack([head(tokens[m]) for m, head in self.opinions.items()], 1)
        similarity = agreement(said.detach(), present)
        kept = present & (similarity >= self.least_agreement)
        enough = (present.sum(1, keepdim=True) > 2) & kept.any(1, keepdim=True)
        kept = torch.where(enough, kept, present)
        names = tuple(self.inputs.dims)
        return Gate(names, present, similarity.masked_fill(~present, torch.nan), kept, said)

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
