"""How optimistic AGT's fixed configuration is: on each corpus beside one chosen without it.

    python benchmarks/chosen_without.py PATH_TO/features.npz FOLDER_OF_EMODB [--seeds 3]

The fixed configuration was found on these corpora, so its scores on them are optimistic. Here each
of six settings runs on every corpus, with features scaled by fold and by speaker. For each corpus
the setting with the best mean over the rows of the other corpora is taken, and its score there
stands beside the fixed one's. Where the fixed one's is higher by more than a point it is marked.
WAF in per cent out of fold by speaker, the mean of the scores of the seeds.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import emodb
import pandas as pd
import ravdess

from agt_lib import corpora, fusion, workspace
from agt_lib.evaluation import tables
from agt_lib.fusion.data import FusionData

OPTIMISTIC = 1.0
AUTO = dict.fromkeys(("audio", "video", "text"), "auto")


def settings(fixed: fusion.FusionConfig) -> dict[str, fusion.FusionConfig]:
    """What is tried beside the `fixed` configuration, which says its decay and its epochs."""
    decay = fixed.weight_decay / 5
    return {
        "fixed": fixed,
        "decay / 5": replace(fixed, weight_decay=decay, path_decay=decay),
        "epochs / 2": replace(fixed, epochs=fixed.epochs // 2),
        "epochs x 2": replace(fixed, epochs=fixed.epochs * 2),
        "rate / 3": replace(fixed, learning_rate=fixed.learning_rate / 3),
        "no linear path": fixed.with_network(linear_path=False),
    }


def rows(features: str, recordings: Path) -> dict[tuple[str, str], tuple[FusionData, pd.Series]]:
    """Clips and folds by corpus and kind of features."""
    found = {}
    for audio in ("whisper", "egemaps"):
        (data,) = fusion.with_speakers(ravdess.read(features, audio))
        folds = ravdess.by_speaker(data, ravdess.N_FOLDS)
        found["RAVDESS", f"{audio} + action units"] = data, folds
    (data,) = fusion.with_speakers(emodb.read(recordings))
    found["EmoDB", "eGeMAPS"] = data, ravdess.by_speaker(data, emodb.N_FOLDS)
    run = workspace.start("04_train_agt", AUTO)
    given = fusion.of_run(run, corpora.of_run(run))
    found["rendered (synthetic)", "A+V+T"] = given.data, given.folds
    return found


def wafs(data: FusionData, folds: pd.Series, scale: str, n_seeds: int) -> pd.Series:
    """WAF of AGT by setting."""
    n_folds = int(folds.max()) + 1
    n_train = len(data.names) * (n_folds - 1) // n_folds
    fixed = fusion.FusionConfig.default("agt", data.modalities, scale=scale).settled(n_train)
    result = fusion.fit_folds(data, folds, settings(fixed), range(n_seeds))
    return tables.scores(result.out_of_fold, data.truth, data.speakers).set_index("model")["waf"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="path of features.npz, as for benchmarks/ravdess.py")
    parser.add_argument("recordings", type=Path, help="as for benchmarks/emodb.py")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    given = rows(options.features, options.recordings)
    table = pd.DataFrame(
        {
            (*row, scale): wafs(*clips, scale, options.seeds)
            for row, clips in given.items()
            for scale in ("fold", "speaker")
        }
    ).T.rename_axis(["corpus", "features", "scale"])
    print(table.round(1).to_string())
    of_corpus = table.groupby("corpus").mean()  # a corpus counts once, whatever its rows
    lines = []
    for (corpus, features, scale), own in table.iterrows():
        chosen = of_corpus.drop(corpus).mean().idxmax()
        more = own["fixed"] - own[chosen]
        said = "optimistic" if more > OPTIMISTIC else ""
        lines.append((corpus, features, scale, own["fixed"], chosen, own[chosen], said))
    columns = ["corpus", "features", "scale", "fixed", "chosen without it", "waf", ""]
    print(pd.DataFrame(lines, columns=columns).round(1).to_string(index=False))


if __name__ == "__main__":
    main()
