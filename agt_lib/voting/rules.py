"""Rules: vote shares (S, N, C) from predictions, by which a label is picked for each clip.

S seeds, N clips, C classes. Most rules are certain (a share of 1); the paper's vote draws. If a
model cannot see a clip (`Predictions.seen`), the others vote without it. If none sees it, the mean
of all decides.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation.paper import AGT, BASELINE
from agt_lib.evaluation.predictions import Predictions, Stage
from agt_lib.voting.priors import corrected

VOICE = "voice"
MODELS = (VOICE, BASELINE, AGT)
"""The three that vote: HuBERT alone, the baseline's fusion, AGT (section 2.3)."""

EITHER = "either"
TRIGGER, VOTE = ("any", "both"), ("sample", "blend")
N_DRAWS = 200


def one_of(what: str, value: str, allowed: Collection[str]) -> str:
    """`value`, if it is `allowed`; else ValueError says what the parameter `what` can be."""
    if value not in allowed:
        raise ValueError(f"{what} is one of {'; '.join(map(str, allowed))}. Got {value!r}")
    return value


@dataclass(frozen=True)
class VoteConfig:
    """The paper's vote and what it leaves open.

    A clip is handed to the model `guide` if labels of `triggers` are predicted for it: by "any"
    model, or "both" of two different ones (`trigger`). There the guide decides in `guide_share` of
    cases and the model `partner` in the rest ("either": one of the others by a coin). `vote`:
    "sample" draws the model that decides; "blend" weighs probabilities by the same shares, which
    is another rule.
    """

    triggers: tuple[str, ...] = ("sad", "worried")  # section 2.3
    trigger: str = "any"
    partner: str = AGT
    vote: str = "sample"
    guide_share: float = 0.8  # section 2.3
    guide: str = VOICE

    def __post_init__(self) -> None:
        if self.triggers is None or isinstance(self.triggers, str):
            raise ValueError(f"triggers are a list of labels; got {self.triggers!r}")
        one_of("trigger", self.trigger, TRIGGER)
        one_of("vote", self.vote, VOTE)
        if not (isinstance(self.guide_share, Real) and 0 <= self.guide_share <= 1):
            raise ValueError(f"guide_share is between 0 and 1; got {self.guide_share!r}")
        object.__setattr__(self, "triggers", tuple(self.triggers))

    def partners(self, predictions: Predictions) -> list[str]:
        """The models that may take what the guide leaves.

        Raises ValueError if the guide or the partner is no model of `predictions`, or if a trigger
        is none of its labels.
        """
        others = [model for model in predictions.probabilities if model != self.guide]
        one_of("guide", self.guide, predictions.probabilities)
        one_of("partner", self.partner, [*others, EITHER])
        if unknown := [label for label in self.triggers if label not in predictions.label_set]:
            raise ValueError(
                f"trigger labels {unknown} are none of {list(predictions.label_set)}; name others "
                "as `triggers`"
            )
        return others if self.partner == EITHER else [self.partner]

    @property
    def tie(self) -> str:
        """The model that decides a tie of the majority: the partner, or the guide if any may be."""
        return self.guide if self.partner == EITHER else self.partner


PAPER = VoteConfig()
CHANGES = {
    "vote, partner AGT": {"partner": AGT},
    "vote, partner baseline": {"partner": BASELINE},
    "vote, partner either": {"partner": EITHER},
    "vote, where two triggers appear": {"trigger": "both"},
    "vote, probabilities blended": {"vote": "blend"},
    "vote, each clip drawn": {"vote": "sample"},
}
"""What the paper leaves open, one choice changed at a time."""

THE_VOTE, THE_MAJORITY, THE_MEAN = "vote", "majority", "mean of probabilities"
CALIBRATED, PROPOSED = "mean, calibrated", "vote, triggers by {}"
CORRECTED = "mean, corrected by {}", "mean, calibrated, corrected by {}"


