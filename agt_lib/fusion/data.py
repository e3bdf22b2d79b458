"""Aligned features and labels, as fusion trains on them and predicts from them.

Letters: N clips, D feature, M modalities, C classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.labels import MISSING, MODALITIES, to_numbers
from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.scaling import SpeakerScaler, fit_speakers
from agt_lib.workspace.shards import StoredRows

AT_ONCE = 1024
"""Clips that are read and predicted together."""


@dataclass(frozen=True)
class FusionData:
    """N clips, their features by modality (in the order audio, video, text) and their labels.

    `features` are float32 (N, D), in memory or, for clips that are only predicted, on disk until
    rows are asked for; `present` (N, M) bool follows their order. `labels` (N,) number
    the label set, -1 if missing. `groups` (N,) are speakers, NaN or None where one is not known;
    None as a whole if none is. `by_speaker` standardises by speaker (see `with_speakers`). Raises
    ValueError if these disagree, or if a value that is present is not finite.
    """

    names: tuple[str, ...]
    features: dict[str, np.ndarray | StoredRows]
    present: np.ndarray
    labels: np.ndarray
    label_set: tuple[str, ...]
    fingerprints: dict[str, str]
    groups: np.ndarray | None = None
    by_speaker: SpeakerScaler | None = None

    def __post_init__(self) -> None:
        n = len(self.names)
        if list(self.features) != [m for m in MODALITIES if m in self.features]:
            raise ValueError(f"modalities stand in the order {MODALITIES}; got {[*self.features]}")
        shapes = {m: x.shape for m, x in self.features.items()}
        if (
            any(shape[0] != n or len(shape) != 2 for shape in shapes.values())
            or self.present.shape != (n, len(shapes))
            or self.labels.shape != (n,)
        ):
            raise ValueError(
                f"{n} names, features {shapes}, present {self.present.shape}, labels "
                f"{self.labels.shape}: these must agree"
            )
        for m, x in self.features.items():
            if isinstance(x, StoredRows):  # which are looked at before they are stored
                continue
            bad = ~np.isfinite(x).all(1) & self.is_present(m)
            if bad.any():
                name = self.names[int(bad.argmax())]
                raise ValueError(
                    f"{m} features of {bad.sum()} clips are not finite, the first is {name!r}: "
                    "extract them again or mark these clips as absent"
                )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities, in order."""
        return tuple(self.features)

    @property
    def dims(self) -> dict[str, int]:
        """The feature width D of each modality."""
        return {m: x.shape[-1] for m, x in self.features.items()}

    def is_present(self, modality: str) -> np.ndarray:
        """Which clips have `modality`, (N,) bool."""
        return self.present[:, self.modalities.index(modality)]

    @property
    def truth(self) -> pd.Series:
        """The labels of the clips that have one, by clip name."""
        known = self.labels != MISSING
        labels = np.array(self.label_set, dtype=object)[self.labels[known]]
        return pd.Series(labels, index=np.array(self.names, dtype=object)[known])

    @property
    def speakers(self) -> pd.Series | None:
        """`groups` by clip name."""
        return None if self.groups is None else pd.Series(self.groups, index=list(self.names))

    def scaled(self, scale: str) -> "FusionData":
        """The clips as models with this `scale` read them: for "speaker" standardised by speaker.

        Raises ValueError if there are no statistics of speakers.
        """
        if scale != "speaker":
            return self
        if self.by_speaker is None:
            raise ValueError(
                "scale='speaker' needs the clips' speakers: give them, or take scale='fold'"
            )
        made = {m: self.by_speaker(m, x, self.groups) for m, x in self.features.items()}
        return replace(self, features=made, by_speaker=None)

    def only(self, modalities: Sequence[str]) -> "FusionData":
        """The same clips with `modalities` alone. Raises ValueError for one that is not here."""
        if missing := sorted(set(modalities) - set(self.modalities)):
            raise ValueError(f"no {', '.join(missing)} features; there are {self.modalities}")
        kept = [m for m in self.modalities if m in modalities]
        return replace(
            self,
            features={m: self.features[m] for m in kept},
            present=self.present[:, [self.modalities.index(m) for m in kept]],
            fingerprints={m: self.fingerprints[m] for m in kept},
        )

    def rows(self, index: np.ndarray) -> "FusionData":
        """The clips at `index`, in that order."""
        return replace(
            self,
            names=tuple(self.names[i] for i in index),
            features={m: x[index] for m, x in self.features.items()},
            present=self.present[index],
            labels=self.labels[index],
            groups=None if self.groups is None else self.groups[index],
        )

    def in_memory(self) -> "FusionData":
        """The same clips with all their features read."""
        return replace(self, features={m: np.asarray(x) for m, x in self.features.items()})

    def parts(self) -> Iterator["FusionData"]:
        """The clips in memory, `AT_ONCE` at a time, in order."""
        for start in range(0, max(len(self.names), 1), AT_ONCE):
            yield self.rows(np.arange(start, min(start + AT_ONCE, len(self.names))))

    def without(self, *modalities: str) -> "FusionData":
        """The same clips with `modalities` absent from all of them."""
        gone = np.isin(self.modalities, modalities)
        return replace(self, present=self.present & ~gone)

    def with_noise(self, modality: str, sd: float, seed: int = 0) -> "FusionData":
        """The same clips with Gaussian noise of `sd` standard deviations of each feature added."""
        x = self.features[modality]
        scale = x[self.is_present(modality)].std(0)
        noise = np.random.default_rng(seed).standard_normal(x.shape, dtype=np.float32)
        noisy = x + np.float32(sd) * scale * noise
        return replace(self, features=self.features | {modality: noisy})


