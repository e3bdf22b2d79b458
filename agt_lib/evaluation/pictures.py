"""Pictures of scores and models. Each function draws data it is given.

Importing this module sets the look of all figures; PDF fonts are embedded as TrueType.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from seaborn.utils import relative_luminance

from agt_lib.evaluation.palette import EMOTION_COLOURS, INK, LINES

STYLE = {
    "figure.constrained_layout.use": True, "figure.dpi": 110, "savefig.dpi": 200,
    "pdf.fonttype": 42, "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip
MIDDLE = 0.21
"""The luminance of a cell on which `INK` and white stand out alike."""
MARKERS = ("o", "D", "s")
"""Of the series that come after all colours were used once, then twice."""
sns.set_theme(style="ticks", palette=LINES, font_scale=0.9, rc=STYLE)


def stacked(tables: Mapping[str, pd.DataFrame], key: str) -> pd.DataFrame:
    """The tables that a figure of several panels draws as one, told apart by the column `key`."""
    return pd.concat(tables, names=[key]).reset_index()


def colour(label: str, labels: Sequence[str]) -> str:
    """The colour of an emotion; other label sets take the line colours in turn."""
    return EMOTION_COLOURS.get(label) or LINES[list(labels).index(label) % len(LINES)]


def panels(
    titles: Sequence[str], width: float, height: float, **shared: bool
) -> tuple[Figure, list[Axes]]:
    """A figure of one panel a title, each `width` x `height` inches."""
    size = (width * len(titles), height)
    figure, axes = plt.subplots(1, len(titles), figsize=size, squeeze=False, **shared)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    return figure, list(axes[0])


def forest(
    table: pd.DataFrame, *, value: str, row: str, series: str, label: str, zero: bool = False
) -> Figure:
    """Scores with intervals: one line a `row`, one colour a `series`.

    The ends of the column `value` are the columns of its name with _low and _high. `zero` draws the
    line of no difference.
    """
    names = list(dict.fromkeys(table[series]))
    places, ticks, y = {}, {}, 0.0
    for title, part in table.groupby(row, sort=False):
        shown = [name for name in names if name in set(part[series])]
        places |= {(title, name): y + i for i, name in enumerate(shown)}
        ticks[title] = y + (len(shown) - 1) / 2
        y += len(shown) + (0.8 if len(names) > 1 else 0)
    figure, axis = plt.subplots(figsize=(7.5, 1.0 + (0.17 if len(names) > 1 else 0.26) * y))
    for i, name in enumerate(names):
        part = table[table[series] == name]
        heights = [places[title, name] for title in part[row]]
        errors = [part[value] - part[f"{value}_low"], part[f"{value}_high"] - part[value]]
        axis.errorbar(
            part[value], heights, xerr=errors, fmt=MARKERS[i // len(LINES) % 3], markersize=4,
            linewidth=1.4, color=LINES[i % len(LINES)], label=name,
        )  # fmt: skip
    if zero:
        axis.axvline(0, color="black", linewidth=0.8, linestyle=":")
    axis.set(yticks=list(ticks.values()), yticklabels=list(ticks), xlabel=label)
    axis.invert_yaxis()
    axis.locator_params(axis="x", nbins=6)
    axis.grid(axis="x", linewidth=0.4)
    if len(names) > 1:
        figure.legend(loc="outside right upper")
    return figure


def lines(
    table: pd.DataFrame,
    *,
    x: str,
    series: str,
    label: str,
    value: str = "waf",
    panel: str | None = None,
    marked: Mapping[str, float] | None = None,
    zero: bool = False,
) -> Figure:
    """`value` along `x`: one panel a `panel`, one line a `series`.

    The interval is shaded if its ends are columns. `marked` draws vertical lines, by their names;
    `zero` draws the line of no difference.
    """
    parts = {"": table} if panel is None else dict(list(table.groupby(panel, sort=False)))
    figure, axes = panels(list(parts), 3.6 if len(parts) > 1 else 5.6, 3.3, sharey=True)
    for axis, shown in zip(axes, parts.values(), strict=True):
        for i, name in enumerate(dict.fromkeys(table[series])):
            part = shown[shown[series] == name]
            colour = LINES[i % len(LINES)]
            axis.plot(part[x], part[value], ".-", markersize=5, color=colour, label=name)
            if f"{value}_low" in part:
                ends = part[f"{value}_low"], part[f"{value}_high"]
                axis.fill_between(part[x], *ends, color=colour, alpha=0.15)
        for name, place in (marked or {}).items():
            axis.axvline(place, color=LINES[-1], linewidth=1, linestyle="--", label=name)
        if zero:
            axis.axhline(0, color="black", linewidth=0.8, linestyle=":")
        axis.set(xlabel=x)
        axis.grid(axis="y", linewidth=0.4)
    axes[0].set_ylabel(label)
    legend_above(axes[0])
    return figure


def heatmaps(
    tables: Mapping[str, pd.DataFrame], *, fmt: str = ".2f", by_row: bool = False
) -> Figure:
    """One panel a table of numbers from 0 to 1; `by_row` colours counts by the share of the row.

    Axes are named as the tables' index and columns are.
    """
    rows, columns = np.max([table.shape for table in tables.values()], axis=0)
    figure, axes = panels(list(tables), 1.2 + 0.5 * columns, 1.3 + 0.5 * rows, sharey=True)
    for axis, table in zip(axes, tables.values(), strict=True):
        shares = table.div(table.sum(axis=1), axis=0) if by_row else table
        sns.heatmap(
            shares, annot=table, fmt=fmt, vmin=0, vmax=1, cmap="Blues", cbar=False, square=True,
            linewidths=0.5, ax=axis, annot_kws={"fontsize": 8},
        )  # fmt: skip
        readable(axis)
        axis.tick_params(axis="y", rotation=0, length=0)
        axis.tick_params(axis="x", rotation=45, length=0)
        axis.set_ylabel(axis.get_ylabel() if axis is axes[0] else "")
    return figure


def readable(heatmap: Axes) -> None:
    """Write on the cells of seaborn's `heatmap` in whichever of dark and white stands out more."""
    (cells,) = heatmap.collections
    colours = cells.to_rgba(np.ma.compressed(cells.get_array()))  # an empty cell has no text
    for text, colour in zip(heatmap.texts, colours, strict=True):
        text.set_color(INK if relative_luminance(colour) > MIDDLE else "white")


