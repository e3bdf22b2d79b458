"""What a stage brings to a vote: predictions, calibrated ones, and the prior it was trained on."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation.calibration import calibrated_out_of_fold, fit_temperature, with_temperature
from agt_lib.evaluation.predictions import Predictions
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.data import FusionData, visible
from agt_lib.probing.estimates import estimate
from agt_lib.pseudo import PseudoConfig, PseudoRounds, Round, Voters
from agt_lib.pseudo.stages import held_out, on_pool, trained_on

LABELS = ("a", "b", "c")
TRUE = np.arange(60) % 3
FOLDS = np.arange(60) % 2
POOL = ("p", "q", "r")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def data():
    names = tuple(f"c{i}" for i in range(60))
    nothing = {"audio": np.zeros((60, 1), np.float32)}
    return FusionData(names, nothing, np.ones((60, 1), bool), TRUE, LABELS, {"audio": "x"})


def results_of(data, out_of_fold, by_fold, names, folds=FOLDS):
    """What `fit_folds` would give for seeds 4 and 5."""
    held_out = folds >= 0
    own = {model: p[:, held_out] for model, p in out_of_fold.items()}
    means = {model: p.mean(1) for model, p in by_fold.items()}
    return CrossValidated(
        Predictions(tuple(np.array(data.names)[held_out]), LABELS, own, (4, 5)),
        Predictions(names, LABELS, means, (4, 5)),
        pd.Series(folds, index=list(data.names)),
    )


@pytest.fixture(scope="module")
def fitted(data):
    """Two seeds, two folds: an unsure voice and a baseline that is far too sure."""
    rng = np.random.default_rng(0)
    out_of_fold, by_fold = {}, {}
    for model, scale in (("voice", 0.5), ("baseline", 6.0), ("AGT", 1.0)):
        out_of_fold[model] = softmax(scale * (rng.standard_normal((2, 60, 3)) + np.eye(3)[TRUE]))
        by_fold[model] = softmax(scale * rng.standard_normal((2, 2, 3, 3)))
    selected = pd.DataFrame({"seed": [4], "fold": [0], "name": ["p"], "label": ["b"]})
    return Round(1, results_of(data, out_of_fold, by_fold, POOL), by_fold, selected)


def voters_of(data, rounds, seen=None):
    """Voters whose pool is `POOL`; all models see all clips unless `seen` says otherwise."""
    if seen is None:
        seen = pd.DataFrame(index=[*data.names, *POOL])
    trained = {"raw": PseudoRounds(PseudoConfig(), rounds, np.ones(3, bool), (), ())}
    given = SimpleNamespace(data=data)
    return Voters(given, {}, (4, 5), trained, "raw", seen)


def test_fold_models_are_calibrated_one_by_one_before_their_mean(data, fitted):
    stage = on_pool(fitted, data)
    assert stage.predictions.names == stage.calibrated.names == POOL
    assert stage.predictions is fitted.results.test
    for model, own in fitted.results.out_of_fold.probabilities.items():
        for seed in range(2):
            temperature = fit_temperature(TRUE, own[seed])
            each = [with_temperature(p, temperature) for p in fitted.by_fold[model][seed]]
            found = stage.calibrated.probabilities[model][seed]
            np.testing.assert_allclose(found, np.mean(each, 0))
    surest = stage.calibrated.probabilities["baseline"].max(-1).mean()
    assert surest < fitted.results.test.probabilities["baseline"].max(-1).mean()


def test_a_stage_knows_the_prior_that_it_was_trained_on(data, fitted):
    stage = on_pool(fitted, data)
    # each fold's model has ten clips of each label, and fold 0's of the first seed one more b
    np.testing.assert_allclose(stage.trained_on[1], 1 / 3)
    np.testing.assert_allclose(stage.trained_on[0, 1], (11 / 31 + 1 / 3) / 2)


def test_out_of_fold_each_fold_takes_its_temperature_from_the_others(data, fitted):
    stage = held_out(fitted.results, data)
    assert stage.predictions.names == data.names
    own = fitted.results.out_of_fold.probabilities["voice"]
    expected = calibrated_out_of_fold(TRUE, FOLDS, own[1])
    np.testing.assert_allclose(stage.calibrated.probabilities["voice"][1], expected)


def test_with_one_fold_alone_nothing_is_calibrated(data, fitted):
    folds = np.where(np.arange(60) < 30, 0, -1)
    own = fitted.results.out_of_fold.probabilities
    stage = held_out(results_of(data, own, fitted.by_fold, POOL, folds), data)
    assert stage.predictions.names == data.names[:30]
    assert stage.calibrated is stage.predictions


def test_the_prior_of_training_counts_pseudo_labels_of_each_folds_model():
    labels, folds = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, -1])
    names = tuple(f"c{i}" for i in range(6))
    nothing = {"audio": np.zeros((6, 1), np.float32)}
    data = FusionData(names, nothing, np.ones((6, 1), bool), labels, LABELS, {"audio": "x"})
    own = {"AGT": np.full((2, 6, 3), 1 / 3)}
    results = results_of(data, own, {"AGT": np.full((2, 2, 3, 3), 1 / 3)}, POOL, folds)
    plain = trained_on(results, data)
    # fold 0's model: a, b, c; fold 1's: a, b, c, c
    np.testing.assert_allclose(plain[0], [(1 / 3 + 1 / 4) / 2] * 2 + [(1 / 3 + 2 / 4) / 2])

    selected = pd.DataFrame({"seed": [4, 4, 5], "fold": [0, 0, 1], "label": ["a", "b", "c"]})
    by_seed = trained_on(results, data, selected)
    # seed 4, fold 0: a a b b c; seed 5, fold 1: a b c c c
    np.testing.assert_allclose(by_seed[0], (np.array([0.4, 0.4, 0.2]) + [0.25, 0.25, 0.5]) / 2)
    np.testing.assert_allclose(by_seed[1], (np.full(3, 1 / 3) + [0.2, 0.2, 0.6]) / 2)


def test_a_stage_is_selected_and_averaged_as_a_whole(data, fitted):
    stage = on_pool(fitted, data).select(["r", "p"]).averaged()
    assert stage.calibrated.names == ("r", "p")
    assert stage.predictions.seeds == stage.calibrated.seeds == (0,) and len(stage.trained_on) == 1
    mean_of_seeds = fitted.results.test.probabilities["AGT"][:, [2, 0]].mean(0)
    np.testing.assert_allclose(stage.predictions.probabilities["AGT"][0], mean_of_seeds)


def test_the_first_and_the_last_round_are_the_stages_of_table_2(data, fitted):
    plain = Round(0, fitted.results, fitted.by_fold, fitted.selected.head(0))
    voters = voters_of(data, (plain, plain, fitted))
    on_test = voters.stages(["q"])
    assert list(on_test) == ["none", "P"]
    assert on_test["P"].predictions.names == ("q",)
    np.testing.assert_allclose(on_test["none"].trained_on, 1 / 3)
    np.testing.assert_allclose(on_test["P"].trained_on, on_pool(fitted, data).trained_on)
    out_of_fold = voters.stages()
    assert out_of_fold["P"].predictions.names == data.names
    np.testing.assert_allclose(out_of_fold["P"].trained_on, on_pool(fitted, data).trained_on)


def test_a_clip_without_a_models_modalities_is_not_seen_by_it(data, fitted):
    there = np.array([[True, True], [False, True], [False, False]])
    two = {m: np.zeros((3, 1), np.float32) for m in ("audio", "video")}
    pool = FusionData(POOL, two, there, np.full(3, -1), LABELS, {"audio": "x", "video": "y"})
    both = ("audio", "video")
    configs = {"voice": FusionConfig("attention", ("audio",)), "AGT": FusionConfig("agt", both)}
    seen = visible(configs, pool)
    assert seen.loc[list(POOL)].to_numpy().tolist() == [[True, True], [False, True], [False, False]]
    stage = voters_of(data, (fitted, fitted), seen).stages(["q", "p"])["P"]
    for predictions in (stage.predictions, stage.calibrated):
        np.testing.assert_array_equal(predictions.sees("voice"), [False, True])
        np.testing.assert_array_equal(predictions.sees("baseline"), [True, True])


def test_the_pools_prior_is_estimated_from_posteriors_alone(data, fitted):
    rng = np.random.default_rng(3)
    labels = rng.choice(3, 600, p=[0.6, 0.3, 0.1])
    centres, sd = 2.0 * np.eye(3), 1.0

    def posterior(x):  # of Gaussian classes in equal shares
        return softmax(-((x[..., None, :] - centres) ** 2).sum(-1) / (2 * sd**2))

    by_fold = posterior(centres[labels] + sd * rng.standard_normal((2, 2, 600, 3)))
    own = posterior(centres[TRUE] + sd * rng.standard_normal((2, 60, 3)))
    names = tuple(f"u{i}" for i in range(600))
    by_fold = {"AGT": by_fold}
    results = results_of(data, {"AGT": own}, by_fold, names)
    made = Round(0, results, by_fold, fitted.selected.head(0))
    found = voters_of(data, (made, fitted)).estimated_prior(partial(estimate, "em"))
    np.testing.assert_allclose(found, [0.6, 0.3, 0.1], atol=0.07)
