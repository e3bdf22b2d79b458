"""The voice alone on EmoDB, all of its seven emotions, out of fold by speaker; prints one table.

    python benchmarks/emodb.py FOLDER [--seeds 3] [--search]

The folder holds the 535 recordings under their own names (`03a01Fa.wav`, or `.flac`). Features are
openSMILE's eGeMAPS functionals; five folds by speaker. What is printed is described in
`benchmarks/ravdess.py`.
"""

import argparse
from pathlib import Path

import numpy as np
from ravdess import by_speaker, report

import agt_lib
from agt_lib import fusion
from agt_lib.corpora.labels import to_numbers
from agt_lib.features.features import Features
from agt_lib.fusion.data import FusionData, assemble

EMOTIONS = {
    "W": "angry", "L": "bored", "E": "disgusted", "A": "fearful", "F": "happy", "T": "sad",
    "N": "neutral",
}  # fmt: skip
N_FOLDS = 5


def read(folder: Path) -> FusionData:
    """The recordings in `folder`: letters 1 and 2 of a name are the speaker, 6 the emotion."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".wav", ".flac"))
    names = tuple(path.stem for path in paths)
    values = agt_lib.encode([str(path) for path in paths], "opensmile")
    audio = Features("audio", names, values, np.ones(len(names), bool), "opensmile")
    labels = to_numbers([EMOTIONS[name[5]] for name in names], tuple(EMOTIONS.values()))
    speakers = np.array([name[:2] for name in names], object)
    return assemble(
        names, {"audio": audio}, label_set=tuple(EMOTIONS.values()), labels=labels, groups=speakers
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the recordings")
    parser.add_argument("--search", action="store_true", help="choose configurations inside")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--reduce", type=int, default=0, help="principal components")
    parser.add_argument("--csv", type=Path, help="where AGT's differences go")
    options = parser.parse_args()
    data = read(options.folder)
    print(f"{len(data.names)} recordings of {len(set(data.groups))} speakers")
    models = (fusion.AGT, fusion.EQUATION, fusion.BASELINE, fusion.BASELINE_PATH, fusion.UNIMODAL)
    found = report(
        data,
        by_speaker(data, N_FOLDS),
        range(options.seeds),
        models=models,
        search=options.search,
        reduce=options.reduce,
    )
    if options.csv:
        found.assign(corpus="EmoDB, eGeMAPS").to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
