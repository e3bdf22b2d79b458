"""Sweeps agree with what they sweep, and reweighting gives the circumstances asked for."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from agt_lib.evaluation.scores import Sample
from agt_lib.voting import (
    VoteConfig,
    advantage_map,
    alone,
    compare_rules,
    corrected,
    draw_map,
    guide_sweep,
    mean,
    reweight,
    sweeps,
    vote_shares,
)
from agt_lib.voting.sweeps import shifted

P = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
Q = np.array([0.1, 0.1, 0.2, 0.3, 0.2, 0.1])
R = np.array([0.25, 0.15, 0.2, 0.15, 0.15, 0.1])


@pytest.fixture(scope="module")
def clips(random_predictions):
    predictions, true = random_predictions(300)
    shows = np.random.default_rng(2).random(300) < 0.7
    return predictions, true, shows


def test_the_sweep_starts_at_the_partner_and_holds_the_papers_point(clips):
    predictions, true, _ = clips
    sweep = guide_sweep(predictions, Sample.of(true)).set_index(["vote", "guide_share"])
    assert len(sweep) == 42
    rules = {
        "AGT": alone(predictions, "AGT"),
        "sample": vote_shares(predictions),
        "blend": vote_shares(predictions, VoteConfig(vote="blend")),
    }
    table = compare_rules(
        rules | {"voice": alone(predictions, "voice")}, Sample.of(true), against="AGT"
    ).set_index("rule")
    blend = sweep.loc[("blend", 0.8)]
    assert blend["waf"] == pytest.approx(table.loc["blend", "waf"])
    assert blend["difference"] == pytest.approx(table.loc["blend", "difference"])
    assert blend["difference_low"] == pytest.approx(table.loc["blend", "difference_low"])
    # expected counts stand for the mean over draws
    assert sweep.loc[("sample", 0.8), "waf"] == pytest.approx(table.loc["sample", "waf"], abs=0.3)


def test_a_sweep_needs_one_partner(clips):
    predictions, true, _ = clips
    with pytest.raises(ValueError, match="name it as `partner`"):
        guide_sweep(predictions, Sample.of(true), VoteConfig(partner="either"))


@pytest.mark.parametrize("unreliability", [0.0, 0.5, 1.0, 1.8, 6.0])
def test_weights_give_the_prior_and_the_reliability_asked_for(clips, unreliability):
    _, true, shows = clips
    weights = reweight(true, shows, Q, unreliability)
    assert weights.sum() == pytest.approx(300)
    np.testing.assert_allclose(np.bincount(true, weights) / 300, Q)
    for label in range(6):
        mine = true == label
        hidden = np.average(~shows[mine], weights=weights[mine])
        assert hidden == pytest.approx(min(1, unreliability * (~shows[mine]).mean()))


def test_the_sample_as_it_is_has_equal_weights(clips):
    _, true, shows = clips
    own = np.bincount(true) / len(true)
    np.testing.assert_allclose(reweight(true, shows, own, 1.0), 1)


def test_a_label_with_clips_of_one_kind_keeps_them():
    true, shows = np.array([0, 0, 1, 1]), np.array([True, True, False, False])
    for unreliability in (0.0, 2.0):
        np.testing.assert_allclose(reweight(true, shows, [0.5, 0.5], unreliability), 1)


def test_a_label_without_clips_cannot_be_weighed():
    with pytest.raises(ValueError, match="no clip of label number 1"):
        reweight(np.array([0, 2]), np.array([True, True]), [0.4, 0.2, 0.4], 1.0)


def test_the_shift_goes_from_train_by_test_and_beyond():
    np.testing.assert_allclose(shifted(P, Q, 0), P)
    np.testing.assert_allclose(shifted(P, Q, 1), Q)
    beyond = shifted(P, Q, 2)
    np.testing.assert_allclose(beyond, (Q**2 / P) / (Q**2 / P).sum())


def test_a_cell_of_the_map_is_the_weighted_score_of_its_rules(clips):
    predictions, true, shows = clips
    cells = advantage_map(
        predictions, Sample.of(true), shows, train=P, test=Q, trained_on=R,
    ).query("shift == 0.5 and unreliability == 1.5").set_index(["rule", "against"])  # fmt: skip
    prior = shifted(P, Q, 0.5)
    weights = reweight(true, shows, prior, 1.5)

    def waf(shares):
        scores = [
            f1_score(true, seed.argmax(-1), average="weighted", sample_weight=weights)
            for seed in shares
        ]
        return 100 * np.mean(scores)

    agt, plain = waf(alone(predictions, "AGT")), waf(mean(predictions))
    told = waf(mean(corrected(predictions, R, prior)))
    averaging = cells.loc[("mean of probabilities", "partner alone")]
    knowing = cells.loc[("mean, corrected", "mean of probabilities")]
    assert averaging["waf"] == pytest.approx(plain)
    assert averaging["difference"] == pytest.approx(plain - agt)
    assert knowing["difference"] == pytest.approx(told - plain)
    assert knowing["difference_low"] < told - plain < knowing["difference_high"]
    assert knowing["shown"] == pytest.approx(100 * np.average(shows, weights=weights))
    assert knowing["clips"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_where_the_voice_always_shows_the_label_and_the_model_hears_it_the_vote_helps(
    clips, monkeypatch
):
    monkeypatch.setattr(sweeps, "SHIFTS", (1.0,))
    monkeypatch.setattr(sweeps, "UNRELIABILITIES", (0.0, 3.0))
    predictions, true, shows = clips
    heard = np.where(shows, true, (true + 1) % 6)
    sharp = dict(predictions.probabilities) | {
        "voice": np.tile(0.02 + 0.88 * np.eye(6)[heard], (2, 1, 1))
    }
    predictions = type(predictions)(predictions.names, predictions.label_set, sharp)
    cells = advantage_map(
        predictions, Sample.of(true), shows, train=P, test=Q, trained_on=P,
    )  # fmt: skip
    helped = cells.query("rule == 'vote' and against == 'partner alone'")
    helped = helped.set_index("unreliability")["difference"]
    assert helped[0.0] > 0 > helped[3.0]


def test_the_map_refuses_a_prior_with_a_zero(clips):
    predictions, true, shows = clips
    with pytest.raises(ValueError, match="the test prior gives neutral no share"):
        advantage_map(
            predictions,
            Sample.of(true),
            shows,
            trained_on=P,
            train=P,
            test=np.array([0, 0.2, 0.2, 0.2, 0.2, 0.2]),
        )


@pytest.fixture
def cells():
    return pd.DataFrame(
        [
            {
                "rule": rule, "against": "AGT", "shift": shift, "unreliability": u,
                "difference": shift - u, "difference_low": shift - u - 0.6,
                "difference_high": shift - u + 0.6,
                "shown": 100 - 20 * u,
            }
            for rule in ("vote", "majority") for shift in (0.0, 1.0) for u in (0.0, 1.0)
        ]
    )  # fmt: skip


def test_the_map_has_a_panel_a_contrast_and_a_dot_where_zero_is_left_out(cells):
    figure = draw_map(cells)
    panel = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in panel.texts}
    left, right = 0.5, 1.5
    assert texts == {
        (left, 0.5): "+0.0", (right, 0.5): "+1.0•", (left, 1.5): "−1.0•", (right, 1.5): "+0.0"
    }  # fmt: skip
    assert [label.get_text() for label in panel.get_yticklabels()] == ["100 %", "80 %"]
    assert panel.get_title().startswith("vote")
    (frame,) = panel.patches
    assert frame.get_xy() == (1, 1)
