"""Pseudo-labels (section 2.3): three models label a pool, whose clips join the training folds."""

from agt_lib.pseudo.ballot import Voters, voters
from agt_lib.pseudo.config import MODELS, PseudoConfig, configurations
from agt_lib.pseudo.rounds import PseudoRounds, Round, may_join, outside_part, train
from agt_lib.pseudo.selection import select, stacked
from agt_lib.pseudo.stages import before_and_after, estimated_prior, held_out, on_pool, trained_on

__all__ = [
    "MODELS",
    "PseudoConfig",
    "PseudoRounds",
    "Round",
    "Voters",
    "before_and_after",
    "configurations",
    "estimated_prior",
    "held_out",
    "may_join",
    "on_pool",
    "outside_part",
    "select",
    "stacked",
    "train",
    "trained_on",
    "voters",
]
