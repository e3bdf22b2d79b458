"""The baseline network against the same computation in NumPy."""

import numpy as np
import torch

from agt_lib.fusion.networks import build

DIMS = {"audio": 7, "video": 5, "text": 6}


def mlp(x, layers):
    """Three times Linear and ReLU; dropout does nothing in evaluation."""
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            x = np.maximum(x @ layer.weight.numpy().T + layer.bias.numpy(), 0)
    return x


def linear(x, layer):
    return x @ layer.weight.numpy().T + layer.bias.numpy()


@torch.no_grad()
def test_the_baseline_equals_its_description_computed_in_numpy():
    torch.manual_seed(0)
    network = build("attention", DIMS, 6, hidden=16, dropout=0.4).double().eval()
    inputs = {m: torch.randn(9, d, dtype=torch.float64) for m, d in DIMS.items()}
    hidden = [mlp(inputs[m].numpy(), network.encoders[m]) for m in DIMS]
    together = mlp(np.concatenate(hidden, 1), network.weigher[0])
    weights = linear(together, network.weigher[1])
    fused = sum(weights[:, [i]] * hidden[i] for i in range(3))
    expected = linear(fused, network.classifier)
    found = network(inputs, torch.ones(9, 3, dtype=torch.bool)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_baseline_has_the_layers_of_the_toolkits():
    network = build("attention", DIMS, 6, hidden=16)
    shapes = [tuple(p.shape) for p in network.parameters() if p.dim() == 2]
    encoders = [s for d in DIMS.values() for s in ((16, d), (16, 16), (16, 16))]
    assert shapes == [*encoders, (16, 48), (16, 16), (16, 16), (3, 16), (6, 16)]
