import matplotlib
import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.evaluation import pictures
from agt_lib.workspace.run import save_figure


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
    save_figure(figure, tmp_path, "table1", table)
    assert {p.name for p in tmp_path.iterdir()} == {"table1.png", "table1.pdf", "table1.csv"}
    assert (tmp_path / "table1.png").read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table1.csv"), table)


def test_a_confusion_matrix_shows_counts_coloured_by_share_of_the_row():
    table = pd.DataFrame([[30, 10], [5, 5]], index=["x", "y"], columns=["x", "y"])
    figure = pictures.confusion_matrices({"AGT": table})
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == ["30", "10", "5", "5"]
    assert axis.collections[0].get_array().ravel().tolist() == [0.75, 0.25, 0.5, 0.5]


def test_clips_without_frames_sound_or_words_leave_their_place_empty():
    shown = [
        {"title": "a", "frames": np.zeros((3, 8, 8, 3), np.uint8), "waveform": np.ones(160) / 2,
         "text": "Hello"},
        {"title": "b", "frames": None, "waveform": None, "text": None},
    ]  # fmt: skip
    figure = pictures.clips(shown)
    assert len(figure.axes) == 4
    assert figure.axes[3].get_title(loc="left") == "(no words)"
    assert len(figure.axes[0].images) == 1
    assert len(figure.axes[2].images) == 0


def test_dollars_in_a_transcript_are_no_mathematics(tmp_path):
    shown = [{"title": "a$_b$", "frames": None, "waveform": None, "text": r"cost $\foo 5$"}]
    save_figure(pictures.clips(shown), tmp_path, "clips", scores())
    assert (tmp_path / "clips.png").is_file()
