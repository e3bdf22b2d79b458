"""Every rule by name: those of the predictions alone and those that know a prior."""

from dataclasses import replace

import numpy as np

from agt_lib.evaluation.calibration import with_temperature
from agt_lib.evaluation.predictions import Predictions, Stage
from agt_lib.voting import MODELS, VoteConfig, all_rules, corrected, mean, rule_names, vote


def made():
    """Two seeds of three models on six clips, calibrated to twice their temperature."""
    rng = np.random.default_rng(0)
    names, labels = tuple("pqrstu"), ("a", "b", "c")
    raw = Predictions(names, labels, {m: rng.dirichlet(np.ones(3), (2, 6)) for m in MODELS})
    softer = {m: with_temperature(p, 2.0) for m, p in raw.probabilities.items()}
    return Stage(raw, replace(raw, probabilities=softer), np.array([[0.5, 0.3, 0.2]] * 2))


def test_rules_that_know_a_prior_correct_to_it_and_others_have_its_trigger_labels():
    stage, target = made(), np.array([0.2, 0.33, 0.47])
    config = VoteConfig(triggers=("a",), partner="baseline")
    found = all_rules(stage, config, {"probe": target}, {"shift": ("b", "c")})
    np.testing.assert_array_equal(found["vote"], vote(stage.predictions, config))
    expected = vote(stage.predictions, VoteConfig(triggers=("b", "c"), partner="baseline"))
    np.testing.assert_array_equal(found["vote, triggers by shift"], expected)
    expected = mean(corrected(stage.calibrated, stage.trained_on, target))
    np.testing.assert_array_equal(found["mean, calibrated, corrected by probe"], expected)
    expected = mean(corrected(stage.predictions, stage.trained_on, target))
    np.testing.assert_array_equal(found["mean, corrected by probe"], expected)
    assert len(found) == len(all_rules(stage, config)) + 3
    every = all_rules(stage, config, {"shift": target}, {"shift": ("b", "c")})
    assert set(rule_names(config, ["shift"])) == set(every)
