"""Pictures of tuned CLIPs: prompts over time, spaces that agree or don't, losses."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from agt_lib.evaluation.pictures import LINES, colour


def over_time(table: pd.DataFrame, labels: Sequence[str], titles: dict[str, str]) -> Figure:
    """Cosines of frames with prompts: a row a model, a column a clip, a line a label.

    Columns name, model, time, label, cosine; `titles` heads each clip's column. Each panel's
    cosines are shown less their mean: what tells labels apart, not what all have in common.
    """
    names, models = list(titles), list(dict.fromkeys(table["model"]))
    figure, axes = plt.subplots(
        len(models), len(names), figsize=(2.9 * len(names), 2.4 * len(models)),
        sharex=True, sharey="row", squeeze=False,
    )  # fmt: skip
    for row, model in zip(axes, models, strict=True):
        for axis, name in zip(row, names, strict=True):
            part = table[(table["model"] == model) & (table["name"] == name)]
            wide = part.pivot(index="time", columns="label", values="cosine")
            wide = wide.sub(wide.mean(axis=1), axis=0)
            for label in labels:
                axis.plot(
                    wide.index, wide[label], color=colour(label, labels), linewidth=1.6, label=label
                )
            axis.axhline(0, color="black", linewidth=0.5, linestyle=":")
        row[0].set_ylabel(f"{model} CLIP\ncosine less mean")
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(titles[name], fontsize=9)
    for axis in axes[-1]:
        axis.set(xlabel="time (share of the clip)", xlim=(0, 1))
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(labels)
    )
    return figure


def agreement(table: pd.DataFrame) -> Figure:
    """A heatmap of linear CKA between feature spaces, 0 to 1."""
    side = 1.6 + 0.55 * len(table)
    figure, axis = plt.subplots(figsize=(side + 0.6, side))
    sns.heatmap(
        table, annot=True, fmt=".2f", vmin=0, vmax=1, cmap="Blues", square=True, linewidths=0.5,
        ax=axis, annot_kws={"fontsize": 8}, cbar_kws={"label": "linear CKA", "shrink": 0.8},
    )  # fmt: skip
    axis.tick_params(axis="y", rotation=0)
    axis.tick_params(axis="x", rotation=45)
    return figure


def losses(histories: pd.DataFrame) -> Figure:
    """Mean training loss by epoch, a line a model: columns model, epoch, loss."""
    figure, axis = plt.subplots(figsize=(5.6, 3.2))
    for i, (model, part) in enumerate(histories.groupby("model", sort=False)):
        axis.plot(part["epoch"], part["loss"], color=LINES[i % len(LINES)], label=model)
    axis.set(xlabel="epoch", ylabel="contrastive loss")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(axis="y", linewidth=0.4)
    figure.legend(loc="outside right upper")
    return figure
