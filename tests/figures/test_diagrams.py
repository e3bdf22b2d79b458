"""Figures 1 and 2: what a reader of the printed page must be able to rely on."""

import re
import subprocess
import sys
from itertools import combinations

import matplotlib
import pytest
from PIL import Image

import drawing
import figure1
import figure2
from agt_lib.workspace import paths
from drawing import Box, Canvas

TOLERANCE = 0.005  # inches: a third of the thinnest gap that is meant


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture(params=[figure1, figure2], ids=["figure 1", "figure 2"])
def page(request):
    return request.param.canvas()


def extent(page, text):
    """The box around a drawn text, in inches."""
    drawn = text.get_window_extent(page.figure.canvas.get_renderer())
    x0, y0, x1, y1 = (value / page.figure.dpi for value in drawn.extents)
    return Box(x0, y0, x1 - x0, y1 - y0)


def inside(inner, outer):
    (left, low), (right, high) = inner.left(0), inner.right(1)
    (x0, y0), (x1, y1) = outer.left(0), outer.right(1)
    return left > x0 and low > y0 and right < x1 and high < y1


def touch(a, b):
    (ax0, ay0), (ax1, ay1) = a.left(0), a.right(1)
    (bx0, by0), (bx1, by1) = b.left(0), b.right(1)
    return ax0 < bx1 and bx0 < ax1 and ay0 < by1 and by0 < ay1


def segments(page):
    """Each straight piece of each arrow, as a box without width or height."""
    for corners in page.arrows:
        for (x0, y0), (x1, y1) in zip(corners, corners[1:], strict=False):
            yield Box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))


def overlapping(page):
    found = combinations([(t.get_text(), extent(page, t)) for t in page.axes.texts], 2)
    return [(a, b) for (a, first), (b, second) in found if touch(first, second)]


def overfull(page):
    return [text.get_text() for box, text in page.held if not inside(extent(page, text), box)]


def on_edge(point, box):
    x, y = point
    (x0, y0), (x1, y1) = box.left(0), box.right(1)
    within = x0 - TOLERANCE <= x <= x1 + TOLERANCE and y0 - TOLERANCE <= y <= y1 + TOLERANCE
    return within and min(abs(x - x0), abs(x - x1), abs(y - y0), abs(y - y1)) < TOLERANCE


def test_no_two_texts_overlap(page):
    assert overlapping(page) == []


def test_every_text_stays_in_its_box(page):
    assert overfull(page) == []


def test_every_text_and_box_lies_on_the_page(page):
    whole = Box(0, 0, *page.figure.get_size_inches())
    assert [t.get_text() for t in page.axes.texts if not inside(extent(page, t), whole)] == []
    assert [box for box in page.boxes if not inside(box, whole)] == []


def test_boxes_are_apart_or_within_one_another(page):
    pairs = [(a, b) for a, b in combinations(page.boxes, 2) if touch(a, b)]
    stacks = [p for p in pairs if p[0].width == p[1].width and p[0].height == p[1].height]
    for a, b in (pair for pair in pairs if pair not in stacks):
        assert inside(a, b) or inside(b, a)
    assert len(stacks) <= 3  # the sheets of the six prompts lie behind one another


def test_no_arrow_runs_through_a_text(page):
    texts = [(t.get_text(), extent(page, t)) for t in page.axes.texts]
    assert [t for t, box in texts for piece in segments(page) if touch(piece, box)] == []


def test_every_arrow_ends_at_the_edge_of_a_box_and_is_straight_or_square(page):
    for corners in page.arrows:
        assert any(on_edge(corners[-1], box) for box in page.boxes)
    assert all(min(piece.width, piece.height) < 1e-9 for piece in segments(page))


def test_no_text_is_smaller_than_the_smallest_readable_size(page):
    assert min(text.get_fontsize() for text in page.axes.texts) >= drawing.SMALL >= 6.5


def test_figures_are_as_wide_as_the_columns_of_print():
    assert figure1.draw().get_size_inches()[0] == 7.0
    assert figure2.draw().get_size_inches()[0] == 3.4


def test_figure_1_shows_both_stages():
    shown = " ".join(text.get_text() for text in figure1.canvas().axes.texts)
    for word in ("HuBERT-large", "CBT (cat [A, V])", "CBT (cat [A, T])", "AMF", "pseudo-", "vote"):
        assert word in shown


def test_a_text_too_long_for_its_box_and_one_upon_another_are_found():
    page = Canvas(2, 1)
    page.box(Box(0.1, 0.1, 0.3, 0.3), "far too long for so small a box")
    page.text((0.6, 0.25), "upon it")
    assert overfull(page) == ["far too long for so small a box"]
    assert overlapping(page) == [("far too long for so small a box", "upon it")]


def test_each_is_a_script_that_writes_png_pdf_svg_and_caption(tmp_path):
    folders = [tmp_path / "a b", tmp_path / "c"]
    script = paths.ROOT / "figures" / "figure2.py"
    environment = {"PATH": "", "MPLBACKEND": "agg", "MPLCONFIGDIR": matplotlib.get_configdir()}
    subprocess.run([sys.executable, script, *folders], check=True, env=environment)
    for folder in folders:
        assert {p.suffix for p in folder.iterdir()} == {".png", ".pdf", ".svg", ".txt"}
        assert Image.open(folder / "figure2.png").size == (1020, 1290)
        assert (folder / "figure2.txt").read_text() == figure2.CAPTION + "\n"


def test_a_pdf_embeds_each_of_its_fonts_as_truetype(tmp_path):
    drawing.save(figure1.draw(), tmp_path, "figure1", figure1.CAPTION)
    content = (tmp_path / "figure1.pdf").read_bytes()
    fonts = content.count(b"/Type /FontDescriptor")
    assert fonts >= 2  # plain and bold
    assert content.count(b"/FontFile2") == fonts
    assert b"/Type3" not in content
    assert set(re.findall(rb"/Subtype /(CIDFontType\d)", content)) == {b"CIDFontType2"}


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for folder in ("first", "second"):
        drawing.save(figure2.draw(), tmp_path / folder, "figure2", figure2.CAPTION)
    for ending in ("png", "pdf", "svg"):
        first, second = (tmp_path / f / f"figure2.{ending}" for f in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    assert b"Date" not in first.read_bytes()


@pytest.mark.filterwarnings("error")
def test_fonts_and_layout_of_another_style_change_nothing(tmp_path):
    figure1.draw().savefig(tmp_path / "plain.png", dpi=60)
    other = {"font.sans-serif": ["STIXGeneral"], "font.size": 20}
    with matplotlib.rc_context(other | {"figure.constrained_layout.use": True}):
        figure = figure1.draw()
        for name in ("styled.png", "again.png"):
            figure.savefig(tmp_path / name, dpi=60)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_tint_is_between_the_colour_and_white():
    assert drawing.tint("#000000", 0.25) == pytest.approx((0.75, 0.75, 0.75))
    assert drawing.tint("#ff0000", 1) == (1, 0, 0)
