"""Features of tuned CLIPs, each labelled clip's from a model that never saw its label.

N clips, K folds, D features.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import orthogonal_procrustes

from agt_lib.clip_tuning import VERSION
from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.models import ALL, jobs, tuned_models
from agt_lib.clip_tuning.tune import HISTORY
from agt_lib.corpora.corpus import Corpus
from agt_lib.features.clip import LOCAL, ClipEncoder, Item
from agt_lib.features.encoder import fingerprint_of
from agt_lib.features.extraction import extract
from agt_lib.features.features import Features
from agt_lib.workspace.kept import digest

RESTS = ("mean", "all")


class TogetherEncoder:
    """Several CLIPs of one architecture side by side: (B, K D), each clip decoded once for all."""

    modality = "video"

    def __init__(self, encoders: Sequence[ClipEncoder]):
        self.encoders = list(encoders)
        self.dim = sum(encoder.dim for encoder in self.encoders)
        self.reads = self.encoders[0].reads
        self.fingerprint = {"together": [encoder.fingerprint for encoder in self.encoders]}

    def load(self, clip: pd.Series) -> Item:
        """What `ClipEncoder.load` gives: all have the same preprocessing."""
        return self.encoders[0].load(clip)

    def encode(self, items: list[Item]) -> np.ndarray:
        """The features of every CLIP side by side, (B, K D)."""
        return np.concatenate([encoder.encode(items) for encoder in self.encoders], axis=1)


@dataclass(frozen=True)
class TunedSpaces:
    """The features of the same clips by the raw CLIP and by each fold's tuned model.

    `by_fold` are those of K models; `folds` numbers the fold that holds out each labelled clip, -1
    if none does. `on_all` are of the model tuned on all labelled clips, if it was wanted. `models`
    are the checkpoint folders: of each fold, then on all.
    """

    raw: Features
    by_fold: tuple[Features, ...]
    folds: pd.Series
    models: tuple[Path, ...]
    on_all: Features | None = None

    def model_of(self, name: str) -> str:
        """The model, as `ClipEncoder` takes it, that never saw the labelled clip `name`.

        Raises ValueError for a clip that no fold holds out: every model saw it.
        """
        if self.folds[name] < 0:
            raise ValueError(f"no fold holds out {name!r}: every model was tuned on it")
        return f"{LOCAL}{self.models[self.folds[name]]}"

    @property
    def held_out(self) -> pd.Index:
        """The labelled clips that a fold holds out and whose video could be read."""
        return pd.Index(self.raw.names)[self._rows(self.folds.index[self.folds >= 0])]

    def losses(self) -> pd.DataFrame:
        """Every model's mean training loss by epoch: columns model, epoch, loss."""
        names = [*(f"fold {fold}" for fold in range(len(self.by_fold))), "all clips"]
        parts = [
            pd.read_csv(folder / HISTORY).assign(model=name)
            for folder, name in zip(self.models, names, strict=False)
        ]
        return pd.concat(parts, ignore_index=True)[["model", "epoch", "loss"]]

    def agreement(self) -> pd.DataFrame:
        """Linear CKA between every two spaces on the labelled clips: (1 + K, 1 + K)."""
        names = ["raw", *(f"fold {fold}" for fold in range(len(self.by_fold)))]
        rows = self._rows(self.folds.index, *self.by_fold)
        values = [part.values[rows] for part in (self.raw, *self.by_fold)]
        table = [[linear_cka(a, b) for b in values] for a in values]
        return pd.DataFrame(table, index=names, columns=names)

    def cross_fitted(self, *, rest: str = "mean", align: bool = True) -> Features:
        """One feature a clip, (N, D): a clip that fold k holds out has it from model k.

        No fold holds out the other clips (test, unlabelled, and training clips beside a dev split).
        They have the mean over models, or with `rest="all"` the feature of `on_all`.
        `align` turns every model's space onto the raw CLIP's first (see `turned`): a mean or a
        mixture of unaligned spaces blurs them. A clip is present if all spaces have it. Warns of
        labelled clips that no fold holds out: all models saw their labels.
        """
        if rest not in RESTS:
            raise ValueError(f"rest is one of {', '.join(RESTS)}; got {rest!r}")
        if rest == "all" and self.on_all is None:
            raise ValueError("rest='all' needs the model that was tuned on all labelled clips")
        if n := int((self.folds < 0).sum()):
            warnings.warn(
                f"{n} labelled clips are held out by no fold: their tuned features are of models "
                "that saw their labels, and look better than those of the clips held out",
                stacklevel=2,
            )
        labelled = self.folds.index
        spaces = [
            self.turned(part, labelled[self.folds != fold]) if align else part.values
            for fold, part in enumerate(self.by_fold)
        ]
        every = [self.raw, *self.by_fold]
        if rest == "all":
            every.append(self.on_all)
            spaces.append(self.turned(self.on_all, labelled) if align else self.on_all.values)
        else:
            spaces.append(np.mean(spaces, axis=0))
        # (K + 1, N, D) -> (N, D): each clip's own fold, and for fold -1 the last space.
        fold = self.folds.reindex(list(self.raw.names), fill_value=-1).to_numpy()
        values = np.stack(spaces)[fold, np.arange(len(fold))]
        made_from = {
            "version": VERSION,
            "parts": [part.fingerprint for part in every],
            "folds": digest([[name, int(number)] for name, number in self.folds.items()]),
            "rest": rest,
            "align": align,
        }
        present = np.all([part.present for part in every], axis=0)
        failures = pd.concat([part.failures for part in every], ignore_index=True)
        return replace(
            self.raw,
            values=(values * present[:, None]).astype(np.float32),
            present=present,
            fingerprint=digest(made_from),
            failures=failures.drop_duplicates("name", ignore_index=True),
        )

    def ways(self) -> dict[str, Features]:
        """The cross-fitted features of every `rest` and `align`, named by both."""
        return {
            f"rest={rest}, align={align}": self.cross_fitted(rest=rest, align=align)
            for rest in RESTS
            for align in (True, False)
        }

    def turned(self, part: Features, names: pd.Index) -> np.ndarray:
        """The features of `part` moved and turned onto the raw CLIP's space, float32 (N, D).

        Orthogonal Procrustes (Schönemann 1966) on the clips `names`, which the model of `part` was
        tuned on. No label is used, and no distance within the space changes.
        """
        rows = self._rows(names, part)
        ours, raw = part.values[rows], self.raw.values[rows]
        turn, _ = orthogonal_procrustes(ours - ours.mean(0), raw - raw.mean(0))
        return ((part.values - ours.mean(0)) @ turn + raw.mean(0)).astype(np.float32)

    def _rows(self, names: pd.Index, *parts: Features) -> np.ndarray:
        """The places of `names`, as far as raw and all `parts` have them."""
        present = np.all([part.present for part in (self.raw, *parts)], axis=0)
        return np.flatnonzero(present & pd.Index(self.raw.names).isin(names))


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear centred kernel alignment of features (N, D) and (N, D') of the same clips.

    Kornblith et al. 2019, equation in section 3: 1 for spaces that are turned, moved and scaled
    copies of one another, 0 for unrelated ones (with few clips, above 0).
    """
    a, b = a - a.mean(0), b - b.mean(0)
    shared = np.linalg.norm(a.T @ b) ** 2
    return float(shared / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)))


def tuned_spaces(
    corpus: Corpus,
    folds: pd.Series,
    model: str,
    config: TuneConfig,
    *,
    with_all: bool = False,
    seed: int = 0,
    max_failures: float = 0.05,
    **reading: Any,
) -> TunedSpaces:
    """Tune a CLIP for each fold (`with_all`: and one on all) and extract all clips with each.

    A feature is `ClipEncoder`'s: the mean over frames at segment centres, projected, not scaled.
    `reading` are its `face` and `max_seconds`, and the frames that are tuned on are read so too.
    `cross_fitted` makes the tuned features V* of the paper of them. `on_all` are the paper's own
    way: their out-of-fold scores are optimistic, their test scores are not. What was made before is
    read. Raises as `models.jobs` and `extraction.extract` do.
    """
    how = {"max_failures": max_failures}
    which = [*range(int(folds.max()) + 1), *([ALL] if with_all else [])]
    planned = jobs(corpus, folds, model, config, which=which, seed=seed, **how, **reading)
    models = tuned_models(planned)
    raw = extract(corpus, ClipEncoder(model, **reading), **how).in_memory()
    encoders = [ClipEncoder(f"{LOCAL}{folder}", **reading) for folder in models]
    on_all = extract(corpus, encoders.pop(), **how).in_memory() if with_all else None
    together = extract(corpus, TogetherEncoder(encoders), **how).in_memory()
    values = np.split(together.values, len(encoders), axis=1)
    by_fold = tuple(
        replace(together, values=part, fingerprint=fingerprint_of(encoder))
        for part, encoder in zip(values, encoders, strict=True)
    )
    return TunedSpaces(raw, by_fold, folds, tuple(models), on_all)
