"""The rule of section 2.3 with its open points as options, and the three models that vote."""

from collections.abc import Sequence
from dataclasses import dataclass

from agt_lib.corpora.labels import MODALITIES
from agt_lib.fusion.config import FusionConfig, capped
from agt_lib.workspace.numbers import PARAMETERS, SOME, check_numbers

MODELS = ("voice", "baseline", "AGT")
"""The paper's three: HuBERT-only, MER2024's baseline and AGT."""
POOLS = ("candidates", "unlabelled", "test")
TARGETS = ("hard", "soft")


@dataclass(frozen=True)
class PseudoConfig:
    """Which clips join the training folds, and how.

    A clip joins if all models agree and each is surer than `threshold`. What follows the rule is
    left open by the paper, or goes beyond it (`calibrate`, `precision`, `quota`).
    """

    threshold: float = 0.9
    """Section 2.3: softmax confidence above .9."""
    rounds: int = 3
    """At most so many; fewer if a round would change nothing."""
    pool: str = "candidates"
    """"candidates": all clips of the pool, hidden test clips among them, which is transductive;
    "unlabelled": without the test clips; "test": these alone."""
    target: str = "hard"
    """"hard": the label agreed on; "soft": the mean of the models' probabilities."""
    calibrate: bool = False
    """Confidence after temperature scaling, fitted out of fold, instead of raw softmax."""
    precision: float | None = None
    """Instead of `threshold` one for each fold: see `selection.fold_thresholds`."""
    quota: int | None = None
    """At most so many clips of each class in a selection, the surest first."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("pool", self.pool, POOLS),
            ("target", self.target, TARGETS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}; got {value!r}")
        check_numbers(
            vars(self),
            {name: PARAMETERS[name] for name in ("threshold", "precision", "rounds")}
            | {"quota": SOME},
        )

    @property
    def rule(self) -> str:
        """In words, how sure the models must be."""
        kind = "calibrated" if self.calibrate else "raw"
        if self.precision is None:
            return f"{kind} confidence above {self.threshold}"
        return f"{kind} confidence, {self.precision:.0%} right among labelled clips"


def configurations(
    modalities: Sequence[str], max_epochs: int | None = None, scale: str = "fold"
) -> dict[str, FusionConfig]:
    """The configuration of each of `MODELS`: the voice alone, the baseline and AGT on all.

    Where there is no voice the first modality takes its place.
    """
    guide = next(m for m in MODALITIES if m in modalities)
    configs = (
        FusionConfig.default("unimodal", (guide,), scale=scale),
        FusionConfig.default("attention", tuple(modalities), scale=scale),
        FusionConfig.default("agt", tuple(modalities), scale=scale),
    )
    return {name: capped(config, max_epochs) for name, config in zip(MODELS, configs, strict=True)}
