"""The raw features of a notebook's run, and a table that says what they are."""

from collections.abc import Mapping, Sequence

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.features import encoders, mertools
from agt_lib.features.extract import extract
from agt_lib.features.features import Features
from agt_lib.features.store import extraction_record
from agt_lib.workspace.run import Run


def of_run(run: Run, corpus: Corpus, splits: Sequence[str] | None = None) -> dict[str, Features]:
    """The features of each modality of `run`: from the store, or extracted into it; told to `run`.

    Of the clips of `splits`, all by default. Of the corpus "mertools" they are read from the
    folders that the run names. Raises what `extract` and `mertools.read_features` raise.
    """
    if run.source == "mertools":
        names = corpus.clips.index
        found = {
            m: mertools.read_features(run.root, folder, m, names)
            for m, folder in run.encoders.items()
        }
    else:
        options = {"splits": splits, "max_failures": run.max_failures}
        found = {
            m: extract(corpus, encoders.build(spec), **options) for m, spec in run.encoders.items()
        }
    about = {
        m: {"fingerprint": part.fingerprint, "present": int(part.present.sum())}
        for m, part in found.items()
    }
    run.tell("features", about)
    return found


def summary(features: Mapping[str, Features], encoders: Mapping[str, str]) -> pd.DataFrame:
    """One row a modality: its encoder, width, clips present and absent, clips a second."""
    rows = []
    for modality, part in features.items():
        record = extraction_record(part) or {}
        row = {
            "encoder": encoders[modality],
            "width": part.dim,
            "present": int(part.present.sum()),
            "absent": int((~part.present).sum()),
            "clips/s": record.get("clips_per_second"),
        }
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(features, name="modality"))
