"""What several models predict for the same clips. S seeds, N clips, C classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from agt_lib.fusion.crossval import CrossValidated

VOICE, BASELINE, AGT = "voice", "baseline", "AGT"
MODELS = (VOICE, BASELINE, AGT)
"""The three that vote: HuBERT alone, the baseline's fusion, AGT (section 2.3)."""

TOLERANCE = 1e-3
"""How far from 1 a clip's probabilities may add up: tables are saved with few digits."""
SHOWN = 5


@dataclass(frozen=True)
class Predictions:
    """Probabilities (S, N, C) of each model for the clips `names`, in the order of `label_set`.

    `seen` (N,) bool by model says which clips had any of the modalities that the model reads; a
    model without an entry saw all. What it says of the others is the same for each: no vote.
    Raises ValueError naming the model and the first clip where shapes disagree, a probability is
    NaN or outside 0..1, or a clip's do not add up to 1.
    """

    names: tuple[str, ...]
    label_set: tuple[str, ...]
    probabilities: dict[str, np.ndarray]
    seen: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.label_set))
        seeds = {len(p) for p in self.probabilities.values()}
        if not self.probabilities or not self.names:
            raise ValueError("predictions need at least one model and one clip")
        for model, given in self.probabilities.items():
            if given.ndim != 3 or given.shape[1:] != shape or len(seeds) > 1:
                shapes = {m: p.shape for m, p in self.probabilities.items()}
                raise ValueError(
                    f"predictions of {shape[0]} clips and {shape[1]} labels by the same number of "
                    f"seeds are (seeds, clips, labels); got {shapes}"
                )
            wrong = ~np.isfinite(given).all(-1)
            self._refuse(wrong, model, "NaN or infinity: predict it again or leave the clip out")
            wrong = (given < 0).any(-1) | (np.abs(given.sum(-1) - 1) > TOLERANCE)
            self._refuse(wrong, model, "numbers that are no probabilities adding up to 1")

    def _refuse(self, wrong: np.ndarray, model: str, what: str) -> None:
        if wrong.any():
            seed, clip = np.argwhere(wrong)[0]
            raise ValueError(
                f"predictions of {model!r} hold {what}; {wrong.any(0).sum()} clips, the first is "
                f"{self.names[clip]!r} (seed number {seed})"
            )

    @classmethod
    def from_tables(cls, tables: Mapping[str, Sequence[pd.DataFrame]]) -> "Predictions":
        """From each model's prediction tables, one a seed, in the clip order of the first.

        Raises ValueError where tables do not name the same clips or the same labels in the same
        order.
        """
        flat = [(model, table) for model, parts in tables.items() for table in parts]
        if not flat:
            raise ValueError("predictions need at least one model and one table")
        first_model, first = flat[0]
        for model, table in flat:
            _check_labels(first_model, first.columns, model, table.columns)
            _check_names(first_model, first.index, model, table.index)
        stacks = {
            model: np.stack([table.loc[first.index].to_numpy(float) for table in parts])
            for model, parts in tables.items()
        }
        return cls(tuple(first.index), tuple(first.columns), stacks)

    @classmethod
    def from_results(
        cls, results: Mapping[str, CrossValidated], *, held_out: bool = False
    ) -> "Predictions":
        """The pool's predictions of cross-validated models; with `held_out` the out-of-fold ones.

        Raises ValueError as `from_tables` does, or where the results have other seeds.
        """
        if len({result.seeds for result in results.values()}) > 1:
            seeds = {model: result.seeds for model, result in results.items()}
            raise ValueError(f"models vote seed by seed, so they need the same seeds; got {seeds}")
        return cls.from_tables(
            {
                model: [
                    result.out_of_fold_table(seed) if held_out else result.test_table(seed)
                    for seed in result.seeds
                ]
                for model, result in results.items()
            }
        )

    @property
    def n_seeds(self) -> int:
        """S."""
        return len(next(iter(self.probabilities.values())))

    def select(self, names: Sequence[str]) -> "Predictions":
        """The clips `names`, in that order. Raises ValueError listing those without predictions."""
        places = pd.Index(self.names).get_indexer(list(names))
        if (places < 0).any():
            unknown = [name for name, place in zip(names, places, strict=True) if place < 0]
            raise ValueError(f"no predictions for {_listed(unknown)}")
        chosen = {model: p[:, places] for model, p in self.probabilities.items()}
        seen = {model: rows[places] for model, rows in self.seen.items()}
        return replace(self, names=tuple(names), probabilities=chosen, seen=seen)

    def averaged(self) -> "Predictions":
        """The mean over seeds, as one seed: what a single submission is made from."""
        means = {model: p.mean(0, keepdims=True) for model, p in self.probabilities.items()}
        return replace(self, probabilities=means)

    def seeing(self, table: pd.DataFrame) -> "Predictions":
        """The same, with `seen` from a bool table: a row a clip name, a column a model.

        Raises ValueError for clips that have no row in it.
        """
        if missing := [name for name in self.names if name not in table.index]:
            raise ValueError(f"not said which models see {_listed(missing)}")
        rows = table.loc[list(self.names)]
        models = [model for model in self.probabilities if model in table]
        return replace(self, seen={model: rows[model].to_numpy(bool) for model in models})

    def sees(self, model: str) -> np.ndarray:
        """Which clips `model` saw, (N,) bool."""
        return self.seen.get(model, np.ones(len(self.names), bool))

    def chosen(self, model: str) -> np.ndarray:
        """The likeliest label of each clip as its number, (S, N). ValueError for no such model."""
        if model not in self.probabilities:
            there = ", ".join(self.probabilities)
            raise ValueError(f"no predictions of {model!r}; there are those of {there}")
        return self.probabilities[model].argmax(-1)

    def numbers(self, labels: pd.Series) -> np.ndarray:
        """True `labels` (by clip name) of these clips as numbers, (N,).

        Raises ValueError for clips without one and for labels that are not in the label set.
        """
        found = labels.reindex(list(self.names)).map(list(self.label_set).index, na_action="ignore")
        if found.isna().any():
            raise ValueError(f"no true label of {_listed(found.index[found.isna()])}")
        return found.to_numpy(np.int64)


def _check_labels(first: str, expected: pd.Index, model: str, found: pd.Index) -> None:
    if list(expected) != list(found):
        same = set(expected) == set(found)
        raise ValueError(
            f"{first!r} and {model!r} have {'the same labels in another order' * same}"
            f"{'other labels' * (not same)}: {list(expected)} and {list(found)}"
            + "; give both the same columns in the same order"
        )


def _check_names(first: str, expected: pd.Index, model: str, found: pd.Index) -> None:
    if found.has_duplicates:
        twice = found[found.duplicated()].unique()
        raise ValueError(f"{model!r} predicts a clip more than once: {_listed(twice)}")
    differences = [
        f"only {owner!r} predicts {_listed(only)}"
        for owner, only in (
            (first, expected.difference(found)),
            (model, found.difference(expected)),
        )
        if len(only)
    ]
    if differences:
        raise ValueError("models that vote predict the same clips; " + "; ".join(differences))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {more} more" if more > 0 else "")
