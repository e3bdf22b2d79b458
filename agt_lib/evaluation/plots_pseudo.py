"""Pictures of pseudo-labels: how sure, how right, how many, of which class."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from agt_lib.evaluation.pictures import LINES, colour


def reliability_panels(tables: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Confidence against accuracy, a panel a model, a line a kind of confidence.

    `tables` are those of `evaluation.reliability`, by model and kind; a dot's area grows with its
    number of clips.
    """
    figure, axes = plt.subplots(
        1, len(tables), figsize=(3.1 * len(tables), 3.3), sharey=True, squeeze=False
    )
    for axis, (model, kinds) in zip(axes[0], tables.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        for i, (kind, table) in enumerate(kinds.items()):
            seen = table[table["clips"] > 0]
            axis.plot(seen["confidence"], seen["accuracy"], color=LINES[i], linewidth=1)
            size = 10 + 90 * seen["clips"] / seen["clips"].max()
            axis.scatter(seen["confidence"], seen["accuracy"], s=size, color=LINES[i], alpha=0.7,
                         label=kind)  # fmt: skip
        axis.set(title=model, xlabel="confidence", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
        axis.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axis.set_aspect("equal")
    axes[0, 0].set_ylabel("accuracy")
    handles, names = axes[0, 0].get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    return figure


def precision_coverage(
    table: pd.DataFrame, *, panel: str, thresholds: Mapping[str, float]
) -> Figure:
    """Precision against coverage as the threshold rises: one panel a `panel`, one line a `who`.

    A ring marks the panel's own threshold of `thresholds`.
    """
    panels = list(dict.fromkeys(table[panel]))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.9 * len(panels), 3.6), sharex=True, sharey=True, squeeze=False
    )
    for axis, title in zip(axes[0], panels, strict=True):
        for i, who in enumerate(dict.fromkeys(table["who"])):
            part = table[(table[panel] == title) & (table["who"] == who)]
            axis.plot(100 * part["coverage"], 100 * part["precision"], color=LINES[i], label=who)
            at = part[part["threshold"].sub(thresholds[title]).abs() < 1e-9]
            axis.plot(100 * at["coverage"], 100 * at["precision"], "o", color=LINES[i],
                      markersize=8, markerfacecolor="none", markeredgewidth=1.6)  # fmt: skip
        axis.set(title=f"{title}, ring at {thresholds[title]:g}", xlabel="clips kept, %")
        axis.set(xlim=(-3, 103), ylim=(None, 102))
        axis.grid(linewidth=0.4)
    axes[0, 0].set_ylabel("of these right, %")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure


def kept_by_class(table: pd.DataFrame) -> Figure:
    """Shares of each class among the clips kept, by round, beside those of the pool (a black line).

    Columns round, label, kept, share, true_share; a figure above each bar is its clips.
    """
    labels, rounds = list(dict.fromkeys(table["label"])), sorted(set(table["round"]))
    figure, axis = plt.subplots(figsize=(7.5, 3.4))
    width = 0.8 / len(rounds)
    for i, number in enumerate(rounds):
        part = table[table["round"] == number].set_index("label").loc[labels]
        places = [x - 0.4 + (i + 0.5) * width for x in range(len(labels))]
        bars = axis.bar(places, 100 * part["share"], 0.92 * width, alpha=1 - 0.35 * i / len(rounds),
                        color=[colour(label, labels) for label in labels])  # fmt: skip
        axis.bar_label(bars, [f"{n:.0f}" for n in part["kept"]], fontsize=8, padding=1)
    first = table[table["round"] == rounds[0]].set_index("label").loc[labels, "true_share"]
    axis.hlines(100 * first, [x - 0.45 for x in range(len(labels))],
                [x + 0.45 for x in range(len(labels))], color="black", label="truth")  # fmt: skip
    axis.set(xticks=range(len(labels)), xticklabels=labels, ylabel="share, %")
    if len(rounds) > 1:
        axis.set_xlabel(f"bars of a class from left to right: rounds {rounds[0]} to {rounds[-1]}")
    axis.legend(frameon=False)
    return figure
