"""How one fusion model is built and trained: networks by name, defaults, the ablation's options.

Every network is built from plain data, `Network(dims, n_classes, **options)` with `dims` from
modality to feature width, and called as `network(inputs, present)` with inputs (B, D) by modality
and `present` (B, M) in the order audio, video, text; it returns logits (B, C). A network of your
own is one more class, and a line in `NETWORKS`.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from agt_lib.corpora.labels import MODALITIES
from agt_lib.fusion.agt import AGT
from agt_lib.fusion.baselines import Attention, Unimodal
from agt_lib.fusion.layers import check_dims

NETWORKS: dict[str, type[nn.Module]] = {"agt": AGT, "attention": Attention, "unimodal": Unimodal}
OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("cosine", "constant")


def build(name: str, dims: Mapping[str, int], n_classes: int, **options: Any) -> nn.Module:
    """Build the network `name` of `NETWORKS` for features of widths `dims`.

    Raises ValueError for a modality or an option that does not exist.
    """
    known = list(inspect.signature(NETWORKS[name].__init__).parameters)[3:]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{name} has no option {unknown}; it has {', '.join(known)}")
    return NETWORKS[name](dims, n_classes, **options)


@dataclass(frozen=True)
class FusionConfig:
    """A network of `NETWORKS`, its modalities and options, and how it is trained.

    The paper gives none of these numbers. The defaults come from a brief search (some thirty
    settings, not all on the same splits) on the clips of `benchmarks/ravdess.py`; above a few
    hundred clips they are untried. Classes are not weighted: WAF, the score, weighs each class by
    its share, as plain cross-entropy does.
    """

    model: str = "agt"
    modalities: tuple[str, ...] = MODALITIES
    network: Mapping[str, Any] = field(default_factory=dict)
    """Options of the network, such as `width` or `layout`."""

    learning_rate: float = 3e-3
    optimizer: str = "adamw"
    """"adamw" decays matrices only, decoupled; "adam" adds the decay of all to the gradient."""
    weight_decay: float = 5.0
    """Large, since it acts through learning_rate x weight_decay in a few hundred steps."""
    schedule: str = "cosine"
    """"cosine" falls to zero after a linear warm-up over the first tenth of the steps."""
    batch_size: int = 64
    epochs: int = 30
    patience: int | None = None
    """Epochs without a better one after which a fit ends; None for no limit."""
    choose_by: str = "loss"
    """What chooses the epoch on the inner fifth: the lowest "loss" or the highest "waf"."""
    label_smoothing: float = 0.1
    mixup: float = 0.5
    """Clips are blended in pairs by shares from Beta(mixup, mixup) (Zhang et al. 2018); 0: not."""
    modality_dropout: float = 0.0
    """Probability that a present modality is hidden from a step; one always stays."""
    scale: bool = True
    """Standardise the features on the training fold."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("model", self.model, NETWORKS),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("choose_by", self.choose_by, ("loss", "waf")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}; got {value!r}")
        ordered = tuple(check_dims(dict.fromkeys(self.modalities, 1)))
        object.__setattr__(self, "modalities", ordered)
        object.__setattr__(self, "network", dict(self.network))

    @classmethod
    def default(
        cls, model: str, modalities: Sequence[str] = MODALITIES, **changes: Any
    ) -> "FusionConfig":
        """The fixed configuration of `model`, with `changes`; `network` changes single options."""
        own = DEFAULTS.get(model, {})
        network = {**own.get("network", {}), **changes.get("network", {})}
        return cls(model, tuple(modalities), **own | changes | {"network": network})

    def plain(self) -> dict[str, Any]:
        """The same as JSON-able data; `FusionConfig(**plain)` restores it."""
        return asdict(self) | {"modalities": list(self.modalities)}


def capped(config: FusionConfig, max_epochs: int | None) -> FusionConfig:
    """`config` with at most `max_epochs` epochs."""
    if max_epochs is None or config.epochs <= max_epochs:
        return config
    return replace(config, epochs=max_epochs)


DEFAULTS: dict[str, dict[str, Any]] = {
    "agt": {"network": {"width": 64}, "modality_dropout": 0.2},
    "attention": {
        "network": {"hidden": 128, "dropout": 0.3},
        "learning_rate": 1e-3,
        "optimizer": "adam",
        "weight_decay": 1e-5,
        "schedule": "constant",
        "batch_size": 32,
        "epochs": 100,
        "patience": 20,
        "choose_by": "waf",
        "label_smoothing": 0.0,
        "mixup": 0.0,
    },
    "unimodal": {"network": {"width": 64}},
}
"""What each model changes. AGT's modality dropout was chosen out-of-fold on an earlier rendering of
the mini corpus; notebook 04b measures it. The baseline trains as MER2024's toolkit does (Adam,
decay 1e-5, batch 32, 100 epochs, the epoch of the best score; hidden, dropout and rate from the
middle of its grid), but stops when 20 epochs brought nothing. By loss it would stop at once:
unregularised, it grows sure of its mistakes while it still learns."""

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
    """AGT on all `modalities` with one option changed at a time, of those the paper leaves open."""
    return {
        name: capped(FusionConfig.default("agt", modalities, **changes), max_epochs)
        for name, changes in OPTIONS.items()
    }
