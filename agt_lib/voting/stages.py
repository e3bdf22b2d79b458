"""Every rule that a stage (`evaluation.Stage`) can be voted on by. S seeds, N clips, C classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from agt_lib.evaluation.predictions import Stage
from agt_lib.voting.predictions import MODELS
from agt_lib.voting.priors import corrected
from agt_lib.voting.rules import (
    PAPER,
    THE_MAJORITY,
    THE_MEAN,
    VoteConfig,
    mean,
    rules,
    variants,
    vote,
)

CALIBRATED, PROPOSED = "mean, calibrated", "vote, triggers by {}"
CORRECTED = "mean, corrected by {}", "mean, calibrated, corrected by {}"


def all_rules(
    stage: Stage,
    config: VoteConfig = PAPER,
    targets: Mapping[str, np.ndarray] | None = None,
    triggers: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, np.ndarray]:
    """Vote shares (S, N, C) of every rule by name: `rules`, and those that know a prior.

    `targets` are the priors (C,) to correct to, by where they come from: each gives the mean of
    posteriors corrected to it, raw and calibrated. `triggers` are other trigger labels, by where
    they come from.
    """
    raw, calibrated = stage.predictions, stage.calibrated
    every = rules(raw, config) | {CALIBRATED: mean(calibrated)}
    for source, proposed in (triggers or {}).items():
        every[PROPOSED.format(source)] = vote(raw, replace(config, triggers=proposed))
    for source, target in (targets or {}).items():
        prior = stage.trained_on, target
        for name, posteriors in zip(CORRECTED, (raw, calibrated), strict=True):
            every[name.format(source)] = mean(corrected(posteriors, *prior))
    return every


def rule_names(config: VoteConfig = PAPER, sources: Sequence[str] = ()) -> list[str]:
    """The names that `all_rules` gives, where `sources` give a prior and triggers each."""
    plain = [*MODELS, *variants(config), THE_MAJORITY, THE_MEAN, CALIBRATED]
    told = [name.format(source) for name in (PROPOSED, *CORRECTED) for source in sources]
    return plain + told
