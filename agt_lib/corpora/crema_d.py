"""CREMA-D as downloaded (Cao et al. 2014): `1001_DFA_ANG_XX`, actor, sentence, emotion, intensity.

A clip's video and sound files of the same name are one clip.
"""

import re

from agt_lib.corpora.named_files import Naming

EMOTIONS = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad",
}  # fmt: skip
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


def _read(match: re.Match) -> dict[str, str]:
    actor, sentence, emotion = match.groups()
    return {"emotion": EMOTIONS[emotion], "speaker": actor, "text": SENTENCES[sentence]}


NAMING = Naming(
    corpus="crema_d",
    pattern=re.compile(rf"(\d{{4}})_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_(?:LO|MD|HI|XX|X)"),
    own=tuple(EMOTIONS.values()),
    to_six={
        "anger": "angry", "fear": "worried", "happy": "happy", "neutral": "neutral", "sad": "sad",
    },
    read=_read,
)  # fmt: skip
load, recognises = NAMING.load, NAMING.recognises
