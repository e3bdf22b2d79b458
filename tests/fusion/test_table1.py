"""Table 1 on small synthetic features, where what must come out is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from agt_lib import evaluation
from agt_lib.corpora import corpus
from agt_lib.corpora.folds import make_folds
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.features.features import Features
from agt_lib.fusion import predictions, robustness, table1
from agt_lib.fusion.config import FusionConfig, ablation
from agt_lib.fusion.crossval import cross_validate
from agt_lib.fusion.data import assemble, from_corpus
from agt_lib.fusion.reference import STRENGTH, logistic_regression

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


def test_the_baselines_controls_are_of_all_modalities_together_alone():
    rows = table1.configurations(("audio", "video", "text"))
    controls = {row for row in rows if row[1] in (table1.UNSCALED, table1.RETRAINED)}
    assert controls == {("A+V+T", table1.UNSCALED), ("A+V+T", table1.RETRAINED)}
    alone = table1.configurations(("text",))
    assert ("T", table1.UNSCALED) in alone and ("T", table1.RETRAINED) in alone


def test_the_baseline_is_shown_with_agts_training_too():
    rows = table1.configurations(("audio", "video"))
    agt, retrained = vars(rows["A+V", "AGT"]), vars(rows["A+V", "baseline, AGT's training"])
    assert {key for key in agt if agt[key] != retrained[key]} == {"model", "network"}
    assert retrained["network"] == rows["A+V", "baseline"].network


def test_tuned_rows_are_those_with_a_tuned_modality_configured_as_the_raw_ones():
    modalities = ("audio", "video", "text")
    tuned = table1.tuned_configurations(modalities, ("video", "text"))
    assert list(tuned) == [
        ("A+V*", "baseline"), ("A+V*", "AGT"), ("A+T*", "baseline"), ("A+T*", "AGT"),
        ("A+V*+T*", "baseline"), ("A+V*+T*", "AGT"), ("V*", "one modality"), ("T*", "one modality"),
    ]  # fmt: skip
    raw = table1.configurations(modalities)
    for (features, model), config in tuned.items():
        assert config == raw[features.replace("*", ""), model]
    assert ("A+T", "AGT") not in table1.tuned_configurations(modalities, ("video",))


def test_a_tuned_row_is_compared_with_its_raw_one(data, fitted):
    results = {("A+V", "AGT"): fitted["A", "one modality"], ("A+V*", "AGT"): fitted["A+V", "AGT"]}
    table = table1.tuned_against_raw(results, data)
    expected = table1.differences(results["A+V", "AGT"], {"AGT": results["A+V*", "AGT"]}, data)
    assert table[["features", "model", "set"]].values.tolist() == [["A+V*", "AGT", "out-of-fold"]]
    assert table["difference"].tolist() == expected["difference"].tolist()


def test_differences_on_test_clips_are_of_the_scores_shown_there(data, fitted):
    results = {("A+V", "AGT"): fitted["A", "one modality"], ("A+V*", "AGT"): fitted["A+V", "AGT"]}
    test = data.rows(np.arange(24))
    answers = pd.Series([EMOTIONS[n] for n in test.labels], index=list(test.names))[:20]
    table = table1.tuned_against_raw(results, data, answers, test)
    shown = table1.scores(results, data, answers, test).set_index(["features", "set"])["waf"]
    for place, line in table.set_index("set").iterrows():
        assert line["difference"] == pytest.approx(shown["A+V*", place] - shown["A+V", place])
    assert table["clips"].tolist() == [len(data.names), 20]


def test_each_option_of_the_ablation_changes_one_thing():
    default = FusionConfig.default("agt")
    for name, config in ablation(("audio", "video", "text")).items():
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
    assert table.loc["AGT", "difference_low"] > 0
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
    waf = table.set_index(["modality", "condition", "noise"]).sort_index()["waf"]
    assert waf["audio", "noise", 0.0] > 80
    assert waf["audio", "absent"].iloc[0] < 35
    assert waf["video", "absent"].iloc[0] > 80
    assert waf["audio", "noise", 4.0] < waf["audio", "noise", 0.5] - 20


def test_predictions_have_one_line_per_clip_model_and_seed(data, fitted):
    tables = predictions.prediction_tables(fitted)
    oof = tables["oof"]
    assert not oof.duplicated(["features", "model", "seed", "name"]).any()
    assert len(oof) == 2 * 2 * N
    np.testing.assert_allclose(oof[list(EMOTIONS)].sum(axis=1), 1, atol=1e-5)
    assert list(tables["test"].columns) == ["features", "model", "seed", "name", *EMOTIONS]


def test_the_gate_is_held_against_what_deviates_clip_by_clip(data, fitted):
    agt = fitted["A+V", "AGT"]
    rng = np.random.default_rng(5)
    deviating = {m: rng.random(N) < 0.4 for m in data.modalities}
    table = robustness.gate_against_truth(agt, data, deviating).set_index("modality")

    gated = {m: np.zeros((2, N), bool) for m in data.modalities}
    similarity = {m: np.zeros((2, N)) for m in data.modalities}
    for s, models in enumerate(agt.models):
        for fold, model in enumerate(models):
            gate = model.gate(data)
            here = agt.folds == fold
            for k, m in enumerate(gate.tokens):
                gated[m][s, here] = ~gate.kept[:, k].numpy()[here]
                similarity[m][s, here] = gate.similarity[:, k].numpy()[here]
    assert sum(g.sum() for g in gated.values()) > 0, "no gate fires: this test sees nothing"
    for m in data.modalities:
        wanted = np.tile(deviating[m], (2, 1))
        assert table.loc[m, "found"] == gated[m].sum()
        assert table.loc[m, "wanted"] == wanted.sum()
        hits = (gated[m] & wanted).sum()
        assert table.loc[m, "recall"] == pytest.approx(hits / wanted.sum())
        expected = roc_auc_score(wanted.ravel(), -similarity[m].ravel())
        assert table.loc[m, "auc"] == pytest.approx(expected)


def test_a_condition_that_leaves_nothing_has_no_line(data, folds):
    alone = data.only(("audio",))
    config = {"AGT": FusionConfig.default("agt", ("audio",), epochs=2, network={"width": 16})}
    result = cross_validate(alone, folds, config, seeds=(0,), workers=1, progress=False)
    table = robustness.scores(result, alone)
    assert set(table["condition"]) == {"noise", "alone"}


def test_test_intervals_are_over_the_speakers_of_the_test_clips(data, fitted):
    test = data.rows(np.arange(60))
    agt = fitted["A+V", "AGT"]
    shown = type(agt)(**(vars(agt) | {"test_names": test.names, "test": agt.out_of_fold[:, :60]}))
    answers = pd.Series([EMOTIONS[n] for n in test.labels], index=list(test.names))
    table = table1.scores({("A+V", "AGT"): shown}, data, answers, test)
    assert table.loc[table["set"] == "test", "interval_over"].item() == "speakers"


def test_labels_permuted_before_everything_score_at_chance():
    # The features tell speaker and true label; only the labels given to the corpus are permuted.
    rng = np.random.default_rng(11)
    true = np.arange(180) % 6
    values = np.concatenate([8 * np.eye(6)[true], 8 * np.eye(20)[np.arange(180) % 20]], axis=1)
    values = (values + rng.standard_normal(values.shape)).astype(np.float32)
    names = tuple(f"c{i}" for i in range(180))
    made = {"audio": Features("audio", names, values, np.ones(180, bool), "made")}
    table = pd.DataFrame({"name": names, "split": "train", "text": "-"})
    table["speaker"] = [f"s{i % 20}" for i in range(180)]
    wafs = {}
    for kind, labels in (("true", true), ("permuted", rng.permutation(true))):
        clips = corpus.build("c", table.assign(emotion=[EMOTIONS[n] for n in labels]), source="c")
        data = from_corpus(clips, made)
        config = {"AGT": FusionConfig.default("agt", ("audio",), epochs=15)}
        folds = make_folds(clips, 5)
        result = cross_validate(data, folds, config, seeds=(0,), workers=1, progress=False)["AGT"]
        plain = logistic_regression(data, folds, ("audio",))
        for name, found in (("AGT", result), ("regression", plain)):
            waf = evaluation.waf(data.labels, found.out_of_fold[0].argmax(1))
            wafs[kind, name] = waf
    # Chance is 1/6; three standard errors of 180 clips are .083.
    assert max(wafs["permuted", "AGT"], wafs["permuted", "regression"]) < 1 / 6 + 0.083
    assert min(wafs["true", "AGT"], wafs["true", "regression"]) > 0.6
