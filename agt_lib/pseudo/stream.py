"""Labelling a pool that does not fit into memory: read, predict and forget it part by part.

MER2024's 115,595 unlabelled clips with the paper's features (1024 + 768 + 5120 wide) are 3.2 GB in
float32. Their probabilities are small, so `select` takes them whole.

P clips of the pool, D feature, C classes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from agt_lib.features.features import Features
from agt_lib.fusion.data import FusionData, assemble
from agt_lib.fusion.fitted import FittedModel

AT_ONCE = 1024


def parts(
    files: Mapping[str, Path],
    names: Sequence[str],
    *,
    label_set: Sequence[str],
    fingerprints: Mapping[str, str],
    present: Mapping[str, np.ndarray] | None = None,
    at_once: int = AT_ONCE,
) -> Iterator[FusionData]:
    """The clips `names` (P,) in parts of `at_once`, with features read from .npy files of (P, D).

    `files` are by modality, of float16 or float32; `present` (P,) bool says who has a modality (all
    by default). Nothing stays in memory, or mapped, from one part to the next. Raises ValueError
    where a file has another number of rows than there are names.
    """
    for start in range(0, len(names), at_once):
        rows, features = slice(start, start + at_once), {}
        for modality, path in files.items():
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
            if stored.ndim != 2 or len(stored) != len(names):
                raise ValueError(
                    f"{path} holds an array of shape {stored.shape}; expected {len(names)} rows, "
                    "one for each name"
                )
            values = stored[rows].astype(np.float32)
            there = np.ones(len(values), bool)
            if present is not None and modality in present:
                there = present[modality][rows]
            features[modality] = Features(
                modality, tuple(names[rows]), values, there, fingerprints[modality]
            )
        yield assemble(names[rows], features, label_set=label_set)


def predict(
    models: Mapping[str, FittedModel], clips: Iterable[FusionData]
) -> dict[str, np.ndarray]:
    """Probabilities (P, C) of each of `models`; every part of the pool is read once for all."""
    found: dict[str, list[np.ndarray]] = {key: [] for key in models}
    for part in clips:
        for key, model in models.items():
            found[key].append(model.predict(part))
    return {key: np.concatenate(several) for key, several in found.items()}
