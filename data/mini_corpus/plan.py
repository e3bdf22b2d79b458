"""Who says what, and what each modality shows of it: the mini corpus before it is rendered.

Everything is drawn from the seed, clip by clip: changing the test set's counts leaves every
training clip as it was. What voice, face and words show given the label follows shares measured
on EmotionTalk's 19,250 clips, which are labelled for each modality alone and for all together;
worried and sad are mixed a little more, as raters of CREMA-D mix them.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from agt_lib.corpora.labels import EMOTIONS, PROMPT_ORDER, TITLES
from mini_corpus.action_units import FRAME_RATE
from mini_corpus.words import NO_WORDS, choose_cue, compose

MODALITIES = tuple(TITLES.values())
FRAMES = (27, 48)
"""The shortest and the longest clip in frames: 2.25 to 4 s, drawn apart from the emotion."""

SHOWN: dict[str, dict[str, dict[str, float]]] = {
    "voice": {
        "neutral": {"neutral": 86},
        "happy": {"happy": 51, "neutral": 41, "surprise": 6},
        "angry": {"angry": 88, "neutral": 9},
        "sad": {"sad": 66, "neutral": 22, "worried": 10},
        "surprise": {"surprise": 45, "neutral": 43, "angry": 5, "happy": 5},
        "worried": {"worried": 48, "neutral": 30, "sad": 11, "surprise": 7},
    },
    "face": {
        "neutral": {"neutral": 72, "happy": 12, "angry": 9},
        "happy": {"happy": 92, "neutral": 6},
        "angry": {"angry": 84, "neutral": 12},
        "sad": {"sad": 58, "neutral": 24, "worried": 9, "angry": 5, "happy": 4},
        "surprise": {"surprise": 35, "neutral": 31, "happy": 17, "angry": 14},
        "worried": {"neutral": 32, "worried": 31, "angry": 15, "sad": 11, "surprise": 7},
    },
    "words": {
        "neutral": {"neutral": 56, "surprise": 14, "angry": 10, "happy": 9},
        "happy": {"neutral": 51, "happy": 22, "surprise": 14, "angry": 6},
        "angry": {"angry": 59, "neutral": 23, "surprise": 9},
        "sad": {"neutral": 38, "sad": 30, "angry": 13, "surprise": 8, "worried": 9},
        "surprise": {"surprise": 46, "neutral": 33, "angry": 10, "happy": 5},
        "worried": {"worried": 38, "neutral": 31, "surprise": 9, "angry": 8, "sad": 10},
    },
}
"""Percent of clips of a label in which a modality shows an emotion; the rest is spread evenly."""

RELIABILITY = {"voice": 0.6, "face": 0.75, "words": 0.7}
"""Factors on the shares off the diagonal: the paper's premise is that the voice errs least."""

INTENSITY_CORRELATION = 0.5
HOT_ANGER = 0.6
PANIC = 0.3


@dataclass(frozen=True)
class Profile:
    """Clips by split and emotion. Train and pool (test and unlabelled) have their own speakers."""

    train: Mapping[str, int]
    test: Mapping[str, int]
    unlabelled: int
    train_speakers: int
    pool_speakers: int


def _counts(*counts: int) -> dict[str, int]:
    """Counts by emotion, given in the order of the paper's prompt."""
    return dict(zip(PROMPT_ORDER, counts, strict=True))


PROFILES = {
    "mini": Profile(
        train=_counts(62, 104, 125, 121, 19, 73),  # a tenth of MER2024's labelled clips
        test=_counts(80, 123, 100, 82, 42, 158),  # half of MER-SEMI's probed counts
        unlabelled=615,
        train_speakers=20,
        pool_speakers=16,
    ),
    "smoke": Profile(
        train=_counts(15, 26, 31, 30, 5, 18),
        test=_counts(4, 6, 5, 4, 2, 8),
        unlabelled=121,
        train_speakers=10,
        pool_speakers=10,
    ),
}
SECOND_TEST = _counts(159, 246, 201, 163, 83, 317)
"""MER-SEMI's probed counts, for a test set that is not inside the pool."""


@dataclass(frozen=True)
class ClipPlan:
    """One clip: its label, what each modality shows of it, and what it takes to render it.

    `voice`, `face` and `words` are emotions ("" for `words` in a clip without words), the
    intensities lie in 0..1, `cue` is "strong", "weak", "none" or "irony" ("" without words),
    `style` tells hot from cold anger and panic from worry. `snr_db` and `gain_db` carry no emotion,
    nor does `frames`, the clip's length at `FRAME_RATE`.
    """

    name: str
    split: str
    speaker: str
    speaker_seed: int
    emotion: str
    voice: str
    face: str
    words: str
    voice_intensity: float
    face_intensity: float
    words_intensity: float
    cue: str
    style: str
    text: str
    template: str
    frames: int
    snr_db: float
    gain_db: float
    seed: int


