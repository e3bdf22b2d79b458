"""How many clips of a speaker scaling by speaker needs, and what it costs if they lack an emotion.

Letters: N clips.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.evaluation import tables
from agt_lib.evaluation.tables import REFERENCE
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.reference import logistic_regression
from agt_lib.fusion.scaling import fit_speakers

COUNTS = (1, 2, 5, 10, 20)
ALL_BUT_TWO = "all but two"
STRENGTH = 0.01
"""Logistic regression's C, fixed: the question is what changes with the clips."""


def few_clips(
    data: FusionData, folds: pd.Series, counts: Sequence[int] = COUNTS, seed: int = 0
) -> pd.DataFrame:
    """Logistic regression out of fold, by how many clips of a speaker make up its statistics.

    Columns clips (0: scaled by fold; else drawn from each speaker; the last all), without (an
    emotion whose clips are left out of all speakers' statistics; `ALL_BUT_TWO` of each speaker's,
    drawn; or none) and those of `evaluation.tables.scores`. Labels are used to leave emotions out
    alone. Raises ValueError if no speaker is known.
    """
    if data.groups is None:
        raise ValueError("no speaker is known: scaling by speaker can't be tried")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.names))
    rank = np.empty(len(order), int)  # of a clip among its speaker's
    rank[order] = pd.Series(data.groups[order]).groupby(data.groups[order], dropna=False).cumcount()
    most = int(rank.max()) + 1
    parts = [_score(data, folds, rank < 0).assign(clips=0, without="")]
    for count in [*(c for c in counts if c < most), most]:
        parts.append(_score(data, folds, rank < count).assign(clips=count, without=""))
    for number, label in enumerate(data.label_set):
        kept = data.labels != number
        if not kept.all():
            parts.append(_score(data, folds, kept).assign(clips=most, without=label))
    two = np.zeros(len(order), bool)
    for speaker in pd.unique(data.groups):
        own = data.groups == speaker
        two |= own & np.isin(data.labels, rng.permutation(np.unique(data.labels[own]))[:2])
    parts.append(_score(data, folds, two).assign(clips=most, without=ALL_BUT_TWO))
    return pd.concat(parts, ignore_index=True)


def _score(data: FusionData, folds: pd.Series, chosen: np.ndarray) -> pd.DataFrame:
    """The score with each speaker's statistics over the clips `chosen` (N,), none: by fold."""
    who = np.where(chosen, data.groups, None)
    there = {m: data.is_present(m) for m in data.modalities}
    clips = {m: (x[there[m]], who[there[m]]) for m, x in data.features.items()}
    scaled = replace(data, by_speaker=fit_speakers(clips))
    found = logistic_regression(
        scaled,
        folds,
        {REFERENCE: data.modalities},
        strengths=(STRENGTH,),
        scale="speaker" if chosen.any() else "fold",
    )
    return tables.scores(found.out_of_fold, data.truth, data.speakers)
