"""Pictures show the numbers they were given."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from agt_lib import evaluation
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation import pictures
from agt_lib.evaluation.palette import INK
from agt_lib.workspace.figure_files import save_figure


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")


def scores():
    rows = [("A+V", "AGT", 60.0), ("A+V", "baseline", 55.0), ("A", "one modality", 50.0)]
    table = pd.DataFrame(rows, columns=["features", "model", "waf"])
    return table.assign(waf_low=table["waf"] - 4, waf_high=table["waf"] + 4)


def test_a_forest_draws_every_score_at_its_value_with_its_interval():
    figure = pictures.forest(scores(), value="waf", row="features", series="model", label="WAF")
    axis = figure.axes[0]
    drawn = sorted(x for line in axis.containers for x in line.lines[0].get_xdata())
    assert drawn == [50, 55, 60]
    ends = sorted(s[:, 0].tolist() for c in axis.containers for s in c.lines[2][0].get_segments())
    assert ends == [[46, 54], [51, 59], [56, 64]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["A+V", "A"]


def test_no_two_scores_of_a_forest_share_a_line():
    figure = pictures.forest(scores(), value="waf", row="features", series="model", label="WAF")
    heights = [y for line in figure.axes[0].containers for y in line.lines[0].get_ydata()]
    assert len(set(heights)) == 3


def test_emotions_have_colours_of_their_own_and_other_labels_do_too():
    assert len({pictures.colour(label, EMOTIONS) for label in EMOTIONS}) == 6
    assert len({pictures.colour(label, ["x", "y", "z"]) for label in "xyz"}) == 3


def test_a_figure_is_saved_as_png_and_pdf_beside_its_data(tmp_path):
    table = scores()
    figure = pictures.forest(table, value="waf", row="features", series="model", label="WAF")
    save_figure(figure, [tmp_path], "table1", "", table)
    assert {p.name for p in tmp_path.iterdir()} == {"table1.png", "table1.pdf", "table1.csv"}
    assert (tmp_path / "table1.png").read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table1.csv"), table)


def test_a_full_disk_leaves_the_figure_that_was_there_before(tmp_path, full_disk):
    table = scores()
    figure = pictures.forest(table, value="waf", row="features", series="model", label="WAF")
    save_figure(figure, [tmp_path], "table1", "", table)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    full_disk(True)
    with pytest.raises(OSError, match="No space left"):
        save_figure(figure, [tmp_path], "table1", "", table.assign(waf=0.0))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_confusion_matrix_shows_counts_coloured_by_share_of_the_row():
    table = pd.DataFrame([[30, 10], [5, 5]], index=["x", "y"], columns=["x", "y"])
    figure = pictures.heatmaps({"AGT": table}, fmt=".0f", by_row=True)
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == ["30", "10", "5", "5"]
    assert axis.collections[0].get_array().ravel().tolist() == [0.75, 0.25, 0.5, 0.5]


def contrast(first, second):
    """The contrast ratio of the Web Content Accessibility Guidelines, 1 to 21."""

    def luminance(colour):
        c = np.array(to_rgb(colour))
        linear = np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def test_what_stands_on_a_cell_can_be_read_and_an_empty_row_has_nothing():
    table = pd.DataFrame([np.linspace(0, 1, 41), np.full(41, np.nan)])
    axis = pictures.heatmaps({"": table}).axes[0]
    cells = axis.collections[0].get_facecolors()[:41]
    drawn = [contrast(text.get_color(), cell) for text, cell in zip(axis.texts, cells, strict=True)]
    assert min(drawn) > 3.8
    assert {text.get_color() for text in axis.texts} == {INK, "white"}


def test_the_numbers_below_a_forest_stand_apart():
    table = scores().assign(waf=[-10.6, -3.3, 0.6], waf_low=[-14.0, -5.3, -0.6])
    table = table.assign(waf_high=[-7.2, -1.4, 1.8], model=["rests on probing", "other", "other"])
    table["features"] = [f"mean, calibrated, corrected by {who}" for who in ("probe", "a", "b")]
    figure = pictures.forest(table, value="waf", row="features", series="model", label="points")
    figure.draw_without_rendering()
    axis = figure.axes[0]
    low, high = axis.get_xlim()
    shown = [t for t in axis.get_xticklabels() if low < t.get_position()[0] < high]
    boxes = [text.get_window_extent() for text in shown]
    width = max(box.width for box in boxes)
    assert len(boxes) >= 3
    assert all(b.x0 - a.x1 > width / 4 for a, b in zip(boxes, boxes[1:], strict=False))


def test_lines_shade_the_interval_and_mark_a_place():
    table = pd.DataFrame(
        {
            "vote": ["sample", "sample", "blend", "blend"], "guide_share": [0.0, 1.0] * 2,
            "difference": [0.0, 2.0, 0.0, 1.0], "difference_low": -1.0, "difference_high": 3.0,
        }
    )  # fmt: skip
    figure = pictures.lines(
        table, x="guide_share", value="difference", series="vote", label="points",
        marked={"the paper's": 0.8},
    )  # fmt: skip
    axis = figure.axes[0]
    drawn, blended, marked = axis.lines
    assert list(drawn.get_ydata()) == [0, 2]
    assert list(blended.get_ydata()) == [0, 1]
    assert list(marked.get_xdata()) == [0.8, 0.8]
    assert len(axis.collections) == 2


def test_lines_without_an_interval_have_a_panel_a_value_of_panel():
    table = pd.DataFrame({"epoch": [1, 2, 1], "loss": [3.0, 2.0, 4.0], "model": "a"})
    figure = pictures.lines(
        table.assign(panel=["x", "x", "y"]), x="epoch", value="loss", series="model",
        panel="panel", label="loss",
    )  # fmt: skip
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("x", "y")
    assert list(left.lines[0].get_ydata()) == [3, 2]
    assert not left.collections


def test_each_model_has_a_panel_and_each_kind_of_confidence_a_line():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    table = evaluation.reliability(np.arange(60) % 3, probabilities)
    tables = {model: {"raw": table, "calibrated": table} for model in ("voice", "AGT")}
    figure = pictures.reliability(tables)
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
    figure = pictures.precision_coverage(table, panel="confidence", thresholds={"raw": 0.9})
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
    axis = pictures.kept_by_class(table).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [75, 25, 50, 50]
    assert [text.get_text() for text in axis.texts] == ["3", "1", "2", "2"]
    assert "rounds 1 to 2" in axis.get_xlabel()


def test_fixed_clips_go_to_the_right_and_broken_ones_to_the_left_in_the_labels_order():
    table = pd.DataFrame(
        {"label": ["b", "a"], "fixed": [3.0, 1.0], "broken": [2.0, 0.0], "rule": "vote"}
    )
    axis = pictures.fixed_and_broken(table, ["a", "b"]).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [1, 3, 0, -2]
    assert "4.0 fixed, 2.0 broken" in axis.get_title()