def training_curves(histories: pd.DataFrame) -> Figure:
    """Loss on the training fold by epoch: thin lines the fits, thick their median.

    Columns model, fit, epoch, train_loss.
    """
    figure, (axis,) = panels(("",), 4.5, 3.4)
    for i, (model, fits) in enumerate(histories.groupby("model", sort=False)):
        for _, fit in fits.groupby("fit"):
            axis.plot(fit["epoch"], fit["train_loss"], color=LINES[i], alpha=0.15, linewidth=0.8)
        middle = fits.groupby("epoch")["train_loss"].median()
        axis.plot(middle.index, middle, color=LINES[i], linewidth=2, label=model)
    axis.set(xlabel="epoch", ylabel="loss, training fold", yscale="log")
    axis.legend(frameon=False)
    return figure


def reliability(tables: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Confidence against accuracy, with the diagonal of perfect calibration.

    `tables` are those of `scores.reliability` by panel and line; a dot's area grows with its number
    of clips.
    """
    figure, axes = panels(list(tables), 3.1, 3.4, sharey=True)
    for axis, kinds in zip(axes, tables.values(), strict=True):
        axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        for i, (kind, table) in enumerate(kinds.items()):
            seen = table[table["clips"] > 0]
            axis.plot(seen["confidence"], seen["accuracy"], color=LINES[i], linewidth=1, label=kind)
            size = 10 + 90 * seen["clips"] / seen["clips"].max()
            axis.scatter(seen["confidence"], seen["accuracy"], s=size, color=LINES[i], alpha=0.7)
        axis.set(xlabel="confidence", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
        axis.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), aspect="equal")
    axes[0].set_ylabel("accuracy")
    legend_above(axes[0])
    return figure


def precision_coverage(
    table: pd.DataFrame, *, panel: str, thresholds: Mapping[str, float]
) -> Figure:
    """Precision against coverage as the threshold rises: one panel a `panel`, one line a `who`.

    A ring marks the panel's own threshold of `thresholds`.
    """
    parts = dict(list(table.groupby(panel, sort=False)))
    titles = [f"{title}, ring at {thresholds[title]:g}" for title in parts]
    figure, axes = panels(titles, 3.9, 3.6, sharex=True, sharey=True)
    for axis, (title, shown) in zip(axes, parts.items(), strict=True):
        for i, (who, part) in enumerate(shown.groupby("who", sort=False)):
            axis.plot(100 * part["coverage"], 100 * part["precision"], color=LINES[i], label=who)
            at = part[part["threshold"].sub(thresholds[title]).abs() < 1e-9]
            axis.plot(100 * at["coverage"], 100 * at["precision"], "o", color=LINES[i],
                      markersize=8, markerfacecolor="none", markeredgewidth=1.6)  # fmt: skip
        axis.set(xlabel="clips kept, %", xlim=(-3, 103), ylim=(None, 102))
        axis.grid(linewidth=0.4)
    axes[0].set_ylabel("of these right, %")
    legend_above(axes[0])
    return figure


def kept_by_class(table: pd.DataFrame) -> Figure:
    """Shares of each class among the clips kept, by round, beside those of the pool (a black line).

    Columns round, label, kept, share, true_share; a figure above each bar is its clips.
    """
    labels, rounds = list(dict.fromkeys(table["label"])), sorted(set(table["round"]))
    figure, axis = plt.subplots(figsize=(7.5, 3.4))
    places, width = np.arange(len(labels)), 0.8 / len(rounds)
    for i, number in enumerate(rounds):
        part = table[table["round"] == number].set_index("label").loc[labels]
        bars = axis.bar(
            places - 0.4 + (i + 0.5) * width, 100 * part["share"], 0.92 * width,
            alpha=1 - 0.35 * i / len(rounds), color=[colour(label, labels) for label in labels],
        )  # fmt: skip
        axis.bar_label(bars, [f"{n:.0f}" for n in part["kept"]], fontsize=8, padding=1)
    truth = table[table["round"] == rounds[0]].set_index("label").loc[labels, "true_share"]
    axis.hlines(100 * truth, places - 0.45, places + 0.45, color="black", label="truth")
    axis.set(xticks=places, xticklabels=labels, ylabel="share, %")
    if len(rounds) > 1:
        axis.set_xlabel(f"bars of a class from left to right: rounds {rounds[0]} to {rounds[-1]}")
    axis.legend(frameon=False)
    return figure


def fixed_and_broken(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Clips that a rule fixes (to the right) and breaks (to the left), by true label.

    Columns label, fixed, broken and rule, one panel each.
    """
    parts = {
        f"{rule}\n{part['fixed'].sum():.1f} fixed, {part['broken'].sum():.1f} broken": part
        for rule, part in table.groupby("rule", sort=False)
    }
    figure, axes = panels(list(parts), 3.4, 2.6, sharex=True, sharey=True)
    colours, places = [colour(label, labels) for label in labels], np.arange(len(labels))
    for axis, part in zip(axes, parts.values(), strict=True):
        part = part.set_index("label").loc[list(labels)]
        axis.barh(places, part["fixed"], color=colours)
        axis.barh(places, -part["broken"], color=colours, alpha=0.45, hatch="///", edgecolor="w")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(places, labels)
        axis.set_ylim(len(labels) - 0.5, -0.5)
        axis.xaxis.set_major_formatter(lambda x, _: f"{abs(x):g}")
        axis.set_xlabel("clips broken | fixed", fontsize=9)
    return figure


def legend_above(axis: Axes, **look: float) -> None:
    """A legend of what `axis` draws, in one row above the figure's panels."""
    handles, names = axis.get_legend_handles_labels()
    place = {"loc": "outside upper center", "ncols": len(names), "frameon": False}
    axis.figure.legend(handles, names, **place, **look)
