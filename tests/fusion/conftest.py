"""Clips that carry a signal, and configurations small enough to fit in a moment."""

from dataclasses import replace

import numpy as np
import pytest

from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import assemble

LABELS = ("calm", "cross", "glad")
DIMS = {"audio": 8, "video": 6}


@pytest.fixture(scope="session")
def data_of():
    """Make clips whose label shows, by `signal`, in the first three features of both modalities."""

    def make(n=90, signal=4.0, seed=0):
        rng = np.random.default_rng(seed)
        labels = np.arange(n) % 3
        names = tuple(f"clip{i}" for i in range(n))
        features = {}
        for modality, dim in DIMS.items():
            values = rng.standard_normal((n, dim))
            values[np.arange(n), labels] += signal
            features[modality] = Features(
                modality, names, values.astype(np.float32), np.ones(n, bool), modality
            )
        return assemble(names, features, label_set=LABELS, labels=labels)

    return make


@pytest.fixture(scope="session")
def small():
    """Make a configuration of 16 hidden units and five epochs."""

    def make(model="agt", modalities=("audio", "video"), **changes):
        network = {"hidden": 16} if model == "attention" else {"width": 16}
        changes = {"epochs": 5, "batch_size": 16} | changes
        return replace(FusionConfig.default(model, modalities), network=network, **changes)

    return make
