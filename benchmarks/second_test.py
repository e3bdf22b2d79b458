"""AGT against its rivals on the rendered test clips and on a second rendered test set; one table.

    python benchmarks/second_test.py [--seeds 3]

The second set has 1169 more clips, of other speakers than all other clips (synthetic: no evidence
about people). All modalities together, scaled as notebook 04 scales. Paired differences, points of
WAF, with intervals over speakers: on the test clips, on the second set, and on both together.
"""

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib import corpora, features, fusion, workspace
from agt_lib.evaluation import tables
from agt_lib.features.extraction import extract
from agt_lib.fusion.data import FusionData

AUTO = dict.fromkeys(("audio", "video", "text"), "auto")


def together(a: FusionData, b: FusionData) -> FusionData:
    """The clips of both."""
    return replace(
        a,
        names=a.names + b.names,
        features={m: np.concatenate([x, b.features[m]]) for m, x in a.features.items()},
        present=np.concatenate([a.present, b.present]),
        labels=np.concatenate([a.labels, b.labels]),
        groups=np.concatenate([a.groups, b.groups]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    run = workspace.start("04_train_agt", AUTO)
    clips, other = corpora.of_run(run), corpora.load(run.source, second_test=True)
    given = fusion.of_run(run, clips)
    found = {m: extract(other, features.build(run.encoders[m])) for m in given.data.modalities}
    second = fusion.from_corpus(other, found, ("test",))
    data, _, test, second = fusion.with_speakers(given.data, given.pool, given.test, second)
    everything = fusion.features_name(data.modalities)
    configs = fusion.configurations(data.modalities, scale=given.scale)
    models = (fusion.AGT, fusion.BASELINE, fusion.EQUATION)
    configs = {row: config for row, config in configs.items() if row[1] in models}
    configs = {row: config for row, config in configs.items() if row[0] == everything}
    both = together(test, second)
    result = fusion.fit_folds(data, given.folds, configs, range(options.seeds), test=both)
    result |= fusion.references(data, given.folds, both, scale=given.scale)
    answers, parts = pd.concat([clips.answers, other.answers]), []
    agt = (everything, fusion.AGT)
    pairs = [(agt, row) for row in result.test.probabilities if row[0] == everything and row != agt]
    for name, part in {"test": test, "second": second, "both": both}.items():
        truth = answers.reindex(list(part.names)).dropna()
        lines = tables.differences(result.test, truth, pairs, both.speakers)
        parts.append(lines.assign(set=name, clips=len(truth)))
    shown = ["set", "clips", "against", "difference", "difference_low", "difference_high"]
    print(pd.concat(parts)[shown].round(1).to_string(index=False))


if __name__ == "__main__":
    main()
