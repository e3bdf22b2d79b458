"""How CLIP is tuned: one frozen configuration, its defaults for a pretrained ViT-L/14."""

from dataclasses import dataclass

LOSSES = ("prompts", "in_batch", "in_batch_multi")


@dataclass(frozen=True)
class TuneConfig:
    """Section 2.1 of the paper; what it leaves open follows ViFi-CLIP, its reference for tuning.

    Raises ValueError for what can't be: a template without its one place for the label, an unknown
    loss, numbers out of range.
    """

    epochs: int = 10  # fixed: no held-out label chooses it
    learning_rate: float = 2e-6  # for pretrained weights; a few clips spoil them quickly
    text_rate: float = 1.0  # the text tower's learning rate as a multiple of that
    weight_decay: float = 1e-3  # of matrices only
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: float = 0.1  # share of the steps; cosine to zero afterwards
    batch_size: int = 32  # clips of a step, over all processes and accumulated parts
    accumulate: int = 1  # parts of a step, one after another
    n_frames: int = 16  # of a clip in training, one drawn from each of as many segments
    frames_per_segment: int = 3  # kept of each segment to draw from
    loss: str = "prompts"  # or in_batch: equation 1 as printed; or in_batch_multi
    template: str = "the person is {}"
    tune_text: bool = True
    freeze_blocks: int = 0  # of the image tower, with what stands before them
    wise_ft: float = 1.0  # share of the tuned weights in the mean with the raw ones
    clamp: float = 100.0  # of logit_scale, CLIP's learned 1 / temperature
    crop: float = 0.125  # pictures are kept larger by this share, and cropped at random
    flip: bool = True
    colour: float = 0.2  # see `augment.normalised`
    gradient_checkpointing: bool = False
    precision: str = "auto"  # of activations; weights and their updates are float32

    def __post_init__(self) -> None:
        if self.template.count("{}") != 1:
            raise ValueError(
                f"the template {self.template!r} has {self.template.count('{}')} places for the "
                "label; expected one {}, as in 'the person is {}'"
            )
        if self.loss not in LOSSES:
            raise ValueError(f"loss is one of {', '.join(LOSSES)}; got {self.loss!r}")
        whole = ("epochs", "batch_size", "accumulate", "n_frames", "frames_per_segment")
        for name in whole:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("wise_ft", "warmup", "crop", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies between 0 and 1; got {getattr(self, name)}")
        if self.freeze_blocks < 0:
            raise ValueError(f"freeze_blocks must be at least 0; got {self.freeze_blocks}")

    @classmethod
    def small(cls, **changes) -> "TuneConfig":
        """For the small CLIP of this repository, on rendered clips.

        Found with 20 epochs among about a dozen settings, by zero-shot WAF on speakers held out,
        one seed; test clips took no part. Ten take half the time and were less than a point below
        there, which 504 clips can't tell apart. `benchmarks/clip_tuning.py` says what tuning
        brings, and `--search` what the neighbours would.
        """
        small = {
            "epochs": 10,
            "learning_rate": 3e-4,
            "text_rate": 3.0,
            "batch_size": 16,
            "n_frames": 2,
            "colour": 0.5,
        }
        return cls(**(small | changes))

    def prompts(self, labels: tuple[str, ...]) -> list[str]:
        """The prompt of each label."""
        return [self.template.replace("{}", label) for label in labels]
