"""Table 1 on small synthetic features, where what must come out is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from agt_lib import evaluation
from agt_lib.corpora import corpus
from agt_lib.corpora.folds import make_folds
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.features.features import Features
from agt_lib.fusion import rows
from agt_lib.fusion.config import OPTIONS, FusionConfig, ablation
from agt_lib.fusion.crossval import fit_folds, robustness
from agt_lib.fusion.data import assemble, from_corpus
from agt_lib.fusion.gates import gate_against_truth
from agt_lib.fusion.networks import build
from agt_lib.fusion.reference import logistic_regression

N = 120
NOTHING = pd.Series(dtype=object)
"""No answer of a test clip."""


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
    return fit_folds(data, folds, configs, **options)


def test_rows_are_the_papers_and_those_of_our_own():
    found = list(rows.configurations(("audio", "video", "text")))
    assert [row for row in found if row[1] == "AGT"] == [
        ("A+V", "AGT"), ("A+T", "AGT"), ("A+V+T", "AGT"),
    ]  # fmt: skip
    assert {row for row in found if row[1] == "one modality"} == {
        (letter, "one modality") for letter in "AVT"
    }


def test_two_modalities_or_one_make_the_rows_they_can():
    assert rows.feature_sets(("video", "text")) == [("video", "text")]
    assert rows.feature_sets(("text",)) == [("text",)]
    assert ("T", "AGT") in rows.configurations(("text",))


def test_what_stands_beside_agt_is_of_all_modalities_together_alone():
    found = rows.configurations(("audio", "video", "text"), scale="speaker", toolkit=True)
    beside = {row for row in found if row[1] not in ("AGT", "baseline", "one modality")}
    assert beside == {
        ("A+V+T", model)
        for model in (
            rows.EQUATION, rows.BASELINE_PATH, rows.TOOLKIT_BASELINE, "AGT, scaled by fold",
            "baseline, scaled by fold",
        )
    }  # fmt: skip
    assert ("T", rows.EQUATION) in rows.configurations(("text",))


def test_the_baseline_is_trained_as_agt_is_and_each_control_changes_one_thing():
    found = rows.configurations(("audio", "video"), scale="speaker")
    agt, baseline = (vars(found["A+V", model]) for model in ("AGT", "baseline"))
    assert {key for key in agt if agt[key] != baseline[key]} == {"model", "network"}
    for row, of in ((rows.EQUATION, "AGT"), (rows.BASELINE_PATH, "baseline")):
        one, other = found["A+V", row], found["A+V", of]
        assert vars(one) | {"network": 0} == vars(other) | {"network": 0}
        assert one.network.get("linear_path") != other.network.get("linear_path", False)
    assert found["A+V", "AGT, scaled by fold"].scale == "fold"
    assert found["A+V", "AGT"].scale == "speaker"


def test_the_means_are_of_seeds_and_of_regression_and_equation(data, folds):
    configs = rows.configurations(("audio", "video"))
    configs = {("A+V", m): replace(configs["A+V", m], epochs=2) for m in (rows.AGT, rows.EQUATION)}
    result = fit_folds(data, folds, configs, (0, 1), workers=1, progress=False)
    result = rows.with_means(result | rows.references(data, folds), data.modalities)
    p = result.out_of_fold.probabilities
    np.testing.assert_allclose(p["A+V", rows.SUBMITTED], p["A+V", "AGT"].mean(0, keepdims=True))
    both = (p["A+V", "logistic regression"] + p["A+V", rows.EQUATION]) / 2
    np.testing.assert_allclose(p["A+V", rows.BLEND], both)


def test_tuned_rows_are_those_with_a_tuned_modality_configured_as_the_raw_ones():
    modalities = ("audio", "video", "text")
    tuned = rows.configurations(modalities, tuned=("video", "text"))
    assert list(tuned) == [
        ("A+V*", "baseline"), ("A+V*", "AGT"), ("A+T*", "baseline"), ("A+T*", "AGT"),
        ("A+V*+T*", "baseline"), ("A+V*+T*", "AGT"), ("V*", "one modality"), ("T*", "one modality"),
    ]  # fmt: skip
    raw = rows.configurations(modalities)
    for (features, model), config in tuned.items():
        assert config == raw[features.replace("*", ""), model]
    assert ("A+T", "AGT") not in rows.configurations(modalities, tuned=("video",))


def starred(fitted):
    """The one modality as if it were the raw row of AGT, AGT as if it were on tuned features."""
    names = {("A+V", "AGT"): ("A", "one modality"), ("A+V*", "AGT"): ("A+V", "AGT")}

    def renamed(predictions):
        chosen = {new: predictions.probabilities[old] for new, old in names.items()}
        return replace(predictions, probabilities=chosen)

    return replace(fitted, out_of_fold=renamed(fitted.out_of_fold), test=renamed(fitted.test))


def test_a_tuned_row_is_compared_with_its_raw_one_on_both_sets(data, fitted):
    result, test = starred(fitted), data.rows(np.arange(24))
    assert rows.tuned_and_raw(result) == [(("A+V*", "AGT"), ("A+V", "AGT"))]
    answers = test.truth[:20]
    table = rows.differences(result, rows.tuned_and_raw(result), data, answers, test)
    shown = rows.scores(result, data, answers, test).set_index(["features", "set"])["waf"]
    for place, line in table.set_index("set").iterrows():
        assert line["difference"] == pytest.approx(shown["A+V*", place] - shown["A+V", place])
    assert table["clips"].tolist() == [len(data.names), 20]


def test_each_option_of_the_ablation_changes_one_thing():
    default = FusionConfig.default("agt")
    for name, config in ablation(("audio", "video", "text")).items():
        changed = {k for k, v in vars(config).items() if k != "network" and v != vars(default)[k]}
        network = {k: v for k, v in config.network.items() if default.network.get(k) != v}
        assert len(changed) + len(network) == 1, name


def test_an_option_that_changes_nothing_for_the_modalities_at_hand_is_left_out():
    x = {m: torch.randn(4, 3) for m in ("audio", "video", "text")}
    for modalities in (("audio",), ("audio", "video")):
        there = torch.ones(4, len(modalities), dtype=torch.bool)
        given = {m: x[m] for m in modalities}

        def logits(config):
            torch.manual_seed(0)
            dims = dict.fromkeys(config.modalities, 3)
            network = build(config.model, dims, 3, **config.network).eval()
            return network(given, there)  # noqa: B023

        default = FusionConfig.default("agt", modalities)
        shown = ablation(modalities)
        for name, (_, changes) in OPTIONS.items():
            config = FusionConfig.default("agt", modalities, **changes)
            same = torch.equal(logits(config), logits(default))
            if name not in shown and "network" in changes:
                assert same, name
        assert "no linear path" in shown


def test_logistic_regression_equals_scikit_learns_in_each_fold(data, folds):
    models = {"both": ("audio", "video")}
    got = logistic_regression(data, folds, models, test=data.rows(np.arange(5)), strengths=(0.01,))
    x = np.concatenate([data.features["audio"], data.features["video"]], axis=1)
    train = folds.to_numpy() != 2
    scaler = StandardScaler().fit(x[train])
    model = LogisticRegression(C=0.01, max_iter=2000)
    model.fit(scaler.transform(x[train]), data.labels[train])
    expected = model.predict_proba(scaler.transform(x[~train]))
    np.testing.assert_allclose(got.out_of_fold.table("both")[~train], expected, atol=1e-4)


def test_scores_are_those_of_the_predictions(data, fitted):
    table = rows.scores(fitted, data, NOTHING).set_index(["features", "model"])
    chosen = fitted.out_of_fold.chosen(("A+V", "AGT"))
    expected = np.mean([evaluation.waf(data.labels, p) for p in chosen])
    assert table.loc[("A+V", "AGT"), "waf"] == pytest.approx(100 * expected)
    assert set(table["set"]) == {"out-of-fold"}
    assert set(table["interval_over"]) == {"speakers"}


def test_test_scores_are_of_the_clips_whose_answers_are_known(data, fitted):
    table = rows.scores(fitted, data, data.truth[3:24])
    line = table[(table["set"] == "test") & (table["model"] == "AGT")].iloc[0]
    predicted = fitted.test.chosen(("A+V", "AGT"))[:, 3:]
    expected = np.mean([evaluation.waf(data.labels[3:24], p) for p in predicted])
    assert line["clips"] == 21
    assert line["waf"] == pytest.approx(100 * expected)


def test_one_model_stands_against_each_other_on_the_same_features(data, folds, fitted):
    result = fitted | rows.references(data, folds, data.rows(np.arange(24)))
    pairs = rows.same_features(result)
    assert pairs == [(("A+V", "AGT"), ("A+V", "logistic regression"))]
    line = rows.differences(result, pairs, data, NOTHING).iloc[0]
    wafs = [
        np.mean([evaluation.waf(data.labels, p) for p in result.out_of_fold.chosen(row)])
        for row in pairs[0]
    ]
    assert line["difference"] == pytest.approx(100 * (wafs[0] - wafs[1]))


def test_the_table_for_reading_has_a_line_a_row_in_the_papers_order(data, fitted):
    shown = rows.display(rows.scores(fitted, data, data.truth[3:24]))
    assert shown.index.tolist() == [("A", "one modality"), ("A+V", "AGT")]
    assert list(shown) == ["out-of-fold, single models", "test, mean of fold models"]


def test_models_fall_to_chance_when_the_modality_they_live_on_is_taken_away(data, fitted):
    table = robustness(fitted.of(("A+V", "AGT")), data)
    waf = table.set_index(["modality", "condition", "noise"]).sort_index()["waf"]
    assert waf["audio", "noise", 0.0] > 80
    assert waf["audio", "absent"].iloc[0] < 35
    assert waf["video", "absent"].iloc[0] > 80
    assert waf["audio", "noise", 4.0] < waf["audio", "noise", 0.5] - 20


def test_the_gate_is_held_against_what_deviates_clip_by_clip(data, fitted):
    models_of_seeds = fitted.models["A+V", "AGT"]
    rng = np.random.default_rng(5)
    deviating = {m: rng.random(N) < 0.4 for m in data.modalities}
    table = gate_against_truth(fitted, ("A+V", "AGT"), data, deviating).set_index("modality")

    gated = {m: np.zeros((2, N), bool) for m in data.modalities}
    similarity = {m: np.zeros((2, N)) for m in data.modalities}
    for s, models in enumerate(models_of_seeds):
        for fold, model in enumerate(models):
            gate = model.gate(data)
            here = fitted.folds.to_numpy() == fold
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
    result = fit_folds(alone, folds, config, seeds=(0,), workers=1, progress=False)
    table = robustness(result, alone)
    assert set(table["condition"]) == {"noise", "alone"}


def test_test_intervals_are_over_the_speakers_of_the_test_clips(data, fitted):
    shown, test = replace(fitted, test=fitted.out_of_fold), data.rows(np.arange(60))
    table = rows.scores(shown, data, test.truth, test)
    assert set(table.loc[table["set"] == "test", "interval_over"]) == {"speakers"}


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
        result = fit_folds(data, folds, config, seeds=(0,), workers=1, progress=False)
        result |= logistic_regression(data, folds, {"regression": ("audio",)})
        for name in ("AGT", "regression"):
            wafs[kind, name] = evaluation.waf(data.labels, result.out_of_fold.chosen(name)[0])
    # Chance is 1/6; three standard errors of 180 clips are .083.
    assert max(wafs["permuted", "AGT"], wafs["permuted", "regression"]) < 1 / 6 + 0.083
    assert min(wafs["true", "AGT"], wafs["true", "regression"]) > 0.6
