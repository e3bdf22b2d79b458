"""AGT with one option changed at a time: the options that the paper leaves open."""

from collections.abc import Sequence

from agt_lib.fusion.config import FusionConfig, capped

OPTIONS: dict[str, dict] = {
    "pair_sum: the literal sum of two pairs": {"network": {"layout": "pair_sum"}},
    "drop_guide: CAMFNet's layout": {"network": {"layout": "drop_guide"}},
    "channel: features side by side": {"network": {"layout": "channel"}},
    "one CBT for both channels": {"network": {"share_cbt": True}},
    "no feed-forward in CBT": {"network": {"ffn": False}},
    "CBT of depth 2": {"network": {"depth": 2}},
    "no gate": {"network": {"gate": "none"}},
    "LayerNorm over raw features first": {"network": {"input_order": "layernorm_first"}},
    "features not standardised": {"scale": False},
    "no modality dropout": {"modality_dropout": 0.0},
}
"""What the ablation changes in AGT, one at a time. CAMFNet's gate is not among them: with three
tokens it can't fire, which makes it "no gate"."""


def ablation(modalities: Sequence[str], max_epochs: int | None = None) -> dict[str, FusionConfig]:
    """AGT on all `modalities` with one option changed at a time."""
    default = FusionConfig.default("agt", tuple(modalities))
    configs = {}
    for name, changes in OPTIONS.items():
        network = dict(default.network) | changes.get("network", {})
        config = FusionConfig.default("agt", default.modalities, **(changes | {"network": network}))
        configs[name] = capped(config, max_epochs)
    return configs
