"""What the gate of AGT is worth on real clips with three modalities; prints two tables.

    python benchmarks/gate.py PATH_TO/features.npz [--seeds 3]

The file is that of `benchmarks/ravdess.py`; eGeMAPS, Whisper and action units are the three
modalities (Whisper's in the place of the words). AGT with the default gate, without a gate and with
the gate `agreement`: WAF out of fold by actor against no gate, paired; and what each loses where a
fifth of the held-out clips have one modality of a clip with another label (`fusion.stress`).
"""

import argparse
from dataclasses import replace

import numpy as np
from ravdess import N_FOLDS, by_speaker, read

from agt_lib import fusion
from agt_lib.evaluation import tables
from agt_lib.fusion.data import FusionData


def three(path: str) -> FusionData:
    """The clips of `path` with three modalities."""
    data, whisper = read(path, "egemaps"), read(path, "whisper")
    return replace(
        data,
        features=data.features | {"text": whisper.features["audio"]},
        fingerprints=data.fingerprints | {"text": whisper.fingerprints["audio"]},
        present=np.ones((len(data.names), 3), bool),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="path of features.npz")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    (data,) = fusion.with_speakers(three(options.features))
    folds = by_speaker(data, N_FOLDS)
    agt = fusion.FusionConfig.default("agt", data.modalities, scale="speaker")
    gates = {
        fusion.AGT: agt,
        "no gate": agt.with_network(gate="none"),
        "agreement": fusion.with_agreement(data, folds, agt),
    }
    result = fusion.fit_folds(data, folds, gates, range(options.seeds))
    minus = tables.differences(result.out_of_fold, data.truth, "no gate", data.speakers)
    print(minus.round(1).to_string(index=False))
    print(fusion.stress(result, data, "no gate").round(1).to_string(index=False))


if __name__ == "__main__":
    main()
