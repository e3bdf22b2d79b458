"""Tables about rounds, against cases worked by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from agt_lib import pseudo
from agt_lib.pseudo import PseudoConfig, report


@pytest.fixture(scope="module")
def done(labelled, pool, folds, configs, tmp_path_factory):
    """Two rounds with two seeds, 15 test clips of the pool outside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGT_DATA", str(tmp_path_factory.mktemp("data")))
        return pseudo.train(
            labelled, folds, pool, PseudoConfig(threshold=0.4, rounds=2), (0, 1), configs=configs,
            outside=pool.names[:15], workers=1, progress=False,
        )  # fmt: skip


def test_precision_and_coverage_of_each_model_and_of_all():
    true = np.array([0, 1, 1, -1])
    voice = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.9, 0.1]])
    fused = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
    table = report.rule(true, {"voice": voice[None], "AGT": fused[None]}, (0.0, 0.75))
    table = table.set_index(["who", "threshold"])
    # above .75 the voice keeps 0 (right), 1 (wrong) and 3 (not known)
    assert tuple(table.loc[("voice", 0.75)]) == (0.75, 0.5)
    assert tuple(table.loc[("AGT", 0.75)]) == (0.75, 1.0)
    assert tuple(table.loc[(report.ALL, 0.0)]) == (0.75, 1.0)  # all but clip 1
    coverage, precision = table.loc[(report.ALL, 0.75)]
    assert coverage == 0.25  # clip 3 alone, whose truth is not known
    assert np.isnan(precision)


def test_quality_counts_what_the_rule_selects(done, labelled, truth):
    table = report.quality(done, labelled, truth)
    selections = [stage.selected for stage in done.rounds[1:]] + [done.next_selected]
    for stage, selected in zip(done.rounds, selections, strict=True):
        line = table[(table["round"] == stage.number) & (table["who"] == report.ALL)].iloc[0]
        assert line["clips"] == pytest.approx(len(selected) / 6)
        right = (selected["name"].map(truth) == selected["label"]).mean()
        assert line["precision"] == pytest.approx(right)
        assert line["coverage"] <= line["agreement"]


def test_at_threshold_0_what_is_kept_is_what_is_agreed_on(done, labelled, truth):
    loose = replace(done, config=PseudoConfig(threshold=0.0))
    table = report.quality(loose, labelled, truth)
    together = table[table["who"] == report.ALL]
    assert (together["coverage"] == together["agreement"]).all()
    assert (table.loc[table["who"] == "voice", "coverage"] == 1).all()


def test_what_moved_between_selections():
    def chosen(*rows):
        return pd.DataFrame(rows, columns=["seed", "fold", "name", "label"])

    first = chosen((0, 0, "a", "x"), (0, 0, "b", "x"), (0, 1, "a", "y"))
    second = chosen((0, 0, "a", "x"), (0, 0, "b", "y"), (0, 1, "c", "y"))
    stages = [SimpleNamespace(selected=table, n_models=2) for table in (chosen(), first)]
    table = report.moved(SimpleNamespace(rounds=stages, next_selected=second))
    assert table.iloc[0].tolist() == [1, 0, 0, 1.5, 0]  # three clips in two folds
    assert table.iloc[1].tolist() == [2, 0.5, 0.5, 0.5, 0.5]


def test_scores_are_sklearns_and_round_0_differs_from_itself_by_nothing(done, labelled, truth):
    table = report.scores(done, labelled, truth[:30])
    sets = ["out-of-fold", report.INSIDE, report.OUTSIDE]
    assert list(dict.fromkeys(table["set"])) == sets
    assert (table.loc[table["round"] == 0, "difference"] == 0).all()
    line = table.query("round == 2 and model == 'AGT' and set == @report.OUTSIDE").iloc[0]
    assert line["clips"] == 15
    wafs = [
        f1_score(np.arange(15) % 3, p[:15].argmax(1), average="weighted")
        for p in done.rounds[2].results.test.probabilities["AGT"]
    ]
    assert line["waf"] == pytest.approx(100 * np.mean(wafs))
    first = table.query("round == 0 and model == 'AGT' and set == @report.OUTSIDE").iloc[0]
    assert line["difference"] == pytest.approx(line["waf"] - first["waf"])


def test_without_answers_there_are_out_of_fold_scores_alone(done, labelled):
    assert set(report.scores(done, labelled, pd.Series(dtype=object))["set"]) == {"out-of-fold"}


def test_intervals_are_over_speakers_where_they_are_known(done, labelled, pool, truth):
    speakers = np.array([f"s{i % 6}" for i in range(60)], dtype=object)
    known = report.scores(done, replace(labelled, groups=speakers), truth[:30], pool)
    plain = report.scores(done, labelled, truth[:30], pool)
    assert (known["waf"] == plain["waf"]).all()
    rows = known["set"] == "out-of-fold"
    assert (known.loc[rows, "waf_low"] != plain.loc[rows, "waf_low"]).all()


def test_kept_clips_stand_beside_the_truth_of_the_pool(done, truth):
    table = report.kept(done, truth)
    assert set(table["round"]) == {1, 2}
    first = table[table["round"] == 1].set_index("label")
    assert first["true_share"].tolist() == [1 / 3] * 3
    assert first["share"].sum() == pytest.approx(1)
    assert first["kept"].sum() == pytest.approx(len(done.rounds[1].selected) / 6)


def test_clips_from_elsewhere_are_scored_by_the_models_on_disk(done, clips_of):
    others = clips_of("other", 12, seed=5)
    answers = pd.Series([others.label_set[i] for i in others.labels], list(others.names))
    table = report.elsewhere(done, others, answers.iloc[::-1])
    line = table.query("round == 1 and model == 'voice'").iloc[0]
    predicted = done.rounds[1].predict(others).probabilities["voice"]
    assert predicted.shape == (2, 12, 3)
    wafs = [f1_score(others.labels, p.argmax(1), average="weighted") for p in predicted]
    assert line["waf"] == pytest.approx(100 * np.mean(wafs))
    assert set(table["set"]) == {"second test set"}


def test_models_on_disk_predict_the_pool_as_they_did_when_they_were_trained(done, pool):
    again = done.rounds[2].predict(pool)
    for model, p in done.rounds[2].results.test.probabilities.items():
        np.testing.assert_allclose(again.probabilities[model], p, rtol=1e-5, atol=1e-7)


def scored(difference, low, high, number=1):
    return {
        "round": number, "model": "AGT", "set": "test", "waf": 60.0,
        "waf_low": 55.0, "waf_high": 65.0,
        "difference": difference, "difference_low": low, "difference_high": high, "fixed": 9.0,
        "broken": 4.0, "clips": 50,
    }  # fmt: skip


def test_the_table_for_reading_has_a_column_a_round_and_the_paired_difference():
    table = pd.DataFrame([scored(0, 0, 0, number=0), scored(1.25, -0.5, 3.0)])
    shown = report.display(table)
    assert list(shown) == ["round 0", "round 1", "last minus first"]
    assert shown.iloc[0].tolist() == ["60.0 [55.0, 65.0]"] * 2 + ["+1.2 [−0.5, +3.0]"]
