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
    for stage, selected in zip(
        done.rounds, [done.rounds[1].selected, done.rounds[2].selected, None], strict=False
    ):
        if selected is None:
            break
        line = table[(table["round"] == stage.number) & (table["who"] == report.ALL)].iloc[0]
        assert line["clips"] == pytest.approx(len(selected) / 6)
        right = (selected["name"].map(truth) == selected["label"]).mean()
        assert line["precision"] == pytest.approx(right)
        assert line["coverage"] <= line["agreement"]


def test_what_moved_between_selections():
    def chosen(*rows):
        return pd.DataFrame(rows, columns=["seed", "fold", "name", "label"])

    first = chosen((0, 0, "a", "x"), (0, 0, "b", "x"), (0, 1, "a", "y"))
    second = chosen((0, 0, "a", "x"), (0, 0, "b", "y"), (0, 1, "c", "y"))
    stages = [SimpleNamespace(selected=table) for table in (chosen(), first)]
    stages[0].by_fold = {"AGT": np.zeros((1, 2, 3, 2))}
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
        for p in done.rounds[2].results["AGT"].test
    ]
    assert line["waf"] == pytest.approx(100 * np.mean(wafs))
    first = table.query("round == 0 and model == 'AGT' and set == @report.OUTSIDE").iloc[0]
    assert line["difference"] == pytest.approx(line["waf"] - first["waf"])


def test_without_answers_there_are_out_of_fold_scores_alone(done, labelled):
    assert set(report.scores(done, labelled)["set"]) == {"out-of-fold"}


def test_intervals_are_over_speakers_where_they_are_known(done, labelled, pool, truth):
    speakers = np.array([f"s{i % 6}" for i in range(60)], dtype=object)
    known = report.scores(done, replace(labelled, groups=speakers), truth[:30], pool)
    plain = report.scores(done, labelled, truth[:30], pool)
    assert (known["waf"] == plain["waf"]).all()
    rows = known["set"] == "out-of-fold"
    assert (known.loc[rows, "low"] != plain.loc[rows, "low"]).all()


def test_kept_clips_stand_beside_the_truth_of_the_pool(done, truth):
    table = report.kept(done, truth)
    assert set(table["round"]) == {1, 2}
    first = table[table["round"] == 1].set_index("label")
    assert first["true_share"].tolist() == [1 / 3] * 3
    assert first["share"].sum() == pytest.approx(1)
    assert first["kept"].sum() == pytest.approx(len(done.rounds[1].selected) / 6)
