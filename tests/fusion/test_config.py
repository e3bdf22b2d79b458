"""A configuration is plain data, whole and checked."""

import json

import pytest

from agt_lib.fusion.config import TOOLKIT, FusionConfig, searched
from agt_lib.fusion.networks import NETWORKS


@pytest.mark.parametrize("model", NETWORKS)
def test_every_network_has_a_default_that_survives_json(model):
    config = FusionConfig.default(model, ("audio",))
    assert FusionConfig(**json.loads(json.dumps(config.plain()))) == config


def test_modalities_stand_in_one_order_whatever_the_order_given():
    assert FusionConfig(modalities=("text", "audio")).modalities == ("audio", "text")


def test_a_changed_network_option_leaves_the_others_and_the_default_alone():
    before = FusionConfig.default("agt")
    changed = FusionConfig.default("agt", network={"layout": "channel"})
    assert changed.network == {**before.network, "layout": "channel"}
    assert FusionConfig.default("agt") == before


def test_the_toolkits_training_is_within_its_grid():
    config = FusionConfig.default("attention", **TOOLKIT)
    assert (config.optimizer, config.weight_decay, config.batch_size, config.epochs) == (
        "adam",
        1e-5,
        32,
        100,
    )
    assert config.network["hidden"] in {64, 128, 256}
    assert config.network["dropout"] in {0.2, 0.3, 0.4, 0.5}
    assert config.learning_rate in {1e-3, 1e-4}


@pytest.mark.parametrize(
    ("clips", "epochs", "decay"), [(100, 40, 5.0), (400, 30, 5.0), (4000, 8, 0.5)]
)
def test_epochs_and_decay_follow_from_the_number_of_clips(clips, epochs, decay):
    settled = FusionConfig.default("agt").settled(clips)
    assert (settled.epochs, settled.weight_decay, settled.path_decay) == (epochs, decay, 5.0)
    kept = FusionConfig.default("agt", epochs=3, weight_decay=1.0, path_decay=2.0)
    assert kept.settled(clips) == kept


def test_a_search_tries_the_default_less_decay_and_other_numbers_of_epochs():
    tried = [c.settled(400) for c in searched(FusionConfig.default("agt"), 400)]
    assert [(c.weight_decay, c.epochs) for c in tried] == [(5, 30), (1, 30), (5, 15), (5, 60)]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"model": "tfn"}, "model is one of agt, attention, unimodal; got 'tfn'"),
        ({"optimizer": "x"}, "optimizer is one of adamw, adam; got 'x'"),
        ({"scale": "x"}, "scale is one of fold, speaker, none; got 'x'"),
        ({"network": {"colour": 1}}, r"agt has no option \['colour'\]; it has width, heads"),
        ({"network": {"dropout": 2}}, r"dropout is a number in \[0, 1\); got 2"),
        ({"weight_decay": -1}, r"weight_decay is a number in \[0, inf\); got -1"),
        ({"mixup": float("inf")}, r"mixup is a number in \[0, inf\); got inf"),
        ({"learning_rate": float("nan")}, r"learning_rate is a number in .*; got nan"),
        ({"batch_size": 0}, r"batch_size is a whole number in \[1, inf\); got 0"),
        ({"epochs": 0}, "epochs is a whole number in .*; got 0"),
        ({"epochs": 1.5}, "epochs is a whole number in .*; got 1.5"),
        ({"mixup": "much"}, "mixup is a number in .*; got 'much'"),
        ({"batch_size": True}, "batch_size is a whole number in .*; got True"),
        ({"network": {"width": -64}}, "width is a whole number in .*; got -64"),
        ({"network": {"depth": 10**9}}, "depth is a whole number in .*; got 1000000000"),
        ({"schedule": "x"}, "schedule is one of cosine, constant; got 'x'"),
        ({"modalities": ("smell",)}, "modalities are one to three of"),
    ],
)
def test_an_unknown_name_is_refused_with_those_there_are(wrong, expected):
    with pytest.raises(ValueError, match=expected):
        FusionConfig(**wrong)