def vote(
    predictions: Mapping[str, pd.DataFrame | np.ndarray | Sequence] | Predictions,
    guide: str = VOICE,
    partner: str | None = None,
    triggers: Sequence[str] = PAPER.triggers,
    *,
    guide_share: float = PAPER.guide_share,
    labels: Sequence[str] = EMOTIONS,
    seed: int = 0,
) -> pd.Series:
    """The paper's vote (section 2.3): one label a clip, by clip name.

    `predictions` are by model: a table (a row a clip, a column of probabilities a label), an array
    (N, C) with columns `labels`, or a list of these, one a seed, which are averaged. If one of the
    labels `triggers` is predicted for a clip, the model `guide` decides in `guide_share` of cases
    and `partner` (by default the last of the others) in the rest, drawn with `seed`; otherwise the
    majority does. Raises ValueError for fewer than two models, if they predict other clips or
    labels, if a name is no model, or if a trigger is no label.
    """
    if not isinstance(predictions, Predictions | Mapping):
        raise ValueError(f"predictions are given by model; got {predictions!r}")
    if not isinstance(predictions, Predictions):
        predictions = Predictions.from_tables(
            {model: _tables(model, given, labels) for model, given in predictions.items()}
        )
    one_of("guide", guide, predictions.probabilities)
    if not (others := [model for model in predictions.probabilities if model != guide]):
        raise ValueError(f"a vote needs two models or more; got {guide!r} alone")
    partner = partner or others[-1]
    config = VoteConfig(triggers, partner=partner, guide_share=guide_share, guide=guide)
    averaged = predictions.averaged()
    return draw_labels(averaged, vote_shares(averaged, config), seed)[0]


def all_rules(
    stage: Stage,
    config: VoteConfig = PAPER,
    targets: Mapping[str, np.ndarray] | None = None,
    triggers: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, np.ndarray]:
    """Vote shares (S, N, C) of every rule by name: each model alone, votes, majority, means.

    `targets` are the priors (C,) to correct to, by where they come from: each gives the mean of
    posteriors corrected to it, raw and calibrated. `triggers` are other trigger labels, by where
    they come from.
    """
    raw, calibrated = stage.predictions, stage.calibrated
    every = {model: alone(raw, model) for model in raw.probabilities}
    every |= {name: vote_shares(raw, changed) for name, changed in variants(config).items()}
    every |= {THE_MAJORITY: majority(raw, config.tie), THE_MEAN: mean(raw)}
    every[CALIBRATED] = mean(calibrated)
    for source, proposed in (triggers or {}).items():
        every[PROPOSED.format(source)] = vote_shares(raw, replace(config, triggers=proposed))
    for source, target in (targets or {}).items():
        for name, posteriors in zip(CORRECTED, (raw, calibrated), strict=True):
            every[name.format(source)] = mean(corrected(posteriors, stage.trained_on, target))
    return every


def rule_names(config: VoteConfig = PAPER, sources: Sequence[str] = ()) -> list[str]:
    """The names that `all_rules` gives if `sources` give a prior and triggers each."""
    told = [name.format(source) for name in (PROPOSED, *CORRECTED) for source in sources]
    return [*MODELS, *variants(config), THE_MAJORITY, THE_MEAN, CALIBRATED, *told]


def variants(config: VoteConfig = PAPER) -> dict[str, VoteConfig]:
    """`config` as "vote", and each of `CHANGES` that differs from it."""
    changed = {name: replace(config, **change) for name, change in CHANGES.items()}
    return {THE_VOTE: config} | {name: c for name, c in changed.items() if c != config}


def alone(predictions: Predictions, model: str) -> np.ndarray:
    """`model`'s own predictions as vote shares."""
    return _certain(predictions, predictions.chosen(model))


def majority(predictions: Predictions, tie: str = VOICE) -> np.ndarray:
    """The label that most models predict; if no label leads, the model `tie` decides.

    If `tie` cannot see the clip, the mean decides in its place.
    """
    votes = np.eye(len(predictions.label_set))[_stacked(predictions).argmax(-1)]  # (M, S, N, C)
    counts = (_seen(predictions)[:, None, :, None] * votes).sum(0)
    leads = counts == counts.max(-1, keepdims=True)
    single = leads.sum(-1) == 1
    decides = np.where(predictions.sees(tie), predictions.chosen(tie), _together(predictions))
    return _certain(predictions, np.where(single, counts.argmax(-1), decides))


def mean(predictions: Predictions) -> np.ndarray:
    """The label of the highest mean probability."""
    return _certain(predictions, _together(predictions))


def triggered(predictions: Predictions, config: VoteConfig = PAPER) -> np.ndarray:
    """The clips that are handed to the guide, (S, N) bool.

    A clip that the guide or a partner cannot see is never handed over. Raises ValueError as
    `VoteConfig.partners` does.
    """
    involved = [config.guide, *config.partners(predictions)]
    chosen = np.where(_seen(predictions)[:, None], _stacked(predictions).argmax(-1), -1)
    numbers = [predictions.label_set.index(label) for label in config.triggers]
    appears = [(chosen == number).any(0) for number in numbers]  # of (M, S, N)
    enough = sum(appears, np.zeros(chosen.shape[1:], int)) >= TRIGGER.index(config.trigger) + 1
    return enough & np.all([predictions.sees(model) for model in involved], axis=0)


