"""Where the vote helps: over the voice's share, the labels' shift and the voice's reliability.

S seeds, N clips, C classes. WAF in per cent, of the votes' expected counts.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import Sample, interval, weighted_waf
from agt_lib.voting.priors import check_prior, corrected
from agt_lib.voting.rules import (
    EITHER,
    PAPER,
    THE_MAJORITY,
    THE_MEAN,
    THE_VOTE,
    VoteConfig,
    alone,
    majority,
    mean,
    vote_shares,
)

N_BOOTSTRAP = 300
"""Draws of a sample that a map's intervals are made from: each of its cells weighs them anew."""
GUIDE_SHARES = tuple(i / 20 for i in range(21))
SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
UNRELIABILITIES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
CORRECTED = "mean, corrected"
PARTNER = "partner alone"
CONTRASTS = (
    (THE_VOTE, PARTNER),
    (THE_VOTE, THE_MAJORITY),  # what handing over to the voice adds to voting
    (THE_MEAN, PARTNER),
    (CORRECTED, THE_MEAN),  # what knowing the prior adds to averaging
)
"""Which rule the map holds against which."""


def guide_sweep(
    predictions: Predictions, sample: Sample, config: VoteConfig = PAPER
) -> pd.DataFrame:
    """The vote, drawn and blended, by the guide's share, against the partner's own model.

    `sample` are the predictions' clips with their true labels. Columns vote, guide_share, waf,
    difference, difference_low, difference_high. Raises ValueError for the partner "either", which
    has no model of its own.
    """
    if config.partner == EITHER:
        raise ValueError("a sweep is against the partner's own model: name it as `partner`")
    partner = sample.wafs(alone(predictions, config.partner)).mean(0)  # (1 + B,)
    lines = []
    for kind in ("sample", "blend"):
        for share in GUIDE_SHARES:
            changed = replace(config, vote=kind, guide_share=share)
            wafs = sample.wafs(vote_shares(predictions, changed)).mean(0)
            lines.append(
                {"vote": kind, "guide_share": share, "waf": wafs[0]} | _line(wafs - partner)
            )
    return pd.DataFrame(lines)


