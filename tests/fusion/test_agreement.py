"""The gate that asks each modality for its own opinion, its limit from inner folds, and the stress
test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from agt_lib.features.features import Features
from agt_lib.fusion.agt import AGT
from agt_lib.fusion.amf import agreement
from agt_lib.fusion.choice import GATED, inner_folds, with_agreement
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.data import assemble, with_speakers
from agt_lib.fusion.gates import opinions
from agt_lib.fusion.stresses import exchanged, stress
from agt_lib.fusion.train import FitTask, fit_each

N, LABELS = 120, ("calm", "cross", "glad")
OPTIONS = {"workers": 1, "progress": False}


@pytest.fixture(scope="module")
def three():
    """Three modalities that each show the label, but each deviates in a tenth of the clips."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % 3
    names = tuple(f"c{i}" for i in range(N))
    made = {}
    for k, modality in enumerate(("audio", "video", "text")):
        shown = np.where(np.arange(N) % 10 == k, (labels + 1) % 3, labels)
        values = 3 * np.eye(6)[shown] + rng.standard_normal((N, 6))
        everyone = np.ones(N, bool)
        made[modality] = Features(modality, names, values.astype(np.float32), everyone, modality)
    groups = np.array([f"s{i // 6}" for i in range(N)], object)
    data = assemble(names, made, label_set=LABELS, labels=labels, groups=groups)
    return with_speakers(data)[0]


@pytest.fixture(scope="module")
def folds(three):
    return pd.Series(np.arange(N) // 6 % 4, index=list(three.names))


def config(**changes):
    network = {"width": 16, "dropout": 0.1, "gate": "agreement"} | changes
    return FusionConfig.default("agt", network=network, epochs=20, batch_size=16, weight_decay=0.1)


def test_agreement_is_the_chance_of_one_label_and_the_largest_over_the_others():
    p = torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]]])
    everyone = torch.ones(1, 3, dtype=torch.bool)
    pairs = {(i, j): float(p[0, i] @ p[0, j]) for i in range(3) for j in range(3)}
    expected = [max(pairs[i, j] for j in range(3) if j != i) for i in range(3)]
    torch.testing.assert_close(agreement(p.log(), everyone)[0], torch.tensor(expected))
    without = torch.tensor([[True, True, False]])
    found = agreement(p.log(), without)[0]
    torch.testing.assert_close(found, torch.tensor([pairs[0, 1], pairs[0, 1], 0.0]))


def network_that_says(*labels, least_agreement=0.2):
    """AGT whose modalities' opinions are these labels, for clips of which nothing else matters."""
    network = AGT(
        {"audio": 4, "video": 4, "text": 4}, 3, width=8, gate="agreement", linear_path=True,
        least_agreement=least_agreement,
    ).eval()  # fmt: skip
    for label, head in zip(labels, network.opinions.values(), strict=True):
        torch.nn.init.zeros_(head.weight)
        head.bias.data = 6 * torch.eye(3)[label]
    for linear in network.path.maps.values():
        torch.nn.init.normal_(linear.weight)
    return network


def test_a_modality_that_agrees_with_none_counts_as_absent():
    torch.manual_seed(0)
    network = network_that_says(0, 1, 0)
    inputs = {m: torch.randn(5, 4) for m in ("audio", "video", "text")}
    present = torch.ones(5, 3, dtype=torch.bool)
    logits, gate = network(inputs, present, return_gate=True)
    assert gate.kept.tolist() == [[True, False, True]] * 5
    torch.testing.assert_close(logits, network(inputs, present & gate.kept))
    assert gate.tokens == ("audio", "video", "text")


@pytest.mark.parametrize(
    ("labels", "present"), [((0, 1, 2), [True] * 3), ((0, 1, 0), [True, True, False])]
)
def test_none_is_left_out_where_all_would_be_or_two_disagree(labels, present):
    network = network_that_says(*labels)
    inputs = {m: torch.randn(1, 4) for m in ("audio", "video", "text")}
    _, gate = network(inputs, torch.tensor([present]), return_gate=True)
    assert gate.kept.tolist() == [present]


def test_the_limit_is_the_quantile_of_clips_that_no_head_was_trained_on(
    three, folds, tmp_path, monkeypatch
):
    monkeypatch.setenv("AGT_DATA", str(tmp_path))
    short = replace(config(), epochs=3)
    found = with_agreement(three, folds, short, **OPTIONS)
    inner, _ = inner_folds(three, folds)
    models = [*fit_each(three, [FitTask(short, fold.train) for fold in inner], **OPTIONS)]
    for k, own in enumerate(found):
        values = [
            model.gate(three.rows(fold.held_out[k])).similarity.numpy().ravel()
            for model, fold in zip(models, inner, strict=True)
            if k in fold.held_out
        ]
        limit = np.quantile(np.concatenate(values), GATED)
        assert own.network["least_agreement"] == pytest.approx(limit, rel=1e-5)


def test_it_finds_what_deviates_and_loses_less_under_stress(three, folds, tmp_path, monkeypatch):
    monkeypatch.setenv("AGT_DATA", str(tmp_path))
    gated = with_agreement(three, folds, config(), **OPTIONS)
    open_gate = [replace(c, network={**c.network, "least_agreement": 0.0}) for c in gated]
    result = fit_folds(three, folds, {"gate": gated, "none": open_gate}, (0,), **OPTIONS)
    found = result.models["gate"][0][0].gate(three)
    deviates = np.stack([np.arange(N) % 10 == k for k in range(3)], 1)
    cut = ~found.kept.numpy()
    assert deviates[cut].mean() > 2 * deviates.mean()
    table = stress(result, three, "none", n_draws=4).set_index("model")
    assert table.loc["none", "lost"] > 0
    assert table.loc["none", "saved"] == 0
    assert table.loc["gate", "saved"] == pytest.approx(
        table.loc["none", "lost"] - table.loc["gate", "lost"]
    )


def test_opinions_are_listed_for_each_present_modality_of_held_out_clips(three, folds):
    model = {"gate": [replace(config(), epochs=2)] * 4}
    result = fit_folds(three, folds, model, (0,), keep=False, **OPTIONS)
    table = opinions(result, "gate", three)
    assert len(table) == 3 * N
    row = table[(table["name"] == "c7") & (table["modality"] == "text")].iloc[0]
    held_by = result.models["gate"][0][folds["c7"]]
    gate = held_by.gate(three.rows(np.array([7])))
    assert row["opinion"] == LABELS[int(gate.opinions[0, 2].argmax())]
    assert row["agreement"] == pytest.approx(float(gate.similarity[0, 2]), rel=1e-5)


@pytest.mark.parametrize("scale", ["fold", "speaker"])
def test_an_exchange_takes_the_others_features_as_the_model_reads_them(three, scale):
    exchange = pd.DataFrame({"row": [0, 1], "modality": ["video", "text"], "other": [50, 70]})
    moved = exchanged(three, exchange, scale).scaled(scale)
    read = three.scaled(scale)
    for row, modality, other in exchange.itertuples(index=False):
        taken = read.features[modality][other]
        np.testing.assert_allclose(moved.features[modality][row], taken, rtol=1e-3, atol=1e-3)
    untouched = np.arange(2, N)
    for m, x in moved.features.items():
        np.testing.assert_allclose(x[untouched], read.features[m][untouched], rtol=1e-5)
