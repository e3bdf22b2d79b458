import inspect

import numpy as np
import pytest
from PIL import Image, ImageDraw

from agt_lib.corpora.labels import EMOTIONS
from mini_corpus import face
from mini_corpus.action_units import ELSEWHERE, PROBABILITY, UNITS, express
from mini_corpus.head import Head
from mini_corpus.layers import Pose
from mini_corpus.scene import Scene, identity, scene

SILENCE = np.zeros(30)
PLAIN = Scene(
    background="plain wall",
    background_colour=(120, 120, 120),
    second_colour=(90, 90, 90),
    pattern_seed=0,
    clothes=(60, 60, 90),
    light="even",
    brightness=1.0,
    warmth=0.0,
    yaw=0.0,
    pitch=0.0,
    roll=0.0,
    x=0.5,
    y=0.5,
    scale=0.28,
    sway=0.0,
    occlusion="none",
    grain=0.0,
)


def film(shown="happy", intensity=0.8, speaker=3, speech=SILENCE, seed=5) -> np.ndarray:
    return face.draw(shown, intensity, identity(speaker), speech, seed)


def still(**units: float) -> np.ndarray:
    """One picture, int (96, 96, 3), of the same face with these units, e.g. au12=1.0."""
    canvas = 3 * face.SIZE
    picture = Image.new("RGB", (canvas, canvas), (120, 120, 120))
    who = identity(3)
    pose = Pose(PLAIN, np.zeros((1, 3)), canvas, who.height)
    strengths = {unit: np.array([[units.get(f"au{unit}", 0.0)]]) for unit in range(1, 27)}
    for layer in Head(pose, who, PLAIN, strengths, (0.0, 0.0), np.zeros((1, 1))).layers:
        layer.draw(ImageDraw.Draw(picture), 0)
    return np.asarray(picture.reduce(3)).astype(int)


def changed_rows(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.abs(first - second).max(axis=(1, 2)) > 20)


def test_a_film_has_a_picture_for_every_moment_of_speech():
    frames = film()
    assert frames.shape == (30, 96, 96, 3) and frames.dtype == np.uint8


def test_the_same_arguments_draw_the_same_pixels():
    np.testing.assert_array_equal(film(), film())


@pytest.mark.parametrize(
    "change",
    [{"shown": "angry"}, {"speaker": 4}, {"seed": 6}, {"speech": np.ones(30)}, {"intensity": 0.1}],
    ids=lambda change: next(iter(change)),
)
def test_each_argument_changes_the_picture(change):
    assert (film() != film(**change)).any()


def test_who_a_speaker_is_depends_on_the_speaker_alone():
    assert list(inspect.signature(identity).parameters) == ["speaker_seed"]
    assert identity(7) == identity(7)
    assert len({identity(seed) for seed in range(40)}) == 40


def test_the_scene_carries_no_emotion():
    assert list(inspect.signature(scene).parameters) == ["seed"]
    assert scene(7) == scene(7)
    assert len({scene(seed) for seed in range(40)}) == 40


def test_an_unknown_emotion_is_refused():
    with pytest.raises(KeyError):
        film(shown="disgust")


@pytest.mark.parametrize("shown", EMOTIONS)
def test_units_appear_as_often_as_the_table_says(shown):
    """1500 draws: a share's standard error is at most .013, so .05 is four of them."""
    drawn = [express(shown, 0.5, seed, 3.0).strength for seed in range(1500)]
    for unit in UNITS:
        share = np.mean([unit in strength for strength in drawn])
        assert share == pytest.approx(PROBABILITY[shown].get(unit, ELSEWHERE), abs=0.05)


@pytest.mark.parametrize("shown", [e for e in EMOTIONS if e != "neutral"])
def test_a_face_that_shows_an_emotion_shows_some_unit_of_it(shown):
    for seed in range(300):
        assert set(express(shown, 0.5, seed, 3.0).strength) & set(PROBABILITY[shown])


def test_intensity_strengthens_the_units():
    weak, strong = (
        np.mean([np.mean(list(express("sad", i, s, 3.0).strength.values())) for s in range(100)])
        for i in (0.1, 0.9)
    )
    assert strong > weak + 0.3


def test_the_expression_rises_holds_and_falls():
    for seed in range(20):
        course = express("happy", 0.5, seed, 3.0).course(300)
        top = course.argmax()
        assert course.min() >= 0 and course.max() > 0.99
        assert (np.diff(course[: top + 1]) >= -1e-12).all()
        assert (np.diff(course[top:]) <= 1e-12).all()


def test_worried_eyes_blink_and_look_away_more():
    def blinks_and_gaze(shown: str) -> tuple[float, float]:
        drawn = [express(shown, 0.5, seed, 3.0) for seed in range(300)]
        return np.mean([len(d.blinks) for d in drawn]), np.mean([abs(d.gaze[0]) for d in drawn])

    worried, neutral = blinks_and_gaze("worried"), blinks_and_gaze("neutral")
    assert worried[0] > 2 * neutral[0] and worried[1] > 2 * neutral[1]


@pytest.mark.parametrize("unit", UNITS)
def test_every_action_unit_is_visible(unit):
    difference = np.abs(still(**{f"au{unit}": 1.0}) - still()).max(axis=2)
    assert (difference > 25).sum() >= 20  # pixels of 9216


@pytest.mark.parametrize("unit", [1, 2, 4, 5, 7])
def test_upper_face_units_leave_the_mouth_alone(unit):
    assert changed_rows(still(**{f"au{unit}": 1.0}), still()).max() < 52


@pytest.mark.parametrize("unit", [15, 17, 20, 24, 26])
def test_lower_face_units_leave_the_eyes_alone(unit):
    assert changed_rows(still(**{f"au{unit}": 1.0}), still()).min() > 52


@pytest.mark.parametrize("shown", EMOTIONS)
def test_speech_opens_the_mouth_in_every_class(shown):
    silent, speaking = (film(shown, 0.2, speech=s) for s in (SILENCE, np.ones(30)))
    difference = np.abs(silent.astype(int) - speaking).max(axis=3)  # (T, 96, 96)
    assert ((difference > 40).sum(axis=(1, 2)) > 20).all()


def test_the_mean_face_of_each_emotion_differs_from_every_other():
    """Over the same scenes and speakers, so that nothing but the expression can differ."""
    means = {
        shown: np.mean([film(shown, seed=s, speaker=s)[12:18] for s in range(6)], axis=(0, 1))
        for shown in EMOTIONS
    }
    for i, first in enumerate(EMOTIONS):
        for second in EMOTIONS[i + 1 :]:
            assert np.abs(means[first] - means[second]).max() > 8, (first, second)
