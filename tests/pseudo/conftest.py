"""A pool beside labelled clips, and models that fit in a moment."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import assemble

LABELS = ("calm", "cross", "glad")
DIMS = {"audio": 8, "video": 6}


@pytest.fixture(scope="session")
def clips_of():
    """Make clips whose label shows, by `signal`, in the first three features of both modalities."""

    def make(prefix, n, seed=0, signal=3.0, labelled=True):
        rng = np.random.default_rng(seed)
        labels = np.arange(n) % 3
        names = tuple(f"{prefix}{i}" for i in range(n))
        features = {}
        for modality, dim in DIMS.items():
            values = rng.standard_normal((n, dim))
            values[np.arange(n), labels] += signal
            everyone = np.ones(n, bool)
            features[modality] = Features(
                modality, names, values.astype(np.float32), everyone, modality
            )
        return assemble(names, features, label_set=LABELS, labels=labels if labelled else None)

    return make


@pytest.fixture(scope="session")
def labelled(clips_of):
    """60 labelled clips."""
    return clips_of("clip", 60)


@pytest.fixture(scope="session")
def pool(clips_of):
    """45 clips without labels; the truth of pool clip i is label i % 3."""
    return clips_of("pool", 45, seed=1, labelled=False)


@pytest.fixture(scope="session")
def truth(pool):
    """The pool's labels by name."""
    return pd.Series([LABELS[i % 3] for i in range(len(pool.names))], index=list(pool.names))


@pytest.fixture(scope="session")
def folds(labelled):
    """Three folds."""
    numbers = np.random.default_rng(0).permutation(len(labelled.names)) % 3
    return pd.Series(numbers, index=list(labelled.names))


@pytest.fixture(scope="session")
def configs():
    """The three models, of 16 hidden units and two epochs, and sure of what they say."""
    small = {"epochs": 2, "batch_size": 8, "learning_rate": 2e-2}
    small |= {"mixup": 0.0, "label_smoothing": 0.0, "weight_decay": 0.0, "schedule": "constant"}
    voice = FusionConfig.default("unimodal", ("audio",), **small)
    baseline = FusionConfig.default("attention", ("audio", "video"), **small)
    agt = FusionConfig.default("agt", ("audio", "video"), **small)
    return {
        "voice": replace(voice, network={"width": 16, "dropout": 0.0}),
        "baseline": replace(baseline, network={"hidden": 16, "dropout": 0.0}),
        "AGT": replace(agt, network={"width": 16, "dropout": 0.0}),
    }