def plan(
    profile: str = "mini",
    seed: int = 0,
    *,
    reliability: Mapping[str, float] | None = None,
    second_test: bool = False,
) -> list[ClipPlan]:
    """The clips of a profile ("mini" or "smoke") in the order of their names.

    `reliability` replaces factors of `RELIABILITY`. The unlabelled clips' shares lie half-way
    between train's and test's. With `second_test` the plan holds, instead of all that, another test
    set of `SECOND_TEST` clips by speakers of its own. Raises ValueError for an unknown profile or
    modality, and for a factor that gives shares outside 0..1.
    """
    if profile not in PROFILES:
        raise ValueError(f"no mini profile {profile!r}; expected one of {', '.join(PROFILES)}")
    preset = PROFILES[profile]
    factors = RELIABILITY | dict(reliability or {})
    if unknown := sorted(set(factors) - set(MODALITIES)):
        raise ValueError(f"reliability of {unknown}; the modalities are {', '.join(MODALITIES)}")
    trained, pooled = preset.train_speakers, preset.pool_speakers
    if second_test:
        groups = [("second", "test", SECOND_TEST, range(trained + pooled, trained + 2 * pooled))]
    else:
        between = _halfway(preset.train, preset.test, preset.unlabelled)
        pool = range(trained, trained + pooled)
        groups = [
            ("train", "train", preset.train, range(trained)),
            ("unlabelled", "unlabelled", between, pool),
            ("test", "test", preset.test, pool),
        ]
    numbers = _rng(seed, "names").permutation(1_000_000)[500_000 * second_test :]
    clips = []
    for group, split, counts, speakers in groups:
        order = _rng(seed, group, "speakers").permutation(np.asarray(speakers))
        labels = [emotion for emotion in EMOTIONS for _ in range(counts.get(emotion, 0))]
        seen: dict[str, int] = {}
        for i, emotion in enumerate(labels):
            seen[emotion] = seen.get(emotion, 0) + 1
            rng = _rng(seed, group, emotion, str(seen[emotion]))
            name = f"clip_{numbers[len(clips)]:06d}"
            speaker = int(order[i % len(order)])
            clips.append(_clip(name, split, speaker, emotion, seed, factors, rng))
    return sorted(clips, key=lambda clip: clip.name)


def shares(modality: str, emotion: str, factor: float = 1.0) -> np.ndarray:
    """The share of clips labelled `emotion` in which `modality` shows each of `EMOTIONS`: (6,).

    `factor` scales what lies off the diagonal. Raises ValueError where that leaves 0..1.
    """
    named = SHOWN[modality][emotion]
    rest = (100 - sum(named.values())) / (len(EMOTIONS) - len(named))
    result = np.array([named.get(other, rest) for other in EMOTIONS]) / 100
    own = EMOTIONS.index(emotion)
    result *= factor
    result[own] = 0
    result[own] = 1 - result.sum()
    if factor < 0 or result[own] < 0:
        largest = 1 / (1 - named.get(emotion, rest) / 100)
        raise ValueError(
            f"reliability {factor} of {modality}: for {emotion} it must lie in 0..{largest:.2f}"
        )
    return result


def _clip(
    name: str,
    split: str,
    speaker: int,
    emotion: str,
    seed: int,
    factors: Mapping[str, float],
    rng: np.random.Generator,
) -> ClipPlan:
    shown = {m: str(rng.choice(EMOTIONS, p=shares(m, emotion, factors[m]))) for m in MODALITIES}
    rank = _correlated_ranks(rng)
    intensity = dict(zip(MODALITIES, stats.beta.ppf(rank, 2, 2).round(4).tolist(), strict=True))
    frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    snr_db = round(float(rng.uniform(5, 30)), 2)
    gain_db = round(float(rng.normal(0, 2)), 2)
    style = _style(shown["voice"], rng)
    clip_seed = int(rng.integers(2**31))
    cue, text, template = "", "", ""
    if rng.random() < NO_WORDS:
        shown["words"] = ""
    else:
        cue = choose_cue(shown["words"], (shown["voice"], shown["face"]), rank[2], rng)
        text, template = compose(shown["words"], cue, frames / FRAME_RATE, split != "train", rng)
    return ClipPlan(
        name=name,
        split=split,
        speaker=f"speaker_{speaker + 1:02d}",
        speaker_seed=1000 * seed + speaker,
        emotion=emotion,
        **shown,
        voice_intensity=intensity["voice"],
        face_intensity=intensity["face"],
        words_intensity=intensity["words"],
        cue=cue,
        style=style,
        text=text,
        template=template,
        frames=frames,
        snr_db=snr_db,
        gain_db=gain_db,
        seed=clip_seed,
    )


def _correlated_ranks(rng: np.random.Generator) -> np.ndarray:
    """Uniform ranks (3,) of the modalities' intensities, by a Gaussian copula."""
    common, own = rng.standard_normal(), rng.standard_normal(len(MODALITIES))
    mixed = np.sqrt(INTENSITY_CORRELATION) * common + np.sqrt(1 - INTENSITY_CORRELATION) * own
    return stats.norm.cdf(mixed)


def _style(voice: str, rng: np.random.Generator) -> str:
    chance = rng.random()
    if voice == "angry":
        return "hot" if chance < HOT_ANGER else "cold"
    if voice == "worried":
        return "panicky" if chance < PANIC else "subdued"
    return ""


def _halfway(train: Mapping[str, int], test: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` clips by emotion in shares half-way between train's and test's."""
    mean = {
        emotion: train.get(emotion, 0) / sum(train.values()) / 2
        + test.get(emotion, 0) / sum(test.values()) / 2
        for emotion in EMOTIONS
    }
    counts = {emotion: int(share * total) for emotion, share in mean.items()}
    by_remainder = sorted(EMOTIONS, key=lambda emotion: counts[emotion] - mean[emotion] * total)
    for emotion in by_remainder[: total - sum(counts.values())]:
        counts[emotion] += 1
    return counts


def _rng(seed: int, *key: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32("|".join(key).encode())])
