import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.probing import Leaderboard, betrayed, distances, paper_prior, prior_table, probe

NAMES = [f"clip{i}" for i in range(290)]
ANSWERS = pd.Series(np.repeat(EMOTIONS, [50, 40, 60, 80, 40, 20]), index=NAMES)
TRAIN = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])


def test_the_papers_ratios_single_out_sad_surprise_neutral_and_angry():
    table = paper_prior()
    ratio = (table["probed"] / table["train"]).round(2).to_dict()
    assert ratio == {
        "sad": 1.87, "surprise": 1.88, "worried": 1.11, "happy": 1.02, "neutral": 0.69,
        "angry": 0.58,
    }  # fmt: skip
    assert table["count"].sum() == 1169


def test_the_table_says_what_probing_cost_and_holds_estimates_by_name():
    probed = probe(Leaderboard(ANSWERS), ANSWERS.index, n=290)
    table = prior_table(EMOTIONS, TRAIN, probed, {"em_test": TRAIN})
    assert table["count"].tolist() == [50, 40, 60, 80, 40, 20]
    assert (table["submissions"] == 6).all()
    assert (table["probed_low"] <= table["probed"]).all()
    assert table["em_test"].tolist() == TRAIN.tolist()


def test_without_probing_the_columns_are_there_and_empty():
    table = prior_table(EMOTIONS, TRAIN)
    assert table[["probed", "probed_low", "probed_high", "count"]].isna().all(axis=None)
    assert (table["submissions"] == 0).all()


def test_a_distance_is_the_share_of_clips_that_would_change_their_label():
    probed = probe(Leaderboard(ANSWERS), ANSWERS.index, n=290)
    moved = TRAIN + [0.1, -0.05, -0.05, 0, 0, 0]
    table = prior_table(EMOTIONS, TRAIN, probed, {"em_test": moved, "true_test": TRAIN})
    found = distances(table)
    assert found.loc["em_test", "to true_test"] == pytest.approx(0.1)
    assert found.loc["train", "to true_test"] == 0
    assert found["submissions"].to_dict() == {"train": 0, "probed": 6, "em_test": 0}


def test_fewer_digits_betray_less():
    table = betrayed(ANSWERS).set_index(["metric", "digits"])["solutions"]
    assert table["waf", 1] > table["waf", 2] > table["waf", 4] == 1
    assert table["accuracy", 1] > table["accuracy", 3] == 1
