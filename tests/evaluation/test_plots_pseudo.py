"""Pictures of pseudo-labels draw the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from agt_lib import evaluation
from agt_lib.evaluation import plots_pseudo


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_each_model_has_a_panel_and_each_kind_of_confidence_a_line():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    table = evaluation.reliability(np.arange(60) % 3, probabilities)
    tables = {model: {"raw": table, "calibrated": table} for model in ("voice", "AGT")}
    figure = plots_pseudo.reliability_panels(tables)
    assert [axis.get_title() for axis in figure.axes] == ["voice", "AGT"]
    assert all(len(axis.collections) == 2 for axis in figure.axes)


def test_the_ring_lies_at_the_panels_threshold():
    table = pd.DataFrame(
        {
            "confidence": "raw",
            "who": "AGT",
            "threshold": [0.5, 0.9],
            "coverage": [0.8, 0.2],
            "precision": [0.7, 0.95],
        }
    )
    figure = plots_pseudo.precision_coverage(table, panel="confidence", thresholds={"raw": 0.9})
    ring = figure.axes[0].lines[1]
    np.testing.assert_allclose(ring.get_xydata(), [[20, 95]])


def test_bars_are_shares_of_what_was_kept_with_its_clips_above():
    table = pd.DataFrame(
        {
            "round": [1, 1, 2, 2],
            "label": ["sad", "happy"] * 2,
            "kept": [3.0, 1.0, 2.0, 2.0],
            "share": [0.75, 0.25, 0.5, 0.5],
            "true_share": [0.4, 0.6, 0.4, 0.6],
        }
    )
    axis = plots_pseudo.kept_by_class(table).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [75, 25, 50, 50]
    assert [text.get_text() for text in axis.texts] == ["3", "1", "2", "2"]
    assert "rounds 1 to 2" in axis.get_xlabel()
