"""Fusion networks, one per file.

Every network is built from plain data, `Network(dims, n_classes, **options)` with `dims` from
modality to feature width, and called as `network(inputs, present, lengths=None)` with inputs
(B, D) or (B, T, D) by modality and `present` (B, M) in the order audio, video, text; it returns
logits (B, C). A network of your own is one more file here and one more line in `NETWORKS`.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from agt_lib.fusion.agt import AGT
from agt_lib.fusion.attention import Attention
from agt_lib.fusion.unimodal import Unimodal

NETWORKS: dict[str, type[nn.Module]] = {"agt": AGT, "attention": Attention, "unimodal": Unimodal}


def build(name: str, dims: Mapping[str, int], n_classes: int, **options: Any) -> nn.Module:
    """Build the network `name` for features of widths `dims`.

    Raises ValueError for a name, a modality or an option that does not exist.
    """
    if name not in NETWORKS:
        raise ValueError(f"no fusion network {name!r}; there are {', '.join(NETWORKS)}")
    known = list(inspect.signature(NETWORKS[name].__init__).parameters)[3:]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{name} has no option {unknown}; it has {', '.join(known)}")
    return NETWORKS[name](dims, n_classes, **options)
