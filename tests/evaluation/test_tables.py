"""Tables of scores are scikit-learn's numbers, one line a model, and read as they are meant."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions

LABELS = ("a", "b", "c")
NAMES = tuple(f"clip{i}" for i in range(60))
TRUTH = pd.Series([LABELS[i % 3] for i in range(60)], index=NAMES)
SPEAKERS = pd.Series([f"s{i // 4}" for i in range(60)], index=NAMES)


@pytest.fixture(scope="module")
def predictions():
    """Two seeds of AGT, and one of a model in which nothing is drawn, as rows of table 1."""
    rng = np.random.default_rng(0)
    signal = 0.8 * np.eye(3)[np.arange(60) % 3]
    logits = {("A", "AGT"): rng.random((2, 60, 3)) + signal, ("A", "other"): rng.random((1, 60, 3))}
    given = {row: x / x.sum(-1, keepdims=True) for row, x in logits.items()}
    return Predictions(NAMES, LABELS, given, (3, 4))


def wafs(predictions, row, names=NAMES):
    numbers = predictions.select(names).chosen(row)
    true = [LABELS.index(TRUTH[name]) for name in names]
    return np.array([100 * f1_score(true, n, average="weighted") for n in numbers])


def test_a_line_of_scores_is_scikit_learns_mean_over_seeds(predictions):
    table = tables.scores(predictions, TRUTH).set_index(["features", "model"])
    line, expected = table.loc[("A", "AGT")], wafs(predictions, ("A", "AGT"))
    assert line["waf"] == pytest.approx(expected.mean())
    assert line["seed_sd"] == pytest.approx(expected.std(ddof=1))
    accuracies = [accuracy_score(np.arange(60) % 3, n) for n in predictions.chosen(("A", "AGT"))]
    assert line["accuracy"] == pytest.approx(100 * np.mean(accuracies))
    assert (line["clips"], line["seeds"], line["interval_over"]) == (60, 2, "clips")
    assert np.isnan(table.loc[("A", "other"), "seed_sd"])


def test_clips_without_a_known_label_are_not_scored_and_speakers_are_drawn(predictions):
    table = tables.scores(predictions, TRUTH.iloc[:40], SPEAKERS)
    assert set(table["clips"]) == {40} and set(table["interval_over"]) == {"speakers"}
    expected = wafs(predictions, ("A", "AGT"), NAMES[:40]).mean()
    assert table["waf"].iloc[0] == pytest.approx(expected)
    unknown = tables.scores(predictions, TRUTH, SPEAKERS.iloc[:50])
    assert set(unknown["interval_over"]) == {"clips"}  # of ten clips no speaker is known


def test_a_model_with_one_seed_stands_beside_each_seed_of_the_other(predictions):
    (line,) = tables.differences(predictions, TRUTH, ("A", "other")).to_dict("records")
    assert (line["model"], line["against"], line["against_features"]) == ("AGT", "other", "A")
    expected = wafs(predictions, ("A", "AGT")).mean() - wafs(predictions, ("A", "other")).mean()
    assert line["difference"] == pytest.approx(expected)
    assert line["difference_low"] < expected < line["difference_high"]
    right = [predictions.chosen(row) == np.arange(60) % 3 for row in predictions.probabilities]
    assert line["fixed"] == pytest.approx((right[0] & ~right[1]).sum(1).mean())
    pairs = [(("A", "other"), ("A", "AGT"))]
    back = tables.differences(predictions, TRUTH, pairs).iloc[0]
    assert back["difference"] == pytest.approx(-expected)
    assert back["broken"] == pytest.approx(line["fixed"])


def test_cells_are_written_with_their_interval_and_the_spread_of_several_seeds():
    line = {"waf": 62.24, "waf_low": 58.4, "waf_high": 65.9, "seed_sd": 0.84}
    assert tables.cell(line) == "62.2 [58.4, 65.9] ±0.8"
    assert tables.cell(line | {"seed_sd": np.nan}) == "62.2 [58.4, 65.9]"
    change = {"difference": -1.25, "difference_low": -2.0, "difference_high": -0.04, "seed_sd": 1.0}
    assert tables.cell(change, "difference") == "−1.2 [−2.0, +0.0]"


def test_a_wide_table_keeps_the_order_of_lines_and_leaves_absent_cells_empty():
    ends = {"waf": 50.0, "waf_low": 40.0, "waf_high": 60.0, "seed_sd": np.nan}
    rows = [("z", "test"), ("a", "out-of-fold"), ("z", "out-of-fold")]
    table = pd.DataFrame([{"model": m, "set": s} | ends for m, s in rows])
    shown = tables.wide(table, "model", "set")
    assert list(shown.index) == ["z", "a"] and list(shown) == ["test", "out-of-fold"]
    assert shown.loc["a"].tolist() == ["", "50.0 [40.0, 60.0]"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 2.0, "better"), (-2.0, -0.1, "worse"), (0.0, 0.0, "no clip changes"),
        (-1.0, 1.0, "no difference that 50 clips can show"),
    ],
)  # fmt: skip
def test_a_verdict_is_one_only_if_the_interval_leaves_zero_out(low, high, said):
    line = {"model": "AGT", "clips": 50, "difference": (low + high) / 2}
    table = pd.DataFrame([line | {"difference_low": low, "difference_high": high}])
    assert tables.verdict(table, ["model"]).startswith(f"AGT: {said} (")
