"""Predictions are of the same clips and the same labels, and nothing is guessed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation.predictions import Predictions, Stage

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
    with pytest.raises(ValueError, match=r"'AGT' hold NaN.* 1 of 2 clips, the first is 'y'"):
        Predictions.from_tables({"voice": [VOICE], "AGT": [broken]})


@pytest.mark.parametrize("row", [[1.2, -0.2], [0.5, 0.6], [2.0, 1.0]])
def test_numbers_that_are_no_probabilities_are_refused(row):
    broken = VOICE.copy()
    broken.loc["x"] = row
    with pytest.raises(ValueError, match="no probabilities adding up to 1: 1 of 2 clips"):
        Predictions.from_tables({"voice": [broken]})


def test_models_have_the_same_number_of_seeds_or_one():
    three = {"voice": [VOICE] * 3, "logistic regression": VOICE}
    assert (
        Predictions.from_tables(three, seeds=(4, 5, 6))
        .table("logistic regression", 5)
        .equals(VOICE)
    )
    with pytest.raises(ValueError, match=r"'AGT': \(2, 2, 2\)"):
        Predictions.from_tables({"voice": [VOICE] * 3, "AGT": [VOICE, VOICE]})


@pytest.mark.parametrize("given", [[], [[[0.9, 0.1]]], np.empty((0, 2, 2)), None])
def test_what_has_no_seed_or_other_clips_is_refused(given):
    with pytest.raises(ValueError, match=r"0 seeds|1 seeds"):
        Predictions(("x", "y"), ("a", "b"), {"voice": given})


def test_lists_of_probabilities_are_taken_for_arrays():
    given = Predictions(("x",), ("a", "b"), {"voice": [[[0.9, 0.1]], [[0.3, 0.7]]]})
    np.testing.assert_allclose(given.averaged()["voice"], [[[0.6, 0.4]]])


@pytest.mark.parametrize("table", [VOICE.to_numpy(), [VOICE.to_numpy()]])
def test_an_array_where_a_table_is_expected_is_named(table):
    with pytest.raises(ValueError, match="'AGT' are no table, nor one a seed"):
        Predictions.from_tables({"voice": VOICE, "AGT": table})


@pytest.mark.parametrize("seen", [[True], [[True, False]], [1, 0], ["x", "y"]])
def test_what_a_model_sees_is_said_of_each_clip(seen):
    probabilities = {"voice": VOICE.to_numpy()[None]}
    with pytest.raises(ValueError, match="'voice' sees is a bool for each of 2 clips"):
        Predictions(("x", "y"), ("a", "b"), probabilities, seen={"voice": np.array(seen)})


def test_no_models_are_refused():
    with pytest.raises(ValueError, match="at least one model"):
        Predictions.from_tables({})


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


def some(seeds=(3, 4), names=("x", "y", "z"), models=("voice",)):
    rng = np.random.default_rng(0)
    values = {model: rng.dirichlet([1, 1], (len(seeds), len(names))) for model in models}
    return Predictions(tuple(names), ("a", "b"), values, tuple(seeds))


@pytest.mark.parametrize("models", [("voice", "AGT"), (("A+V", "AGT"), ("A", "one modality"))])
def test_a_csv_holds_the_predictions_of_every_model_and_seed(tmp_path, models):
    written = some(models=models)
    written.to_csv(tmp_path / "predictions.csv")
    table = pd.read_csv(tmp_path / "predictions.csv").assign(corpus="mini")  # as `Run.table` does
    table.to_csv(tmp_path / "of_run.csv", index=False)
    read = Predictions.from_csv(tmp_path / "of_run.csv")
    assert (read.names, read.label_set, read.seeds) == (written.names, ("a", "b"), (3, 4))
    for model in models:
        np.testing.assert_allclose(read.probabilities[model], written.probabilities[model])


def test_names_that_look_like_missing_values_are_names_in_a_csv(tmp_path):
    written = some(names=("NA", "nan", "null"), models=("None", "NA", "AGT"))
    written.to_csv(tmp_path / "predictions.csv")
    read = Predictions.from_csv(tmp_path / "predictions.csv")
    assert read.names == written.names
    assert list(read.probabilities) == ["None", "NA", "AGT"]


@pytest.mark.parametrize(("column", "cell"), [("a", ""), ("b", "half"), ("seed", "first")])
def test_a_csv_names_the_row_without_a_number(tmp_path, column, cell):
    table = some().long().astype(object)
    table.loc[1, column] = cell
    table.to_csv(tmp_path / "predictions.csv", index=False)
    with pytest.raises(ValueError, match=r"predictions\.csv: row 3: a seed or a probability"):
        Predictions.from_csv(tmp_path / "predictions.csv")


def test_a_csv_keeps_the_case_of_its_labels(tmp_path):
    table = some().table("voice", 3).set_axis(["Joy", "joy"], axis=1)
    written = Predictions.from_tables({"voice": table})
    written.to_csv(tmp_path / "predictions.csv")
    assert Predictions.from_csv(tmp_path / "predictions.csv").label_set == ("Joy", "joy")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name,a,b\nx,1,0\n", "row 1: model: missing column; the header has name, a, b.* Expected"),
        ("model,seed,name\nAGT,0,x\n", "no column of a label's probabilities"),
        ("model,seed,name,a,b\nAGT,0,x,.5,.5,0\n", "row 2: fields: 6 fields"),
    ],
)
def test_a_csv_of_another_form_is_refused(tmp_path, content, problem):
    (tmp_path / "other.csv").write_text(content)
    with pytest.raises(ValueError, match=rf"other\.csv: {problem}"):
        Predictions.from_csv(tmp_path / "other.csv")


def test_a_table_is_of_one_seed_or_the_mean_of_all():
    given = some()
    tables = [given.table("voice", seed) for seed in given.seeds]
    pd.testing.assert_frame_equal(given.table("voice"), (tables[0] + tables[1]) / 2)
    with pytest.raises(ValueError, match=r"no seed 0; there are \(3, 4\)"):
        given.table("voice", 0)


def test_models_of_two_predictions_are_joined_by_clip_name():
    given = some(models=("voice", "AGT"))
    other = given.of("AGT").select(["z", "x", "y"])
    both = given.of("voice") | other
    np.testing.assert_array_equal(both.probabilities["AGT"], given.probabilities["AGT"])
    with pytest.raises(ValueError, match="same seeds"):
        given.of("voice") | some(seeds=(3, 5), models=("AGT",))
    with pytest.raises(ValueError, match="only 'voice' predicts 'z'"):
        given.of("voice") | other.select(["x", "y"])
    assert list((given | other).probabilities) == ["voice", "AGT"]
    with pytest.raises(ValueError, match="both predict by 'AGT', and not the same"):
        given | replace(other, probabilities={"AGT": given.of("AGT")["AGT"]})


def test_clips_with_a_known_label_come_in_the_order_of_the_labels():
    truth = pd.Series({"z": "a", "other": "b", "y": None, "x": "b"})
    assert some().known(truth).names == ("z", "x")
    with pytest.raises(ValueError, match="none of the 3 clips has a true label; they are 'x', 'y'"):
        some().known(truth[["other"]])


def test_a_stage_selects_and_averages_what_is_calibrated_alike():
    stage = Stage(some(), some(), np.array([[0.5, 0.5], [0.7, 0.3]]))
    one = stage.select(["y"]).averaged()
    assert one.predictions.names == one.calibrated.names == ("y",)
    np.testing.assert_allclose(one.trained_on, [[0.6, 0.4]])
