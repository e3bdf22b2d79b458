"""What a head is drawn of: outlines in the face's coordinates, in pixels of every frame.

T frames, P points of an outline; points that are the same in every frame may lack the T or have
1 in its place.
"""

from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from mini_corpus.scene import Colour, Scene


class Pose:
    """From the face's coordinates to pixels, in each of T frames.

    `motion` (T, 3) adds to the scene's yaw, pitch and roll; `canvas` is the picture's size in
    pixels, `height` that of the head.
    """

    def __init__(self, place: Scene, motion: np.ndarray, canvas: int, height: float):
        self.n_frames = len(motion)
        turn = motion + (place.yaw, place.pitch, place.roll)  # (T, 3)
        self.foreshortening = np.cos(turn[:, None, :2])  # (T, 1, 2)
        self.shift = np.sin(turn[:, None, :2])  # of a point one unit deep
        cosine, sine = np.cos(turn[:, 2]), np.sin(turn[:, 2])
        self.unit = canvas * place.scale  # pixels
        self.roll = self.unit * np.array([[cosine, sine], [-sine, cosine]]).transpose(2, 0, 1)
        self.centre = canvas * np.array([place.x, place.y])
        self.curvature = np.array([1, height**-2])

    def __call__(self, points: np.ndarray, depth: float) -> list[list[float]]:
        """Pixels x, y, x, y ... in each frame of `points` (T, P, 2) on an ellipsoid `depth` deep.

        What has no depth only rolls with the head, like its outline.
        """
        if depth:
            inside = np.maximum(1 - (points * points) @ self.curvature, 0)
            z = depth * np.sqrt(inside)
            points = points * self.foreshortening + z[..., None] * self.shift
        return (points @ self.roll + self.centre).reshape(self.n_frames, -1).tolist()


@dataclass(frozen=True)
class Layer:
    """A polygon, or a line of a width in pixels, with its T courses of points and colours."""

    pixels: list[list[float]]
    colours: list[Colour]
    shown: list[bool]
    width: int | None

    def draw(self, pen: ImageDraw.ImageDraw, t: int) -> None:
        """Draw what frame `t` shows of it."""
        if not self.shown[t]:
            return
        if self.width is None:
            pen.polygon(self.pixels[t], fill=self.colours[t])
        else:
            pen.line(self.pixels[t], fill=self.colours[t], width=self.width, joint="curve")
