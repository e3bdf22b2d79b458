import matplotlib.pyplot as plt
import pandas as pd
import pytest

from agt_lib.evaluation import plots_probing

LABELS = pd.Index(["calm", "angry"], name="label")
TABLE = pd.DataFrame(
    {"train": [0.8, 0.2], "probed": [0.4, 0.6], "em": [0.5, 0.5], "true": [0.45, 0.55]}, LABELS
)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def heights(axis):
    return [[bar.get_height() for bar in bars] for bars in axis.containers]


def test_each_column_is_a_bar_in_per_cent_and_the_truth_a_line():
    panels = {
        "test": {"train": "train", "probed": "probed"},
        "pool": {"train": "train", "em": "EM"},
    }
    figure = plots_probing.shares(TABLE, panels, truth={"test": "true"})
    left, right = figure.axes
    assert heights(left) == [pytest.approx([80, 20]), pytest.approx([40, 60])]
    assert heights(right) == [pytest.approx([80, 20]), pytest.approx([50, 50])]
    (line,) = left.collections
    assert [y for (_, y), _ in line.get_segments()] == pytest.approx([45, 55])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["train", "probed", "EM", "true"]


def test_labels_are_sorted_by_their_shift_which_is_written_above():
    figure = plots_probing.shares(
        TABLE, {"test": {"train": "train", "probed": "probed"}}, ratio="probed"
    )
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["angry", "calm"]
    assert [text.get_text() for text in axis.texts] == ["× 3.00", "× 0.50"]
    assert heights(axis)[0] == pytest.approx([20, 80])


def test_a_series_has_the_same_colour_in_every_panel():
    panels = {
        "test": {"train": "train", "probed": "probed", "em": "EM"},
        "pool": {"train": "train", "em": "EM"},
    }
    left, right = plots_probing.shares(TABLE, panels).axes
    assert left.containers[2][0].get_facecolor() == right.containers[1][0].get_facecolor()
    assert left.containers[1][0].get_facecolor() != left.containers[2][0].get_facecolor()
