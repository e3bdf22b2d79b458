"""Cross-validation and prediction on plain arrays: no corpus, no features' store, no file.

Letters: N clips, D feature, S seeds, K folds, C labels.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from agt_lib.corpora.folds import assign_folds
from agt_lib.corpora.labels import EMOTIONS, MISSING, MODALITIES, normalise
from agt_lib.evaluation import tables
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import CrossValidated, fit_folds, predict_mean
from agt_lib.fusion.data import FusionData, with_speakers
from agt_lib.fusion.scaling import scale_for
from agt_lib.workspace.kept import write_manifest
from agt_lib.workspace.numbers import PARAMETERS, SOME, check_numbers
from agt_lib.workspace.words import neutral

Arrays = Mapping[str, np.ndarray | pd.DataFrame]


@dataclass(frozen=True)
class ArrayModels:
    """The models that `cross_validate` fitted, S x K, and what they say.

    `result` holds the models themselves (`fusion.FittedModel`) and their predictions under the
    clips' positions; `index` (N,) are the clips' own names, `labels` (C,) the labels as given.
    """

    result: CrossValidated = field(repr=False)
    data: FusionData = field(repr=False)
    index: pd.Index
    labels: tuple
    scale: str

    def score(self) -> pd.Series:
        """Out-of-fold scores in per cent: waf, waf_low, waf_high (95 %), seed_sd, accuracy, ...

        Intervals are over the speakers if they were given and are at least five, else over clips.
        """
        found = tables.scores(self.result.out_of_fold, self.data.truth, self.data.speakers)
        return found.iloc[0].rename("out of fold")

    @property
    def out_of_fold(self) -> pd.DataFrame:
        """Probabilities (N, C) of each clip by models not trained on it, mean of seeds."""
        (model,) = self.result.models
        values = self.result.out_of_fold.select(self.data.names).table(model).to_numpy()
        return pd.DataFrame(values, self.index, list(self.labels))

    def predict(self, features: Arrays, speakers: Sequence | None = None) -> pd.DataFrame:
        """Probabilities (N, C) of other clips, the mean of all models; a row a clip.

        `features` and `speakers` are as in `cross_validate`, of the same modalities and widths. If
        features are scaled by speaker, a speaker of the training clips keeps the statistics from
        there, and a new one's come from the clips here, drawn towards those of all training clips
        (`SpeakerScaler.joined`), which stand in without `speakers`. A clip that has none of the
        modalities gets the same probabilities as every other such clip. Raises ValueError saying
        what was given and what the models were trained on.
        """
        values, index = _checked(features)
        given, expected = (
            ", ".join(f"{m} ({x.shape[1]} columns)" for m, x in clips.items())
            for clips in (values, self.data.features)
        )
        if given != expected:
            raise ValueError(
                f"features of {given} were given; the models were trained on {expected} (a "
                "modality that no clip has is rows of NaN)"
            )
        named = any(isinstance(x, pd.DataFrame) for x in features.values())
        groups = None if speakers is None else _column("speakers", speakers, index, named)
        groups = None if groups is None else groups.astype(str)
        data = _data(values, np.full(len(index), MISSING), self.data.label_set, groups)
        if self.scale == "speaker":
            who = np.full(len(index), None) if groups is None else groups
            there = {m: data.is_present(m) for m in data.modalities}
            clips = {m: (x[there[m]], who[there[m]]) for m, x in data.features.items()}
            data = replace(data, by_speaker=self.data.by_speaker.joined(clips))
        (by_seed,) = self.result.models.values()
        models = [model for of_seed in by_seed for model in of_seed]
        return pd.DataFrame(predict_mean(models, data), index, list(self.labels))


def cross_validate(
    features: Arrays,
    labels: Sequence,
    model: str | FusionConfig = "agt",
    speakers: Sequence | None = None,
    n_folds: int = 5,
    seeds: Sequence[int] = (0,),
    folder: str | Path | None = None,
    scale: str | None = None,
) -> ArrayModels:
    """Fit a fusion network in every fold, with every seed, on features of your own.

    `features` are arrays or DataFrames (N, D) by modality: audio, video, text, one to three of
    them. A row of NaN says that the clip does not have the modality. `labels` (N,) are strings or
    integers. `model` is "agt" (equation 2 of the paper), "attention" (MER2024's baseline),
    "unimodal" (for one modality), the name of one of your own (`fusion.add_network`), or a
    `FusionConfig`. Folds are stratified by label, and no speaker is in two folds if `speakers` (N,)
    are given. The columns of predictions are the labels that occur: in the order of
    `agt_lib.EMOTIONS` if all are emotions of MER2024, else sorted.
    `scale` is that of `FusionConfig`: by default "speaker" if most `speakers` have five clips or
    more (it uses no label, but each speaker's held-out clips), else "fold".

    No file is written unless a `folder` is given: then each fitted model (safetensors, see
    `FittedModel.load`) and out_of_fold.csv. Raises ValueError saying what was given and what was
    expected.
    """
    started = time.monotonic()
    check_numbers({"n_folds": n_folds}, {"n_folds": SOME})
    for seed in seeds:
        check_numbers({"seed": seed}, PARAMETERS)
    values, index = _checked(features)
    named = any(isinstance(x, pd.DataFrame) for x in features.values())
    given = _column("labels", labels, index, named)
    groups = None if speakers is None else _column("speakers", speakers, index, named).astype(str)
    found = list(pd.unique(given))
    order = [e for e in EMOTIONS if e in found] if set(found) <= set(EMOTIONS) else sorted(found)
    alike = [normalise(label) for label in order]
    if None in alike or len(set(alike)) < len(alike):
        raise ValueError(
            f"the labels are {order}; expected labels that are not empty and that differ in more "
            "than case and outer spaces"
        )
    numbers = np.array([order.index(label) for label in given])
    counts = np.bincount(numbers)
    if not 2 <= n_folds <= counts.min():
        few = f"{counts.min()} clips of the label {order[counts.argmin()]!r}"
        raise ValueError(f"{n_folds} folds were asked for; expected 2 or more, and there are {few}")
    data = _data(values, numbers, tuple(map(str, order)), groups)
    folds = pd.Series(assign_folds(numbers, groups, n_folds, 0), index=list(data.names))
    config = FusionConfig.default(model, data.modalities) if isinstance(model, str) else model
    if isinstance(model, str) or scale is not None:
        unknown = np.full(len(numbers), None)
        config = replace(config, scale=scale or scale_for(unknown if groups is None else groups)[0])
    if config.scale == "speaker" and groups is not None:
        (data,) = with_speakers(data)
    result = fit_folds(data, folds, {config.model: config}, seeds, keep=False, progress=False)
    made = ArrayModels(result, data, index, tuple(order), config.scale)
    if folder is not None:
        for seed, of_seed in zip(seeds, result.models[config.model], strict=True):
            for fold, fitted in enumerate(of_seed):
                place = Path(folder) / f"seed{seed}-fold{fold}"
                place.mkdir(parents=True, exist_ok=True)
                write_manifest(place, fitted.write(place), started)
        neutral(made.out_of_fold).to_csv(Path(folder) / "out_of_fold.csv")
    return made


def _checked(features: Arrays) -> tuple[dict[str, np.ndarray], pd.Index]:
    """The features as float32 (N, D), in the order of modalities, and the clips' names."""
    if not isinstance(features, Mapping):
        raise ValueError(
            f"features are given by modality, such as {{'audio': array}}; got "
            f"{type(features).__name__}"
        )
    if unknown := [name for name in features if name not in MODALITIES]:
        raise ValueError(f"{unknown[0]!r} is no modality; expected {', '.join(MODALITIES)}")
    if not features:
        raise ValueError(f"no features were given; expected one or more of {', '.join(MODALITIES)}")
    first, index, values = None, None, {}
    for modality in (m for m in MODALITIES if m in features):
        x = features[modality]
        try:
            values[modality] = np.asarray(x, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{modality}: expected numbers ({error})") from error
        if values[modality].ndim != 2:
            shape = values[modality].shape
            raise ValueError(f"{modality}: an array of shape {shape}; expected (clips, features)")
        first = first or modality
        if len(x) != len(values[first]):
            raise ValueError(f"{modality}: {len(x)} rows; {first} has {len(values[first])}")
        if isinstance(x, pd.DataFrame):
            if index is not None and not x.index.equals(index):
                raise ValueError(f"{modality}: its index is not that of the other features")
            index = x.index
    return values, pd.RangeIndex(len(values[first])) if index is None else index


def _column(name: str, given: Sequence, index: pd.Index, named: bool) -> np.ndarray:
    """Labels or speakers (N,), one for each clip; `named` if `index` was given with the features.

    Clips that are merely counted are taken by position, unless a Series has the same numbers in
    another order.
    """
    if len(given) != len(index):
        raise ValueError(f"{name}: {len(given)} were given; the features have {len(index)} rows")
    other = named and isinstance(given, pd.Series) and not given.index.equals(index)
    if other and (not isinstance(index, pd.RangeIndex) or set(given.index) == set(index)):
        raise ValueError(f"{name}: its index is not that of the features, in the same order")
    missing = np.flatnonzero(pd.isna(pd.Series(list(given))))
    if len(missing):
        raise ValueError(f"{name}: {len(missing)} are missing, the first in row {missing[0]}")
    return np.array(list(given), dtype=object)


def _data(
    values: Mapping[str, np.ndarray],
    labels: np.ndarray,
    label_set: tuple[str, ...],
    groups: np.ndarray | None,
) -> FusionData:
    """The clips under their positions; a row of NaN is an absent modality."""
    present = np.stack([~np.isnan(x).all(1) for x in values.values()], axis=1)
    filled = {
        m: np.where(present[:, [k]], x, np.float32(0)) for k, (m, x) in enumerate(values.items())
    }
    names = tuple(map(str, range(len(labels))))
    fingerprints = dict.fromkeys(values, "arrays")
    return FusionData(names, filled, present, labels, label_set, fingerprints, groups)
