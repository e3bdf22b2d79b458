"""What scaling by speaker asks for: clips enough, and all emotions among them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.fusion.data import with_speakers
from agt_lib.fusion.reference import logistic_regression
from agt_lib.fusion.speaker_clips import ALL_BUT_TWO, few_clips


@pytest.fixture(scope="module")
def spoken(data_of):
    """Speakers whose features are shifted by much more than the label shifts them."""
    data = data_of(n=180, signal=3.0)
    who = np.arange(180) // 18
    shift = 20 * np.random.default_rng(1).standard_normal((10, 8)).astype(np.float32)
    features = data.features | {"audio": data.features["audio"] + shift[who]}
    features["video"] = np.zeros_like(features["video"])
    return replace(data, features=features, groups=np.array([f"s{i}" for i in who], object))


@pytest.fixture(scope="module")
def folds(spoken):
    return pd.Series(np.arange(180) // 18 % 5, index=list(spoken.names))


def test_more_clips_of_a_speaker_help_and_missing_emotions_harm(spoken, folds):
    table = few_clips(spoken, folds)
    by = table.set_index(["clips", "without"])["waf"]
    assert by[0, ""] < by[18, ""] - 10
    assert by[1, ""] < by[18, ""]
    assert by[18, ALL_BUT_TWO] < by[18, ""]
    assert table["without"].tolist()[-4:] == [*spoken.label_set, ALL_BUT_TWO]


def test_its_ends_are_the_two_scales(spoken, folds):
    table = few_clips(spoken, folds, counts=())
    (known,) = with_speakers(spoken)
    for scale, line in (("fold", table.iloc[0]), ("speaker", table.iloc[1])):
        found = logistic_regression(
            known, folds, {"LR": known.modalities}, strengths=(0.01,), scale=scale
        )
        right = found.out_of_fold.chosen("LR")[0] == spoken.labels
        assert line["accuracy"] == pytest.approx(100 * right.mean())


def test_without_speakers_there_is_nothing_to_try(data_of):
    data = data_of()
    with pytest.raises(ValueError, match="no speaker is known"):
        few_clips(data, pd.Series(0, index=list(data.names)))
