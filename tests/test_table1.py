"""Table 1 on small synthetic features, where what must come out is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from agt_lib import evaluation, robustness, table1
from agt_lib.crossval import cross_validate
from agt_lib.emotions import EMOTIONS
from agt_lib.features import Features
from agt_lib.fusion_config import FusionConfig
from agt_lib.fusion_data import assemble
from agt_lib.reference import STRENGTH, logistic_regression

N = 120


def features(modality, labels, signal, seed):
    """Six columns that hold the label at `signal` standard deviations, and noise."""
    noise = np.random.default_rng(seed).standard_normal((len(labels), 6))
    values = (noise + signal * np.eye(6)[labels]).astype(np.float32)
    names = tuple(f"c{i}" for i in range(len(labels)))
    return Features(modality, names, values, np.ones(len(labels), bool), modality)


@pytest.fixture(scope="module")
def data():
    labels = np.arange(N) % 6
    made = {"audio": features("audio", labels, 6.0, 1), "video": features("video", labels, 0, 2)}
    names = made["audio"].names
    groups = np.repeat([f"s{i}" for i in range(20)], 6).astype(object)
    return assemble(names, made, label_set=EMOTIONS, labels=labels, groups=groups)


@pytest.fixture(scope="module")
def folds(data):
    return pd.Series(np.repeat(np.arange(4), N // 4), index=list(data.names))


@pytest.fixture(scope="module")
def fitted(data, folds):
    small = {"epochs": 25, "batch_size": 16, "weight_decay": 0.01, "mixup": 0.0}
    small["network"] = {"width": 16, "dropout": 0.1}
    configs = {
        ("A+V", "AGT"): FusionConfig.default("agt", ("audio", "video"), **small),
        ("A", "one modality"): FusionConfig.default("unimodal", ("audio",), **small),
    }
    test = data.rows(np.arange(24))
    options = {"seeds": (0, 1), "test": test, "workers": 1, "progress": False}
    return cross_validate(data, folds, configs, **options)


def test_rows_are_the_papers_and_those_of_our_own():
    rows = list(table1.configurations(("audio", "video", "text")))
    assert [row for row in rows if row[1] == "AGT"] == [
        ("A+V", "AGT"), ("A+T", "AGT"), ("A+V+T", "AGT"),
    ]  # fmt: skip
    assert {row for row in rows if row[1] == "one modality"} == {
        (letter, "one modality") for letter in "AVT"
    }


def test_two_modalities_or_one_make_the_rows_they_can():
    assert table1.feature_sets(("video", "text")) == [("video", "text")]
    assert table1.feature_sets(("text",)) == [("text",)]
    assert ("T", "AGT") in table1.configurations(("text",))


def test_the_baselines_rows_differ_in_scaling_alone():
    rows = table1.configurations(("audio", "video"))
    scaled, unscaled = rows["A+V", "baseline"], rows["A+V", "baseline, unscaled"]
    assert vars(scaled) | {"scale": False} == vars(unscaled)


def test_the_baseline_is_shown_with_agts_training_too():
    rows = table1.configurations(("audio", "video"))
    agt, retrained = vars(rows["A+V", "AGT"]), vars(rows["A+V", "baseline, AGT's training"])
    assert {key for key in agt if agt[key] != retrained[key]} == {"model", "network"}
    assert retrained["network"] == rows["A+V", "baseline"].network


def test_each_option_of_the_ablation_changes_one_thing():
    default = FusionConfig.default("agt")
    for name, config in table1.ablation(("audio", "video", "text")).items():
        changed = {k for k, v in vars(config).items() if k != "network" and v != vars(default)[k]}
        network = {k: v for k, v in config.network.items() if default.network.get(k) != v}
        assert len(changed) + len(network) == 1, name


def test_logistic_regression_equals_scikit_learns_in_each_fold(data, folds):
    got = logistic_regression(data, folds, ("audio", "video"), test=data.rows(np.arange(5)))
    x = np.concatenate([data.features["audio"], data.features["video"]], axis=1)
    train = folds.to_numpy() != 2
    scaler = StandardScaler().fit(x[train])
    model = LogisticRegression(C=STRENGTH, max_iter=2000)
    model.fit(scaler.transform(x[train]), data.labels[train])
    expected = model.predict_proba(scaler.transform(x[~train]))
    np.testing.assert_allclose(got.out_of_fold[0][~train], expected, atol=1e-4)


def test_scores_are_those_of_the_predictions(data, fitted):
    table = table1.scores(fitted, data).set_index(["features", "model"])
    expected = np.mean(
        [evaluation.waf(data.labels, p.argmax(1)) for p in fitted["A+V", "AGT"].out_of_fold]
    )
    assert table.loc[("A+V", "AGT"), "waf"] == pytest.approx(100 * expected)
    assert set(table["set"]) == {"out-of-fold"}
    assert set(table["interval_over"]) == {"speakers"}


def test_test_scores_are_of_the_clips_whose_answers_are_known(data, fitted):
    names = list(data.names[:24])
    answers = pd.Series([EMOTIONS[n] for n in data.labels[:24]], index=names)[3:]
    table = table1.scores(fitted, data, answers)
    line = table[(table["set"] == "test") & (table["model"] == "AGT")].iloc[0]
    predicted = fitted["A+V", "AGT"].test[:, 3:].argmax(-1)
    expected = np.mean([evaluation.waf(data.labels[3:24], p) for p in predicted])
    assert line["clips"] == 21
    assert line["waf"] == pytest.approx(100 * expected)


def test_a_models_difference_to_itself_is_zero_and_to_a_worse_one_is_positive(data, fitted):
    agt = fitted["A+V", "AGT"]
    uniform = np.full_like(agt.out_of_fold, 1 / 6)
    worse = type(agt)(**(vars(agt) | {"out_of_fold": uniform}))
    table = table1.differences(worse, {"AGT": agt, "itself": worse}, data).set_index("name")
    assert table.loc["itself", ["difference", "fixed", "broken"]].tolist() == [0, 0, 0]
    assert table.loc["AGT", "low"] > 0
    right = (agt.out_of_fold.argmax(-1) == data.labels) & (data.labels != 0)
    assert table.loc["AGT", "fixed"] == right.sum(1).mean()


def test_a_result_without_seeds_stands_beside_each_seed(data, folds, fitted):
    plain = logistic_regression(data, folds, ("audio", "video"))
    line = table1.differences(plain, {"AGT": fitted["A+V", "AGT"]}, data).iloc[0]
    truth = data.labels
    wafs = [evaluation.waf(truth, p.argmax(1)) for p in fitted["A+V", "AGT"].out_of_fold]
    expected = np.mean(wafs) - evaluation.waf(truth, plain.out_of_fold[0].argmax(1))
    assert line["difference"] == pytest.approx(100 * expected)


def test_models_fall_to_chance_when_the_modality_they_live_on_is_taken_away(data, fitted):
    table = robustness.scores({"AGT": fitted["A+V", "AGT"]}, data)
    waf = table.set_index(["modality", "condition", "noise"])["waf"]
    assert waf["audio", "noise", 0.0] > 80
    assert waf["audio", "absent"].iloc[0] < 35
    assert waf["video", "absent"].iloc[0] > 80
    assert waf["audio", "noise", 4.0] < waf["audio", "noise", 0.5] - 20


def test_predictions_have_one_line_per_clip_model_and_seed(data, fitted):
    tables = table1.prediction_tables(fitted)
    oof = tables["oof"]
    assert not oof.duplicated(["features", "model", "seed", "name"]).any()
    assert len(oof) == 2 * 2 * N
    np.testing.assert_allclose(oof[list(EMOTIONS)].sum(axis=1), 1, atol=1e-5)
    assert list(tables["test"].columns) == ["features", "model", "seed", "name", *EMOTIONS]


def test_the_gate_is_held_against_what_deviates(data, fitted):
    agt = fitted["A+V", "AGT"]
    nothing = {m: np.zeros(N, bool) for m in data.modalities}
    table = robustness.gate_against_truth(agt, data, nothing).set_index("modality")
    assert (table["wanted"] == 0).all()
    assert table.loc["all", "found"] == table.loc[["audio", "video"], "found"].sum()
    everything = {m: np.ones(N, bool) for m in data.modalities}
    table = robustness.gate_against_truth(agt, data, everything).set_index("modality")
    assert table.loc["all", "wanted"] == 2 * 2 * N
