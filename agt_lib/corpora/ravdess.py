"""RAVDESS as downloaded (Livingstone & Russo 2018): names carry the labels, actors are speakers.

`02-01-06-01-02-01-12.mp4`: modality (01 sound and picture, 02 picture, 03 sound), channel (01
speech, 02 song), emotion, intensity, statement, repetition, actor. Speech alone is read. An
utterance's files of several modalities are one clip. Calm and disgust are out unless asked for.
"""

import re

from agt_lib.corpora.named_files import Naming
from agt_lib.corpora.own_labels import SIX

OWN = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}


def _read(match: re.Match) -> dict[str, str] | None:
    _, channel, emotion, _, statement, _, actor = match.groups()
    if channel != "01":
        return None
    return {
        "utterance": match.string[3:],
        "emotion": OWN[int(emotion) - 1],
        "speaker": f"actor {actor}",
        "text": STATEMENTS[statement],
    }


NAMING = Naming(
    corpus="ravdess",
    pattern=re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)"),
    own=OWN,
    to_six={
        "neutral": "neutral", "happy": "happy", "sad": "sad", "angry": "angry",
        "fearful": "worried", "surprised": "surprise",
    },
    read=_read,
    default=SIX,
)  # fmt: skip
load, recognises = NAMING.load, NAMING.recognises
