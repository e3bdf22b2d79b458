"""Draws a head in all frames of a clip from the strengths of its action units.

The face lives in its own coordinates: x rightwards, y downwards, half its width is 1, and
(0, 0) lies between the cheekbones. Features sit on an ellipsoid, so that turning the head
moves and foreshortens them. T frames, P points of an outline; what is the same in every frame
may lack the T or have 1 in its place.
"""

import numpy as np

from mini_corpus.layers import Layer, Pose
from mini_corpus.scene import HAIR, Colour, Identity, Scene

S = np.linspace(-1, 1, 13)  # along a lip, a lid or a brow, from the left corner to the right
ROUND = 1 - S**2
ANGLE = np.linspace(0, 2 * np.pi, 28)
CIRCLE = np.array((np.cos(ANGLE), np.sin(ANGLE))).T
MOUTH_Y, EYE_Y, NOSE_Y = 0.66, -0.18, 0.28
DEPTH = 0.75  # of the ellipsoid that the features sit on


def _curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The points (T, P, 2) of a line from its x and y, (T, P) each."""
    return np.stack(np.broadcast_arrays(x, y), axis=-1)


def _band(x: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The outline (T, 2P, 2) of what lies between two lines over the same x."""
    x, above, below = np.broadcast_arrays(x, above, below)
    back = np.s_[..., ::-1]
    return _curve(np.concatenate((x, x[back]), -1), np.concatenate((above, below[back]), -1))


def _mix(first: Colour, second: Colour, share: float | np.ndarray) -> Colour | np.ndarray:
    """A colour between two; of shares (T, 1) one for each frame, (T, 3)."""
    start, end = np.array(first), np.array(second)
    return (start + share * (end - start)).astype(int)


