"""Rules: vote shares (S, N, C) from predictions. S seeds, N clips, C classes.

On a clip that a model can't see (`Predictions.seen`) the others vote without it; where none sees a
clip, the mean of all stands.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from agt_lib.evaluation.predictions import Predictions
from agt_lib.voting.predictions import AGT, BASELINE, VOICE

TRIGGER, PARTNER, VOTE = ("any", "both"), ("agt", "baseline", "either"), ("sample", "blend")
PARTNERS = {"agt": (AGT,), "baseline": (BASELINE,), "either": (BASELINE, AGT)}


def one_of(what: str, value: str, allowed: Collection[str]) -> str:
    """`value`, if it is `allowed`; else ValueError says what the parameter `what` can be."""
    if value not in allowed:
        raise ValueError(f"{what} is one of {'; '.join(allowed)}. Got {value!r}")
    return value


@dataclass(frozen=True)
class VoteConfig:
    """The paper's vote and what it leaves open.

    `triggers` are the labels whose appearance hands a clip to the guide (the voice). `trigger`:
    "any" prediction is one of them, or "both" appear (at least two different ones). `partner`
    takes what the guide leaves: "agt", "baseline", or "either" of them by a coin. `vote`:
    "sample" draws each such clip's model, "blend" weighs probabilities by the same shares, which
    is another rule. `guide_share` is the voice's part.
    """

    triggers: tuple[str, ...] = ("sad", "worried")  # section 2.3
    trigger: str = "any"
    partner: str = "agt"
    vote: str = "sample"
    guide_share: float = 0.8  # section 2.3

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("trigger", self.trigger, TRIGGER),
            ("partner", self.partner, PARTNER),
            ("vote", self.vote, VOTE),
        ):
            one_of(name, value, allowed)
        if not 0 <= self.guide_share <= 1:
            raise ValueError(f"guide_share is between 0 and 1; got {self.guide_share}")
        object.__setattr__(self, "triggers", tuple(self.triggers))

    @property
    def partner_model(self) -> str | None:
        """The model that the vote is to improve; None where either may be drawn."""
        models = PARTNERS[self.partner]
        return models[0] if len(models) == 1 else None


PAPER = VoteConfig()
CHANGES = {
    "vote, partner AGT": {"partner": "agt"},
    "vote, partner baseline": {"partner": "baseline"},
    "vote, partner either": {"partner": "either"},
    "vote, where two triggers appear": {"trigger": "both"},
    "vote, probabilities blended": {"vote": "blend"},
    "vote, each clip drawn": {"vote": "sample"},
}
"""What the paper leaves open, one choice changed at a time."""

THE_VOTE, THE_MAJORITY, THE_MEAN = "vote", "majority", "mean of probabilities"


def variants(config: VoteConfig = PAPER) -> dict[str, VoteConfig]:
    """`config` as "vote", and each of `CHANGES` that differs from it."""
    changed = {name: replace(config, **change) for name, change in CHANGES.items()}
    return {THE_VOTE: config} | {name: c for name, c in changed.items() if c != config}


def rules(predictions: Predictions, config: VoteConfig = PAPER) -> dict[str, np.ndarray]:
    """All rules that need no prior, by name: each model alone, the votes, majority and mean."""
    return (
        {model: alone(predictions, model) for model in predictions.probabilities}
        | {name: vote(predictions, changed) for name, changed in variants(config).items()}
        | {
            THE_MAJORITY: majority(predictions, tie=config.partner_model or VOICE),
            THE_MEAN: mean(predictions),
        }
    )


def alone(predictions: Predictions, model: str) -> np.ndarray:
    """`model`'s own predictions as vote shares."""
    return _certain(predictions, predictions.chosen(model))


def majority(predictions: Predictions, tie: str = VOICE) -> np.ndarray:
    """The label that most models predict; where no label leads, the model `tie` decides.

    Where `tie` can't see the clip, the mean decides in its place.
    """
    counts = sum(
        predictions.sees(model)[:, None] * alone(predictions, model)
        for model in predictions.probabilities
    )
    leads = counts == counts.max(-1, keepdims=True)
    single = leads.sum(-1) == 1
    decides = np.where(predictions.sees(tie), predictions.chosen(tie), _together(predictions))
    return _certain(predictions, np.where(single, counts.argmax(-1), decides))


def mean(predictions: Predictions) -> np.ndarray:
    """The label of the highest mean probability."""
    return _certain(predictions, _together(predictions))


def triggered(predictions: Predictions, config: VoteConfig) -> np.ndarray:
    """Which clips are handed to the guide, (S, N) bool: none that it or the partner can't see.

    Raises ValueError for trigger labels that are not in the label set.
    """
    unknown = sorted(set(config.triggers) - set(predictions.label_set))
    if unknown:
        raise ValueError(
            f"trigger labels {unknown} are none of {list(predictions.label_set)}; name others as "
            "`triggers`"
        )
    votes = np.stack(
        [
            np.where(predictions.sees(m), predictions.chosen(m), -1)
            for m in predictions.probabilities
        ]
    )
    numbers = [predictions.label_set.index(label) for label in config.triggers]
    appears = np.stack(
        [(votes == number).any(0) for number in numbers] or [np.zeros_like(votes[0])]
    )
    involved = VOICE, *PARTNERS[config.partner]
    handed_over = appears.sum(0) >= (1 if config.trigger == "any" else 2)
    return handed_over & np.all([predictions.sees(m) for m in involved], axis=0)


def vote(predictions: Predictions, config: VoteConfig = PAPER) -> np.ndarray:
    """The paper's vote (section 2.3): majority, and the guide's say where a trigger label appears.

    A three-way tie goes to the partner's own model, or to the voice where either may be it.
    """
    partners = PARTNERS[config.partner]
    partner_share = (1 - config.guide_share) / len(partners)
    weights = {VOICE: config.guide_share} | dict.fromkeys(partners, partner_share)
    if config.vote == "sample":
        guided = sum(w * alone(predictions, model) for model, w in weights.items())
    else:
        blended = sum(w * predictions.probabilities[model] for model, w in weights.items())
        guided = _certain(predictions, blended.argmax(-1))
    others = majority(predictions, tie=config.partner_model or VOICE)
    return np.where(triggered(predictions, config)[..., None], guided, others)


def _together(predictions: Predictions) -> np.ndarray:
    """The label numbers (S, N) of the highest mean probability of the models that see a clip."""
    seen = np.stack([predictions.sees(model) for model in predictions.probabilities])  # (M, N)
    counted = seen | ~seen.any(0)
    each = zip(counted, predictions.probabilities.values(), strict=True)
    return sum(rows[:, None] * p for rows, p in each).argmax(-1)


def _certain(predictions: Predictions, numbers: np.ndarray) -> np.ndarray:
    """Label numbers (S, N) -> shares of 1, (S, N, C)."""
    return np.eye(len(predictions.label_set))[numbers]
