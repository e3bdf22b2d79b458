"""Pictures of votes: the voice's share swept, where a vote helps, and which clips it changes."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agt_lib.evaluation.pictures import LINES, colour

NAMES = {"sample": "drawn (the paper's reading)", "blend": "probabilities blended"}


def guide_sweep(table: pd.DataFrame, marked: float, label: str) -> Figure:
    """Gain of the vote by the voice's share, drawn and blended, the paper's share `marked`.

    Columns vote, guide_share, difference and its ends; `label` names the vertical axis.
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.6))
    axis.axhline(0, color="black", linewidth=0.8, linestyle=":")
    axis.axvline(marked, color=LINES[-1], linewidth=1, linestyle="--")
    for i, (vote, part) in enumerate(table.groupby("vote", sort=False)):
        axis.plot(part["guide_share"], part["difference"], color=LINES[i], label=NAMES[vote])
        axis.fill_between(
            part["guide_share"],
            part["difference_low"],
            part["difference_high"],
            color=LINES[i],
            alpha=0.15,
        )
    axis.annotate(
        f"the paper's {marked:g}", (marked, 0.98), (-3, 0), xycoords=("data", "axes fraction"),
        textcoords="offset points", rotation=90, ha="right", va="top", fontsize=8, color="grey",
    )  # fmt: skip
    axis.set(xlabel="voice's share of the clips handed over", ylabel=label, xlim=(0, 1))
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure


def advantage_map(table: pd.DataFrame) -> Figure:
    """Gains over the labels' shift and the voice's reliability, one panel a contrast.

    Columns rule, against, shift, unreliability, shown, difference and its ends. A dot marks a cell
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


def fixed_and_broken(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Clips that a vote fixes (to the right) and breaks (to the left), by true label.

    Columns label, fixed, broken and rule, one panel each.
    """
    rules = list(dict.fromkeys(table["rule"]))
    figure, axes = plt.subplots(
        1, len(rules), figsize=(3.4 * len(rules), 2.6), sharey=True, sharex=True, squeeze=False
    )
    for axis, rule in zip(axes[0], rules, strict=True):
        part = table[table["rule"] == rule].set_index("label").loc[list(labels)]
        colours = [colour(label, labels) for label in labels]
        places = np.arange(len(labels))
        axis.barh(places, part["fixed"], color=colours)
        axis.barh(
            places, -part["broken"], color=colours, alpha=0.45, hatch="///", edgecolor="white"
        )
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(
            f"{rule}\n{part['fixed'].sum():.0f} fixed, {part['broken'].sum():.0f} broken",
            fontsize=9,
        )
        axis.set_yticks(places, labels)
        axis.set_ylim(len(labels) - 0.5, -0.5)
        axis.xaxis.set_major_formatter(lambda x, _: f"{abs(x):g}")
        axis.set_xlabel("clips broken | fixed", fontsize=9)
    return figure
