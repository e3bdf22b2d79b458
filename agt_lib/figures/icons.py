"""Small pictures of what a clip is made of: frames, sound, words."""

import numpy as np
from matplotlib.patches import Arc, Circle, Rectangle

from agt_lib.figures import style
from agt_lib.figures.diagram import Box, Canvas


def frames(canvas: Canvas, box: Box) -> None:
    """Three frames behind one another, a face on the first."""
    side, step = 0.72 * box.height, 0.14 * box.height
    colour = style.MODALITIES["video"]
    left = box.centre[0] - (side + 2 * step) / 2
    for i in (2, 1, 0):
        canvas.axes.add_patch(
            Rectangle(
                (left + i * step, box.y + i * step), side, side, linewidth=0.7,
                facecolor=style.tint(colour), edgecolor=colour,
            )
        )  # fmt: skip
    x, y = left + side / 2, box.y + side / 2
    canvas.axes.add_patch(Circle((x, y), 0.36 * side, fill=False, edgecolor=style.INK, lw=0.7))
    for eye in (-1, 1):
        canvas.axes.add_patch(
            Circle((x + eye * 0.13 * side, y + 0.1 * side), 0.035 * side, color=style.INK, lw=0)
        )
    mouth = Arc(
        (x, y - 0.06 * side), 0.34 * side, 0.26 * side, theta1=200, theta2=340, color=style.INK
    )
    mouth.set_linewidth(0.7)
    canvas.axes.add_patch(mouth)


def sound(canvas: Canvas, box: Box) -> None:
    """A waveform."""
    heights = np.array([2, 4, 7, 5, 9, 10, 6, 8, 4, 7, 9, 5, 3, 4, 2]) / 10 * box.height / 2
    xs = np.linspace(box.x + 0.12 * box.width, box.x + 0.88 * box.width, len(heights))
    middle = box.centre[1]
    canvas.axes.vlines(
        xs, middle - heights, middle + heights, color=style.MODALITIES["audio"], linewidth=1.3
    )


def words(canvas: Canvas, box: Box) -> None:
    """Lines of writing."""
    for row, share in enumerate((1.0, 0.8, 0.95, 0.5)):
        y = box.y + box.height * (0.86 - 0.24 * row)
        canvas.axes.plot(
            [box.x + 0.18 * box.width, box.x + box.width * (0.18 + 0.64 * share)], [y, y],
            color=style.MODALITIES["text"], linewidth=1.6, solid_capstyle="round",
        )  # fmt: skip


def bars(canvas: Canvas, box: Box, heights: tuple[float, ...]) -> None:
    """A bar for each emotion, as high as its share of the box."""
    step = box.width / len(heights)
    for i, height in enumerate(heights):
        canvas.axes.add_patch(
            Rectangle(
                (box.x + (i + 0.15) * step, box.y), 0.7 * step, height * box.height, linewidth=0,
                facecolor=style.INK if height == max(heights) else "#a8a8a8",
            )
        )  # fmt: skip
