"""What figures 1 and 2 are drawn with: boxes, texts, arrows and icons on a page in inches.

Nothing here depends on a result. `python figures/figure1.py FOLDER ...` draws figure 1 as PNG, PDF
and SVG, with its caption as text; figure2.py does the same for figure 2.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import Arc, Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Line
from matplotlib.text import Text

from agt_lib.evaluation.palette import INK, MODALITY_COLOURS

COLUMN, DOUBLE_COLUMN = 3.4, 7.0
"""Widths in inches of a column and of a page's text, as ACM's two-column layout has them."""

SMALL, BODY, TITLE = 6.5, 7.0, 7.5
"""Font sizes in points, at the size of print."""

FONT = {"family": "DejaVu Sans", "math_fontfamily": "dejavusans"}
"""Named, because matplotlib ships it: a machine's own fonts would not fit the boxes."""

DPI = 300
SAME_BYTES = {"pdf.fonttype": 42, "svg.hashsalt": "figure"}  # 42: fonts as TrueType
FORMATS = {
    "png": {"dpi": DPI},
    "pdf": {"metadata": {"CreationDate": None}},
    "svg": {"metadata": {"Date": None}},
}
GROUND = "#f5f5f3"
SPACING = 1.25
LINE = SPACING / 72
"""The height in inches of a line of text, for each point of its font's size."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle by its left lower corner and size; its edges are where arrows begin and end."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2

    def left(self, share: float = 0.5) -> Point:
        """The point at `share` of the left edge, from below."""
        return self.x, self.y + share * self.height

    def right(self, share: float = 0.5) -> Point:
        """The point at `share` of the right edge, from below."""
        return self.x + self.width, self.y + share * self.height

    def top(self, share: float = 0.5) -> Point:
        """The point at `share` of the upper edge, from the left."""
        return self.x + share * self.width, self.y + self.height

    def bottom(self, share: float = 0.5) -> Point:
        """The point at `share` of the lower edge, from the left."""
        return self.x + share * self.width, self.y


class Canvas:
    """A page of `width` x `height` inches, its origin left below.

    `boxes` are all that were drawn, `held` the texts in them, `arrows` the corners of each arrow.
    """

    def __init__(self, width: float, height: float):
        self.figure = new_page(width, height)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.axes.axis("off")
        self.boxes: list[Box] = []
        self.held: list[tuple[Box, Text]] = []
        self.arrows: list[Sequence[Point]] = []

    def panel(self, box: Box, title: str) -> None:
        """A pale ground for what belongs together, its title upright along the left edge."""
        self._rectangle(box, GROUND, "#c9c9c5", 0.06)
        x, y = box.left()
        self.text((x + 0.14, y), title, size=TITLE, weight="bold", rotation=90)

    def box(
        self, box: Box, text: str, colour: str | None = None, size: float = SMALL,
        **font,
    ) -> Box:  # fmt: skip
        """A rounded box with `text` in its middle; `colour` tints it."""
        self.frame(box, colour)
        self.held.append((box, self.text(box.centre, text, size=size, **font)))
        return box

    def titled(self, box: Box, title: str, text: str, gap: float = 0.05) -> Box:
        """A box with a bold title above its text, `gap` inches between them."""
        self.frame(box)
        x, y = box.centre
        head = LINE * BODY
        body = LINE * SMALL * len(text.splitlines())
        top = y + (head + gap + body) / 2
        bold = self.text((x, top - head / 2), title, weight="bold")
        plain = self.text((x, top - head - gap - body / 2), text, size=SMALL)
        self.held += [(box, bold), (box, plain)]
        return box

    def frame(self, box: Box, colour: str | None = None) -> Box:
        """A rounded box, empty."""
        fill = "white" if colour is None else tint(colour)
        self._rectangle(box, fill, colour or INK, 0.045)
        return box

    def text(self, at: Point, text: str, size: float = BODY, **font) -> Text:
        """`text` around the point `at`."""
        options = {"ha": "center", "va": "center", "color": INK, "linespacing": SPACING}
        return self.axes.text(*at, text, fontsize=size, **(FONT | options | font))

    def arrow(self, *corners: Point, colour: str = INK, width: float = 0.9) -> None:
        """A line through `corners` with its head at the last."""
        self.arrows.append(corners)
        patch = FancyArrowPatch(
            path=Line(corners), arrowstyle="-|>,head_length=2.6,head_width=1.5", mutation_scale=1,
            color=colour, linewidth=width, joinstyle="miter", capstyle="butt",
        )  # fmt: skip
        self.axes.add_patch(patch)

    def plus(self, centre: Point, radius: float = 0.085) -> Box:
        """A circled plus; returns the box around it."""
        x, y = centre
        circle = Circle(centre, radius, facecolor="white", edgecolor=INK, linewidth=0.8)
        self.axes.add_patch(circle)
        arm = 0.6 * radius
        for dx, dy in ((arm, 0), (0, arm)):
            self.axes.plot([x - dx, x + dx], [y - dy, y + dy], color=INK, linewidth=0.8)
        self.boxes.append(Box(x - radius, y - radius, 2 * radius, 2 * radius))
        return self.boxes[-1]

    def _rectangle(self, box: Box, fill: object, edge: object, rounding: float) -> None:
        self.boxes.append(box)
        patch = FancyBboxPatch(
            (box.x, box.y), box.width, box.height, boxstyle=f"round,pad=0,rounding_size={rounding}",
            facecolor=fill, edgecolor=edge, linewidth=0.8,
        )  # fmt: skip
        self.axes.add_patch(patch)


def tint(colour: str, strength: float = 0.22) -> tuple[float, float, float]:
    """`colour` thinned with white: 1 is the colour itself, 0 is white."""
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def new_page(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches that no layout engine moves."""
    # matplotlib takes a missing engine for the style's one once a figure was saved
    still = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True)
    return plt.figure(figsize=(width, height), layout=still)


