"""The rule on tables worked by hand, and the tables it refuses."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation.predictions import Predictions
from agt_lib.pseudo import PseudoConfig, select

NAMES = ["a", "b", "c", "d", "e"]
VOICE = [[0.95, 0.05], [0.95, 0.05], [0.10, 0.90], [0.02, 0.98], [0.99, 0.01]]
FUSED = [[0.92, 0.08], [0.05, 0.95], [0.04, 0.96], [0.05, 0.95], [0.94, 0.06]]


def predictions(names=NAMES, labels=("glad", "cross"), voice=VOICE, fused=FUSED):
    voice = pd.DataFrame(voice, index=NAMES, columns=["glad", "cross"])
    fused = pd.DataFrame(fused, index=list(names), columns=list(labels))
    return Predictions.from_tables({"voice": voice, "AGT": fused})


def test_a_clip_joins_where_all_agree_and_each_is_surer_than_the_threshold():
    found = select(predictions(), PseudoConfig())
    # b: they disagree; c: the voice is exactly at .9, not above
    assert found["name"].tolist() == ["a", "d", "e"]
    assert found["label"].tolist() == ["glad", "cross", "glad"]
    np.testing.assert_allclose(found["confidence"], [0.92, 0.95, 0.94])
    np.testing.assert_allclose(found["cross"], [0.065, 0.965, 0.035])


def test_a_lower_threshold_lets_more_join_and_a_mask_fewer():
    found = select(predictions(), PseudoConfig(threshold=0.5))
    assert found["name"].tolist() == ["a", "c", "d", "e"]
    masked = select(predictions(), PseudoConfig(threshold=0.5), np.array([0, 1, 1, 1, 1], bool))
    assert masked["name"].tolist() == ["c", "d", "e"]


def test_nothing_above_the_threshold_is_an_empty_table_with_all_columns():
    found = select(predictions(), PseudoConfig(threshold=0.99))
    assert found.empty
    assert list(found) == ["name", "label", "confidence", "glad", "cross"]


def test_a_quota_keeps_the_surest_of_each_class():
    found = select(predictions(), PseudoConfig(threshold=0.5, quota=1))
    assert found["name"].tolist() == ["d", "e"]  # cross: .95 before .9; glad: .94 before .92


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": [*NAMES[:4], "x"]}, "only 'voice' predicts 'e'; only 'AGT' predicts 'x'"),
        ({"names": ["a", "a", "b", "c", "d"]}, "'AGT' predicts a clip more than once: 'a'"),
        ({"labels": ("cross", "glad")}, "the same labels in another order"),
        ({"fused": [[np.nan, 1.0], *FUSED[1:]]}, "'AGT' hold NaN.*1 of 5 clips.*'a'"),
        ({"fused": [*FUSED[:4], [3.0, 1.0]]}, "adding up to 1.*'e'"),
        ({"fused": [*FUSED[:4], [1.5, -0.5]]}, "no probabilities.*'e'"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        select(predictions(**changes), PseudoConfig())


def test_tables_in_another_order_are_put_in_that_of_the_first():
    found = select(predictions(names=NAMES[::-1], fused=FUSED[::-1]), PseudoConfig())
    assert found["name"].tolist() == ["a", "d", "e"]
