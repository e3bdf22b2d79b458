"""What models predict for the same clips: the one type of predictions. S seeds, N clips, C classes.

A prediction table is one seed of one model: a row a clip, a column of probabilities a label.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import listed
from agt_lib.corpora.labels import MISSING, to_numbers
from agt_lib.corpora.tables import read_table
from agt_lib.evaluation.checks import check_probabilities

SHOWN = 5
EXPECTED = "Expected model (or features and model), seed, name and a column of numbers a label"

Model = Hashable
"""A model's name, or (features, model) as in table 1: ("A+V", "AGT")."""


def key(model: Model) -> dict[str, Hashable]:
    """The columns that name a model in a table: model, or features and model."""
    if isinstance(model, tuple):
        return dict(zip(("features", "model"), model, strict=True))
    return {"model": model}


@dataclass(frozen=True)
class Predictions:
    """Probabilities (S, N, C) of each model for the clips `names`, in the order of `label_set`.

    A model in which nothing is drawn (logistic regression) may have one seed, (1, N, C), while the
    others have all of `seeds`. `seen` (N,) bool by model: the clips that have a modality which the
    model reads; all clips for a model without an entry. For the other clips a model predicts a
    constant, which is no vote. Raises ValueError naming the model and the first clip if shapes
    disagree, if a probability is NaN or negative, or if a clip's do not add up to 1.
    """

    names: tuple[str, ...]
    label_set: tuple[str, ...]
    probabilities: dict[Model, np.ndarray]
    seeds: tuple[int, ...] = ()
    seen: dict[Model, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.probabilities or not self.names:
            raise ValueError("predictions need at least one model and one clip")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"names stand more than once: {_listed(_repeated(self.names))}")
        arrays = {model: np.atleast_1d(given) for model, given in self.probabilities.items()}
        object.__setattr__(self, "probabilities", arrays)
        most = max(map(len, arrays.values()))
        object.__setattr__(self, "seeds", tuple(self.seeds) or tuple(range(most)))
        shape = (len(self.names), len(self.label_set))
        for model, given in arrays.items():
            if given.shape[1:] != shape or not given.size or len(given) not in (1, len(self.seeds)):
                shapes = {m: p.shape for m, p in arrays.items()}
                raise ValueError(
                    f"predictions are (seeds, clips, labels) with {len(self.seeds)} seeds (or "
                    f"one), {shape[0]} clips and {shape[1]} labels; got {shapes}"
                )
            check_probabilities(given, f"predictions of {model!r}", self.names)
        for model, rows in self.seen.items():
            if np.shape(rows) != shape[:1] or np.asarray(rows).dtype != bool:
                raise ValueError(f"what {model!r} sees is a bool for each of {shape[0]} clips")

    @classmethod
    def from_tables(
        cls,
        tables: Mapping[Model, pd.DataFrame | Sequence[pd.DataFrame]],
        seeds: Sequence[int] = (),
    ) -> "Predictions":
        """From each model's prediction tables, one or one a seed, in the clip order of the first.

        `seeds` are the seeds' numbers (0, 1, ... by default). Raises ValueError if tables do not
        name the same clips, or the same labels in the same order.
        """
        lists = {m: [t] if isinstance(t, pd.DataFrame) else list(t) for m, t in tables.items()}
        flat = [(model, table) for model, parts in lists.items() for table in parts]
        if not flat:
            raise ValueError("no predictions: give at least one model's table")
        first_model, first = flat[0]
        for model, table in flat:
            if not isinstance(table, pd.DataFrame):
                raise ValueError(f"predictions of {model!r} are no table, nor one a seed")
            _check_labels(first_model, first.columns, model, table.columns)
            _check_names(first_model, first.index, model, table.index)
        stacks = {
            model: np.stack([table.loc[first.index].to_numpy(float) for table in parts])
            for model, parts in lists.items()
        }
        return cls(tuple(first.index), tuple(first.columns), stacks, tuple(seeds))

    @classmethod
    def from_csv(cls, path: str | Path) -> "Predictions":
        """Read what `to_csv` wrote, or a run's table of `long`.

        Raises FileNotFoundError, and ValueError for other columns or what is no number.
        """
        table = read_table(path, ["model", "seed", "name"], EXPECTED)
        table = table.drop(columns="corpus", errors="ignore")
        head = [c for c in ("features", "model", "seed", "name") if c in table]
        if len(head) == len(table.columns):
            raise ValueError(f"{path}: no column of a label's probabilities. {EXPECTED}")
        numbers = table.drop(columns=[c for c in head if c != "seed"])
        numbers = numbers.apply(pd.to_numeric, errors="coerce")
        if (bad := numbers.isna().any(axis=1)).any():
            raise ValueError(f"{path}: row {bad.idxmax()}: a seed or a probability is no number")
        table[numbers.columns] = numbers
        keys = head[:-2] if "features" in head else "model"
        tables = {
            model: [
                part.set_index("name").drop(columns=head[:-1]) for _, part in rows.groupby("seed")
            ]
            for model, rows in table.groupby(keys, sort=False)
        }
        return cls.from_tables(tables, sorted(int(seed) for seed in table["seed"].unique()))

    def long(self) -> pd.DataFrame:
        """All in one table: columns model (or features and model), seed, name and one a label."""
        parts = []
        for model, given in self.probabilities.items():
            for seed, values in zip(self.seeds, given, strict=False):
                head = pd.DataFrame(key(model) | {"seed": seed, "name": self.names})
                values = pd.DataFrame(values, columns=list(self.label_set))
                parts.append(pd.concat([head, values], axis=1))
        return pd.concat(parts, ignore_index=True)

    def to_csv(self, path: str | Path) -> None:
        """Write `long` as a CSV, which `from_csv` reads; `seen` is not written."""
        self.long().to_csv(path, index=False)

    def table(self, model: Model, seed: int | None = None) -> pd.DataFrame:
        """`model`'s prediction table for one of `seeds`, or the mean over them; else ValueError."""
        given = self[model]
        if seed is not None and seed not in self.seeds:
            raise ValueError(f"no seed {seed}; there are {self.seeds}")
        if seed is not None and len(given) > 1:
            given = given[[self.seeds.index(seed)]]
        index = pd.Index(self.names, name="name")
        return pd.DataFrame(given.mean(0), index=index, columns=list(self.label_set))

    def select(self, names: Sequence[str]) -> "Predictions":
        """The clips `names`, in that order. Raises ValueError listing those without predictions."""
        places = pd.Index(self.names).get_indexer(list(names))
        if (places < 0).any():
            unknown = [name for name, place in zip(names, places, strict=True) if place < 0]
            raise ValueError(f"no predictions for {_listed(unknown)}")
        chosen = {model: p[:, places] for model, p in self.probabilities.items()}
        seen = {model: rows[places] for model, rows in self.seen.items()}
        return replace(self, names=tuple(names), probabilities=chosen, seen=seen)

    def of(self, *models: Model) -> "Predictions":
        """Those of `models` alone, in that order. Raises ValueError for one that is not there."""
        return replace(self, probabilities={model: self[model] for model in models})

    def __or__(self, other: "Predictions") -> "Predictions":
        """The models of both, in the first's clip order.

        Raises ValueError if both have a model whose predictions differ, or if anything else does.
        """
        first, second = next(iter(self.probabilities)), next(iter(other.probabilities))
        _check_labels(first, pd.Index(self.label_set), second, pd.Index(other.label_set))
        _check_names(first, pd.Index(self.names), second, pd.Index(other.names))
        if self.seeds != other.seeds and min(len(self.seeds), len(other.seeds)) > 1:
            raise ValueError(f"models have the same seeds; got {self.seeds} and {other.seeds}")
        other = other.select(self.names)
        both = [model for model in self.probabilities if model in other.probabilities]
        if differ := [m for m in both if not np.array_equal(self[m], other[m])]:
            raise ValueError(f"both predict by {_listed(differ)}, and not the same: rename one")
        return replace(
            self,
            probabilities=self.probabilities | other.probabilities,
            seeds=max(self.seeds, other.seeds, key=len),
            seen=self.seen | other.seen,
        )

    def averaged(self) -> "Predictions":
        """The mean over seeds, as one seed: what a single submission is made from."""
        means = {model: p.mean(0, keepdims=True) for model, p in self.probabilities.items()}
        return replace(self, probabilities=means, seeds=(0,))

    def seeing(self, table: pd.DataFrame) -> "Predictions":
        """The same, with `seen` from a bool table, a row a clip and a column a model.

        Raises ValueError for clips without a row.
        """
        if missing := [name for name in self.names if name not in table.index]:
            raise ValueError(f"not said which models see {_listed(missing)}")
        rows = table.loc[list(self.names)]
        models = [model for model in self.probabilities if model in table]
        return replace(self, seen={model: rows[model].to_numpy(bool) for model in models})

    def sees(self, model: Model) -> np.ndarray:
        """The clips that `model` saw, (N,) bool."""
        return self.seen.get(model, np.ones(len(self.names), bool))

    def chosen(self, model: Model) -> np.ndarray:
        """The likeliest label of each clip as its number, (S, N). ValueError for no such model."""
        return self[model].argmax(-1)

    def known(self, truth: pd.Series) -> "Predictions":
        """The clips whose label `truth` (by clip name) knows, in its order; ValueError for none."""
        there = set(self.names)
        names = [name for name in truth.index[truth.notna()] if name in there]
        if not names:
            raise ValueError(
                f"none of the {len(self.names)} clips has a true label; they are "
                f"{_listed(self.names)}, those of the labels {_listed(list(truth.index))}"
            )
        return self.select(names)

    def numbers(self, truth: pd.Series) -> np.ndarray:
        """The true labels of these clips, from `truth` by clip name, as numbers (N,).

        Raises ValueError for clips without one and for labels that are not in the label set.
        """
        found = to_numbers(truth.reindex(list(self.names)), self.label_set)
        missing = [n for n, number in zip(self.names, found, strict=True) if number == MISSING]
        if missing:
            raise ValueError(f"no true label of {_listed(missing)}")
        return found

    def __getitem__(self, model: Model) -> np.ndarray:
        """The probabilities (S, N, C) of `model`; ValueError naming those there are for no such."""
        if model not in self.probabilities:
            there = ", ".join(map(str, self.probabilities))
            raise ValueError(f"no predictions of {model!r}; there are those of {there}")
        return self.probabilities[model]


