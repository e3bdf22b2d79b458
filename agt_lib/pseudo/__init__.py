"""Pseudo-labels (section 2.3): three models label a pool, whose clips join the training folds."""

from agt_lib.pseudo.config import MODELS, PseudoConfig, configurations
from agt_lib.pseudo.rounds import PseudoRounds, Round, may_join, outside_part, train
from agt_lib.pseudo.selection import select, stacked

__all__ = [
    "MODELS",
    "PseudoConfig",
    "PseudoRounds",
    "Round",
    "configurations",
    "may_join",
    "outside_part",
    "select",
    "stacked",
    "train",
]
