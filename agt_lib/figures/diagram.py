"""Boxes, texts and arrows on a page measured in inches: what figures 1 and 2 are drawn with."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.text import Text

from agt_lib.figures import style

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
        self.figure: Figure = style.new_figure(width, height)
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
        self.text((x + 0.14, y), title, size=style.TITLE, weight="bold", rotation=90)

    def box(
        self, box: Box, text: str, colour: str | None = None, size: float = style.SMALL,
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
        head = LINE * style.BODY
        body = LINE * style.SMALL * len(text.splitlines())
        top = y + (head + gap + body) / 2
        bold = self.text((x, top - head / 2), title, weight="bold")
        plain = self.text((x, top - head - gap - body / 2), text, size=style.SMALL)
        self.held += [(box, bold), (box, plain)]
        return box

    def frame(self, box: Box, colour: str | None = None) -> Box:
        """A rounded box, empty."""
        fill = "white" if colour is None else style.tint(colour)
        self._rectangle(box, fill, colour or style.INK, 0.045)
        return box

    def text(self, at: Point, text: str, size: float = style.BODY, **font) -> Text:
        """`text` around the point `at`."""
        options = {"ha": "center", "va": "center", "color": style.INK, "linespacing": SPACING}
        return self.axes.text(*at, text, fontsize=size, **(style.FONT | options | font))

    def arrow(self, *corners: Point, colour: str = style.INK, width: float = 0.9) -> None:
        """A line through `corners` with its head at the last."""
        self.arrows.append(corners)
        patch = FancyArrowPatch(
            path=Path(corners), arrowstyle="-|>,head_length=2.6,head_width=1.5", mutation_scale=1,
            color=colour, linewidth=width, joinstyle="miter", capstyle="butt",
        )  # fmt: skip
        self.axes.add_patch(patch)

    def plus(self, centre: Point, radius: float = 0.085) -> Box:
        """A circled plus; returns the box around it."""
        x, y = centre
        circle = Circle(centre, radius, facecolor="white", edgecolor=style.INK, linewidth=0.8)
        self.axes.add_patch(circle)
        arm = 0.6 * radius
        for dx, dy in ((arm, 0), (0, arm)):
            self.axes.plot([x - dx, x + dx], [y - dy, y + dy], color=style.INK, linewidth=0.8)
        self.boxes.append(Box(x - radius, y - radius, 2 * radius, 2 * radius))
        return self.boxes[-1]

    def _rectangle(self, box: Box, fill: object, edge: object, rounding: float) -> None:
        self.boxes.append(box)
        patch = FancyBboxPatch(
            (box.x, box.y), box.width, box.height, boxstyle=f"round,pad=0,rounding_size={rounding}",
            facecolor=fill, edgecolor=edge, linewidth=0.8,
        )  # fmt: skip
        self.axes.add_patch(patch)