@dataclass(frozen=True)
class Stage:
    """The predictions of models trained alike (without or with pseudo-labels), for a vote.

    `calibrated` are the same predictions after temperature scaling. `trained_on` (S, C): the
    shares of the labels that each seed's models were trained on. `temperatures`: one per seed and
    model, (S,); empty if each fold had its own.
    """

    predictions: Predictions
    calibrated: Predictions
    trained_on: np.ndarray
    temperatures: Mapping[Model, np.ndarray] = field(default_factory=dict)

    def select(self, names: Sequence[str]) -> "Stage":
        """The clips `names`, in that order. Raises ValueError listing those without predictions."""
        chosen = self.predictions.select(names), self.calibrated.select(names)
        return Stage(*chosen, self.trained_on, self.temperatures)

    def seeing(self, table: pd.DataFrame) -> "Stage":
        """The same, with what each model sees (`Predictions.seeing`)."""
        told = self.predictions.seeing(table), self.calibrated.seeing(table)
        return Stage(*told, self.trained_on, self.temperatures)

    def averaged(self) -> "Stage":
        """The mean over seeds, as one seed: what a single submission is made from."""
        means = self.predictions.averaged(), self.calibrated.averaged()
        return Stage(*means, self.trained_on.mean(0, keepdims=True), self.temperatures)


def _check_labels(first: Model, expected: pd.Index, model: Model, found: pd.Index) -> None:
    if list(expected) != list(found):
        same = set(expected) == set(found)
        raise ValueError(
            f"{first!r} and {model!r} have "
            f"{'the same labels in another order' if same else 'other labels'}: {list(expected)} "
            f"and {list(found)}; give both the same columns in the same order"
        )


def _check_names(first: Model, expected: pd.Index, model: Model, found: pd.Index) -> None:
    if found.has_duplicates:
        raise ValueError(f"{model!r} predicts a clip more than once: {_listed(_repeated(found))}")
    lone = (first, expected.difference(found)), (model, found.difference(expected))
    said = [f"only {owner!r} predicts {_listed(names)}" for owner, names in lone if len(names)]
    if said:
        raise ValueError("all models predict the same clips; " + "; ".join(said))


def _repeated(names: Sequence[str]) -> list[str]:
    index = pd.Index(names)
    return list(index[index.duplicated()].unique())


def _listed(names: Sequence[str]) -> str:
    return listed([repr(name) for name in names], SHOWN)
