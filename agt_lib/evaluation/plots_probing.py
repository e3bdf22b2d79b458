"""Pictures of label shares: training, probed, estimated and true, side by side (figure 3)."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agt_lib.evaluation.pictures import LINES

TRAIN_COLOUR = "#b0b0b0"
GROUP = 0.8  # the part of a label's place that its bars fill


def shares(
    table: pd.DataFrame,
    panels: Mapping[str, Mapping[str, str]],
    *,
    truth: Mapping[str, str] | None = None,
    ratio: str | None = None,
) -> Figure:
    """One panel a title, one group of bars a label, one bar a column of shares (0 to 1).

    `panels` gives for each title the columns to draw and their names in the legend; the column
    "train" is grey. `truth` names for a title the column drawn as a black line across the group.
    Labels are sorted by the column `ratio` over "train", which is written above the bars.
    """
    if ratio is not None:
        table = table.iloc[(-table[ratio] / table["train"]).argsort()]
    drawn = {name: column for shown in panels.values() for column, name in shown.items()}
    others = [name for name, column in drawn.items() if column != "train"]
    colours = dict(zip(others, LINES, strict=False))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(max(5.2, 4.6 * len(panels)), 3.3), sharey=True, squeeze=False
    )
    places = np.arange(len(table))
    for axis, (title, shown) in zip(axes[0], panels.items(), strict=True):
        width = GROUP / len(shown)
        for i, (column, name) in enumerate(shown.items()):
            offset = (i - (len(shown) - 1) / 2) * width
            colour = colours.get(name, TRAIN_COLOUR)
            axis.bar(places + offset, 100 * table[column], 0.92 * width, color=colour, label=name)
        if truth and title in truth:
            left, right = places - GROUP / 2, places + GROUP / 2
            axis.hlines(100 * table[truth[title]], left, right, color="black", label="true")
        axis.set(title=title, xticks=places)
        axis.margins(y=0.08)
        axis.set_xticklabels(table.index, fontsize=9)
        axis.grid(axis="y", linewidth=0.4)
        axis.set_axisbelow(True)
    if ratio is not None:
        tops = 100 * table[["train", ratio]].max(axis=1)
        for place, top, value in zip(places, tops, table[ratio] / table["train"], strict=True):
            axes[0, 0].annotate(
                f"× {value:.2f}", (place, top), (0, 4), textcoords="offset points", ha="center",
                fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
    axes[0, 0].set_ylabel("share of clips, %")
    handles = {n: h for a in axes[0] for h, n in zip(*a.get_legend_handles_labels(), strict=True)}
    handles = dict(sorted(handles.items(), key=lambda entry: entry[0] == "true"))  # it comes last
    figure.legend(
        handles.values(), handles, loc="outside upper center", ncols=len(handles), frameon=False
    )
    return figure
