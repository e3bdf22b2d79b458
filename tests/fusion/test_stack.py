"""Models side by side: each as if alone, whatever the others are, see or become."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from agt_lib.fusion import fits, train
from agt_lib.fusion.networks import NETWORKS
from agt_lib.fusion.train import FitTask, Joined, fit_each

FOLD = np.arange(90) // 3 % 3
FOLDS = [np.flatnonzero(fold != FOLD) for fold in range(3)]


@pytest.fixture
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def fit_here(data, *tasks, pool=None):
    return list(fit_each(data, tasks, pool=pool, workers=1, progress=False))


def states(models):
    return [model.state for model in models]


def assert_close(state, other):
    for name in state:
        torch.testing.assert_close(state[name], other[name], rtol=0, atol=1e-9)


def same(state, other):
    return all(torch.equal(state[name], other[name]) for name in state)


@pytest.fixture
def with_absent(data_of):
    """Clips, some of which lack a modality, whose values there are not even numbers."""
    data = data_of()
    present = data.present.copy()
    present[::7, 0] = False
    present[3::11, 1] = False
    present[0] = False
    features = {m: x.copy() for m, x in data.features.items()}
    for m, x in features.items():
        x[~present[:, data.modalities.index(m)]] = np.nan
    return replace(data, features=features, present=present)


CASES = {
    "agt": ("agt", {"linear_path": True, "dropout": 0.0}, {}),
    "a gate by agreement": (
        "agt",
        {"gate": "agreement", "least_agreement": 0.3, "dropout": 0.0},
        {},
    ),
    "channels": ("agt", {"layout": "channel", "dropout": 0.0}, {}),
    "baseline": ("attention", {"dropout": 0.0, "linear_path": True}, {}),
    "one modality": ("unimodal", {"dropout": 0.0}, {"modalities": ("video",)}),
    "the toolkit's": (
        "attention",
        {"dropout": 0.0},
        {"optimizer": "adam", "schedule": "constant", "choose_epoch": True},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("joins", [False, True], ids=["labelled", "joined"])
def test_a_model_of_a_stack_is_the_one_trained_alone(
    with_absent, data_of, small, in_float64, case, joins
):
    model, network, changes = CASES[case]
    config = replace(small(model, modality_dropout=0.2, batch_size=24), **changes)
    config = config.with_network(**network)
    pool = replace(data_of(n=30, seed=1), labels=np.full(30, -1))
    soft = np.random.default_rng(0).dirichlet(np.ones(3), 9).astype(np.float32)
    clips = [np.arange(9) + fold for fold in range(3)]
    joined = [Joined(own, soft) if joins else None for own in clips]
    parts = [FOLDS[0], FOLDS[1][:-2], FOLDS[2][:-4]]
    tasks = [FitTask(config, rows, 3, own) for rows, own in zip(parts, joined, strict=True)]
    assert train.stacks(with_absent, tasks) == [[0, 1, 2]]
    assert len({-(-len(task.train_index) // 3) for task in tasks}) > 1  # batches differ in width
    together = states(fit_here(with_absent, *tasks, pool=pool))
    two = states(fit_here(with_absent, *tasks[:2], pool=pool))
    for number, task in enumerate(tasks):
        (alone,) = states(fit_here(with_absent, task, pool=pool))
        assert_close(alone, together[number])
    for state, other in zip(two, together, strict=False):
        assert_close(state, other)
    assert not same(together[0], together[1])


@pytest.mark.parametrize("model", ["agt", "attention"])
def test_noise_in_a_models_held_out_clips_leaves_its_weights_the_same_bits(data_of, small, model):
    data = data_of()
    tasks = [FitTask(small(model, modality_dropout=0.2), rows) for rows in FOLDS]
    held_out = FOLD == 0
    features = {m: x.copy() for m, x in data.features.items()}
    for x in features.values():
        x[held_out] = np.random.default_rng(0).normal(0, 100, (held_out.sum(), x.shape[1]))
    labels = np.where(held_out, (data.labels + 1) % 3, data.labels)
    noisy = replace(data, features=features, labels=labels)
    first, other = (states(fit_here(given, *tasks)) for given in (data, noisy))
    assert same(first[0], other[0])
    assert not same(first[1], other[1])


def test_a_stack_gives_the_same_bits_again_and_seeds_do_not_meet(data_of, small):
    data, config = data_of(), small()
    tasks = [FitTask(config, rows, seed) for seed in (0, 1) for rows in FOLDS]
    assert train.stacks(data, tasks) == [[0, 1, 2], [3, 4, 5]]
    both, again = (states(fit_here(data, *tasks)) for _ in range(2))
    assert all(map(same, both, again))
    assert all(map(same, both[3:], states(fit_here(data, *tasks[3:]))))


class Own(nn.Module):
    """A network as a user would write it."""

    def __init__(self, dims, n_classes, width=8):
        super().__init__()
        self.layers = nn.ModuleDict({m: nn.Linear(dim, width) for m, dim in dims.items()})
        self.norm = nn.BatchNorm1d(width)
        self.classifier = nn.Linear(width, n_classes)

    def forward(self, inputs, present):
        here = dict(zip(self.layers, present.unbind(1), strict=True))
        hidden = sum(
            layer(torch.where(here[m][:, None], inputs[m], 0)) for m, layer in self.layers.items()
        )
        return self.classifier(self.norm(hidden).relu())


class Branching(Own):
    def forward(self, inputs, present):
        logits = super().forward(inputs, present)
        return logits if logits.abs().max().item() < 1e9 else logits * 0


def test_a_network_of_ones_own_trains_and_one_that_cannot_be_mapped_says_why(
    data_of, small, monkeypatch, in_float64
):
    monkeypatch.setitem(NETWORKS, "own", Own)
    monkeypatch.setitem(NETWORKS, "branching", Branching)
    data, found = data_of(signal=6.0), {}
    for name in ("own", "branching"):
        config = replace(small(epochs=20, learning_rate=1e-2), model=name, network={})
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found[name] = fit_here(data, *(FitTask(config, rows) for rows in FOLDS))
        said = [str(w.message) for w in said if "one by one" in str(w.message)]
        assert len(said) == (name == "branching")
        assert all("item()" in message for message in said)
    for fold, (own, branching) in enumerate(zip(found["own"], found["branching"], strict=True)):
        held_out = fold == FOLD
        single = {n: x.float() if x.is_floating_point() else x for n, x in own.state.items()}
        predicted = replace(own, state=single).predict(data).argmax(1)
        assert (predicted == data.labels)[held_out].mean() > 0.9
        assert own.state["norm.num_batches_tracked"] == 20 * 4
        assert_close(own.state, branching.state)


def test_a_loss_that_is_not_finite_is_said_of_its_model_alone(data_of, small):
    data = data_of()
    data.features["audio"][FOLDS[1][0]] = 3e38
    rows = [np.setdiff1d(FOLDS[0], FOLDS[1][:1]), FOLDS[1], np.setdiff1d(FOLDS[2], FOLDS[1][:1])]
    config = small(scale="none", mixup=0.0)
    tasks = [FitTask(config, own) for own in rows]
    assert train.stacks(data, tasks) == [[0, 1, 2]]
    fitted = fits.fit_kept(data, tasks, workers=1, progress=False)
    assert np.isfinite(next(fitted).predict(data.rows(rows[0]))).all()
    with pytest.raises(FloatingPointError, match=r"epoch 1 of agt \(seed 0, model 2 of 3\)"):
        next(fitted)
    alone = fit_here(data, tasks[0], tasks[2])
    assert all(np.isfinite(model.predict(data.rows(rows[0]))).all() for model in alone)


def test_a_stack_above_the_limit_of_memory_is_divided_and_that_is_said(
    data_of, small, monkeypatch, capsys
):
    data, tasks = data_of(), [FitTask(small(), rows) for rows in FOLDS]
    monkeypatch.setattr(train, "MEMORY", 2 * train._bytes(data, small()))
    assert train.stacks(data, tasks) == [[0, 1], [2]]
    assert "3 models need too much memory: at most 2 are fitted at once" in capsys.readouterr().out
    assert len(fit_here(data, *tasks)) == 3


@pytest.mark.parametrize("seed", [-1, 0.5, 1.0])
def test_a_seed_is_a_whole_number_from_0(small, seed):
    with pytest.raises(ValueError, match="seeds are whole numbers"):
        FitTask(small(), FOLDS[0], seed)


@pytest.mark.parametrize(("workers", "expected"), [(None, [0, 1, 0]), (1, [0, 0, 0])])
def test_gpus_take_stacks_in_turn(data_of, small, monkeypatch, workers, expected):
    gpus, asked = [torch.device("cuda", number) for number in (0, 1)], []

    def here(calls, workers):
        asked.append(workers)
        return [call(*given) for call, given, _ in calls]

    monkeypatch.setattr(train, "each_gpu", lambda device: gpus)
    monkeypatch.setattr(train, "QUICK", 0)
    monkeypatch.setattr(train, "shared", here)
    monkeypatch.setattr(train, "_fit_stack", lambda data, part, target, *_: [target.index])
    tasks = [FitTask(small(epochs=1), FOLDS[0], seed=seed) for seed in range(3)]
    division, options = [[0], [1], [2]], {"workers": workers, "progress": False}
    assert sum(train.fit_stacks(data_of(), tasks, division, **options), []) == expected
    assert asked == [workers or 2]
