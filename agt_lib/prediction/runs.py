"""The bundle of a notebook's run."""

import numpy as np

from agt_lib.evaluation.calibration import fit_temperature
from agt_lib.fusion import AGT, BASELINE, UNIMODAL, CrossValidated, features_name
from agt_lib.fusion.rows import AGT_BY_FOLD
from agt_lib.fusion.runs import RunData
from agt_lib.prediction.bundle import Bundle
from agt_lib.workspace.run import Run


def bundle_of(run: Run, given: RunData, result: CrossValidated) -> Bundle:
    """The bundle of notebook 04's run on raw features: AGT, the baseline, each modality alone.

    `given` is the run's data, from encoders and not from MERTools, and `result` its models.
    """
    data, everything = given.data, features_name(given.data.modalities)
    rows = {name: (everything, name) for name in (AGT, AGT_BY_FOLD, BASELINE)}
    rows |= {m: (features_name((m,)), UNIMODAL) for m in data.modalities}
    judged = result.out_of_fold.known(data.truth).averaged()
    temperatures = {
        name: fit_temperature(judged.numbers(data.truth), judged[rows[name]])
        for name in (AGT, AGT_BY_FOLD)
        if rows[name] in result.final
    }
    shares = np.bincount(data.labels, minlength=len(data.label_set)) / len(data.labels)
    return Bundle(
        corpus=run.caption,
        labels=data.label_set,
        encoders={m: run.encoders[m] for m in data.modalities},
        options={m: run.encoder_options(m) | _precision(run, m) for m in data.modalities},
        fingerprints={m: given.features[m].fingerprint for m in data.modalities},
        models={name: result.final[row] for name, row in rows.items() if row in result.final},
        shares=dict(zip(data.label_set, shares.tolist(), strict=True)),
        temperatures=temperatures,
        by_speaker=given.by_speaker,
        components=given.components,
    )


def _precision(run: Run, modality: str) -> dict[str, str]:
    """The precision that an encoder ran in, if it says: elsewhere "auto" may be another."""
    found = run.facts.get("features", {}).get(modality, {}).get("precision")
    return {"precision": found} if found else {}
