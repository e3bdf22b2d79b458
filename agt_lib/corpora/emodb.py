"""EmoDB as downloaded (Burkhardt et al. 2005): `03a01Fa`, speaker, sentence, emotion, take."""

import re

from agt_lib.corpora.named_files import Naming

EMOTIONS = {
    "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness",
    "N": "neutral",
}  # fmt: skip
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def _read(match: re.Match) -> dict[str, str]:
    speaker, sentence, emotion, _ = match.groups()
    return {"emotion": EMOTIONS[emotion], "speaker": speaker, "text": SENTENCES[sentence]}


NAMING = Naming(
    corpus="emodb",
    pattern=re.compile(rf"(\d\d)({'|'.join(SENTENCES)})([WLEAFTN])([a-z])"),
    own=tuple(EMOTIONS.values()),
    to_six={
        "anger": "angry", "fear": "worried", "happiness": "happy", "neutral": "neutral",
        "sadness": "sad",
    },
    read=_read,
)  # fmt: skip
load, recognises = NAMING.load, NAMING.recognises
