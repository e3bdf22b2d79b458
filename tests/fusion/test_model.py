"""A fitted model's predictions: on one thread, whatever torch is set to."""

import numpy as np
import pytest
import torch

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.features.features import Features
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import assemble
from agt_lib.fusion.model import FingerprintError
from agt_lib.fusion.train import FitTask, fit_each

N = 24


def data_of(fingerprint):
    values = np.random.default_rng(0).standard_normal((N, 5)).astype(np.float32)
    names = tuple(f"c{i}" for i in range(N))
    audio = Features("audio", names, values, np.ones(N, bool), fingerprint)
    return assemble(names, {"audio": audio}, label_set=EMOTIONS, labels=np.arange(N) % 6)


@pytest.fixture(scope="module")
def model():
    config = FusionConfig.default("agt", ("audio",), epochs=1, network={"width": 16})
    tasks = [FitTask(config, np.arange(N))]
    return next(fit_each(data_of("made"), tasks, workers=1, progress=False))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_it_predicts_on_one_thread_and_leaves_torch_as_it_was(model):
    seen = []
    hook = model.network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    model.predict(data_of("made"))
    model.gate(data_of("made"))
    hook.remove()
    with pytest.raises(FingerprintError):
        model.predict(data_of("other"))
    assert seen == [1, 1]
    assert torch.get_num_threads() == 2


def test_its_probabilities_are_its_networks_on_standardised_features(model):
    data = data_of("made")
    inputs = {"audio": torch.from_numpy(model.scalers["audio"](data.features["audio"]))}
    with torch.no_grad():
        expected = model.network(inputs, torch.ones(N, 1, dtype=torch.bool)).softmax(-1)
    np.testing.assert_allclose(model.predict(data), expected, atol=1e-6)
