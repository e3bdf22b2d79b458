import re

import matplotlib
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from agt_lib.figures import distribution, framework, style, tuning
from agt_lib.workspace import paths


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")


def luminance(colour):
    return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True))


def test_a_figure_is_saved_at_its_own_size_with_its_caption_and_data(tmp_path):
    figure = style.new_figure(3.4, 2.0)
    figure.text(0.5, 0.5, "hello")
    table = pd.DataFrame({"share": [0.5]}, index=pd.Index(["sad"], name="label"))
    style.save(figure, [tmp_path / "a", tmp_path / "b"], "figure", "What it is.", table)
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert Image.open(folder / "figure.png").size == (1020, 600)
        assert (folder / "figure.txt").read_text() == "What it is.\n"
        assert (folder / "figure.csv").read_text() == "label,share\nsad,0.5\n"


def test_published_figures_lie_apart_by_profile_and_corpus():
    assert style.published("mini", "mini") == paths.ROOT / "figures" / "mini"
    assert style.published("paper", "mer2024") == paths.ROOT / "figures" / "paper-mer2024"


def test_a_pdf_embeds_each_of_its_fonts_as_truetype(tmp_path):
    style.save(framework.draw(), [tmp_path], "figure1", framework.CAPTION)
    content = (tmp_path / "figure1.pdf").read_bytes()
    fonts = content.count(b"/Type /FontDescriptor")
    assert fonts >= 2  # plain and bold
    assert content.count(b"/FontFile2") == fonts
    assert b"/Type3" not in content
    assert set(re.findall(rb"/Subtype /(CIDFontType\d)", content)) == {b"CIDFontType2"}


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for folder in ("first", "second"):
        style.save(tuning.draw(), [tmp_path / folder], "figure2", tuning.CAPTION)
    for name in ("figure2.png", "figure2.pdf"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("first", "second"))
        assert first == second
    assert b"CreationDate" not in first


@pytest.mark.filterwarnings("error")
def test_fonts_and_layout_of_another_style_change_nothing(tmp_path):
    framework.draw().savefig(tmp_path / "plain.png", dpi=60)
    other = {"font.sans-serif": ["STIXGeneral"], "font.size": 20}
    with matplotlib.rc_context(other | {"figure.constrained_layout.use": True}):
        figure = framework.draw()
        for name in ("styled.png", "again.png"):
            figure.savefig(tmp_path / name, dpi=60)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_bars_that_stand_side_by_side_differ_in_grey_print():
    train, test = (colour for _, colour in distribution.BARS.values())
    assert abs(luminance(train) - luminance(test)) > 0.25


def test_a_tint_is_between_the_colour_and_white():
    assert style.tint("#000000", 0.25) == pytest.approx((0.75, 0.75, 0.75))
    assert style.tint("#ff0000", 1) == (1, 0, 0)