def vote_shares(predictions: Predictions, config: VoteConfig = PAPER) -> np.ndarray:
    """The paper's vote (section 2.3): the majority, or the guide if a trigger label appears.

    A three-way tie goes to the partner, or to the guide if the partner is "either". Raises
    ValueError as `VoteConfig.partners` does.
    """
    partners = config.partners(predictions)
    partner_share = (1 - config.guide_share) / len(partners)
    weights = {config.guide: config.guide_share} | dict.fromkeys(partners, partner_share)
    if config.vote == "sample":
        guided = sum(w * alone(predictions, model) for model, w in weights.items())
    else:
        blended = sum(w * predictions.probabilities[model] for model, w in weights.items())
        guided = _certain(predictions, blended.argmax(-1))
    others = majority(predictions, config.tie)
    return np.where(triggered(predictions, config)[..., None], guided, others)


def ballots(predictions: Predictions, config: VoteConfig = PAPER) -> pd.DataFrame:
    """How each clip is voted on by the first seed, for reading: a row a clip.

    Columns: each model's label, `triggered`, and `vote`, the labels with their shares.
    """
    labels = np.array(predictions.label_set, dtype=object)
    table = {model: labels[predictions.chosen(model)[0]] for model in predictions.probabilities}
    table["triggered"] = triggered(predictions, config)[0]
    table["vote"] = [
        ", ".join(f"{labels[c]} {100 * row[c]:.0f} %" for c in np.argsort(-row) if row[c] > 0)
        for row in vote_shares(predictions, config)[0]
    ]
    return pd.DataFrame(table, index=pd.Index(predictions.names, name="name"))


def draw(shares: np.ndarray, n_draws: int = N_DRAWS, seed: int = 0) -> np.ndarray:
    """Labels drawn from vote shares (S, N, C): numbers (S, R, N). A certain rule needs one draw."""
    if (shares.max(-1) == 1).all():
        return shares.argmax(-1)[:, None]
    n_seeds, n_clips, _ = shares.shape
    chances = np.random.default_rng(seed).random((n_seeds, n_draws, n_clips, 1))
    ends = shares.cumsum(-1)[:, None, :, :-1]  # (S, 1, N, C - 1)
    return (chances >= ends).sum(-1)


def draw_labels(predictions: Predictions, shares: np.ndarray, seed: int = 0) -> list[pd.Series]:
    """The labels a rule picks, by clip name, one series a voting seed; of a draw, the first."""
    chosen = np.array(predictions.label_set, dtype=object)[draw(shares, 1, seed)[:, 0]]
    index = pd.Index(predictions.names, name="name")
    return [pd.Series(row, index, name="label") for row in chosen]


def _tables(model: str, given: object, labels: Sequence[str]) -> list[pd.DataFrame]:
    """One prediction table a seed of what a caller gave of `model`."""
    if isinstance(given, pd.DataFrame):
        return [given]
    if isinstance(given, list | tuple):
        return [table for part in given for table in _tables(model, part, labels)]
    values = np.asarray(given, float)
    if values.ndim != 2 or values.shape[1] != len(labels):
        raise ValueError(
            f"predictions of {model!r} are an array of shape {values.shape}; expected (clips, "
            f"{len(labels)}), a column a label of {list(labels)}: give others as `labels`"
        )
    return [pd.DataFrame(values, columns=list(labels)).rename_axis("name")]


def _stacked(predictions: Predictions) -> np.ndarray:
    """All models' probabilities, (M, S, N, C). Raises ValueError for other numbers of seeds."""
    seeds = {model: len(p) for model, p in predictions.probabilities.items()}
    if len(set(seeds.values())) > 1:
        raise ValueError(f"models vote seed by seed, so they need the same seeds; got {seeds}")
    return np.stack(list(predictions.probabilities.values()))


def _seen(predictions: Predictions) -> np.ndarray:
    """Which model sees which clip, (M, N) bool."""
    return np.stack([predictions.sees(model) for model in predictions.probabilities])


def _together(predictions: Predictions) -> np.ndarray:
    """The label numbers (S, N) of the highest mean probability of the models that see a clip."""
    seen = _seen(predictions)
    counted = seen | ~seen.any(0)
    return (counted[:, None, :, None] * _stacked(predictions)).sum(0).argmax(-1)


def _certain(predictions: Predictions, numbers: np.ndarray) -> np.ndarray:
    """Label numbers (S, N) -> shares of 1, (S, N, C)."""
    return np.eye(len(predictions.label_set))[numbers]
