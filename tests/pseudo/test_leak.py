"""No label reaches the score of its own clip by way of the pool."""

import numpy as np
import pandas as pd
import pytest

from agt_lib import pseudo
from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.data import assemble
from agt_lib.fusion.train import Joined

LABELS = ("calm", "cross", "glad")
N = 120
CHANCE, ERROR = 1 / 3, np.sqrt(2 / 9 / N)
"""Three labels, permuted: the accuracy of a guess and its standard error."""


@pytest.fixture(scope="module")
def copied():
    """Clips of permuted labels that can be learned by heart, and a pool of their near-copies."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 300)).astype(np.float32)
    labels = rng.permutation(np.arange(N) % 3)

    def clips(prefix, values, labels=None):
        names = tuple(f"{prefix}{i}" for i in range(N))
        features = {"audio": Features("audio", names, values, np.ones(N, bool), "f")}
        return assemble(names, features, label_set=LABELS, labels=labels)

    copies = x + np.float32(0.05) * rng.standard_normal(x.shape, dtype=np.float32)
    data = clips("clip", x, labels)
    return data, clips("copy", copies), pd.Series(rng.permutation(N) % 3, list(data.names))


@pytest.fixture(scope="module")
def by_heart():
    """A network that keeps what it sees once; it needs nobody to agree with."""
    one = FusionConfig.default(
        "unimodal", ("audio",), learning_rate=3e-3, epochs=1, batch_size=1, weight_decay=0.0,
        mixup=0.0, label_smoothing=0.0, schedule="constant", network={"width": 32, "dropout": 0.0},
    )  # fmt: skip
    return {"one": one}


def accuracy(probabilities, data):
    return (probabilities.argmax(1) == data.labels).mean()


@pytest.mark.parametrize("calibrate", [False, True])
def test_with_permuted_labels_and_near_copies_in_the_pool_the_score_stays_at_chance(
    copied, by_heart, calibrate
):
    data, pool, folds = copied
    config = pseudo.PseudoConfig(threshold=0.34, rounds=1, calibrate=calibrate)
    done = pseudo.train(
        data, folds, pool, config, (0,), configs=by_heart, workers=1, progress=False
    )
    joined = done.rounds[1].selected.groupby("fold").size()
    assert joined.min() > N / 3  # copies of clips that a fold holds out are among them
    out_of_fold = done.rounds[1].results.out_of_fold.probabilities["one"][0]
    assert abs(accuracy(out_of_fold, data) - CHANCE) < 3 * ERROR


def test_a_teacher_that_averages_all_folds_would_leak(copied, by_heart):
    data, pool, folds = copied
    options = {"workers": 1, "progress": False, "keep": False}
    first = fit_folds(data, folds, by_heart, (0,), test=pool, **options)
    chosen = pseudo.select(first.test, pseudo.PseudoConfig(threshold=0.34))
    rows = pd.Index(pool.names).get_indexer(chosen["name"])
    labels = np.eye(3, dtype=np.float32)[[LABELS.index(label) for label in chosen["label"]]]
    joined = {(0, fold): Joined(rows, labels) for fold in range(3)}
    leaked = fit_folds(data, folds, by_heart, (0,), pool=pool, joined=joined, **options)
    assert accuracy(leaked.out_of_fold.probabilities["one"][0], data) > CHANCE + 5 * ERROR
