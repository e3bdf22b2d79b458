"""Models that vote predict the same clips and the same labels, and nothing is guessed."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.fusion.crossval import CrossValidated
from agt_lib.voting import Predictions

LABELS = ["a", "b"]


def table(rows, labels=LABELS):
    return pd.DataFrame(rows, index=labels).T.rename_axis("name")


VOICE = table({"x": [0.9, 0.1], "y": [0.2, 0.8]})


def test_tables_in_another_order_of_clips_are_aligned_by_name():
    both = Predictions.from_tables({"voice": [VOICE], "AGT": [VOICE.iloc[::-1]]})
    assert both.names == ("x", "y")
    np.testing.assert_array_equal(both.probabilities["AGT"], both.probabilities["voice"])


def test_models_that_disagree_on_names_are_refused_and_the_names_are_listed():
    other = VOICE.rename(index={"y": "z"})
    with pytest.raises(ValueError, match=r"only 'voice' predicts 'y'; only 'AGT' predicts 'z'"):
        Predictions.from_tables({"voice": [VOICE], "AGT": [other]})
    with pytest.raises(ValueError, match="'AGT' predicts a clip more than once: 'x'"):
        Predictions.from_tables({"voice": [VOICE], "AGT": [VOICE.loc[["x", "x", "y"]]]})


def test_models_that_disagree_on_label_order_or_labels_are_refused():
    with pytest.raises(ValueError, match=r"same labels in another order: \['a', 'b'\] and \['b'"):
        Predictions.from_tables({"voice": [VOICE], "AGT": [VOICE[["b", "a"]]]})
    with pytest.raises(ValueError, match=r"other labels: .*\['a', 'c'\]"):
        Predictions.from_tables({"voice": [VOICE], "AGT": [VOICE.rename(columns={"b": "c"})]})


def test_a_table_with_nan_names_the_model_and_the_clip():
    broken = VOICE.copy()
    broken.loc["y", "a"] = np.nan
    with pytest.raises(ValueError, match=r"'AGT' hold NaN.* 1 clips, the first is 'y'"):
        Predictions.from_tables({"voice": [VOICE], "AGT": [broken]})


@pytest.mark.parametrize("row", [[1.2, -0.2], [0.5, 0.6], [2.0, 1.0]])
def test_numbers_that_are_no_probabilities_are_refused(row):
    broken = VOICE.copy()
    broken.loc["x"] = row
    with pytest.raises(ValueError, match="no probabilities adding up to 1; 1 clips"):
        Predictions.from_tables({"voice": [broken]})


def test_models_of_other_numbers_of_seeds_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\)"):
        Predictions.from_tables({"voice": [VOICE], "AGT": [VOICE, VOICE]})


def test_no_models_are_refused():
    with pytest.raises(ValueError, match="at least one model"):
        Predictions.from_tables({})


def result(seeds=(0,), test_names=("p", "q")):
    rng = np.random.default_rng(0)
    values = rng.dirichlet([1, 1], (len(seeds), 3))
    values[:, 2] = np.nan  # a clip that no fold holds out
    return CrossValidated(
        names=("u", "v", "w"), label_set=("a", "b"), folds=np.array([0, 1, -1]), seeds=seeds,
        out_of_fold=values, test_names=test_names, test=rng.dirichlet([1, 1], (len(seeds), 2)),
    )  # fmt: skip


def test_cross_validated_models_vote_on_the_pool_or_on_the_clips_held_out():
    results = {"voice": result((3, 4)), "AGT": result((3, 4))}
    pool = Predictions.from_results(results)
    assert pool.names == ("p", "q")
    np.testing.assert_array_equal(pool.probabilities["voice"], results["voice"].test)
    held_out = Predictions.from_results(results, held_out=True)
    assert held_out.names == ("u", "v")
    assert held_out.n_seeds == 2


def test_results_of_other_seeds_are_refused():
    with pytest.raises(ValueError, match=r"same seeds; got .*'AGT': \(1,\)"):
        Predictions.from_results({"voice": result((0,)), "AGT": result((1,))})


def test_selected_clips_come_in_the_order_asked_for():
    chosen = Predictions.from_tables({"voice": [VOICE]}).select(["y", "x"])
    np.testing.assert_array_equal(chosen.chosen("voice"), [[1, 0]])
    with pytest.raises(ValueError, match="no predictions for 'z'"):
        chosen.select(["x", "z"])


def test_a_model_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no predictions of 'AGT'; there are those of voice"):
        Predictions.from_tables({"voice": [VOICE]}).chosen("AGT")


def test_seeds_are_averaged_before_they_vote():
    other = table({"x": [0.3, 0.7], "y": [0.4, 0.6]})
    averaged = Predictions.from_tables({"voice": [VOICE, other]}).averaged()
    np.testing.assert_allclose(averaged.probabilities["voice"], [[[0.6, 0.4], [0.3, 0.7]]])


def test_true_labels_are_numbered_by_clip_and_a_missing_one_is_named():
    predictions = Predictions.from_tables({"voice": [VOICE]})
    answers = pd.Series({"y": "a", "x": "b", "other": "a"})
    np.testing.assert_array_equal(predictions.numbers(answers), [1, 0])
    with pytest.raises(ValueError, match="no true label of 'x'"):
        predictions.numbers(answers.drop("x"))


def test_what_models_see_follows_the_clips_and_a_model_that_is_not_named_sees_all():
    seen = pd.DataFrame({"voice": [True, False, True]}, index=["z", "x", "y"])
    told = Predictions.from_tables({"voice": [VOICE], "AGT": [VOICE]}).seeing(seen)
    np.testing.assert_array_equal(told.sees("voice"), [False, True])
    np.testing.assert_array_equal(told.select(["y", "x"]).sees("voice"), [True, False])
    assert told.averaged().sees("AGT").all()
    with pytest.raises(ValueError, match="not said which models see 'y'"):
        told.seeing(seen.drop("y"))
