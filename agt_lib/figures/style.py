"""How the paper's figures look and are saved: column widths, fonts, colours, PNG and PDF."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from agt_lib.workspace import kept, paths

COLUMN, DOUBLE_COLUMN = 3.4, 7.0
"""Widths in inches of a column and of a page's text, as ACM's two-column layout has them."""

SMALL, BODY, TITLE = 6.5, 7.0, 7.5
"""Font sizes in points, at the size of print."""

FONT = {"family": "DejaVu Sans", "math_fontfamily": "dejavusans"}
"""Named, because matplotlib ships it: a machine's own fonts would not fit the boxes."""

INK, QUIET = "#222222", "#666666"
MODALITIES = {"audio": "#0072b2", "video": "#e69f00", "text": "#009e73"}
"""Okabe and Ito's; in grey the letters A, V, T tell them apart."""

TRUETYPE = 42
DPI = 300
NO_DATE = {"CreationDate": None}


def tint(colour: str, strength: float = 0.22) -> tuple[float, float, float]:
    """`colour` thinned with white: 1 is the colour itself, 0 is white."""
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def published(profile: str, corpus: str) -> Path:
    """The checkout's folder of figures and tables of a profile and the corpus it ran on."""
    return paths.ROOT / "figures" / "-".join(dict.fromkeys((profile, corpus)))


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches that no layout engine moves."""
    # matplotlib takes a missing engine for the style's one once a figure was saved
    still = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True)
    return plt.figure(figsize=(width, height), layout=still)


def save(
    figure: Figure,
    folders: Sequence[Path],
    name: str,
    caption: str,
    data: pd.DataFrame | None = None,
) -> None:
    """Write `name`.png, .pdf, its caption (.txt) and the .csv of `data`, if it was drawn from any.

    The page is the figure's own size; PDF embeds its fonts as TrueType. The same figure gives the
    same bytes.
    """
    files = {"txt": caption + "\n"}
    if data is not None:
        files["csv"] = data.to_csv(index=not isinstance(data.index, pd.RangeIndex))
    with plt.rc_context({"pdf.fonttype": TRUETYPE}):
        for ending, options in (("png", {"dpi": DPI}), ("pdf", {"metadata": NO_DATE})):
            page = io.BytesIO()
            figure.savefig(page, format=ending, **options)
            files[ending] = page.getvalue()
    for folder in folders:
        for ending, content in files.items():
            kept.write_atomic(Path(folder) / f"{name}.{ending}", content)
