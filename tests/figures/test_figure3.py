"""Figure 3: the bars are the numbers, and the labels that shift are found from them."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from agt_lib import probing, voting
from agt_lib.evaluation import paper
from agt_lib.figures import figure3

NOTE = "corpus made up (synthetic: rendered clips, no evidence about people)"


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")


def prior(**columns):
    index = pd.Index(["sad", "happy", "angry"], name="label")
    table = pd.DataFrame({"train": [0.2, 0.3, 0.5], "probed": [0.4, 0.3, 0.3]}, index=index)
    table = table.assign(probed_low=table["probed"] - 0.01, probed_high=table["probed"] + 0.02)
    return table.assign(submissions=3, **columns)


def heights(axis, title):
    (bars,) = [c for c in axis.containers if c.get_label() == title]
    return [bar.get_height() for bar in bars]


def texts(axis):
    return {text.get_text(): text.get_weight() for text in axis.texts}


def test_bars_are_the_shares_in_per_cent_and_the_ratio_stands_above():
    axis = figure3.draw(prior(), NOTE).axes[0]
    assert heights(axis, "training set") == pytest.approx([20, 30, 50])
    assert heights(axis, "test set, probed") == pytest.approx([40, 30, 30])
    assert texts(axis) == {"×2.00": "bold", "×1.00": "normal", "×0.60": "bold"}


def test_the_interval_is_that_of_the_probe():
    axis = figure3.draw(prior(), NOTE).axes[0]
    (bars,) = [c for c in axis.containers if hasattr(c, "has_yerr")]
    drawn = [segment[:, 1].tolist() for segment in bars.lines[2][0].get_segments()]
    np.testing.assert_allclose(drawn, [[39, 42], [29, 32], [29, 32]])


def test_the_note_says_what_the_numbers_are_of():
    (note,) = figure3.draw(prior(), NOTE).texts
    assert note.get_text().replace("\n", " ") == NOTE


def test_estimates_are_marked_where_there_are_some():
    axis = figure3.draw(prior(em_test=[0.35, 0.3, 0.35], true_test=np.nan), NOTE).axes[0]
    marks = {line.get_label(): line.get_ydata().tolist() for line in axis.lines}
    assert marks["EM estimate"] == pytest.approx([35, 30, 35])
    assert "test set, true" not in marks


def test_without_a_probe_there_is_no_second_bar_and_no_ratio():
    unknown = prior(em_test=[0.35, 0.3, 0.35])
    unknown[["probed", "probed_low", "probed_high"]] = np.nan
    unknown["submissions"] = 0
    figure = figure3.draw(unknown, NOTE)
    assert texts(figure.axes[0]) == {}
    titles = [text.get_text() for text in figure.legends[0].get_texts()]
    assert titles == ["training set", "EM estimate"]
    assert "Nothing was probed" in figure3.caption(unknown, "corpus x")


MARKS = {"em_test": [0.4, 0.3, 0.3], "bbse_test": [0.3, 0.3, 0.4], "true_test": [0.4, 0.2, 0.4]}


def extents(figure):
    figure.draw_without_rendering()
    axis = figure.axes[0]
    shown = [
        tick for tick in axis.get_yticklabels() if tick.get_position()[1] <= axis.get_ylim()[1]
    ]
    texts = [*figure.texts, *axis.texts, *axis.get_xticklabels(), *shown]
    texts += [axis.yaxis.label, *figure.legends[0].get_texts()]
    return [text.get_window_extent(figure.canvas.get_renderer()) for text in texts]


def on_page(figure, box):
    page = figure.bbox
    return page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


def test_all_that_is_written_lies_on_the_page_and_apart():
    table = prior(**MARKS)
    figure = figure3.draw(pd.concat([table, table.add_prefix("x", axis=0)]), NOTE)
    boxes = extents(figure)
    assert all(on_page(figure, box) for box in boxes)
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_labels_too_long_to_stand_side_by_side_are_tilted_and_stay_on_the_page():
    table = prior(**MARKS)
    long = pd.concat([table.add_suffix(" and worried", axis=0), table])
    figure = figure3.draw(long, NOTE)
    assert figure.axes[0].get_xticklabels()[0].get_rotation() == 30
    assert all(on_page(figure, box) for box in extents(figure))


def test_by_the_papers_own_numbers_the_shift_is_not_in_what_it_stresses():
    table = probing.paper_prior()
    shares = figure3.with_ratio(table)
    expected = {"neutral": 201, "angry": 163, "happy": 246, "sad": 317, "worried": 159}
    expected["surprise"] = 83
    for label, count in expected.items():
        train = paper.TRAIN_COUNTS[label] / 5030
        assert shares.loc[label, "ratio"] == pytest.approx(count / 1169 / train)
    shifted = set(shares.index[shares["shifted"]])
    assert shifted == {"sad", "surprise", "neutral", "angry"}
    assert shifted == set(voting.propose_triggers(table["train"], table["probed"]))
    said = figure3.paper_caption(table)
    assert "surprise, sad, neutral, angry" in said
    assert "truncated" in said
    assert "6 submissions" in said


def luminance(colour):
    return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True))


def test_bars_that_stand_side_by_side_differ_in_grey_print():
    train, test = (colour for _, colour in figure3.BARS.values())
    assert abs(luminance(train) - luminance(test)) > 0.25


def test_it_is_saved_at_its_own_size_with_its_caption_and_data(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    figure3.save(figure3.draw(prior(), NOTE), folders, "figure", "What it is.", prior())
    for folder in folders:
        assert Image.open(folder / "figure.png").size == (1020, 750)
        assert (folder / "figure.txt").read_text() == "What it is.\n"
        found = pd.read_csv(folder / "figure.csv", index_col="label")
        pd.testing.assert_frame_equal(found, prior())


def test_its_pdf_embeds_truetype_and_the_same_figure_gives_the_same_bytes(tmp_path):
    for folder in ("first", "second"):
        figure3.save(figure3.draw(prior(), NOTE), [tmp_path / folder], "figure3", "", prior())
    for name in ("figure3.png", "figure3.pdf"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("first", "second"))
        assert first == second
    assert first.count(b"/FontFile2") == first.count(b"/Type /FontDescriptor") > 0
    assert b"CreationDate" not in first


def test_the_layout_of_another_style_changes_nothing(tmp_path):
    figure3.draw(prior(), NOTE).savefig(tmp_path / "plain.png", dpi=60)
    with matplotlib.rc_context({"figure.constrained_layout.use": True}):
        figure = figure3.draw(prior(), NOTE)
        for name in ("styled.png", "again.png"):
            figure.savefig(tmp_path / name, dpi=60)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
