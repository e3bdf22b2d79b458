"""The protocol of MER2024's toolkit as it is, and the same models scored without its optimism."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.evaluation.scores import waf
from agt_lib.fusion.choice import choices, choose
from agt_lib.fusion.config import TOOLKIT, TOOLKIT_SPACE, FusionConfig, capped, drawn
from agt_lib.fusion.crossval import fit_folds, training_rows
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.fits import fit_kept
from agt_lib.fusion.train import FitTask
from agt_lib.workspace.numbers import SOME, check_numbers

DRAWS = 50
BASELINE = "baseline"


def toolkit_protocol(
    data: FusionData,
    folds: pd.Series,
    seed: int = 0,
    *,
    draws: int = DRAWS,
    max_epochs: int | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Two scores of the baseline with settings drawn from the toolkit's space: WAF in per cent.

    The toolkit's own is that of the best setting, each fold at its best epoch, both chosen on the
    very clips that are scored: optimistic. In the other, inner folds choose the setting and an
    inner fifth the epoch, so that no choice sees the clips that are scored. Features are taken as
    they are, as the toolkit does. Columns score, waf, optimistic, setting. `options` are those of
    `train.fit_stacks`.
    """
    check_numbers({"draws": draws}, {"draws": SOME})
    config = FusionConfig.default("attention", data.modalities, scale="none")
    config = capped(replace(config, **TOOLKIT), max_epochs)
    settings = drawn(config, TOOLKIT_SPACE, draws, seed)[1:]
    numbers = fold_numbers(data.names, folds)
    held_out = [np.flatnonzero(numbers == fold) for fold in range(int(numbers.max()) + 1)]
    tasks = [
        FitTask(setting, rows, seed, choosing=own)
        for setting in settings
        for rows, own in zip(training_rows(numbers, None), held_out, strict=True)
    ]
    best = [fitted.history["inner_waf"].max() for fitted in fit_kept(data, tasks, **options)]
    means = np.reshape(best, (len(settings), len(held_out))).mean(1)
    chosen = choose(data, folds, {BASELINE: settings}, seed, **options)
    honest = fit_folds(data, folds, chosen, [seed], **options).out_of_fold
    true, predicted = honest.numbers(data.truth), honest.chosen(BASELINE)[0]
    [said] = choices({BASELINE: config}, {BASELINE: [settings[int(means.argmax())]]}).to_numpy()
    [each] = choices({BASELINE: config}, chosen).to_numpy()
    lines = [
        ("the toolkit's: best setting, best epochs", 100 * means.max(), True, said[0]),
        ("chosen inside the training fold", 100 * waf(true, predicted), False, "; ".join(each)),
    ]
    return pd.DataFrame(lines, columns=["score", "waf", "optimistic", "setting"])
