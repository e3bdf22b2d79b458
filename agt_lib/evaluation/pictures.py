"""Pictures of clips, features, scores and models. Each function draws data it is given."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from agt_lib.corpora.labels import TITLES
from agt_lib.corpora.media import SAMPLE_RATE

# Okabe and Ito's colours, told apart by colour-blind readers; grey for neutral.
COLOURS = {
    "neutral": "#8c8c8c",
    "angry": "#d55e00",
    "happy": "#e69f00",
    "sad": "#0072b2",
    "worried": "#cc79a7",
    "surprise": "#009e73",
}
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c")


def use_style() -> None:
    """Set the look of all figures; PDF fonts are embedded as TrueType."""
    sns.set_theme(context="notebook", style="ticks", palette=LINES, font_scale=0.9)
    plt.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "savefig.dpi": 200,
            "pdf.fonttype": 42,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


use_style()


def stacked(tables: Mapping[str, pd.DataFrame], key: str) -> pd.DataFrame:
    """The tables that a figure of several panels draws as one, told apart by the column `key`."""
    return pd.concat(tables, names=[key]).reset_index()


def colour(label: str, labels: Sequence[str]) -> str:
    """The colour of an emotion; other label sets take the line colours in turn."""
    return COLOURS.get(label) or LINES[list(labels).index(label) % len(LINES)]


def clips(shown: Sequence[Mapping]) -> Figure:
    """A row for each clip: its frames, its waveform and its words.

    Each mapping has `title`, `frames` (n, H, W, 3) uint8 or None, `waveform` (samples,) at 16 kHz
    or None, and `text`.
    """
    figure, axes = plt.subplots(
        len(shown), 2, figsize=(11, 1.35 * len(shown)), width_ratios=(3, 2), squeeze=False
    )
    waveforms = [clip["waveform"] for clip in shown if clip["waveform"] is not None]
    loudest = max((np.abs(x).max() for x in waveforms if len(x)), default=0) or 1
    longest = max(map(len, waveforms), default=SAMPLE_RATE) / SAMPLE_RATE
    for (left, right), clip in zip(axes, shown, strict=True):
        left.axis("off")
        if clip["frames"] is not None:
            left.imshow(np.concatenate(list(clip["frames"]), axis=1))
        left.set_title(clip["title"], loc="left", fontsize=9, parse_math=False)
        if clip["waveform"] is not None:
            seconds = np.arange(len(clip["waveform"])) / SAMPLE_RATE
            right.plot(seconds, clip["waveform"], linewidth=0.3, color=LINES[0])
        right.set(ylim=(-loudest, loudest), xlim=(0, longest), yticks=[], xticklabels=[])
        words = textwrap.shorten(clip["text"] or "(no words)", 70)
        right.set_title(words, loc="left", fontsize=9, style="italic", parse_math=False)
    axes[-1, 1].xaxis.set_major_formatter("{x:g}")
    axes[-1, 1].set_xlabel("seconds")
    return figure


def scatter(points: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """One panel a modality of points (columns modality, x, y, emotion), coloured by emotion."""
    panels = list(points.groupby("modality", sort=False))
    figure, axes = plt.subplots(1, len(panels), figsize=(3.8 * len(panels), 3.9), squeeze=False)
    shown = [*labels, *sorted(set(points["emotion"]) - set(labels))]
    for axis, (modality, table) in zip(axes[0], panels, strict=True):
        for label in shown:
            rows = table[table["emotion"] == label]
            axis.scatter(rows["x"], rows["y"], s=9, color=colour(label, shown), label=label)
        axis.set(title=TITLES.get(modality, modality), xticks=[], yticks=[], xlabel="t-SNE")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=len(shown), markerscale=2)
    return figure


def forest(
    table: pd.DataFrame, *, value: str, row: str, series: str, label: str, zero: bool = False
) -> Figure:
    """Scores with intervals: one line a `row`, one colour a `series`; the ends of `value`
    are the columns of its name with _low and _high.

    `zero` draws the line of no difference.
    """
    names = list(dict.fromkeys(table[series]))
    places, ticks, y = {}, {}, 0.0
    for title, part in table.groupby(row, sort=False):
        for name in names:
            if name in set(part[series]):
                places[title, name] = y
                y += 1
        ticks[title] = (y - len(part) + y - 1) / 2
        y += 0.8 if len(names) > 1 else 0
    figure, axis = plt.subplots(figsize=(7.5, 1.0 + (0.17 if len(names) > 1 else 0.26) * y))
    for i, name in enumerate(names):
        part = table[table[series] == name]
        heights = [places[title, name] for title in part[row]]
        errors = [part[value] - part[f"{value}_low"], part[f"{value}_high"] - part[value]]
        axis.errorbar(
            part[value], heights, xerr=errors, fmt="o", markersize=4, linewidth=1.4,
            color=LINES[i % len(LINES)], label=name,
        )  # fmt: skip
    if zero:
        axis.axvline(0, color="black", linewidth=0.8, linestyle=":")
    axis.set(yticks=list(ticks.values()), yticklabels=list(ticks), xlabel=label)
    axis.invert_yaxis()
    axis.grid(axis="x", linewidth=0.4)
    if len(names) > 1:
        figure.legend(loc="outside right upper")
    return figure


def confusion_matrices(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel a model: shares of each true label (rows), the clips' number in the cell."""
    figure, axes = plt.subplots(1, len(tables), figsize=(4.3 * len(tables), 3.7), squeeze=False)
    for axis, (title, table) in zip(axes[0], tables.items(), strict=True):
        shares = table.div(table.sum(axis=1), axis=0)
        sns.heatmap(
            shares, annot=table.round().astype(int), fmt="d", vmin=0, vmax=1, cmap="Blues",
            cbar=False, square=True, linewidths=0.5, ax=axis, annot_kws={"fontsize": 8},
        )  # fmt: skip
        axis.set_title(title)
        axis.tick_params(axis="y", rotation=0)
        axis.tick_params(axis="x", rotation=45)
    return figure


