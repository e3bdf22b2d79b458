"""Features of tuned CLIPs, each labelled clip's from a model that never saw its label.

N clips, K models, D features, C classes.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.models import ALL, tuned_models
from agt_lib.clip_tuning.spaces import Rotation, linear_cka
from agt_lib.clip_tuning.tune import HISTORY
from agt_lib.corpora.corpus import Corpus
from agt_lib.features.clip import LOCAL, ClipEncoder, Item
from agt_lib.features.encoder import fingerprint_of
from agt_lib.features.extract import extract
from agt_lib.features.features import Features
from agt_lib.workspace.kept import digest

VERSION = 1  # raised when the same models give other features
RESTS = ("mean", "all")


class TogetherEncoder:
    """Several CLIPs of one architecture side by side: (B, K D), each clip decoded once for all."""

    modality = "video"

    def __init__(self, encoders: Sequence[ClipEncoder]):
        self.encoders = list(encoders)
        self.dim = sum(encoder.dim for encoder in self.encoders)
        self.fingerprint = {
            "encoder": "clips together",
            "of": [encoder.fingerprint for encoder in self.encoders],
        }

    def load(self, clip: pd.Series) -> Item:
        """What `ClipEncoder.load` gives: all have the same preprocessing."""
        return self.encoders[0].load(clip)

    def encode(self, items: list[Item]) -> np.ndarray:
        """The features of every CLIP side by side, (B, K D)."""
        return np.concatenate([encoder.encode(items) for encoder in self.encoders], axis=1)


@dataclass(frozen=True)
class TunedSpaces:
    """The features of all clips by the raw CLIP and by each fold's model, one model a fold.

    `by_fold` are K features of the same clips as `raw`; `folds` numbers the fold that holds out
    each labelled clip, -1 where none does; `on_all`, where it was wanted, comes from the model
    tuned on all labelled clips. `models` are the checkpoint folders: of each fold, then on all.
    """

    raw: Features
    by_fold: tuple[Features, ...]
    folds: pd.Series
    models: tuple[Path, ...]
    on_all: Features | None = None

    @cached_property
    def aligned(self) -> tuple[Features, ...]:
        """`by_fold` turned onto the raw CLIP's space, on clips their model was tuned on."""
        return tuple(
            self._turned(part, self.folds.index[self.folds != fold])
            for fold, part in enumerate(self.by_fold)
        )

    def model_of(self, name: str) -> str:
        """The model, as `ClipEncoder` takes it, that never saw the labelled clip `name`.

        Raises ValueError for a clip that no fold holds out: every model saw it.
        """
        if self.folds[name] < 0:
            raise ValueError(f"no fold holds out {name!r}: every model was tuned on it")
        return f"{LOCAL}{self.models[self.folds[name]]}"

    def losses(self) -> pd.DataFrame:
        """Every model's mean training loss by epoch: columns model, epoch, loss."""
        names = [*(f"fold {fold}" for fold in range(len(self.by_fold))), "all clips"]
        histories = [pd.read_csv(folder / HISTORY) for folder in self.models]
        parts = zip(histories, names, strict=False)
        table = pd.concat([part.assign(model=name) for part, name in parts], ignore_index=True)
        return table[["model", "epoch", "loss"]]

    def agreement(self) -> pd.DataFrame:
        """Linear CKA between every two spaces on the labelled clips: (1 + K, 1 + K)."""
        names = ["raw", *(f"fold {fold}" for fold in range(len(self.by_fold)))]
        rows = self._rows(self.folds.index, *self.by_fold)
        values = [part.values[rows] for part in (self.raw, *self.by_fold)]
        table = [[linear_cka(a, b) for b in values] for a in values]
        return pd.DataFrame(table, index=names, columns=names)

    def cross_fitted(self, *, rest: str = "mean", align: bool = True) -> Features:
        """One feature a clip, (N, D): a clip that fold k holds out has it from model k.

        All other clips (test, unlabelled, and labelled ones that no fold holds out, which every
        model has seen) have the mean over models, or with `rest="all"` the feature of `on_all`.
        `align` turns every model's space onto the raw CLIP's first, without labels: a mean or a
        mixture of unaligned spaces blurs them. A clip is present where all spaces have it. Warns of
        labelled clips that no fold holds out, as those beside a dev split of the corpus' own.
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
        parts = self.aligned if align else self.by_fold
        if rest == "mean":
            values = np.mean([part.values for part in parts], axis=0)
        else:
            values = (self._turned(self.on_all, self.folds.index) if align else self.on_all).values
            values = values.copy()
        fold = self.folds.reindex(list(self.raw.names)).fillna(-1).to_numpy()
        for number, part in enumerate(parts):
            values[fold == number] = part.values[fold == number]
        made_from = {
            "version": VERSION,
            "parts": [part.fingerprint for part in self.by_fold],
            "raw": self.raw.fingerprint,
            "on_all": self.on_all.fingerprint if rest == "all" else None,
            "folds": digest([[name, int(number)] for name, number in self.folds.items()]),
            "rest": rest,
            "align": align,
        }
        every = (self.raw, *self.by_fold, *([self.on_all] if rest == "all" else []))
        present = np.all([part.present for part in every], axis=0)
        failures = pd.concat([part.failures for part in every], ignore_index=True)
        return replace(
            self.raw,
            values=(values * present[:, None]).astype(np.float32),
            present=present,
            fingerprint=digest(made_from),
            failures=failures.drop_duplicates("name", ignore_index=True),
        )

    def _turned(self, part: Features, names: pd.Index) -> Features:
        rows = self._rows(names, part)
        rotation = Rotation.fit(part.values[rows], self.raw.values[rows])
        values = rotation(part.values) * part.present[:, None]
        return replace(part, values=values.astype(np.float32))

    def _rows(self, names: pd.Index, *parts: Features) -> np.ndarray:
        """Where `names` stand, those that all of raw and `parts` have."""
        present = np.all([part.present for part in (self.raw, *parts)], axis=0)
        wanted = np.isin(np.array(self.raw.names, dtype=object), names.to_numpy(dtype=object))
        return np.flatnonzero(present & wanted)


def tuned_spaces(
    corpus: Corpus,
    folds: pd.Series,
    model: str,
    config: TuneConfig,
    *,
    with_all: bool = False,
    splits: Sequence[str] | None = None,
    n_frames: int = 8,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    max_failures: float = 0.05,
    progress: bool = True,
) -> TunedSpaces:
    """Tune a CLIP for each fold (`with_all`: and one on all) and extract all clips with each.

    A feature is as `ClipEncoder` makes it: the mean over `n_frames` frames at segment centres,
    projected, not scaled. Clips of `splits` and all labelled ones, in the corpus' order. What is
    there is not made again. Raises as `models.jobs` and `extract.extract` do.
    """
    wanted = _with_labelled(corpus, folds, splits)
    clips = corpus if wanted is None else corpus.only(*wanted)
    how = {"max_failures": max_failures, "progress": progress}
    which = [*range(int(folds.max()) + 1), *([ALL] if with_all else [])]
    models = tuned_models(
        corpus, folds, model, config, which=which, seed=seed, device=device, workers=workers,
        max_failures=max_failures, progress=progress,
    )  # fmt: skip
    options = {"n_frames": n_frames, "device": device}
    raw = extract(clips, ClipEncoder(model, **options), **how)
    encoders = [ClipEncoder(f"{LOCAL}{folder}", **options) for folder in models]
    on_all = extract(clips, encoders.pop(), **how) if with_all else None
    together = extract(clips, TogetherEncoder(encoders), **how)
    values = np.split(together.values, len(encoders), axis=1)
    parts = tuple(
        replace(together, values=part, fingerprint=fingerprint_of(encoder))
        for part, encoder in zip(values, encoders, strict=True)
    )
    return TunedSpaces(raw, parts, folds, tuple(models), on_all)


def _with_labelled(
    corpus: Corpus, folds: pd.Series, splits: Sequence[str] | None
) -> tuple[str, ...] | None:
    if splits is None:
        return None
    return tuple(dict.fromkeys([*splits, *corpus.clips.loc[folds.index, "split"]]))


def tuned_features(
    corpus: Corpus,
    folds: pd.Series,
    model: str,
    config: TuneConfig,
    *,
    cross_fit: bool = True,
    rest: str = "mean",
    align: bool = True,
    splits: Sequence[str] | None = None,
    n_frames: int = 8,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    max_failures: float = 0.05,
    progress: bool = True,
) -> Features:
    """The paper's V*: features of the corpus' clips (of `splits`, or all) by a tuned CLIP.

    With `cross_fit` each labelled clip's comes from the model that never saw its label, see
    `TunedSpaces.cross_fitted`. Without it, the paper's way, one model tuned on all labelled clips
    extracts all: out-of-fold scores on such features are optimistic, test scores are not. The
    fingerprint names weights, folds, configuration and seed.
    """
    options = {
        "splits": splits, "n_frames": n_frames, "seed": seed, "device": device,
        "workers": workers, "max_failures": max_failures, "progress": progress,
    }  # fmt: skip
    names = (corpus.clips if splits is None else corpus.split(*splits)).index
    if cross_fit:
        spaces = tuned_spaces(corpus, folds, model, config, with_all=rest == "all", **options)
        return spaces.cross_fitted(rest=rest, align=align).select(names)
    options.pop("workers")
    [folder] = tuned_models(
        corpus, folds, model, config, which=[ALL], seed=seed, device=device,
        max_failures=max_failures, progress=progress,
    )  # fmt: skip
    encoder = ClipEncoder(f"{LOCAL}{folder}", n_frames=n_frames, device=device)
    clips = corpus if splits is None else corpus.only(*splits)
    return extract(clips, encoder, max_failures=max_failures, progress=progress)
