"""Pictures show the numbers they were given."""

import matplotlib
import pandas as pd
import pytest

from agt_lib.evaluation import plots_voting

matplotlib.use("agg")


@pytest.fixture
def cells():
    return pd.DataFrame(
        [
            {
                "rule": rule, "against": "AGT", "shift": shift, "unreliability": u,
                "difference": shift - u, "difference_low": shift - u - 0.6,
                "difference_high": shift - u + 0.6,
                "shown": 100 - 20 * u,
            }
            for rule in ("vote", "majority") for shift in (0.0, 1.0) for u in (0.0, 1.0)
        ]
    )  # fmt: skip


def test_the_map_has_a_panel_a_contrast_and_a_dot_where_zero_is_left_out(cells):
    figure = plots_voting.advantage_map(cells)
    panel = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in panel.texts}
    assert texts == {(0, 0): "+0.0", (1, 0): "+1.0•", (0, 1): "-1.0•", (1, 1): "+0.0"}
    assert [label.get_text() for label in panel.get_yticklabels()] == ["100 %", "80 %"]
    assert panel.get_title().startswith("vote")
    (frame,) = panel.patches
    assert frame.get_xy() == (0.5, 0.5)


def test_the_sweep_marks_the_papers_share():
    table = pd.DataFrame(
        {
            "vote": ["sample", "sample", "blend", "blend"], "guide_share": [0.0, 1.0] * 2,
            "difference": [0.0, 2.0, 0.0, 1.0], "difference_low": -1.0,
            "difference_high": 3.0,
        }
    )  # fmt: skip
    axis = plots_voting.guide_sweep(table, 0.8, "points").axes[0]
    _, marked, drawn, blended = axis.lines
    assert list(marked.get_xdata()) == [0.8, 0.8]
    assert list(drawn.get_ydata()) == [0, 2]
    assert list(blended.get_ydata()) == [0, 1]


def test_fixed_clips_go_to_the_right_and_broken_ones_to_the_left_in_the_labels_order():
    table = pd.DataFrame(
        {"label": ["b", "a"], "fixed": [3.0, 1.0], "broken": [2.0, 0.0], "rule": "vote"}
    )
    axis = plots_voting.fixed_and_broken(table, ["a", "b"]).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [1, 3, 0, -2]
    assert "4 fixed, 2 broken" in axis.get_title()
