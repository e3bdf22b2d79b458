"""Who is filmed and under what circumstances: everything in the picture that is not emotion.

Lengths are in units of half a face's width, angles in radians, colours RGB in 0..255.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = (
    (250, 222, 203),
    (238, 200, 172),
    (224, 176, 140),
    (196, 144, 106),
    (150, 102, 72),
    (104, 68, 48),
)
SKIN_NAMES = ("very fair", "fair", "light brown", "tan", "brown", "dark brown")
HAIR: dict[str, Colour] = {
    "black": (32, 28, 30),
    "brown": (88, 56, 36),
    "blond": (214, 176, 104),
    "red": (158, 74, 34),
    "grey": (160, 160, 164),
}
IRISES: tuple[Colour, ...] = ((74, 48, 30), (96, 70, 40), (70, 110, 150), (88, 124, 84))
BACKGROUNDS = ("plain wall", "gradient", "stripes", "bookshelf", "window", "plants")
LIGHTS = ("from the left", "from the right", "from above", "even")
OCCLUSIONS = ("none", "microphone", "cup", "lock of hair")


@dataclass(frozen=True)
class Identity:
    """One speaker's face. The lengths vary the shape at rest and so blur every expression."""

    skin: Colour
    skin_name: str
    hair: str
    hair_length: str  # bald, short, long
    fringe: float  # how far the hair comes down the forehead, 0..1
    beard: str  # none, stubble, moustache, full
    glasses: bool
    iris: Colour
    height: float  # of half the head
    jaw: float  # width of the jaw relative to the cheekbones
    eye_distance: float
    eye_size: float
    brow_height: float
    brow_tilt: float
    brow_thickness: float
    nose: float
    mouth_width: float
    lip: float
    mouth_curve: float  # corners of the mouth at rest, positive downwards


@dataclass(frozen=True)
class Scene:
    """What varies from clip to clip of the same speaker."""

    background: str
    background_colour: Colour
    second_colour: Colour
    pattern_seed: int
    clothes: Colour
    light: str
    brightness: float
    warmth: float
    yaw: float
    pitch: float
    roll: float
    x: float  # centre of the face, share of the picture's width
    y: float
    scale: float  # half the face's width, share of the picture's width
    sway: float  # how far the head moves while speaking
    occlusion: str
    grain: float  # sensor noise, grey levels


def identity(speaker_seed: int) -> Identity:
    """The face of the speaker with this seed."""
    rng = np.random.default_rng([speaker_seed, 101])
    tone = int(rng.integers(len(SKINS)))
    hair = str(rng.choice(tuple(HAIR), p=(0.32, 0.3, 0.16, 0.1, 0.12)))
    length = str(rng.choice(("short", "long", "bald"), p=(0.46, 0.46, 0.08)))
    beards = ("none", "stubble", "moustache", "full")
    beard = "none" if length == "long" else str(rng.choice(beards, p=(0.55, 0.15, 0.12, 0.18)))
    jitter = rng.integers(-8, 9, size=3)
    return Identity(
        skin=tuple(int(c) for c in np.clip(np.array(SKINS[tone]) + jitter, 0, 255)),
        skin_name=SKIN_NAMES[tone],
        hair=hair,
        hair_length=length,
        fringe=float(rng.uniform(0, 1)),
        beard=beard,
        glasses=bool(rng.random() < 0.3),
        iris=IRISES[int(rng.integers(len(IRISES)))],
        height=float(rng.normal(1.3, 0.06)),
        jaw=float(rng.uniform(0.72, 0.95)),
        eye_distance=float(rng.normal(0.41, 0.022)),
        eye_size=float(rng.normal(1, 0.1)),
        brow_height=float(rng.normal(0.55, 0.03)),
        brow_tilt=float(rng.normal(0, 0.035)),
        brow_thickness=float(rng.uniform(0.05, 0.1)),
        nose=float(rng.normal(1, 0.12)),
        mouth_width=float(rng.normal(0.36, 0.03)),
        lip=float(rng.uniform(0.055, 0.1)),
        mouth_curve=float(rng.normal(0, 0.03)),
    )