def reweight(
    true: np.ndarray, shows: np.ndarray, prior: np.ndarray, unreliability: float
) -> np.ndarray:
    """Weights (N,), of sum N, that make a sample look as if drawn under other circumstances.

    Labels get the shares `prior` (C,). Within each label the share of clips whose voice does not
    show it (`shows` (N,) False) is multiplied by `unreliability`, to at most all; a label without
    clips of either kind keeps what it has. Raises ValueError for a label without any clip.
    """
    n_classes = len(prior)
    counts = np.bincount(true, minlength=n_classes).astype(float)
    if (counts == 0).any():
        raise ValueError(f"no clip of label number {int(counts.argmin())} to weigh")
    hidden = np.bincount(true, ~shows, minlength=n_classes) / counts  # (C,)
    wanted = np.where(hidden < 1, np.minimum(unreliability * hidden, 1), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if_hidden = np.where(hidden > 0, wanted / hidden, 1)
        if_shown = np.where(hidden < 1, (1 - wanted) / (1 - hidden), 1)
    within = np.where(shows, if_shown[true], if_hidden[true])
    return len(true) * np.asarray(prior)[true] / counts[true] * within


def shifted(train: np.ndarray, test: np.ndarray, shift: float) -> np.ndarray:
    """The prior at `shift` on the way from `train` (0) to `test` (1), and beyond: in logarithms."""
    prior = np.asarray(train) ** (1 - shift) * np.asarray(test) ** shift
    return prior / prior.sum()


def advantage_map(
    predictions: Predictions,
    sample: Sample,
    shows: np.ndarray,
    *,
    train: np.ndarray,
    test: np.ndarray,
    trained_on: np.ndarray,
    config: VoteConfig = PAPER,
) -> pd.DataFrame:
    """Each of `CONTRASTS` over the labels' shift and the voice's reliability.

    The fitted models and their predictions stay; the clips of `sample` are reweighted (`reweight`).
    `train` and `test` (C,) are the priors that shift 0 and 1 stand for; "mean, corrected" goes from
    `trained_on` (S, C) or (C,), what the models were trained on, to each cell's prior. Columns
    rule, against, shift, unreliability, shown (share of clips, %, whose voice shows the label),
    clips (effective number), waf (of the rule), difference, difference_low, difference_high.
    """
    train = check_prior(train, predictions.label_set, "the prior of training")
    test = check_prior(test, predictions.label_set, "the test prior")
    bootstrap = sample.weights[: 1 + N_BOOTSTRAP]
    compared = {
        PARTNER: alone(predictions, config.tie),
        THE_VOTE: vote_shares(predictions, config),
        THE_MAJORITY: majority(predictions, config.tie),
        THE_MEAN: mean(predictions),
    }
    lines = []
    for shift in SHIFTS:
        prior = shifted(train, test, shift)
        compared[CORRECTED] = mean(corrected(predictions, trained_on, prior))
        stacked = np.stack(list(compared.values()))  # (rules, S, N, C)
        for unreliability in UNRELIABILITIES:
            weights = reweight(sample.true, shows, prior, unreliability)
            wafs = 100 * weighted_waf(sample.true, stacked, weights * bootstrap).mean(1)
            cell = {
                "shift": shift,
                "unreliability": unreliability,
                "shown": 100 * np.average(shows, weights=weights),
                "clips": weights.sum() ** 2 / (weights**2).sum(),
            }
            of_rule = dict(zip(compared, wafs, strict=True))  # (1 + B,) each
            for rule, against in CONTRASTS:
                line = {"rule": rule, "against": against} | cell | {"waf": of_rule[rule][0]}
                lines.append(line | _line(of_rule[rule] - of_rule[against]))
    return pd.DataFrame(lines)


def draw_map(table: pd.DataFrame) -> Figure:
    """A picture of an `advantage_map`, one panel a contrast.

    A dot marks a cell
    whose interval leaves zero out, a frame the cell of the corpus as it is (shift 1, 1).
    """
    panels = list(table.groupby(["rule", "against"], sort=False))
    rows = -(-len(panels) // 2)
    figure, axes = plt.subplots(
        rows, 2, figsize=(9.2, 3.3 * rows), sharex=True, sharey=True, squeeze=False
    )
    largest = table["difference"].abs().quantile(0.9)  # beyond it the numbers tell
    for axis, ((rule, against), part) in zip(axes.flat, panels, strict=False):
        grid = part.pivot(index="unreliability", columns="shift", values="difference")
        image = axis.imshow(grid, cmap="PuOr_r", vmin=-largest, vmax=largest, aspect="auto")
        for row in part.itertuples():
            x, y = grid.columns.get_loc(row.shift), grid.index.get_loc(row.unreliability)
            sure = row.difference_low > 0 or row.difference_high < 0
            text = f"{row.difference:+.1f}" + "\N{BULLET}" * sure
            light = "white" if abs(row.difference) > 0.6 * largest else "black"
            axis.text(
                x, y, text, ha="center", va="center", fontsize=7, color=light, in_layout=False
            )  # inside its cell, so the layout need not measure it
            if row.shift == row.unreliability == 1:
                axis.add_patch(
                    plt.Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="black", lw=1.6)
                )
        shown = part[part["shift"] == 1].set_index("unreliability")["shown"]
        axis.set_yticks(range(len(grid)), [f"{shown[u]:.0f} %" for u in grid.index])
        axis.set_xticks(range(len(grid.columns)), [f"{s:g}" for s in grid.columns])
        axis.set_title(f"{rule}  \N{MINUS SIGN}  {against}", fontsize=10)
        axis.tick_params(length=0)
    for axis in axes[:, 0]:
        axis.set_ylabel("clips whose voice shows\nthe label, at shift 1")
    for axis in axes[-1]:
        axis.set_xlabel("shift of the labels: 0 training, 1 test")
    figure.colorbar(image, ax=axes, label="points of WAF", shrink=0.6, extend="both")
    return figure


def _line(differences: np.ndarray) -> dict[str, float]:
    low, high = interval(differences)
    return {"difference": differences[0], "difference_low": low, "difference_high": high}
