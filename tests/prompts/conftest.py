"""Corpora of sentences."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import build
from agt_lib.corpora.folds import make_folds
from agt_lib.corpora.labels import EMOTIONS


@pytest.fixture
def said():
    """Make a corpus of test clips that say `texts`."""

    def make(*texts, **columns):
        table = pd.DataFrame({"name": [f"clip{i}" for i in range(len(texts))], "text": texts})
        table = table.assign(split="test").assign(**columns)
        return build("said", table, source="the test", check_files=False)

    return make


@pytest.fixture
def labelled():
    """Make a corpus whose words tell the label, and its folds: `n` clips of each label.

    `shuffle` permutes the labels, so that words tell nothing.
    """

    def make(n=10, shuffle=None, n_folds=5, n_test=6):
        cues = ("table", "grr", "yippee", "sob", "uh oh", "wow")
        emotions = np.repeat(EMOTIONS, n)
        rng = np.random.default_rng(0)
        fillers = ("the tea", "my bag", "a train", "our house", "some bread", "that key")
        texts = [
            f"{cues[EMOTIONS.index(e)]}, {fillers[rng.integers(6)]} {i}"
            for i, e in enumerate(emotions)
        ]
        if shuffle is not None:
            emotions = np.random.default_rng(shuffle).permutation(emotions)
        table = pd.DataFrame({"name": [f"c{i}" for i in range(len(texts))], "text": texts})
        table["emotion"], table["split"] = emotions, "train"
        test = pd.DataFrame(
            {
                "name": [f"t{i}" for i in range(n_test)],
                "text": [f"{cues[i % 6]}, the lamp {i}" for i in range(n_test)],
                "split": "test",
            }
        )
        table = pd.concat([table, test])
        corpus = build("words", table, source="the test", check_files=False)
        # Stratified by the labels as they are, else a fold rich in a label is one whose training
        # clips are poor in it, and shuffled labels score below chance.
        return corpus, make_folds(corpus, n_folds)

    return make
