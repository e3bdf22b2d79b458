"""Where the vote helps: over the voice's share, the labels' shift and the voice's reliability.

S seeds, N clips, C classes. WAF in per cent, of the votes' expected counts.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from agt_lib.evaluation.pictures import readable
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import Sample, weighted_waf
from agt_lib.evaluation.tables import paired, signed
from agt_lib.voting import rules
from agt_lib.voting.priors import check_prior, corrected

N_BOOTSTRAP = 300
"""Draws of a sample that a map's intervals are made from: each of its cells weighs them anew."""
GUIDE_SHARES = tuple(i / 20 for i in range(21))
SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
UNRELIABILITIES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
CORRECTED = "mean, corrected"
PARTNER = "partner alone"
CONTRASTS = (
    (rules.THE_VOTE, PARTNER),
    (rules.THE_VOTE, rules.THE_MAJORITY),  # what handing over to the voice adds to voting
    (rules.THE_MEAN, PARTNER),
    (CORRECTED, rules.THE_MEAN),  # what knowing the prior adds to averaging
)
"""Which rule the map holds against which."""


def guide_sweep(
    predictions: Predictions, sample: Sample, config: rules.VoteConfig = rules.PAPER
) -> pd.DataFrame:
    """The vote, drawn and blended, by the guide's share, against the partner's own model.

    `sample` are the predictions' clips with their true labels. Columns vote, guide_share, waf,
    difference, difference_low, difference_high. Raises ValueError for the partner "either", which
    has no model of its own.
    """
    if config.partner == rules.EITHER:
        raise ValueError("a sweep is against the partner's own model: name it as `partner`")
    partner = sample.wafs(rules.alone(predictions, config.partner))  # (S, 1 + B)
    lines = []
    for kind in ("sample", "blend"):
        for share in GUIDE_SHARES:
            changed = replace(config, vote=kind, guide_share=share)
            wafs = sample.wafs(rules.vote_shares(predictions, changed))
            line = {"vote": kind, "guide_share": share, "waf": wafs[:, 0].mean()}
            lines.append(line | paired("difference", partner, wafs))
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
    config: rules.VoteConfig = rules.PAPER,
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
    bootstrap = sample.weights(N_BOOTSTRAP)
    compared = {
        PARTNER: rules.alone(predictions, config.tie),
        rules.THE_VOTE: rules.vote_shares(predictions, config),
        rules.THE_MAJORITY: rules.majority(predictions, config.tie),
        rules.THE_MEAN: rules.mean(predictions),
    }
    lines = []
    for shift in SHIFTS:
        prior = shifted(train, test, shift)
        compared[CORRECTED] = rules.mean(corrected(predictions, trained_on, prior))
        stacked = np.stack(list(compared.values()))  # (rules, S, N, C)
        for unreliability in UNRELIABILITIES:
            weights = reweight(sample.true, shows, prior, unreliability)
            wafs = 100 * weighted_waf(sample.true, stacked, weights * bootstrap)
            cell = {
                "shift": shift,
                "unreliability": unreliability,
                "shown": 100 * np.average(shows, weights=weights),
                "clips": weights.sum() ** 2 / (weights**2).sum(),
            }
            of_rule = dict(zip(compared, wafs, strict=True))  # (S, 1 + B) each
            for rule, against in CONTRASTS:
                line = {"rule": rule, "against": against} | cell
                line["waf"] = of_rule[rule][:, 0].mean()
                lines.append(line | paired("difference", of_rule[against], of_rule[rule]))
    return pd.DataFrame(lines)


def draw_map(table: pd.DataFrame) -> Figure:
    """A picture of an `advantage_map`, one panel a contrast.

    A dot marks a cell whose interval leaves zero out. A frame marks the cell of the corpus as it is
    (shift and unreliability 1).
    """
    sure = (table["difference_low"] > 0) | (table["difference_high"] < 0)
    texts = table["difference"].map(signed) + np.where(sure, "\N{BULLET}", "")
    panels = list(table.assign(text=texts).groupby(["rule", "against"], sort=False))
    size = {"figsize": (9.2, 1.65 * len(panels)), "sharex": True, "sharey": True, "squeeze": False}
    figure, axes = plt.subplots(-(-len(panels) // 2), 2, **size)
    largest = table["difference"].abs().quantile(0.9)  # beyond it the numbers tell
    for axis, ((rule, against), part) in zip(axes.flat, panels, strict=False):
        grid = part.pivot(index="unreliability", columns="shift")
        differences = grid["difference"]
        sns.heatmap(
            differences, vmin=-largest, vmax=largest, cmap="PuOr_r", cbar=False, ax=axis,
            annot=grid["text"], fmt="", annot_kws={"fontsize": 7, "in_layout": False},
            xticklabels=[f"{shift:g}" for shift in differences.columns],
            yticklabels=[f"{share:.0f} %" for share in grid["shown", 1]],
        )  # fmt: skip
        readable(axis)
        as_it_is = differences.columns.get_loc(1), differences.index.get_loc(1)
        axis.add_patch(plt.Rectangle(as_it_is, 1, 1, fill=False, edgecolor="black", lw=1.6))
        axis.set_title(f"{rule}  \N{MINUS SIGN}  {against}", fontsize=10)
        axis.set(xlabel="", ylabel="")
        axis.tick_params(rotation=0, length=0)
    for axis in axes[:, 0]:
        axis.set_ylabel("clips whose voice shows\nthe label, at shift 1")
    for axis in axes[-1]:
        axis.set_xlabel("shift of the labels: 0 training, 1 test")
    image = axes[0, 0].collections[0]
    figure.colorbar(image, ax=axes, label="points of WAF", shrink=0.6, extend="both")
    return figure
