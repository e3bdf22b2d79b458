"""What the gate of AGT did, held against the truth where it is known.

Letters: N clips, n tokens.
"""

from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import fold_numbers
from agt_lib.evaluation.scores import detection_auc, precision_recall
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData


def gate_against_truth(
    result: CrossValidated, model: Hashable, data: FusionData, deviating: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """How well AMF's gate finds the modality that shows another emotion than the label.

    `model` is an AGT of `result`; `deviating` maps each modality to (N,) bool. Gates are of the
    fold models on the clips that they were not trained on, pooled over seeds. Columns modality,
    precision, recall, share (of tokens that deviate: a guess' precision), found, wanted, auc (of
    low similarity as a detector).
    """
    numbers = fold_numbers(data.names, result.folds)
    tokens: list[pd.DataFrame] = []
    for models in result.models[model]:
        for fold, fitted in enumerate(models):
            rows = np.flatnonzero(numbers == fold)
            gate = fitted.gate(data.rows(rows))
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
        | precision_recall(part["gated"].to_numpy(), part["deviates"].to_numpy())
        | {"auc": detection_auc(part["deviates"], -part["similarity"])}
        for name, part in parts.items()
    )


def opinions(result: CrossValidated, model: Hashable, data: FusionData) -> pd.DataFrame:
    """What each present modality of held-out clips says by itself, by models of the first seed.

    `model` is an AGT of `result` with the gate `agreement`. Columns name, label, modality, opinion
    (its label), agreement (the largest with another), kept.
    """
    numbers, parts = fold_numbers(data.names, result.folds), []
    labels, names = np.array(data.label_set, dtype=object), np.array(data.names, dtype=object)
    for fold, fitted in enumerate(result.models[model][0]):
        rows = np.flatnonzero(numbers == fold)
        gate = fitted.gate(data.rows(rows))
        clip, token = np.nonzero(gate.valid.numpy())
        said = gate.opinions.argmax(-1).numpy()[clip, token]
        lines = {
            "name": names[rows[clip]],
            "label": labels[data.labels[rows[clip]]],
            "modality": np.array(gate.tokens, dtype=object)[token],
            "opinion": labels[said],
            "agreement": gate.similarity.numpy()[clip, token],
            "kept": gate.kept.numpy()[clip, token],
        }
        parts.append(pd.DataFrame(lines))
    return pd.concat(parts, ignore_index=True)