def training_curves(histories: pd.DataFrame) -> Figure:
    """Loss and inner-split WAF by epoch: thin lines the fits, thick their median, a dot the choice.

    Columns model, fit, epoch, inner_loss, inner_waf, chosen (bool).
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for i, (model, fits) in enumerate(histories.groupby("model", sort=False)):
        chosen = fits[fits["chosen"]]
        for axis, column in zip(axes, ("inner_loss", "inner_waf"), strict=True):
            for _, fit in fits.groupby("fit"):
                axis.plot(fit["epoch"], fit[column], color=LINES[i], alpha=0.15, linewidth=0.8)
            axis.scatter(chosen["epoch"], chosen[column], color=LINES[i], s=8, alpha=0.6)
            middle = fits.groupby("epoch")[column].median()
            axis.plot(middle.index, middle, color=LINES[i], linewidth=2, label=model)
    axes[0].set(xlabel="epoch", ylabel="loss, inner fifth", yscale="log")
    axes[1].set(xlabel="epoch", ylabel="WAF, inner fifth")
    axes[1].legend(frameon=False)
    return figure


def reliability(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Confidence against accuracy with the diagonal of perfect calibration."""
    figure, axis = plt.subplots(figsize=(4.2, 3.9))
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    for i, (name, table) in enumerate(tables.items()):
        seen = table[table["clips"] > 0]
        axis.plot(seen["confidence"], seen["accuracy"], color=LINES[i], linewidth=1, label=name)
        size = 120 * seen["clips"] / seen["clips"].max()
        axis.scatter(seen["confidence"], seen["accuracy"], s=size, color=LINES[i], alpha=0.7)
    axis.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axis.legend(frameon=False, loc="upper left")
    return figure


def lines(table: pd.DataFrame, *, x: str, series: str, panel: str, label: str) -> Figure:
    """WAF with its interval along `x`: one panel a `panel`, one line a `series`."""
    panels = list(dict.fromkeys(table[panel]))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.6 * len(panels), 3.3), sharey=True, squeeze=False
    )
    for axis, title in zip(axes[0], panels, strict=True):
        for i, name in enumerate(dict.fromkeys(table[series])):
            part = table[(table[panel] == title) & (table[series] == name)]
            axis.plot(part[x], part["waf"], marker="o", markersize=4, color=LINES[i], label=name)
            axis.fill_between(
                part[x], part["waf_low"], part["waf_high"], color=LINES[i], alpha=0.15
            )
        axis.set(title=title, xlabel=x)
        axis.grid(axis="y", linewidth=0.4)
    axes[0, 0].set_ylabel(label)
    axes[0, 0].legend(frameon=False)
    return figure
