"""Three models that vote on a few clips, by hand or at random."""

import numpy as np
import pytest

from agt_lib.evaluation.predictions import Predictions
from agt_lib.voting import MODELS

LABELS = ("neutral", "angry", "happy", "sad", "worried", "surprise")


@pytest.fixture(scope="session")
def ballots():
    """Make one seed's predictions from each clip's three labels (voice, baseline, AGT).

    The label predicted has probability .5, the others share the rest.
    """

    def make(*clips):
        names = tuple(f"c{i}" for i in range(len(clips)))
        probabilities = {}
        for place, model in enumerate(MODELS):
            numbers = [LABELS.index(clip[place]) for clip in clips]
            probabilities[model] = (0.1 + 0.4 * np.eye(6)[numbers])[None]
        return Predictions(names, LABELS, probabilities)

    return make


@pytest.fixture(scope="session")
def random_predictions():
    """Make predictions of `n` clips by two seeds, and the clips' true numbers."""

    def make(n=400, seed=0, signal=2.0):
        rng = np.random.default_rng(seed)
        true = rng.integers(0, 6, n)
        probabilities = {}
        for model in MODELS:
            logits = rng.standard_normal((2, n, 6)) + signal * rng.random() * np.eye(6)[true]
            powers = np.exp(logits)
            probabilities[model] = powers / powers.sum(-1, keepdims=True)
        return Predictions(tuple(f"c{i}" for i in range(n)), LABELS, probabilities), true

    return make
