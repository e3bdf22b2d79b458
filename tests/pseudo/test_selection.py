"""The rule on tables worked by hand, and the tables it refuses."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.pseudo import PseudoConfig, select
from agt_lib.pseudo.selection import aligned

NAMES = ["a", "b", "c", "d", "e"]
VOICE = [[0.95, 0.05], [0.95, 0.05], [0.10, 0.90], [0.02, 0.98], [0.99, 0.01]]
FUSED = [[0.92, 0.08], [0.05, 0.95], [0.04, 0.96], [0.05, 0.95], [0.94, 0.06]]


def tables(names=NAMES, labels=("glad", "cross"), voice=VOICE, fused=FUSED):
    voice = pd.DataFrame(voice, index=NAMES, columns=["glad", "cross"])
    return {"voice": voice, "AGT": pd.DataFrame(fused, index=list(names), columns=list(labels))}


def test_a_clip_joins_where_all_agree_and_each_is_surer_than_the_threshold():
    found = select(tables(), PseudoConfig())
    # b: they disagree; c: the voice is exactly at .9, not above
    assert found["name"].tolist() == ["a", "d", "e"]
    assert found["label"].tolist() == ["glad", "cross", "glad"]
    np.testing.assert_allclose(found["confidence"], [0.92, 0.95, 0.94])
    np.testing.assert_allclose(found["cross"], [0.065, 0.965, 0.035])


def test_a_lower_threshold_lets_more_join_and_a_mask_fewer():
    found = select(tables(), PseudoConfig(threshold=0.5))
    assert found["name"].tolist() == ["a", "c", "d", "e"]
    masked = select(tables(), PseudoConfig(threshold=0.5), np.array([0, 1, 1, 1, 1], bool))
    assert masked["name"].tolist() == ["c", "d", "e"]


def test_nothing_above_the_threshold_is_an_empty_table_with_all_columns():
    found = select(tables(), PseudoConfig(threshold=0.99))
    assert found.empty
    assert list(found) == ["name", "label", "confidence", "glad", "cross"]


def test_a_quota_keeps_the_surest_of_each_class():
    found = select(tables(), PseudoConfig(threshold=0.5, quota=1))
    assert found["name"].tolist() == ["d", "e"]  # cross: .95 before .9; glad: .94 before .92


def test_alignment_divides_by_the_pools_mean_and_multiplies_by_the_prior():
    # mean (.6, .4) on the first two rows, prior (.3, .7): weights (.5, 1.75)
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]])
    found = aligned(probabilities, np.array([0.3, 0.7]), np.array([True, True, False]))
    np.testing.assert_allclose(found[0], [0.4 / 0.75, 0.35 / 0.75])
    np.testing.assert_allclose(found[2], [0.25 / 1.125, 0.875 / 1.125])


def test_a_prior_can_move_a_label():
    prior = {"glad": 0.05, "cross": 0.95}
    assert "a" in select(tables(), PseudoConfig(threshold=0.5))["name"].tolist()
    found = select(tables(), PseudoConfig(threshold=0.5, align_to=prior))
    assert dict(zip(found["name"], found["label"], strict=True)).get("a") != "glad"


def test_a_prior_of_other_labels_and_a_class_without_mass_are_refused():
    with pytest.raises(ValueError, match="align_to names glad, sad; the labels are glad, cross"):
        select(tables(), PseudoConfig(align_to={"glad": 0.5, "sad": 0.5}))
    with pytest.raises(ValueError, match="class number 1 is given no probability"):
        aligned(np.array([[1.0, 0.0]]), np.array([0.5, 0.5]), np.array([True]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"names": [*NAMES[:4], "x"]},
            "'AGT' lack 1 clips that 'voice' has and have 1 others.*'e'",
        ),
        ({"names": NAMES[::-1]}, "in another order"),
        ({"names": ["a", "a", "b", "c", "d"]}, "clip 'a' stands there more than once"),
        ({"labels": ("cross", "glad")}, "columns cross, glad; those of 'voice' glad, cross"),
        ({"fused": [[np.nan, 1.0], *FUSED[1:]]}, r"'AGT': 1 of 5 rows.*'a' \(row 2\).*nan"),
        ({"fused": [*FUSED[:4], [3.0, 1.0]]}, r"sum to 1, first clip 'e' \(row 6\)"),
        ({"fused": [*FUSED[:4], [1.5, -0.5]]}, "sum to 1, first clip 'e'"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        select(tables(**changes), PseudoConfig())


def test_no_table_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one model's table"):
        select({}, PseudoConfig())
