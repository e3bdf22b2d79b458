"""How CLIP is tuned: one frozen configuration, its defaults for a pretrained ViT-L/14."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agt_lib.workspace import paths
from agt_lib.workspace.numbers import SHARE, SOME, check_numbers

RANGES = {
    **dict.fromkeys(("epochs", "batch_size", "accumulate", "n_frames", "frames_per_segment"), SOME),
    **dict.fromkeys(("learning_rate", "text_rate", "weight_decay"), "[0, inf)"),
    "colour": SHARE,
}
LOSSES = ("prompts", "in_batch", "in_batch_multi")


@dataclass(frozen=True)
class TuneConfig:
    """Section 2.1 of the paper; what it leaves open follows ViFi-CLIP, its reference for tuning.

    Raises ValueError for a template without exactly one place for the label, an unknown loss, and
    numbers out of range.
    """

    epochs: int = 10  # fixed: no held-out label chooses it
    learning_rate: float = 2e-6  # for pretrained weights; a few clips spoil them quickly
    text_rate: float = 1.0  # the text tower's learning rate as a multiple of that
    weight_decay: float = 1e-3  # of matrices only
    batch_size: int = 32  # clips of a step, over all processes and accumulated parts
    accumulate: int = 1  # parts of a step, one after another: less memory, the same step
    n_frames: int = 16  # of a clip in training, one drawn from each of as many segments
    frames_per_segment: int = 3  # kept of each segment to draw from
    loss: str = "prompts"  # or in_batch: equation 1 as printed; or in_batch_multi
    template: str = "the person is {}"
    tune_text: bool = True
    colour: float = 0.2  # strength of the colour augmentation, see `network.normalised`
    gradient_checkpointing: bool = False  # less memory, more time, the same step
    precision: str = "auto"  # of activations; weights and their updates are float32

    def __post_init__(self) -> None:
        if (n := self.template.count("{}")) != 1:
            raise ValueError(
                f"the template {self.template!r} has {n} places for the label; expected one {{}}, "
                "as in 'the person is {}'"
            )
        if self.loss not in LOSSES:
            raise ValueError(f"loss is one of {', '.join(LOSSES)}; got {self.loss!r}")
        check_numbers(vars(self), RANGES)

    @classmethod
    def small(cls, **changes) -> "TuneConfig":
        """For the small CLIP of this repository, on rendered clips.

        Found with 20 epochs among about a dozen settings, by zero-shot WAF on held-out speakers,
        one seed; test clips took no part. Ten epochs take half the time and were less than a point
        below, which 504 clips do not distinguish. `benchmarks/clip_tuning.py` says what tuning
        brings; with `--search` it compares neighbouring settings.
        """
        small = cls(learning_rate=3e-4, text_rate=3.0, batch_size=16, n_frames=2, colour=0.5)
        return replace(small, **changes)

    def prompts(self, labels: Sequence[str]) -> list[str]:
        """The prompt of each label."""
        return [self.template.replace("{}", label) for label in labels]


def is_clip(spec: str) -> bool:
    """Whether an encoder's specification, such as `clip:ViT-L-14/openai`, names a CLIP."""
    return spec.partition(":")[0] == "clip"


def clip_to_tune(spec: str, max_epochs: int | None = None) -> tuple[str, TuneConfig]:
    """The model that a CLIP's specification names, and its default configuration.

    Without a model (`clip`) both are the small CLIP's. `max_epochs` is a profile's limit.
    """
    model = spec.partition(":")[2]
    config = TuneConfig() if model else TuneConfig.small()
    if max_epochs is not None:
        config = replace(config, epochs=min(config.epochs, max_epochs))
    return model or f"local-dir:{paths.SMALL_CLIP}", config
