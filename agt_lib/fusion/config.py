"""How one fusion model is trained: defaults, what a search tries, the ablation's options."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from agt_lib.corpora.labels import MODALITIES
from agt_lib.fusion.layers import check_dims
from agt_lib.fusion.networks import NETWORKS, SOURCES, check_options
from agt_lib.fusion.scaling import SCALES
from agt_lib.workspace.numbers import COUNT, SOME, check_numbers

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("cosine", "constant")
SHOWN = 12_000
EPOCHS = (8, 40)
"""The fewest and the most epochs: 30 for 400 clips, 8 from 1500 on."""
DECAY, FEW = 5.0, 400
"""The weight decay up to so many clips; above it falls as 1 / clips: a prior counts the less."""
WIDE = 1200
"""Up to so many features a linear path's decay is `DECAY`, whatever the clips. With more features
it rises in proportion: from 6912 a path would learn the training clips by heart."""
RANGES = {
    "learning_rate": "[0, inf)", "weight_decay": "[0, inf)", "path_decay": "[0, inf)",
    "batch_size": SOME, "epochs": SOME, "opinion_loss": "[0, inf)", "mixup": "[0, inf)",
    "label_smoothing": "[0, 1)", "modality_dropout": "[0, 1)", "dropout": "[0, 1)",
    "gamma": "(-inf, inf)", "least_agreement": "[-1, 1]",
    **dict.fromkeys(("width", "hidden", "depth", "heads", "head_width"), "whole [1, 65536]"),
}  # fmt: skip
"""The range of each number of a configuration, and of the library's own networks."""


@dataclass(frozen=True)
class FusionConfig:
    """A network of `NETWORKS`, its modalities and options, and how it is trained.

    The paper gives none of these numbers. The defaults come from brief searches on the clips of
    `benchmarks/ravdess.py` and `benchmarks/emodb.py` and on the rendered corpus, some 500 clips
    each; how they go on with more clips is a rule (`settled`). Classes are not weighted: WAF, the
    score, weighs each class by its share, as plain cross-entropy does. Raises ValueError for what
    makes no sense, before anything is trained.
    """

    model: str = "agt"
    modalities: tuple[str, ...] = MODALITIES
    network: Mapping[str, Any] = field(default_factory=dict)
    """Options of the network, such as `width` or `layout`."""

    learning_rate: float = 3e-3
    optimizer: str = "adamw"
    """"adamw" decays matrices only, decoupled; "adam" adds the decay of all to the gradient."""
    weight_decay: float | None = None
    """None: see `DECAY`. It acts through learning_rate x weight_decay in a few hundred steps, so it
    is large."""
    schedule: str = "cosine"
    """"cosine" falls to zero after a linear warm-up over the first tenth of the steps."""
    batch_size: int = 64
    epochs: int | None = None
    """None: as many as show `SHOWN` clips in all, but from `EPOCHS[0]` to `EPOCHS[1]`."""
    opinion_loss: float = 0.3
    """Weight of the mean loss of the modalities' own opinions, for AGT's gate `agreement`."""
    path_decay: float | None = None
    """The weight decay of a linear path from up to `WIDE` features; None: `DECAY`, or the
    `weight_decay` that is given."""
    choose_epoch: bool = False
    """Keep the epoch of the best WAF on an inner fifth of the training fold, which is not trained
    on, as MER2024's toolkit does on its validation part. Else the whole fold is trained on, for all
    `epochs`."""
    label_smoothing: float = 0.1
    mixup: float = 0.5
    """Clips are blended in pairs by shares from Beta(mixup, mixup) (Zhang et al. 2018); 0: not."""
    modality_dropout: float = 0.0
    """Probability that a present modality is hidden from a step; one always stays."""
    scale: str = "fold"
    """"fold": features standardised on the training fold; "speaker": before that by speaker
    (`scaling.SpeakerScaler`); "none": as they are."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("model", self.model, NETWORKS),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("scale", self.scale, SCALES),
        ):
            if value not in allowed:
                hint = "; one of your own: fusion.add_network(FILE) first" * (name == "model")
                raise ValueError(f"{name} is one of {', '.join(allowed)}; got {value!r}{hint}")
        check_options(self.model, self.network)
        check_numbers({**({} if self.model in SOURCES else self.network), **vars(self)}, RANGES)
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

    def with_network(self, **options: Any) -> "FusionConfig":
        """The same with other `options` of the network."""
        return replace(self, network={**self.network, **options})

    def settled(self, *n_clips: int) -> "FusionConfig":
        """The same with what follows from the number of training clips filled in.

        Models on several sets of clips are configured alike, by the mean of their numbers.
        """
        size = float(np.mean(n_clips))
        decay = DECAY * min(1, FEW / size) if self.weight_decay is None else self.weight_decay
        epochs = self.epochs or int(np.clip(round(SHOWN / size), *EPOCHS))
        path_decay = DECAY if self.weight_decay is None else decay
        path_decay = path_decay if self.path_decay is None else self.path_decay
        return replace(self, weight_decay=decay, path_decay=path_decay, epochs=epochs)

    def plain(self) -> dict[str, Any]:
        """The same as JSON-able data; `FusionConfig(**plain)` restores it."""
        return asdict(self) | {"modalities": list(self.modalities)}


def capped(config: FusionConfig, max_epochs: int | None) -> FusionConfig:
    """`config` with at most `max_epochs` epochs."""
    if max_epochs is None:
        return config
    return replace(config, epochs=min(config.epochs or max_epochs, max_epochs))


DEFAULTS: dict[str, dict[str, Any]] = {
    "agt": {"network": {"width": 64, "linear_path": True}, "modality_dropout": 0.2},
    "attention": {"network": {"hidden": 128, "dropout": 0.3}, "modality_dropout": 0.2},
    "unimodal": {"network": {"width": 64, "linear_path": True}},
}
"""What each model changes. The baseline is trained as AGT is, without a linear path."""

TOOLKIT: dict[str, Any] = {
    "learning_rate": 1e-3,
    "optimizer": "adam",
    "weight_decay": 1e-5,
    "schedule": "constant",
    "batch_size": 32,
    "epochs": 100,
    "choose_epoch": True,
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "modality_dropout": 0.0,
}
"""How MER2024's toolkit trains the baseline: hidden and dropout from the middle of its grid, the
rate its top."""


def searched(config: FusionConfig, n_clips: int) -> list[FusionConfig]:
    """What a search tries beside `config`, for some `n_clips` training clips: `choice.choose`.

    A fifth of the weight decay, half and twice as many epochs.
    """
    usual = config.settled(n_clips)
    less = {name: getattr(usual, name) / 5 for name in ("weight_decay", "path_decay")}
    changes = less, {"epochs": max(1, usual.epochs // 2)}, {"epochs": 2 * usual.epochs}
    return [config, *(replace(config, **change) for change in changes)]


SPACE: dict[str, Sequence] = {
    "learning_rate": (1e-3, 3e-3, 1e-2),
    "dropout": (0.2, 0.3, 0.4, 0.5),
    "modality_dropout": (0.0, 0.2),
    "mixup": (0.0, 0.5),
    "label_smoothing": (0.0, 0.1),
}
"""What `drawn` draws from, the same for every network."""
TOOLKIT_SPACE: dict[str, Sequence] = {
    "hidden": (64, 128, 256), "dropout": (0.2, 0.3, 0.4, 0.5), "learning_rate": (1e-3, 1e-4),
}  # fmt: skip
"""What MER2024's toolkit draws from, fifty times, for the baseline."""


