"""The voice of a clip: eSpeak NG, moved from the speaker's neutral as emotions move voices.

Directions follow Juslin & Laukka (2003), sizes RAVDESS at normal intensity, attenuated.
"""

import atexit
import contextlib
import functools
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from scipy import fft, signal

from mini_corpus import espeak
from mini_corpus.action_units import FRAME_RATE
from mini_corpus.plan import ClipPlan
from mini_corpus.sentences import MURMURS

SAMPLE_RATE = 16_000
LEVEL_DB = -30.0  # of a neutral voice before the recording's gain, relative to full scale
ACCENTS = ("en-us", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
LOW_VOICES = ("m1", "m2", "m3", "m5")
HIGH_VOICES = ("f1", "f2", "f4", "f5")
SEMITONES_ASKED = 2.0  # for one heard: eSpeak NG halves relative pitch
RANGE_LIFT = 2.4  # semitones by which doubling eSpeak NG's range lifts the mean pitch
JITTER_HZ = 60
STRENGTH, SPREAD = 1.9, 0.65  # of means and deviations in `OFFSETS`: tuned until audio alone
# reads as well as specified (`data/README.md`)


class VoiceError(RuntimeError):
    """eSpeak NG did not start or did not speak."""


@dataclass(frozen=True)
class Speaker:
    """A speaker's neutral: eSpeak NG's voice, pitch in semitones from that voice's own, factors
    of range and rate, loudness in dB, and `warp`, a factor on all frequencies (vocal tract)."""

    voice: str
    semitones: float
    range: float
    rate: float
    level_db: float
    warp: float


@dataclass(frozen=True)
class Prosody:
    """Offsets from the speaker's neutral. `tilt_db` is a gain above 1 kHz, `tremor` a depth of
    modulation in 0..1, `pauses` how many, `rise` semitones on the last words."""

    semitones: float = 0.0
    range: float = 1.0
    rate: float = 1.0
    level_db: float = 0.0
    tilt_db: float = 0.0
    tremor: float = 0.0
    pauses: int = 0
    rise: float = 0.0


# mean and standard deviation of: semitones, range factor, rate factor, level in dB; then the
# gain above 1 kHz in dB
OFFSETS = {
    ("neutral", ""): ((0, 1), (1, 0.15), (1, 0.07), (0, 1.5), 0),
    ("happy", ""): ((2.2, 2), (1.2, 0.25), (1.05, 0.1), (4, 2.5), 0),
    ("angry", "hot"): ((3, 3), (1.2, 0.3), (1.1, 0.12), (8, 4), 4),
    ("angry", "cold"): ((0.5, 1.5), (0.9, 0.2), (1, 0.1), (2, 2.5), 0),
    ("surprise", ""): ((4, 3), (1.4, 0.3), (1, 0.12), (4, 3), 0),
    ("worried", "subdued"): ((1.5, 2.3), (0.85, 0.2), (1.05, 0.12), (-1, 3), 0),
    ("worried", "panicky"): ((4, 2.5), (0.8, 0.2), (1.1, 0.1), (4, 4), 0),
    ("sad", ""): ((-0.5, 2), (0.7, 0.2), (0.86, 0.1), (-3, 3.5), -3),
}


def speaker(speaker_seed: int) -> Speaker:
    """The speaker of a seed: even seeds have low voices, odd seeds high ones."""
    rng = np.random.default_rng([speaker_seed, 7])
    variant = rng.choice(HIGH_VOICES if speaker_seed % 2 else LOW_VOICES)
    return Speaker(
        voice=f"{rng.choice(ACCENTS)}+{variant}",
        semitones=float(rng.normal(0, 0.7)),
        range=float(rng.uniform(0.9, 1.1)),
        rate=float(rng.normal(1.02, 0.03)),
        level_db=float(rng.normal(0, 1)),
        warp=float(rng.uniform(0.96, 1.04)),
    )


def prosody(shown: str, style: str, intensity: float, rng: np.random.Generator) -> Prosody:
    """How a voice moves from its neutral to show an emotion; means grow with the intensity."""
    pitch, width, rate, level, tilt = OFFSETS[shown, style]
    scale = STRENGTH * (0.4 + 1.2 * intensity)

    def draw(mean: float, deviation: float, neutral: float) -> float:
        return float(
            neutral + scale * (mean - neutral) + SPREAD * deviation * rng.standard_normal()
        )

    subdued = (shown, style) == ("worried", "subdued")
    return Prosody(
        semitones=draw(*pitch, 0),
        range=max(draw(*width, 1), 0.2),
        rate=float(np.clip(draw(*rate, 1), 0.6, 1.6)),
        level_db=draw(*level, 0),
        tilt_db=scale * tilt,
        tremor=scale * (1.0 if subdued else 0.7) if shown == "worried" else 0.0,
        pauses=int(rng.integers(2, 4)) if subdued else 0,
        rise=scale * 6 if shown == "surprise" else 0.0,
    )


def render(clip: ClipPlan) -> np.ndarray:
    """What is heard in a clip: float32 in [-1, 1], mono at `SAMPLE_RATE`, of the clip's length.

    The same for the same plan, whatever was rendered before.
    """
    rng = np.random.default_rng([clip.seed, 1])
    who = speaker(clip.speaker_seed)
    how = prosody(clip.voice, clip.style, clip.voice_intensity, rng)
    text = clip.text or str(rng.choice(MURMURS))
    n_samples = round(clip.frames / FRAME_RATE * SAMPLE_RATE)
    gaps = rng.random(8)
    haste = 1.0
    while True:
        spoken = _resampled(*speak(ssml(text, who, how, gaps, haste), who.voice), who.warp)
        if len(spoken) <= n_samples:
            break
        haste *= 1.02 * len(spoken) / n_samples
    if how.tremor:
        spoken = _tremble(spoken, how.tremor, rng)
    spoken = _tilted(spoken, how.tilt_db)
    level = LEVEL_DB + who.level_db + how.level_db + clip.gain_db
    spoken *= 10 ** (level / 20) / np.sqrt(np.mean(spoken**2))
    noise = _room(n_samples, rng) * 10 ** ((level - clip.snr_db) / 20)
    start = int(rng.integers(0, n_samples - len(spoken) + 1))
    noise[start : start + len(spoken)] += spoken
    return np.tanh(noise).astype(np.float32)  # a soft limit: loud clips saturate, none wraps


def loudness(waveform: np.ndarray, n_frames: int) -> np.ndarray:
    """How loud each video frame is: (n_frames,) in 0..1, 1 the loudest of the clip."""
    parts = np.array_split(waveform.astype(np.float64), n_frames)
    level = np.sqrt([np.mean(part**2) for part in parts])
    floor = np.quantile(level, 0.05)
    return np.clip((level - floor) / (level.max() - floor + 1e-9), 0, 1)


def ssml(text: str, who: Speaker, how: Prosody, gaps: np.ndarray, haste: float = 1.0) -> str:
    """`text` marked up for eSpeak NG. `gaps` in 0..1 place the pauses; `haste` speeds it up.

    Punctuation that carries intonation is left out: what the voice shows must not depend on
    what the words show.
    """
    words = [
        escape(word) for word in re.sub(r"[!?,]|[.]$", "", re.sub(r"[!?] ", ". ", text)).split()
    ]
    mark = "."
    if how.rise:
        last = max(len(words) - 2, 0)
        words[last] = f'<prosody pitch="{_semitones(how.rise)}">{words[last]}'
        words[-1] += "?</prosody>"
        mark = ""
    for gap in gaps[: how.pauses] if len(words) > 2 else ():
        words[int(gap * (len(words) - 1))] += f' <break time="{int(200 + 200 * gap)}ms"/>'
    width = who.range * how.range
    pitch = who.semitones + how.semitones - RANGE_LIFT * (width - 1)
    rate = 100 * who.rate * how.rate * haste
    return (
        f'<speak><prosody pitch="{_semitones(pitch)}" range="{100 * width:.0f}%" '
        f'rate="{rate:.0f}%">{" ".join(words)}{mark}</prosody></speak>'
    )


def speak(markup: str, voice: str) -> tuple[np.ndarray, int]:
    """Have eSpeak NG say SSML: int16 samples and their rate in Hz. Not for several threads.

    Raises VoiceError when it does not start, lacks the voice or says nothing.
    """
    process = _espeak()
    with contextlib.suppress(BrokenPipeError):  # it has ended: there is no header then
        process.stdin.write(json.dumps([voice, markup]).encode() + b"\n")
        process.stdin.flush()
    header = process.stdout.read(espeak.REPLY.size)
    if not header:
        raise VoiceError(
            f"eSpeak NG's process ended with code {process.wait()}; its own message is above"
        )
    rate, size = espeak.REPLY.unpack(header)
    samples = np.frombuffer(process.stdout.read(size), dtype=np.int16)
    if not samples.any():
        raise VoiceError(f"eSpeak NG has no voice {voice!r} or said nothing: {markup}")
    return samples, rate


@functools.cache
def _espeak() -> subprocess.Popen:
    """The process that speaks; it ends when its input does, at the latest with this one."""
    # -P: the names of this folder's modules are not for its imports
    command = [sys.executable, "-P", espeak.__file__]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(process.communicate)  # closes its input and waits
    return process


def _semitones(heard: float) -> str:
    return f"{SEMITONES_ASKED * heard:+.2f}st"


def _resampled(samples: np.ndarray, rate: int, warp: float) -> np.ndarray:
    """To `SAMPLE_RATE` with all frequencies times `warp`, without the silence around."""
    sounding = np.flatnonzero(np.abs(samples) > 60)
    trimmed = samples[sounding[0] : sounding[-1] + 1] / 32768
    source = round(rate * warp / 50) * 50
    divisor = int(np.gcd(source, SAMPLE_RATE))
    return signal.resample_poly(trimmed, SAMPLE_RATE // divisor, source // divisor)


def _tremble(waveform: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Modulate pitch (4 % at depth 1) and amplitude at 5 to 6.5 Hz, and perturb every period."""
    time = np.arange(len(waveform)) / SAMPLE_RATE
    rate, phase = rng.uniform(5, 6.5), rng.uniform(0, 2 * np.pi)
    swing = 2 * np.pi * rate * time + phase
    smooth = signal.butter(1, JITTER_HZ, fs=SAMPLE_RATE, output="sos")
    timing, strength = signal.sosfilt(smooth, rng.standard_normal((2, len(waveform))))
    shift = 0.04 / (2 * np.pi * rate) * np.sin(swing) + 1e-4 * timing / timing.std()
    bent = np.interp(time + depth * shift, time, waveform)
    gain = 0.25 * np.cos(swing) + 0.15 * strength / strength.std()
    return bent * np.clip(1 + depth * gain, 0.1, None)


def _tilted(waveform: np.ndarray, gain_db: float) -> np.ndarray:
    """Raise what lies above 1 kHz by `gain_db`, with an octave of slope."""
    octaves = np.log2(np.maximum(fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE), 1) / 1000)
    gain = 10 ** (gain_db / 20 / (1 + np.exp(-4 * octaves)))
    return fft.irfft(fft.rfft(waveform) * gain, len(waveform))


def _room(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit power whose spectrum falls by 6 to 12 dB an octave above 60 Hz."""
    spectrum = fft.rfft(rng.standard_normal(n_samples))
    frequency = np.maximum(fft.rfftfreq(n_samples, 1 / SAMPLE_RATE), 60)
    noise = fft.irfft(spectrum * frequency ** -rng.uniform(1, 2), n_samples)
    return noise / np.sqrt(np.mean(noise**2))