def from_corpus(
    corpus: Corpus, features: Mapping[str, Features], splits: Sequence[str] = ("train",)
) -> FusionData:
    """The clips of `splits`, aligned with `features` by name; of train and dev only the labelled.

    A clip that has no features of a modality is absent there. Test clips carry no label, whether
    or not the corpus knows their answers.
    """
    clips = corpus.split(*splits)
    clips = clips[clips["emotion"].notna() | clips["split"].isin(["test", "unlabelled"])]
    who = clips["speaker"]
    return assemble(
        clips.index,
        features,
        labels=to_numbers(clips["emotion"], corpus.labels),
        label_set=corpus.labels,
        groups=None if who.isna().all() else who.to_numpy(object),
    )


def assemble(
    names: Sequence[str],
    features: Mapping[str, Features],
    *,
    label_set: Sequence[str],
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> FusionData:
    """Align `features` (modality -> Features) to the clips `names`; without `labels`, all missing.

    Raises ValueError if two clips share a name or no modality is given.
    """
    names = tuple(names)
    if not pd.Index(names).is_unique:
        raise ValueError("clip names must differ from one another")
    if not features:
        raise ValueError(f"no features: give at least one of {MODALITIES}")
    chosen = {m: features[m].select(names) for m in MODALITIES if m in features}
    return FusionData(
        names=names,
        features={m: part.values for m, part in chosen.items()},
        present=np.stack([part.present for part in chosen.values()], 1),
        labels=np.full(len(names), MISSING) if labels is None else np.asarray(labels, np.int64),
        label_set=tuple(label_set),
        fingerprints={m: part.fingerprint for m, part in chosen.items()},
        groups=groups,
    )


def with_speakers(*parts: FusionData | None) -> list[FusionData | None]:
    """The same `parts` of a run, with the statistics of each speaker over the clips of all of them.

    They are what `scale="speaker"` uses. A clip that is in several parts counts once.
    """
    found, seen = {}, set()
    for part in (part for part in parts if part is not None):
        new = ~np.isin(part.names, list(seen))
        seen.update(part.names)
        who = part.groups if part.groups is not None else np.full(len(part.names), None)
        for m, x in part.features.items():
            there = new & part.is_present(m)
            found.setdefault(m, []).append((x[there], who[there]))
    clips = {m: [*map(np.concatenate, zip(*own, strict=True))] for m, own in found.items()}
    scaler = fit_speakers(clips)
    return [None if part is None else replace(part, by_speaker=scaler) for part in parts]


def visible(configs: Mapping[str, FusionConfig], *parts: FusionData | None) -> pd.DataFrame:
    """Which clips of `parts` have any modality that a model reads.

    A bool, a row a clip name and a column a model.
    """
    tables = [
        pd.DataFrame(
            {model: part.only(c.modalities).present.any(1) for model, c in configs.items()},
            index=list(part.names),
        )
        for part in parts
        if part is not None
    ]
    return pd.concat(tables)