class Head:
    """The layers of a speaker's head in a scene, `layers`, from the back to the front."""

    def __init__(
        self,
        pose: Pose,
        who: Identity,
        place: Scene,
        au: dict[int, np.ndarray],
        gaze: tuple[float, float],
        closed: np.ndarray,
    ):
        """`au` are units' strengths and `closed` how far a blink shuts the eyes, (T, 1) each;
        `gaze` is where the eyes look."""
        self.pose, self.who, self.place = pose, who, place
        self.layers: list[Layer] = []
        self._body()
        self._head(au)
        self._creases(au)
        self._mouth(au)
        self._nose()
        for side in (-1, 1):
            self._eye(side, au, gaze, closed)
            self._brow(side, au)
        self._hair_front()
        if who.glasses:
            self._glasses()
        self._occlusion()

    # layers in the face's coordinates

    def _fill(
        self,
        points: np.ndarray,
        colour: Colour | np.ndarray,
        depth: float = DEPTH,
        *,
        shown: bool | np.ndarray = True,
    ) -> None:
        self._add(points, colour, depth, shown, None)

    def _stroke(
        self,
        points: np.ndarray,
        colour: Colour | np.ndarray,
        width: float,
        *,
        shown: bool | np.ndarray = True,
    ) -> None:
        self._add(points, colour, DEPTH, shown, max(1, round(width * self.pose.unit)))

    def _add(
        self,
        points: np.ndarray,
        colour: Colour | np.ndarray,
        depth: float,
        shown: bool | np.ndarray,
        width: int | None,
    ) -> None:
        """Points (T, P, 2), one colour or (T, 3), in the frames that show it, (T, 1)."""
        if not np.any(shown):
            return
        n_frames = self.pose.n_frames
        colours = [tuple(rgb) for rgb in np.broadcast_to(colour, (n_frames, 3)).tolist()]
        visible = np.broadcast_to(shown, (n_frames, 1)).ravel().tolist()
        self.layers.append(Layer(self.pose(points, depth), colours, visible, width))

    def _shade(self, share: float | np.ndarray) -> Colour | np.ndarray:
        return _mix(self.who.skin, (60, 20, 20), share)

    # the parts

    def _body(self) -> None:
        if self.who.hair_length == "long":
            hair = CIRCLE * (1.22, 1.6) + (0, 0.12)
            self._fill(hair, HAIR[self.who.hair], depth=0)
        shoulders = np.array([(-2.4, 3.2), (-2.1, 2.0), (-0.5, 1.55), (0.5, 1.55), (2.1, 2.0)])
        self._fill(np.vstack([shoulders, (2.4, 3.2)]), self.place.clothes, depth=0)
        neck = np.array([(-0.45, 0.7), (0.45, 0.7), (0.5, 1.65), (0, 1.85), (-0.5, 1.65)])
        self._fill(neck, self._shade(0.2), depth=0)

    def _head(self, au: dict[int, np.ndarray]) -> None:
        for side in (-1, 1):
            ear = CIRCLE * (0.13, 0.24) + (side * 1.0, 0.0)
            self._fill(ear, self._shade(0.12), depth=0)
        outline = CIRCLE * (1, self.who.height)
        low = np.clip(outline[:, 1], 0, None) / self.who.height
        x = outline[:, 0] * (1 - (1 - self.who.jaw) * low)
        outline = _curve(x, outline[:, 1] + low * (0.22 * au[26] - 0.03 * au[17]))
        self._fill(outline, self.who.skin, depth=0)
        if self.who.beard in ("full", "stubble"):
            edge = [i for i in np.argsort(x) if CIRCLE[i, 1] * self.who.height > 0.25]
            top = _curve(0.9 * S[::-1], 0.62 - 0.25 * np.abs(S) ** 3)
            top = np.broadcast_to(top, (len(outline), *top.shape))
            shape = np.concatenate([outline[:, edge] * (0.99, 1), top], axis=1)
            share = 0.85 if self.who.beard == "full" else 0.25
            self._fill(shape, _mix(self.who.skin, HAIR[self.who.hair], share), depth=0.25)

    def _hair_front(self) -> None:
        if self.who.hair_length == "bald":
            return
        angle = np.linspace(np.pi, 2 * np.pi, 18)
        height = self.who.height
        top = _curve(1.07 * np.cos(angle), 1.13 * height * np.sin(angle))
        line = -height * (0.86 - 0.14 * self.who.fringe)
        front = _curve(S[::-1], line + (0.5 + line + height) * S[::-1] ** 4)
        self._fill(np.vstack([top, front]), HAIR[self.who.hair], depth=0.12)

    def _creases(self, au: dict[int, np.ndarray]) -> None:
        """Lines that skin folds into where units pull it."""
        smile, press = np.maximum(au[12], 0.5 * au[6]), np.maximum(au[20], au[24])
        for side in (-1, 1):
            raised = au[6] > 0.1  # cheeks: a fuller cheek and lines beside the eye
            cheek = CIRCLE * (0.2, 0.13) + _curve(side * 0.5, 0.2 - 0.06 * au[6])
            self._fill(cheek, _mix(self.who.skin, (226, 110, 100), 0.28 * au[6]), shown=raised)
            for slope in (-0.09, 0.0, 0.09):
                foot = np.array([(0.66, -0.16 + slope / 2), (0.82, -0.16 + 1.4 * slope)])
                self._stroke(foot * (side, 1), self._shade(0.45 * au[6]), 0.03, shown=raised)
            fold = np.array([(0.22, 0.3), (0.4, 0.42), (0.5, 0.62)]) * (side, 1)
            self._stroke(fold, self._shade(0.4 * smile), 0.04, shown=smile > 0.1)
            furrow = np.array([(0.07, -0.62), (0.06, -0.4)]) * (side, 1)
            self._stroke(furrow, self._shade(0.6 * au[4]), 0.045, shown=au[4] > 0.1)
            x = self.who.mouth_width * (1 + 0.35 * au[20]) + 0.07
            edge = _curve(np.hstack([x, x + 0.03]), np.array([MOUTH_Y - 0.09, MOUTH_Y + 0.09]))
            self._stroke(edge * (side, 1), self._shade(0.4 * press), 0.04, shown=press > 0.1)
        for unit, middle, reach in ((1, 0, 0.28), (2, -0.55, 0.2), (2, 0.55, 0.2)):
            for y in (-0.88, -0.78):
                line = _curve(middle + reach * S, y + 0.03 * S**2)
                self._stroke(line, self._shade(0.35 * au[unit]), 0.03, shown=au[unit] > 0.1)
        chin = _curve(0.2 * S, 0.98 - 0.1 * ROUND + 0.1 * au[26])
        self._stroke(chin, self._shade(0.5 * au[17]), 0.06, shown=au[17] > 0.1)

    def _mouth(self, au: dict[int, np.ndarray]) -> None:
        who = self.who
        width = who.mouth_width * (
            1 + 0.32 * au[12] + 0.38 * au[20] - 0.12 * au[24] - 0.22 * au[26] * (1 - au[12])
        )
        corner = who.mouth_curve - 0.2 * au[12] + 0.17 * au[15] + 0.04 * au[20]
        middle = MOUTH_Y + 0.05 * au[12] - 0.03 * au[15] - 0.06 * au[17] + 0.05 * au[26]
        line = middle + corner * np.abs(S) ** 1.7 + 0.08 * au[15] * np.abs(S) ** 5
        gap = (0.05 * au[25] + 0.42 * au[26] + 0.07 * au[12] * au[25]) * (1 - 0.75 * au[24])
        thin = 1 - 0.72 * au[24] - 0.2 * au[12] - 0.2 * au[20]
        upper, lower = line - 0.3 * gap * ROUND, line + (0.7 * gap - 0.04 * au[17]) * ROUND
        top = upper - who.lip * thin * ROUND**0.7 * (1 - 0.25 * np.exp(-((S / 0.15) ** 2)))
        bottom = lower + who.lip * 1.35 * (thin + 0.25 * au[17]) * ROUND**0.8
        x = width * S

        if who.beard in ("full", "moustache"):
            self._fill(
                _band(x, top - 0.13 * ROUND**0.4, top + 0.02) * (1.12, 1),
                _mix(who.skin, HAIR[who.hair], 0.85),
            )
        lips = _mix(who.skin, (168, 52, 62), 0.55)
        self._fill(_band(x, top, bottom), lips)
        parted = gap > 0.02
        self._fill(_band(x, upper, lower), (58, 16, 20), shown=parted)
        teeth = np.minimum(upper + 0.07 * ROUND, lower)
        self._fill(_band(x, upper, teeth), (240, 236, 228), shown=parted)
        tongue = np.maximum(lower - 0.12 * ROUND, teeth)
        self._fill(_band(x, tongue, lower) * (0.9, 1), (176, 76, 80), shown=gap > 0.2)
        seam = _mix(lips, (50, 10, 14), 0.6)
        self._stroke(_curve(x, line), seam, 0.035, shown=~parted)

    def _nose(self) -> None:
        size = self.who.nose
        tip = np.array([(-0.17, 0), (-0.1, 0.07), (0, 0.1), (0.1, 0.07), (0.17, 0)]) * size
        self._stroke(tip + (0, NOSE_Y), self._shade(0.42), 0.05)
        bridge = np.array([(0.09, -0.14), (0.12, 0.1), (0.15, NOSE_Y - 0.04)]) * (size, 1)
        self._stroke(bridge, self._shade(0.2), 0.05)

    def _eye(
        self, side: int, au: dict[int, np.ndarray], gaze: tuple[float, float], closed: np.ndarray
    ) -> None:
        who = self.who
        half, height = 0.21 * who.eye_size, 0.13 * who.eye_size
        above = height * (1 + 0.65 * au[5] - 0.4 * au[7] - 0.15 * au[6]) * (1 - closed)
        below = height * 0.62 * (1 + 0.15 * au[5] - 0.6 * au[7] - 0.55 * au[6])
        slant = 0.06 * (au[1] - au[4]) * -S * side  # inner corners follow the inner brows
        centre = np.array([side * who.eye_distance, EYE_Y])
        x = half * S
        upper = -above * ROUND**0.75 - slant * ROUND + closed * 0.5 * below * ROUND
        lower = below * ROUND**0.9
        white = _band(x, upper, lower)
        self._fill(white + centre, (246, 243, 238))
        look = np.array([0.5 * half * gaze[0], 0.35 * height * gaze[1] - 0.02])
        for radius, colour in ((0.115, who.iris), (0.055, (14, 12, 12))):
            disc = CIRCLE * radius * who.eye_size + look
            across = np.clip(disc[:, 0], -half, half)
            lids = [np.array([np.interp(across, x, y) for y in lid]) for lid in (upper, lower)]
            down = np.clip(disc[:, 1], lids[0], np.maximum(*lids))
            self._fill(_curve(across, down) + centre, colour)
        self._stroke(_curve(x, upper) + centre, (40, 26, 24), 0.055)
        pouch = 0.25 + 0.3 * np.maximum(au[6], au[7])
        self._stroke(_curve(x, lower) + centre, self._shade(pouch), 0.035)

    def _brow(self, side: int, au: dict[int, np.ndarray]) -> None:
        who = self.who
        along = (S + 1) / 2  # 0 at the inner end, 1 at the outer
        inner = 0.17 * au[1] - 0.16 * au[4] + who.brow_tilt
        outer = 0.18 * au[2] - 0.05 * au[4] - who.brow_tilt
        arch = 0.07 * np.sin(np.pi * along) + 0.03 * (1 - along)
        y = -who.brow_height - inner * (1 - along) ** 1.3 - outer * along - arch + 0.05
        x = (who.eye_distance - 0.26 - 0.07 * au[4]) + 0.54 * along
        thick = who.brow_thickness * (1 - 0.55 * along)
        shape = _band(x, y - thick, y + thick)
        hair = _mix(HAIR[who.hair], (40, 30, 28), 0.45)
        self._fill(shape * (side, 1), hair)

    def _glasses(self) -> None:
        frame = (34, 34, 40)
        for side in (-1, 1):
            rim = CIRCLE * (0.31, 0.26) + (side * self.who.eye_distance, EYE_Y + 0.02)
            self._stroke(rim, frame, 0.045)
            temple = np.array([(self.who.eye_distance + 0.31, EYE_Y), (0.98, EYE_Y - 0.04)])
            self._stroke(temple * (side, 1), frame, 0.045)
        self._stroke(np.array([(-0.11, EYE_Y), (0.11, EYE_Y)]), frame, 0.045)

    def _occlusion(self) -> None:
        kind = self.place.occlusion
        if kind == "microphone":
            self._fill(np.array([(0.3, 1.1), (0.5, 1.1), (0.8, 3), (0.5, 3)]), (40, 40, 44), 0)
            self._fill(CIRCLE * 0.27 + (0.35, 0.95), (70, 70, 78), depth=0)
        elif kind == "cup":
            cup = np.array([(-0.5, 0.75), (0.25, 0.75), (0.15, 1.7), (-0.4, 1.7)])
            self._fill(cup, self.place.second_colour, depth=0)
        elif kind == "lock of hair":
            lock = np.array([(-0.1, -1.2), (-0.95, -0.9), (-0.75, 0.1), (-0.5, -0.5)])
            colour = HAIR[self.who.hair]
            self._fill(lock, colour, depth=0)
