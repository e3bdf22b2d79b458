"""Films a speaker's face showing an emotion: the picture side of one clip of the mini corpus."""

import numpy as np
from PIL import ImageDraw

from mini_corpus.action_units import FRAME_RATE, Expression, express
from mini_corpus.head import Head
from mini_corpus.layers import Pose
from mini_corpus.scene import Identity, Scene, backdrop, light_map, scene

SIZE = 96  # pixels
OVERSAMPLING = 3  # drawn this much larger and averaged down: Pillow's own edges are jagged


def draw(
    shown: str, intensity: float, identity: Identity, speech: np.ndarray, seed: int
) -> np.ndarray:
    """Film `identity` showing the emotion `shown` while speaking.

    `intensity` lies in 0..1; `speech` is the loudness in each video frame, (T,) in 0..1, at
    `action_units.FRAME_RATE`; `seed` draws the action units and the scene. Returns uint8 RGB
    (T, SIZE, SIZE, 3), the same for the same arguments. Raises KeyError for an unknown emotion.
    """
    n_frames = len(speech)
    place = scene(seed)
    expression = express(shown, intensity, seed, n_frames / FRAME_RATE)
    canvas = SIZE * OVERSAMPLING
    behind = backdrop(place, canvas)
    pose = Pose(place, _sway(place, n_frames, seed), canvas, identity.height)
    units = _units(expression, expression.course(n_frames), speech)
    closed = expression.closed(n_frames)[:, None]
    head = Head(pose, identity, place, units, expression.gaze, closed)
    frames = np.empty((n_frames, SIZE, SIZE, 3), dtype=np.uint8)
    for t in range(n_frames):
        picture = behind.copy()
        pen = ImageDraw.Draw(picture)
        for layer in head.layers:
            layer.draw(pen, t)
        frames[t] = np.asarray(picture.reduce(OVERSAMPLING))
    return _expose(frames, place, seed)


def _units(
    expression: Expression, course: np.ndarray, loudness: np.ndarray
) -> dict[int, np.ndarray]:
    """Every unit's strength in each frame, (T, 1), from the course and the loudness, (T,) each.

    Speech parts the lips (25) and drops the jaw (26).
    """
    course, loudness = course[:, None], loudness[:, None]
    units = {unit: np.zeros_like(course) for unit in range(1, 27)}
    units |= {unit: strength * course for unit, strength in expression.strength.items()}
    units[25] = np.maximum(0.9 * loudness, 0.5 * units[26])
    units[26] = np.minimum(1, units[26] + 0.45 * loudness)
    return units


def _sway(place: Scene, n_frames: int, seed: int) -> np.ndarray:
    """Small head movements: yaw, pitch, roll added in each frame, (T, 3) radians."""
    rng = np.random.default_rng([seed, 505])
    time = np.arange(n_frames)[:, None] / FRAME_RATE
    rate, phase = rng.uniform(0.2, 0.7, size=3), rng.uniform(0, 2 * np.pi, size=3)
    return place.sway * np.array([0.09, 0.06, 0.04]) * np.sin(2 * np.pi * rate * time + phase)


def _expose(frames: np.ndarray, place: Scene, seed: int) -> np.ndarray:
    """Light and sensor noise. (T, SIZE, SIZE, 3) uint8 to the same."""
    rng = np.random.default_rng([seed, 606])
    light = light_map(place, SIZE)
    noise = rng.normal(0, place.grain, size=(2 * SIZE, 2 * SIZE, 1)).astype(np.float32)
    corners = rng.integers(0, SIZE, size=(len(frames), 2))
    for frame, (top, left) in zip(frames, corners, strict=True):
        lit = frame * light + noise[top : top + SIZE, left : left + SIZE]
        frame[:] = np.clip(lit, 0, 255)
    return frames
