"""The layers that are torch's in all but their speed."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from agt_lib.fusion import layers
from agt_lib.fusion.layers import Dropout, Wide, kept


@pytest.mark.parametrize("bias", [True, False])
def test_a_wide_layer_is_linear_in_value_and_gradient(bias):
    torch.manual_seed(0)
    wide, linear = Wide(7, 3, bias=bias).double(), nn.Linear(7, 3, bias=bias).double()
    linear.load_state_dict(wide.state_dict())
    x = torch.randn(5, 7, dtype=torch.float64)
    for layer in (wide, linear):
        layer(x).square().sum().backward()
    torch.testing.assert_close(wide(x), linear(x))
    for own, theirs in zip(wide.parameters(), linear.parameters(), strict=True):
        torch.testing.assert_close(own.grad, theirs.grad)


def test_wide_layers_side_by_side_are_each_as_linear():
    torch.manual_seed(0)
    layers_of, x = [Wide(7, 3).double() for _ in range(4)], torch.randn(4, 5, 7).double()
    state = {
        name: p.detach().requires_grad_() for name, p in stack_module_state(layers_of)[0].items()
    }
    vmap(lambda own, x: functional_call(layers_of[0], own, (x,)))(
        state, x
    ).square().sum().backward()
    for number, layer in enumerate(layers_of):
        linear = nn.Linear(7, 3).double()
        linear.load_state_dict(layer.state_dict())
        linear(x[number]).square().sum().backward()
        torch.testing.assert_close(state["weight"].grad[number], linear.weight.grad)
        torch.testing.assert_close(state["bias"].grad[number], linear.bias.grad)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.73])
def test_dropout_keeps_its_rate_and_the_mean(rate):
    torch.manual_seed(0)
    factors = kept(torch.ones(1000, 1001), rate)
    assert factors.unique().tolist() == pytest.approx([0, 1 / (1 - rate)])
    assert float((factors == 0).double().mean()) == pytest.approx(rate, abs=0.002)
    neighbours = (factors[:, :-1] == 0) & (factors[:, 1:] == 0)  # of one random number, most
    assert float(neighbours.double().mean()) == pytest.approx(rate**2, abs=0.003)


@pytest.mark.parametrize("width", [1, 3, 4, 9])
def test_dropout_of_any_width_drops_anew_in_each_call_and_model(width):
    torch.manual_seed(0)
    dropout = Dropout(0.5)
    x = torch.ones(6, 200, width)
    models = vmap(dropout, randomness="different")(x)
    assert models.shape == x.shape
    assert not torch.equal(models[0], models[1])
    assert not torch.equal(dropout(x), dropout(x))


def test_dropout_changes_nothing_in_use_or_at_rate_0():
    x = torch.randn(4, 5)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_dropout_of_nearly_all_is_still_a_number():
    assert torch.isfinite(kept(torch.ones(50, 50), 1 - 1e-7)).all()


def test_what_is_dropped_gets_no_gradient_and_the_rest_its_factor():
    torch.manual_seed(0)
    x = torch.randn(30, 30, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    assert x.grad.unique().tolist() == [0, 2]
    torch.testing.assert_close((x * x.grad).detach(), out.detach())


def test_other_devices_draw_as_torch_does(monkeypatch):
    asked = []
    monkeypatch.setattr(layers, "dropout", lambda x, rate: asked.append((x.device.type, rate)) or x)
    assert kept(torch.ones(3, 4, device="meta"), 0.3).shape == (3, 4)
    assert asked == [("meta", 0.3)]
