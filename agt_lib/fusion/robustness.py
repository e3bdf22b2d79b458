"""What fitted fusion models do when a modality is missing, noisy or misleading.

S seeds, N clips, C classes.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from agt_lib.evaluation import scores as measures
from agt_lib.evaluation import tables
from agt_lib.fusion.crossval import CrossValidated, out_of_fold
from agt_lib.fusion.data import FusionData

NOISE = (0.5, 1.0, 2.0, 4.0)
N_BOOTSTRAP = 500


def scores(results: Mapping[str, CrossValidated], data: FusionData, seed: int = 0) -> pd.DataFrame:
    """Out-of-fold WAF of fitted models as modalities are taken away or drowned in noise.

    Columns model, modality, condition ("noise", "absent", "alone"), noise (in standard deviations
    of each feature), waf, waf_low, waf_high, in per cent. Nothing is fitted again. A
    condition that leaves no clip with anything has no line.
    """
    conditions = []
    for m in data.modalities:
        conditions.append((m, "noise", 0.0, data))
        conditions += [(m, "noise", sd, data.with_noise(m, sd, seed)) for sd in NOISE]
        conditions.append((m, "absent", np.nan, data.without(m)))
        others = [other for other in data.modalities if other != m]
        conditions.append((m, "alone", np.nan, data.without(*others)))
    lines = []
    for model, result in results.items():
        for modality, condition, noise, changed in conditions:
            if not changed.present[result.folds >= 0].any():
                continue
            score = _score(result, changed)
            line = {"model": model, "modality": modality, "condition": condition, "noise": noise}
            lines.append(line | {c: score[c] for c in ("waf", "waf_low", "waf_high", "clips")})
    return pd.DataFrame(lines)


def _score(result: CrossValidated, changed: FusionData) -> dict:
    """The out-of-fold score of `result`'s models on `changed`, over clips with something left."""
    rows = (result.folds >= 0) & changed.present.any(1)
    again = np.stack([out_of_fold(changed, result.folds, fitted) for fitted in result.models])
    groups = None if changed.groups is None else changed.groups[rows]
    sample = measures.Sample.of(changed.labels[rows], groups, n_bootstrap=N_BOOTSTRAP)
    return tables.score_line(sample, measures.votes(again[:, rows]))


def gate_against_truth(
    result: CrossValidated, data: FusionData, deviating: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """How well AMF's gate finds the modality that shows another emotion than the label.

    `deviating` maps each modality to (N,) bool. Gates are of the fold models on the clips they
    never saw, pooled over seeds. Columns modality, precision, recall, share (of tokens that
    deviate: a guess' precision), found, wanted, auc (of low similarity as a detector).
    """
    tokens: list[pd.DataFrame] = []
    for models in result.models:
        for fold, model in enumerate(models):
            rows = np.flatnonzero(result.folds == fold)
            gate = model.gate(data.rows(rows))
            for k, modality in enumerate(gate.tokens):
                token = {
                    "modality": modality,
                    "valid": gate.valid[:, k].numpy(),
                    "gated": ~gate.kept[:, k].numpy(),
                    "similarity": gate.similarity[:, k].numpy(),
                    "deviates": deviating[modality][rows],
                }
                tokens.append(pd.DataFrame(token))
    seen = pd.concat(tokens, ignore_index=True).query("valid")
    parts = {"all": seen} | dict(list(seen.groupby("modality", sort=False)))
    return pd.DataFrame(
        {"modality": name}
        | measures.precision_recall(part["gated"].to_numpy(), part["deviates"].to_numpy())
        | {"auc": measures.detection_auc(part["deviates"], -part["similarity"])}
        for name, part in parts.items()
    )
