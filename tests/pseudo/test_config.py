"""The options of the rule, and the three models."""

import pytest

from agt_lib import pseudo
from agt_lib.fusion.config import FusionConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": "all"}, "pool is one of candidates, unlabelled, test; got 'all'"),
        ({"target": "firm"}, "target is one of hard, soft"),
        ({"threshold": 90}, r"threshold is a number in \[0, 1\]; got 90"),
        ({"threshold": float("nan")}, "threshold is .*; got nan"),
        ({"rounds": 0}, r"rounds is a whole number in \[1, inf\); got 0"),
        ({"rounds": 1.5}, "rounds is a whole number"),
        ({"quota": 0}, "quota is a whole number"),
        ({"precision": 0}, r"precision is a number in \(0, 1\]; got 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        pseudo.PseudoConfig(**changes)


def test_the_defaults_are_the_papers_rule():
    config = pseudo.PseudoConfig()
    assert (config.threshold, config.pool, config.target) == (0.9, "candidates", "hard")
    assert not config.calibrate
    assert config.precision is None
    assert config.quota is None


def test_the_three_models_are_the_voice_alone_the_baseline_and_agt_on_all():
    configs = pseudo.configurations(("audio", "video", "text"), max_epochs=8)
    assert tuple(configs) == pseudo.MODELS == ("voice", "baseline", "AGT")
    assert configs["voice"].modalities == ("audio",)
    assert [config.model for config in configs.values()] == ["unimodal", "attention", "agt"]
    assert {config.epochs for config in configs.values()} == {8}
    agt = pseudo.configurations(("audio", "video", "text"))["AGT"]
    assert agt == FusionConfig.default("agt", ("audio", "video", "text"))


def test_without_a_voice_the_first_modality_stands_in():
    assert pseudo.configurations(("video", "text"))["voice"].modalities == ("video",)
