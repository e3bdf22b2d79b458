"""IEMOCAP as downloaded (Busso et al. 2008): four classes, sessions as folds, sound and words.

```
Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
Session1/dialog/EmoEvaluation/Ses01F_impro01.txt    [6.29 - 8.23] Ses01F_impro01_F000 neu [2.5, 2]
Session1/dialog/transcriptions/Ses01F_impro01.txt   Ses01F_impro01_F000 [006.29-008.23]: Excuse me.
```

As in most work, excitement counts as happiness, and all other labels are left out. The videos show
two people in a dialogue: they are not read.
"""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, build

LABELS = ("neutral", "angry", "happy", "sad")
BECOMES = {"neu": "neutral", "ang": "angry", "hap": "happy", "exc": "happy", "sad": "sad"}
LABEL = re.compile(r"^\[[^\]]*\]\s+(\S+)\s+(\w+)\s+\[", re.MULTILINE)
WORDS = re.compile(r"^(Ses\S+) \[[^\]]*\]:[ \t]*(.*)$", re.MULTILINE)


def load(root: str | Path) -> Corpus:
    """Read IEMOCAP from `root`, the folder that holds Session1 to Session5.

    Each session is a fold: its two actors are in no other. Raises CorpusError with all that is
    missing.
    """
    root = Path(root).absolute()
    source = f"IEMOCAP at {root}"
    sessions = [path for path in sorted(root.glob("Session[1-5]")) if path.is_dir()]
    problems, rows, out = [], [], {}
    if len(sessions) < 2:
        problems.append(Problem(str(root), "folder", "expected the folders Session1 to Session5"))
    for session in sessions:
        files = sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt"))
        if not files:
            where = f"{session.name}/dialog/EmoEvaluation"
            problems.append(Problem(where, "folder", "missing; expected Ses*.txt with labels"))
        for file in files:
            spoken = session / "dialog" / "transcriptions" / file.name
            words = dict(WORDS.findall(_read(spoken))) if spoken.is_file() else {}
            for name, label in LABEL.findall(_read(file)):
                if label not in BECOMES:
                    out[label] = out.get(label, 0) + 1
                    continue
                sound = session / "sentences" / "wav" / file.stem / f"{name}.wav"
                rows.append(
                    {
                        "name": name,
                        "split": "train",
                        "emotion": BECOMES[label],
                        "speaker": name[:5] + name.rpartition("_")[2][0],
                        "audio": str(sound),
                        "text": words.get(name),
                        "fold": int(session.name[-1]) - 1,
                        "where": f"{session.name} {file.name}",
                    }
                )
    if problems or not rows:
        problems = problems or [Problem(str(root), "files", "no utterance of the four classes")]
        raise CorpusError(source, problems)
    table = pd.DataFrame(rows)
    notes = [f"{n} utterances labelled {label} are left out" for label, n in sorted(out.items())]
    corpus = build(
        "iemocap", table, source=source, where=table["where"], labels=LABELS, notes=notes
    )
    folds = pd.factorize(table["fold"], sort=True)[0]
    return replace(corpus, folds=pd.Series(folds, index=corpus.clips.index, name="fold"))


def recognises(root: Path) -> bool:
    """Whether `root` holds IEMOCAP's sessions."""
    return (root / "Session1" / "dialog" / "EmoEvaluation").is_dir()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
