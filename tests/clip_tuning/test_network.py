import pytest
import torch

from agt_lib.clip_tuning import TuneConfig
from agt_lib.clip_tuning.network import groups, prepare, tuned_parameters
from agt_lib.features.clip import Source

LABELS = ("calm", "cross", "glad")


def network(model, **options):
    return prepare(Source.find(model, None), LABELS, TuneConfig(**options), torch.float32).train()


def gradients(network, size):
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 1])
    network(torch.randn(4, 2, 3, size, size), labels, labels).backward()
    return {name: p.grad for name, p in tuned_parameters(network).items()}


@pytest.mark.parametrize("which", ["model", "resnet"])
def test_both_towers_and_the_temperature_move_but_not_the_token_embedding(which, request):
    tuned = network(request.getfixturevalue(which))
    found = gradients(tuned, 32 if which == "resnet" else 16)
    assert all(gradient is not None for gradient in found.values())
    names = {name for name, _ in tuned.named_parameters()}
    assert names - set(found) == {"clip.token_embedding.weight"}
    assert "clip.logit_scale" in found


def test_what_writes_captions_stays_as_it_has_no_part_in_the_loss(coca):
    tuned = network(coca)
    found = gradients(tuned, 16)
    assert all(gradient is not None for gradient in found.values())
    still = {name for name, _ in tuned.named_parameters()} - set(found)
    captions = {name for name in still if name.startswith("clip.text_decoder.")}
    assert captions
    assert still - captions == {"clip.text.token_embedding.weight"}


def test_the_text_tower_can_stay(model):
    found = set(tuned_parameters(network(model, tune_text=False)))
    assert {name.split(".")[1] for name in found} == {"visual", "logit_scale"}


def test_frozen_blocks_are_the_first_with_what_stands_before_them(model, resnet):
    everything = set(tuned_parameters(network(model)))
    gone = everything - set(tuned_parameters(network(model, freeze_blocks=1)))
    inside = {name.removeprefix("clip.visual.") for name in gone}
    stem = {
        "conv1.weight",
        "class_embedding",
        "positional_embedding",
        "ln_pre.weight",
        "ln_pre.bias",
    }
    assert stem < inside
    assert {name for name in inside - stem if "resblocks.0." not in name} == set()
    kept = {
        n.split(".")[2] for n in tuned_parameters(network(resnet, freeze_blocks=2)) if "visual" in n
    }
    assert kept == {"layer3", "layer4", "attnpool"}


def test_more_frozen_blocks_than_there_are_is_an_error(model):
    with pytest.raises(ValueError, match="freeze_blocks is 3.*has 2"):
        network(model, freeze_blocks=3)


def test_only_matrices_decay_and_the_text_tower_has_a_rate_of_its_own(model):
    tuned = network(model)
    found = groups(tuned, TuneConfig(text_rate=3.0))
    by_id = {id(p): group for group in found for p in group["params"]}
    parameters = tuned_parameters(tuned)
    assert set(by_id) == {id(p) for p in parameters.values()}
    for name, parameter in parameters.items():
        group = by_id[id(parameter)]
        assert group["weight_decay"] == (1e-3 if parameter.ndim > 1 else 0)
        text = "visual" not in name and "logit_scale" not in name
        assert group["rate"] == (3.0 if text else 1.0)


def test_batch_norms_keep_the_statistics_they_were_trained_with(resnet):
    tuned = network(resnet)
    before = {name: b.clone() for name, b in tuned.named_buffers() if "running" in name}
    gradients(tuned, 32)
    assert before
    assert all(torch.equal(b, before[n]) for n, b in tuned.named_buffers() if n in before)


def test_gradient_checkpointing_changes_no_gradient(model):
    plain, saving = (
        gradients(network(model), 16),
        gradients(network(model, gradient_checkpointing=True), 16),
    )
    for name, gradient in plain.items():
        torch.testing.assert_close(saving[name], gradient)


def test_bfloat16_gradients_are_close_to_those_of_float32(model):
    exact = gradients(network(model), 16)
    source = Source.find(model, None)
    rough = gradients(prepare(source, LABELS, TuneConfig(), torch.bfloat16).train(), 16)
    for name, gradient in exact.items():
        assert rough[name].dtype == torch.float32
        torch.testing.assert_close(
            rough[name], gradient, rtol=0.2, atol=0.05 * gradient.abs().max().item() + 1e-6
        )
