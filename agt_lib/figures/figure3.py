"""Figure 3: the labels' shares in training and test set, and what is known of the latter."""

import textwrap
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from agt_lib.corpora.labels import NOTICEABLE
from agt_lib.evaluation.palette import BLUE, GREEN, INK, QUIET, VERMILION
from agt_lib.workspace.figure_files import save_figure

WIDTH, HEIGHT = 3.4, 2.5
"""Inches: a column of ACM's two-column layout."""
SCREEN, PRINT = 200, 300
"""Dots an inch: as a notebook shows it, and as it is saved."""
STYLE = {
    "font.family": "DejaVu Sans",  # matplotlib ships it: a machine's own fonts have other widths
    "font.size": 6.5,  # points, at the size of print
    "axes.labelsize": 6.5, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5, "text.color": INK, "axes.labelcolor": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": INK, "axes.linewidth": 0.6,
    "xtick.major.size": 0, "ytick.major.size": 2, "ytick.major.width": 0.6,
    "xtick.major.pad": 2, "ytick.major.pad": 2,
    "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False,
}  # fmt: skip
NOTE_WIDTH, AXIS_WIDTH = 64, 44
"""Letters in a line of the small print, and of labels side by side before they are tilted."""
COLUMNS = ("label", "train", "probed", "probed_low", "probed_high", "submissions")
"""What notebook 06 leaves in any case; the columns of `MARKS` if they are known."""

BARS = {"train": ("training set", "#b5b5b5"), "probed": ("test set, probed", BLUE)}
MARKS = {
    "true_test": ("test set, true", "D", INK),
    "em_test": ("EM estimate", "^", VERMILION),
    "bbse_test": ("BBSE estimate", "s", GREEN),
}


def with_ratio(prior: pd.DataFrame) -> pd.DataFrame:
    """`prior` (columns train, probed) with `ratio`, probed / train, and `shifted`, bool.

    A label is shifted if its share grew or shrank by more than the factor `NOTICEABLE`: the same
    labels are proposed as triggers of the vote.
    """
    ratio = prior["probed"] / prior["train"]
    shifted = (ratio > NOTICEABLE) | (ratio < 1 / NOTICEABLE)
    return prior.assign(ratio=ratio, shifted=shifted)


def caption(prior: pd.DataFrame, corpus: str) -> str:
    """What figure 3 shows of `corpus`, and which labels shift, by the numbers of `prior`.

    `prior` has `draw`'s columns and submissions (what probing cost; 0 if nothing was probed).
    """
    shares = with_ratio(prior)
    shifted = ", ".join(shares[shares["shifted"]].sort_values("ratio", ascending=False).index)
    cost = int(shares["submissions"].max())
    known = (
        f"Probing cost {cost} submissions. By a factor of more than {NOTICEABLE} these shift: "
        f"{shifted or 'none'}."
    )
    title = f"Figure 3. Shares of the labels, {corpus}; above, test / training."
    return f"{title} {known if cost else 'Nothing was probed.'}"


def paper_caption(prior: pd.DataFrame) -> str:
    """`caption` of the paper's own numbers, what it says of them, and how they were read."""
    return (
        f"{caption(prior, 'MER2024, from the numbers the paper prints')} The paper stresses sad "
        "and worried; its own numbers don't. Angry's score is taken as truncated: "
        "rounded, it fits no whole number of the test clips."
    )


def draw(prior: pd.DataFrame, note: str) -> Figure:
    """Bars of train and probed shares by label, their ratio above, marks for other estimates.

    `prior` is indexed by label: columns train, probed, probed_low, probed_high (NaN if nothing
    was probed) and any of true_test, em_test, bbse_test. The ratio of a shifted label is bold.
    `note`, what the numbers are of, stands in small print below.
    """
    # matplotlib takes a missing engine for the style's one once a figure was saved
    still = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True)
    # The first figure of a notebook makes it show figures: within a style that would be undone.
    figure = plt.figure(figsize=(WIDTH, HEIGHT), dpi=SCREEN, layout=still)
    _fill(figure, prior, note)
    return figure


@plt.rc_context(STYLE)
def _fill(figure: Figure, prior: pd.DataFrame, note: str) -> None:
    shares = with_ratio(prior)
    known = [column for column in (*BARS, *MARKS) if column in shares and shares[column].any()]
    percent, places = 100 * shares[known], np.arange(len(shares))
    lines = textwrap.wrap(note, NOTE_WIDTH)
    below = {"ha": "right", "va": "bottom", "color": QUIET, "linespacing": 1.2}
    figure.text(0.99, 0.015, "\n".join(lines), **below)
    tilted = sum(map(len, shares.index)) > AXIS_WIDTH
    bottom = (0.26 + 0.115 * len(lines) + 0.3 * tilted) / HEIGHT
    top = 0.91 if len(known) < 4 else 0.86
    axis = figure.add_axes((0.125, bottom, 0.865, top - bottom))
    for side, (column, (title, colour)) in zip((-1, 1), BARS.items(), strict=True):
        if column in known:
            axis.bar(places + side * 0.2, percent[column], 0.38, color=colour, label=title, lw=0)
    if "probed" in known:
        ends = 100 * (shares[["probed_low", "probed_high"]].sub(shares["probed"], axis=0)).abs()
        bars = {"fmt": "none", "ecolor": INK, "elinewidth": 0.8}
        axis.errorbar(places + 0.2, percent["probed"], yerr=ends.T.to_numpy(), **bars)
    marks = [column for column in MARKS if column in known]
    for i, column in enumerate(marks):
        title, marker, colour = MARKS[column]
        axis.plot(
            places + 0.2 + 0.13 * (i - (len(marks) - 1) / 2), percent[column], marker,
            color=colour, label=title, markersize=3.6, markeredgecolor="white",
            markeredgewidth=0.5, zorder=3, clip_on=False,
        )  # fmt: skip
    tops = percent.max(axis=1)
    for place, height, row in zip(places, tops, shares.itertuples(), strict=True):
        if np.isfinite(row.ratio):
            above = {"textcoords": "offset points", "ha": "center"}
            weight = "bold" if row.shifted else "normal"
            axis.annotate(f"×{row.ratio:.2f}", (place, height), (0, 5.5), weight=weight, **above)
    axis.set(xlim=(-0.55, len(shares) - 0.45), ylim=(0, 1.13 * tops.max()))
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if tilted else {}
    axis.set_xticks(places, shares.index, **turned)
    axis.set_ylabel("share of clips, %", labelpad=2)
    drawn = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    titles = [title for title, *_ in (BARS | MARKS).values() if title in drawn]
    figure.legend(
        [drawn[title] for title in titles], titles, loc="upper center", ncols=3, frameon=False,
        handlelength=1.2, columnspacing=1.4, labelspacing=0.25, borderaxespad=0.2,
    )  # fmt: skip


save = partial(save_figure, dpi=PRINT)
"""`save_figure` in the resolution of print; the page is the figure's own size."""
