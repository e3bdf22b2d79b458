"""Which clips of a pool become pseudo-labelled (section 2.3), from tables of predictions.

M models, N clips, C classes. A prediction table is indexed by clip name and has one probability
column per label.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agt_lib.pseudo.config import PseudoConfig

TOLERANCE = 1e-3


def select(
    tables: Mapping[str, pd.DataFrame],
    config: PseudoConfig,
    may_join: np.ndarray | None = None,
) -> pd.DataFrame:
    """The clips on which all models agree, each surer than the threshold, in the pool's order.

    `tables` are the models' predictions; `may_join` (N,) bool says which clips can be selected (all
    by default). Columns name, label, confidence (that of the least sure model) and, by label, the
    mean of the models' probabilities. Calibration is the caller's. Raises ValueError where the
    tables do not fit together (see `stacked`) or the prior of `align_to` has other labels.
    """
    names, labels, probabilities = stacked(tables)
    may_join = np.ones(len(names), bool) if may_join is None else may_join
    if config.align_to is not None and may_join.any():
        prior = _prior(config.align_to, labels)
        probabilities = np.stack([aligned(p, prior, may_join) for p in probabilities])
    agree, chosen, confidence = agreement(probabilities)
    kept = np.flatnonzero(agree & (confidence > config.threshold) & may_join)
    if config.quota is not None:
        kept = _within(kept, chosen, confidence, config.quota)
    found = pd.DataFrame(
        {"name": names[kept], "label": np.array(labels, dtype=object)[chosen[kept]]}
    )
    found["confidence"] = confidence[kept]
    return found.join(pd.DataFrame(probabilities.mean(0)[kept], columns=list(labels)))


def agreement(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of (M, N, C): whether all agree (N,), the first's choice (N,), the least confidence (N,)."""
    choices = probabilities.argmax(-1)  # (M, N)
    return (choices == choices[0]).all(0), choices[0], probabilities.max(-1).min(0)


def aligned(probabilities: np.ndarray, prior: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Probabilities (N, C) weighed by `prior` (C,) over their own mean on `rows` (N,) bool.

    Raises ValueError where that mean is zero for a class: no weight brings it back.
    """
    mean = probabilities[rows].mean(0)
    if not (mean > 0).all():
        raise ValueError(
            f"class number {int(mean.argmin())} is given no probability on any clip of the pool, "
            "so no prior can be aligned to: leave align_to out, or train the model longer"
        )
    weighed = probabilities * (prior / mean)
    return weighed / weighed.sum(-1, keepdims=True)


def stacked(
    tables: Mapping[str, pd.DataFrame],
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """The tables' clip names (N,), labels and probabilities (M, N, C).

    Raises ValueError for no table, for models that disagree on names or on the order of labels, for
    repeated names, and for a row that is no distribution (NaN, negative, or another sum than 1).
    """
    if not tables:
        raise ValueError("no predictions: give at least one model's table")
    first, reference = next(iter(tables.items()))
    labels = tuple(map(str, reference.columns))
    for model, table in tables.items():
        if tuple(map(str, table.columns)) != labels:
            raise ValueError(
                f"predictions of {model!r} have the columns {', '.join(map(str, table.columns))}; "
                f"those of {first!r} {', '.join(labels)}: bring the labels into one order"
            )
        _check_names(model, table.index, first, reference.index)
        _check_rows(model, table)
    probabilities = np.stack([table.to_numpy(np.float64) for table in tables.values()])
    return reference.index.to_numpy(dtype=object), labels, probabilities


def _check_names(model: str, names: pd.Index, first: str, expected: pd.Index) -> None:
    if not names.is_unique:
        repeated = names[names.duplicated()][0]
        raise ValueError(f"predictions of {model!r}: clip {repeated!r} stands there more than once")
    if names.equals(expected):
        return
    missing, more = expected.difference(names), names.difference(expected)
    if len(missing) or len(more):
        example = [*missing[:1], *more[:1]][0]
        raise ValueError(
            f"predictions of {model!r} lack {len(missing)} clips that {first!r} has and have "
            f"{len(more)} others, for one {example!r}: predict the same clips with all models"
        )
    raise ValueError(
        f"predictions of {model!r} list the clips of {first!r} in another order: reindex one "
        "table by the other's names"
    )


def _check_rows(model: str, table: pd.DataFrame) -> None:
    values = table.to_numpy(np.float64)
    bad = ~np.isfinite(values).all(1) | (values < 0).any(1)
    bad |= np.abs(np.nan_to_num(values).sum(1) - 1) > TOLERANCE
    if bad.any():
        place = int(bad.argmax())
        raise ValueError(
            f"predictions of {model!r}: {int(bad.sum())} of {len(table)} rows are no "
            f"probabilities that sum to 1, first clip {table.index[place]!r} (row {place + 2}): "
            f"{values[place].round(4).tolist()}. Predict these clips again or leave them out."
        )


def _prior(align_to: Mapping[str, float], labels: Sequence[str]) -> np.ndarray:
    if set(align_to) != set(labels):
        raise ValueError(
            f"align_to names {', '.join(align_to)}; the labels are {', '.join(labels)}"
        )
    return np.array([align_to[label] for label in labels])


def _within(kept: np.ndarray, chosen: np.ndarray, confidence: np.ndarray, quota: int) -> np.ndarray:
    """Of the rows `kept`, the `quota` surest of each class, in the pool's order."""
    surest = kept[np.argsort(-confidence[kept], kind="stable")]
    rank = pd.Series(chosen[surest]).groupby(chosen[surest]).cumcount().to_numpy()
    return np.sort(surest[rank < quota])