def scene(seed: int) -> Scene:
    """The circumstances of the clip with this seed; independent of speaker and emotion."""
    rng = np.random.default_rng([seed, 202])

    def colour(low: int, high: int) -> Colour:
        grey = rng.uniform(low, high)
        return tuple(int(c) for c in np.clip(grey + rng.normal(0, 24, size=3), 0, 255))

    return Scene(
        background=str(rng.choice(BACKGROUNDS)),
        background_colour=colour(90, 230),
        second_colour=colour(50, 200),
        pattern_seed=int(rng.integers(2**31)),
        clothes=colour(20, 220),
        light=str(rng.choice(LIGHTS)),
        brightness=float(rng.uniform(0.72, 1.04)),
        warmth=float(rng.normal(0, 0.06)),
        yaw=float(np.clip(rng.normal(0, 0.15), -0.4, 0.4)),
        pitch=float(np.clip(rng.normal(0, 0.08), -0.2, 0.2)),
        roll=float(np.clip(rng.normal(0, 0.05), -0.15, 0.15)),
        x=float(rng.normal(0.5, 0.015)),
        y=float(rng.normal(0.51, 0.015)),
        scale=float(rng.uniform(0.32, 0.37)),
        sway=float(rng.uniform(0.2, 1)),
        occlusion=str(rng.choice(OCCLUSIONS, p=(0.8, 0.08, 0.06, 0.06))),
        grain=float(rng.uniform(0, 5)),
    )


def backdrop(place: Scene, size: int) -> Image.Image:
    """What is behind the speaker, an RGB picture of `size` x `size` pixels."""
    rng = np.random.default_rng([place.pattern_seed, 303])
    first, second = place.background_colour, place.second_colour
    picture = Image.new("RGB", (size, size), first)
    if place.background == "gradient":
        mask = Image.linear_gradient("L").resize((size, size))
        return Image.composite(Image.new("RGB", (size, size), second), picture, mask)
    pen = ImageDraw.Draw(picture)
    if place.background == "stripes":
        step = size // int(rng.integers(4, 10))
        for left in range(0, size, 2 * step):
            pen.rectangle((left, 0, left + step, size), fill=second)
    elif place.background == "bookshelf":
        for shelf in range(0, size, size // 4):
            left = 0
            while left < size:
                width = int(rng.integers(size // 30, size // 14))
                top = shelf + int(rng.integers(4, size // 12))
                book = tuple(int(c) for c in rng.uniform(40, 190) + rng.integers(-30, 31, size=3))
                pen.rectangle((left, top, left + width, shelf + size // 4 - 6), fill=book)
                left += width + 2
    elif place.background == "window":
        left, top = rng.integers(0, size // 3, size=2)
        box = (int(left), int(top), int(left) + size // 2, int(top) + size // 2)
        pen.rectangle(box, fill=(214, 232, 246), outline=second, width=size // 40)
        middle = (box[0] + box[2]) // 2
        pen.line((middle, box[1], middle, box[3]), fill=second, width=size // 50)
    elif place.background == "plants":
        for x, y, radius in rng.uniform(0, 1, size=(14, 3)):
            reach = size * (0.03 + 0.09 * radius)
            leaf = (int(40 + 50 * radius), int(100 + 70 * radius), int(50 + 30 * radius))
            x, y = x * size, y * size
            pen.ellipse((x - reach, y - 1.6 * reach, x + reach, y + 1.6 * reach), fill=leaf)
    return picture


def light_map(place: Scene, size: int) -> np.ndarray:
    """What each pixel is multiplied by, float32 (size, size, 3)."""
    across, down = np.meshgrid(*2 * [np.linspace(-1, 1, size, dtype=np.float32)])
    slope = {
        "from the left": -across,
        "from the right": across,
        "from above": -down,
        "even": np.zeros_like(across),
    }[place.light]
    tint = np.array([1 + place.warmth, 1, 1 - place.warmth], dtype=np.float32)
    return (place.brightness * (1 + 0.22 * slope))[..., None] * tint