def drawn(
    config: FusionConfig, space: Mapping[str, Sequence], draws: int, seed: int = 0
) -> list[FusionConfig]:
    """`config`, and `draws` different settings of `space` for it, or all if there are fewer.

    `space` has values by the name of a field or of an option of the network. Raises ValueError for
    a name that the network does not know, and for `draws` below 0.
    """
    check_numbers({"draws": draws}, {"draws": COUNT})
    grid = list(product(*space.values()))
    found = [config]
    for number in np.random.default_rng(seed).permutation(len(grid))[:draws]:
        setting = dict(zip(space, grid[number], strict=True))
        own = {name: setting.pop(name) for name in space if hasattr(config, name)}
        found.append(replace(config, **own).with_network(**setting))
    return found


OPTIONS: dict[str, tuple[int, dict]] = {
    "pair_sum: the literal sum of two pairs": (3, {"network": {"layout": "pair_sum"}}),
    "drop_guide: CAMFNet's layout": (2, {"network": {"layout": "drop_guide"}}),
    "channel: features side by side": (2, {"network": {"layout": "channel"}}),
    "one CBT for both channels": (3, {"network": {"share_cbt": True}}),
    "no feed-forward in CBT": (1, {"network": {"ffn": False}}),
    "CBT of depth 2": (1, {"network": {"depth": 2}}),
    "no gate": (2, {"network": {"gate": "none"}}),
    "LayerNorm over raw features first": (1, {"network": {"input_order": "layernorm_first"}}),
    "no linear path": (1, {"network": {"linear_path": False}}),
    "features not standardised": (1, {"scale": "none"}),
    "no modality dropout": (2, {"modality_dropout": 0.0}),
}
"""What the ablation changes in AGT, one at a time, and from how many modalities on it matters.
CAMFNet's gate is not among them: with three tokens it can't fire, which makes it "no gate"."""


def ablation(
    modalities: Sequence[str], max_epochs: int | None = None, scale: str = "fold"
) -> dict[str, FusionConfig]:
    """AGT on all `modalities` with one option changed at a time, of those the paper leaves open.

    An option that changes nothing for so few modalities is left out.
    """
    return {
        name: capped(
            FusionConfig.default("agt", modalities, **{"scale": scale} | changes), max_epochs
        )
        for name, (needed, changes) in OPTIONS.items()
        if len(modalities) >= needed
    }
