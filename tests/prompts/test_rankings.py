"""Rankings as data: what they refuse, and what is measured on them."""

import pandas as pd
import pytest

from agt_lib.prompts import Rankings, by_share, place_shares, quality
from agt_lib.workspace.kept import write_manifest

ABC = ("a", "b", "c")
MADE_BY = {"ranker": "hand"}


@pytest.fixture
def four():
    found = {"w": "abc", "x": "bca", "y": None, "z": "cab"}
    return Rankings.build(found, ABC, MADE_BY, [("y", "answer", "no ranking")])


def test_a_clip_without_a_ranking_has_a_missing_row_and_is_listed(four):
    assert list(four.table.columns) == ["rank1", "rank2", "rank3"]
    assert four.table.loc["x"].tolist() == ["b", "c", "a"]
    assert four.table.loc["y"].isna().all()
    assert four.failures.to_dict("records") == [
        {"name": "y", "stage": "answer", "reason": "no ranking"}
    ]


@pytest.mark.parametrize("order", ["aab", "ab", "abd"])
def test_a_ranking_that_is_no_permutation_of_the_labels_is_refused(order):
    with pytest.raises(ValueError, match="the ranking of 'x' is .* each of a, b, c once"):
        Rankings.build({"x": order}, ABC, MADE_BY)


def test_places_of_the_true_labels_by_hand(four):
    true = pd.Series({"w": "a", "x": "a", "y": "a", "z": "a"})
    places = four.places(true)
    assert places.to_dict() == {"w": 1, "x": 3, "z": 2}


def test_places_leave_out_clips_that_the_rankings_do_not_have(four):
    assert four.places(pd.Series({"z": "c", "elsewhere": "a"})).to_dict() == {"z": 1}


def test_place_shares_sum_to_one_for_each_true_label(four):
    true = pd.Series({"w": "a", "x": "a", "z": "b"})
    shares = place_shares(four, true)
    assert shares.loc["a"].tolist() == [0.5, 0, 0.5]
    assert shares.loc["b"].tolist() == [0, 0, 1]
    assert shares.loc["c"].isna().all()


def test_labels_by_share_keep_their_order_where_equal():
    assert by_share(pd.Series(list("bbcca") + ["d"] * 3), list("abcd")) == list("dbca")


def test_what_is_saved_is_read_back(four, tmp_path):
    write_manifest(tmp_path, four.save(tmp_path), 0.0)
    read = Rankings.load(tmp_path, ABC)
    pd.testing.assert_frame_equal(read.table, four.table)
    pd.testing.assert_frame_equal(read.failures, four.failures)
    assert read.fingerprint == four.fingerprint


def test_the_fingerprint_names_the_maker_and_not_the_clips(four):
    more = Rankings.build({"v": "cba"}, ABC, MADE_BY)
    other = Rankings.build({"v": "cba"}, ABC, {"ranker": "another hand"})
    assert more.fingerprint == four.fingerprint != other.fingerprint


def test_the_quality_of_rankings_by_hand(four):
    truth = {
        "out-of-fold": pd.Series({"w": "a", "x": "a", "y": "a"}),
        "test": pd.Series({"z": "c"}),
        "elsewhere": pd.Series({"v": "c"}),
    }
    found = quality(four, truth, pd.Series(dtype="str")).set_index("set")
    assert found["clips"].to_dict() == {"out-of-fold": 2, "test": 1}
    # Of two clips of a, one is called a: precision 1, recall 1/2.
    assert found.loc["out-of-fold", "waf"] == pytest.approx(200 / 3)
    assert found.loc["test", "waf"] == 100
    assert found["mrr"].tolist() == pytest.approx([(1 + 1 / 3) / 2, 1])
    assert found["mrr_by_luck"].tolist() == pytest.approx([11 / 18] * 2)
    assert found["mrr_by_share"].tolist() == pytest.approx([1, 1 / 3])
