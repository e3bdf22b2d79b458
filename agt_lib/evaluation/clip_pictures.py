"""Pictures of clips and of their features. Each function draws data it is given."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agt_lib.corpora.labels import TITLES
from agt_lib.corpora.media import SAMPLE_RATE
from agt_lib.evaluation.pictures import LINES, colour, legend_above, panels


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
    parts = dict(list(points.groupby("modality", sort=False)))
    figure, axes = panels([TITLES.get(m, m) for m in parts], 3.8, 3.9)
    shown = [*labels, *sorted(set(points["emotion"]) - set(labels))]
    for axis, table in zip(axes, parts.values(), strict=True):
        for label in shown:
            rows = table[table["emotion"] == label]
            axis.scatter(rows["x"], rows["y"], s=9, color=colour(label, shown), label=label)
        axis.set(xticks=[], yticks=[], xlabel="t-SNE")
    legend_above(axes[0], markerscale=2)
    return figure


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
    legend_above(axes[0, 0])
    return figure


def course(table: pd.DataFrame, labels: Sequence[str], title: str) -> Figure:
    """Probabilities over a clip's parts: columns start, end (seconds) and one a label."""
    figure, axis = plt.subplots(figsize=(7, 2.6))
    edges = [*table["start"], table["end"].iloc[-1]]
    for label in labels:
        values = [*table[label], table[label].iloc[-1]]
        axis.step(edges, values, where="post", color=colour(label, labels), label=label)
    axis.set(xlabel="seconds", ylabel="probability", ylim=(0, 1), xlim=(edges[0], edges[-1]))
    axis.set_title(title, loc="left", fontsize=9, parse_math=False)
    legend_above(axis)
    return figure