def save(figure: Figure, folder: Path, name: str, caption: str) -> None:
    """Write `name`.png, .pdf, .svg and the caption (.txt); the same figure gives the same bytes.

    The page is the figure's own size; PDF embeds its fonts as TrueType, SVG holds them as shapes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(caption + "\n", encoding="utf-8")
    with plt.rc_context(SAME_BYTES):
        for ending, options in FORMATS.items():
            figure.savefig(folder / f"{name}.{ending}", format=ending, **options)


def main(figure: Figure, name: str, caption: str) -> None:
    """Save `figure` into the folders that the command line names, and print its caption."""
    parser = argparse.ArgumentParser(description=caption)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        save(figure, folder, name, caption)
    print(caption)


def frames(canvas: Canvas, box: Box) -> None:
    """Three frames behind one another, a face on the first."""
    side, step = 0.72 * box.height, 0.14 * box.height
    colour = MODALITY_COLOURS["video"]
    left = box.centre[0] - (side + 2 * step) / 2
    for i in (2, 1, 0):
        canvas.axes.add_patch(
            Rectangle(
                (left + i * step, box.y + i * step), side, side, linewidth=0.7,
                facecolor=tint(colour), edgecolor=colour,
            )
        )  # fmt: skip
    x, y = left + side / 2, box.y + side / 2
    canvas.axes.add_patch(Circle((x, y), 0.36 * side, fill=False, edgecolor=INK, lw=0.7))
    for eye in (-1, 1):
        canvas.axes.add_patch(
            Circle((x + eye * 0.13 * side, y + 0.1 * side), 0.035 * side, color=INK, lw=0)
        )
    mouth = Arc((x, y - 0.06 * side), 0.34 * side, 0.26 * side, theta1=200, theta2=340, color=INK)
    mouth.set_linewidth(0.7)
    canvas.axes.add_patch(mouth)


def sound(canvas: Canvas, box: Box) -> None:
    """A waveform."""
    heights = np.array([2, 4, 7, 5, 9, 10, 6, 8, 4, 7, 9, 5, 3, 4, 2]) / 10 * box.height / 2
    xs = np.linspace(box.x + 0.12 * box.width, box.x + 0.88 * box.width, len(heights))
    middle = box.centre[1]
    canvas.axes.vlines(
        xs, middle - heights, middle + heights, color=MODALITY_COLOURS["audio"], linewidth=1.3
    )


def words(canvas: Canvas, box: Box) -> None:
    """Lines of writing."""
    for row, share in enumerate((1.0, 0.8, 0.95, 0.5)):
        y = box.y + box.height * (0.86 - 0.24 * row)
        canvas.axes.plot(
            [box.x + 0.18 * box.width, box.x + box.width * (0.18 + 0.64 * share)], [y, y],
            color=MODALITY_COLOURS["text"], linewidth=1.6, solid_capstyle="round",
        )  # fmt: skip


def bars(canvas: Canvas, box: Box, heights: tuple[float, ...]) -> None:
    """A bar for each emotion, as high as its share of the box."""
    step = box.width / len(heights)
    for i, height in enumerate(heights):
        canvas.axes.add_patch(
            Rectangle(
                (box.x + (i + 0.15) * step, box.y), 0.7 * step, height * box.height, linewidth=0,
                facecolor=INK if height == max(heights) else "#a8a8a8",
            )
        )  # fmt: skip
