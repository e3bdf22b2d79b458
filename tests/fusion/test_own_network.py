"""A network of one's own, from a file: README's, fitted in other processes, and what is amiss."""

import re

import numpy as np
import pandas as pd
import pytest

from agt_lib import fusion
from agt_lib.fusion import networks, train
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.train import FitTask, fit_each
from agt_lib.workspace import paths

SNIPPET = r"```python\n(import torch\n.*?)```"


@pytest.fixture(autouse=True)
def forgotten():
    before = dict(networks.NETWORKS)
    yield
    networks.NETWORKS.clear()
    networks.NETWORKS.update(before)
    networks.SOURCES.clear()


@pytest.fixture
def file(tmp_path):
    (text,) = re.findall(SNIPPET, (paths.ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "my_network.py"
    path.write_text(text)
    return path


def test_readmes_network_is_a_row_of_table_1_that_learns(data_of, file):
    data = data_of(n=120, signal=6.0)
    configs = fusion.configurations(data.modalities, 20, own=str(file))
    row = ("A+V", "my_network")
    assert [row in configs, ("A", "my_network") in configs] == [True, False]
    folds = pd.Series(np.arange(120) // 3 % 3, index=list(data.names))
    options = {"seeds": [0, 1], "workers": 2, "progress": False}
    result = fit_folds(data, folds, {row: configs[row]}, **options)
    found = result.out_of_fold.chosen(row)
    assert (found == data.labels).mean() > 0.9
    table = fusion.scores(result, data, pd.Series(dtype=str))
    assert fusion.display(table).index.tolist() == [row]


def test_a_changed_file_is_fitted_again(data_of, file, monkeypatch):
    done = []
    whole = train._fit_stack
    monkeypatch.setattr(train, "_fit_stack", lambda *a: done.append(1) or whole(*a))
    data = data_of()
    folds = pd.Series(np.arange(90) // 3 % 3, index=list(data.names))

    def fit():
        config = FusionConfig.default(fusion.add_network(file), data.modalities, epochs=1)
        fit_folds(data, folds, {"own": config}, [0], workers=1, progress=False)

    fit()
    fit()
    assert len(done) == 1
    file.write_text(file.read_text().replace("relu", "tanh"))
    fit()
    assert len(done) == 2


def test_other_processes_fit_the_code_that_is_there_now(data_of, file):
    data, rows = data_of(), np.arange(60)

    def fit():
        config = FusionConfig.default(fusion.add_network(file), data.modalities, epochs=1)
        tasks = [FitTask(config, rows, seed) for seed in range(2)]
        return next(fit_each(data, tasks, workers=2, progress=False)).state

    first = fit()
    file.write_text(file.read_text().replace("width=64", "width=32"))
    shapes = [state["classifier.weight"].shape for state in (first, fit())]
    assert shapes == [(3, 64), (3, 32)]


def test_tied_weights_and_buffers_that_are_not_kept_survive_the_disk(data_of, file, tmp_path):
    tied = """
        self.again = self.classifier
        self.register_buffer("shift", torch.ones(1), persistent=False)
        self.scale = torch.ones(1)
"""
    text = file.read_text().replace("n_classes)\n\n", f"n_classes){tied}\n", 1)
    text = text.replace("return self.classifier(", "return self.shift * self.scale * self.again(")
    file.write_text(text)
    assert "tied" not in text and "self.again(" in text
    data = data_of()
    config = FusionConfig.default(fusion.add_network(file), data.modalities, epochs=1)
    (model,) = fit_each(data, [FitTask(config, np.arange(60))], workers=1, progress=False)
    assert model.predict(data).shape == (90, 3)


@pytest.mark.parametrize(
    ("name", "text", "error", "expected"),
    [
        ("agt.py", "", ValueError, "agt is a network of the library"),
        ("mine.txt", "", FileNotFoundError, "expected a Python file"),
        ("mine.py", "x = 1", ValueError, "mine.py: expected one nn.Module .* found 0"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path, name, text, error, expected):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=expected):
        fusion.add_network(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.py: expected a Python file"):
        fusion.add_network(tmp_path / "none.py")


def test_a_row_of_the_table_is_not_replaced(file):
    file = file.rename(file.with_name("baseline.py"))
    with pytest.raises(ValueError, match="baseline is a row of the table"):
        fusion.configurations(("audio",), own=str(file))
