"""Properties that every fusion network has."""

import itertools

import pytest
import torch

from agt_lib.fusion.agt import LAYOUTS
from agt_lib.fusion.amf import GATES
from agt_lib.fusion.layers import ORDERS
from agt_lib.fusion.networks import NETWORKS, build

DIMS = {"audio": 7, "video": 5, "text": 6}
SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(DIMS, size)]
AGT_OPTIONS = [
    *({"layout": layout, "share_cbt": share} for layout in LAYOUTS for share in (False, True)),
    *({"gate": gate} for gate in GATES if gate != "camfnet_z"),
    *({"input_order": order} for order in ORDERS),
    {"ffn": False},
    {"depth": 2},
]
VARIANTS = [
    *(("agt", options, modalities) for options in AGT_OPTIONS for modalities in SUBSETS),
    *(("attention", {}, modalities) for modalities in SUBSETS),
    *(("unimodal", {}, modalities) for modalities in SUBSETS if len(modalities) == 1),
]
IDS = [f"{n}-{'-'.join(f'{k}={v}' for k, v in o.items())}-{'+'.join(m)}" for n, o, m in VARIANTS]
every_variant = pytest.mark.parametrize(("name", "options", "modalities"), VARIANTS, ids=IDS)
N_CLIPS, N_CLASSES = 5, 6


def network_of(name, options, modalities):
    torch.manual_seed(0)
    small = {"hidden": 16} if name == "attention" else {"width": 16}
    if name == "agt":
        small |= {"head_width": 8}
    return build(name, {m: DIMS[m] for m in modalities}, N_CLASSES, **small, **options).eval()


def inputs_of(modalities):
    torch.manual_seed(1)
    return {m: torch.randn(N_CLIPS, DIMS[m]) for m in modalities}


def all_present(modalities):
    return torch.ones(N_CLIPS, len(modalities), dtype=torch.bool)


@every_variant
def test_logits_have_one_row_per_clip_and_one_column_per_class(name, options, modalities):
    logits = network_of(name, options, modalities)(inputs_of(modalities), all_present(modalities))
    assert logits.shape == (N_CLIPS, N_CLASSES)
    assert logits.isfinite().all()


@every_variant
def test_an_absent_modality_cannot_influence_the_logits(name, options, modalities):
    network = network_of(name, options, modalities)
    for column, absent in enumerate(modalities):
        present = all_present(modalities)
        present[1:, column] = False
        inputs = inputs_of(modalities)
        before = network(inputs, present)
        garbage = inputs | {absent: inputs[absent].clone()}
        garbage[absent][1], garbage[absent][2], garbage[absent][3] = torch.nan, torch.inf, 1e30
        after = network(garbage, present)
        assert torch.equal(before, after), absent


@every_variant
def test_no_gradient_reaches_an_absent_modality(name, options, modalities):
    network = network_of(name, options, modalities)
    for column, absent in enumerate(modalities):
        present = all_present(modalities)
        present[0, column] = False
        inputs = {m: x.requires_grad_() for m, x in inputs_of(modalities).items()}
        network(inputs, present).square().sum().backward()
        assert (inputs[absent].grad[0] == 0).all()
        assert (inputs[absent].grad[1:] != 0).any()


@every_variant
def test_the_order_of_clips_does_not_matter(name, options, modalities):
    network, inputs = network_of(name, options, modalities), inputs_of(modalities)
    order = torch.tensor([3, 0, 4, 2, 1])
    present = all_present(modalities)
    present[2, 0] = False
    shuffled = network({m: x[order] for m, x in inputs.items()}, present[order])
    torch.testing.assert_close(shuffled, network(inputs, present)[order], rtol=1e-5, atol=1e-6)


@every_variant
def test_a_clip_with_nothing_present_gets_finite_logits(name, options, modalities):
    present = all_present(modalities)
    present[0] = False
    assert network_of(name, options, modalities)(inputs_of(modalities), present).isfinite().all()


@pytest.mark.parametrize(
    ("name", "options", "modalities"),
    # a lone token leaves queries and keys without effect, so these have more than one
    [
        v
        for v in VARIANTS
        if len(v[2]) > 1
        and v[1].get("layout") != "channel"
        and not (v[1].get("layout") == "drop_guide" and len(v[2]) == 2)
    ]
    + [("unimodal", {}, ("audio",)), ("attention", {}, ("audio",))],
)
def test_gradient_reaches_every_parameter(name, options, modalities):
    network, inputs = network_of(name, options, modalities), inputs_of(modalities)
    if hasattr(network, "opinions"):  # their loss is one of their own
        logits, gate = network(inputs, all_present(modalities), return_gate=True)
        (logits.square().sum() + gate.opinions.square().sum()).backward()
    else:
        network(inputs, all_present(modalities)).square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_acts_in_training_only(name):
    network, inputs = network_of(name, {}, ("audio",)), inputs_of(("audio",))
    present = all_present(("audio",))
    assert torch.equal(network(inputs, present), network(inputs, present))
    network.train()
    assert not torch.equal(network(inputs, present), network(inputs, present))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build("agt", DIMS, 6, widht=3), "no option .*widht.*width"),
        (lambda: build("agt", {"smell": 3}, 6), "smell"),
        (lambda: build("agt", {}, 6), "one to three"),
        (lambda: build("agt", DIMS, 6, layout="sum"), "layout is one of"),
        (lambda: build("agt", DIMS, 6, gate="z"), "gate is one of"),
        (lambda: build("unimodal", DIMS, 6), "one modality"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(call, message):
    with pytest.raises(ValueError, match=message):
        call()
