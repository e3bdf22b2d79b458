"""A figure as files: its pictures beside the data that it was drawn from."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from agt_lib.workspace.kept import write_atomic
from agt_lib.workspace.words import neutral


def save_figure(
    figure: Figure, folders: Iterable[Path], name: str, caption: str, data: pd.DataFrame, **how: Any
) -> None:
    """Write `name`.png, .pdf, the .csv of `data` and, unless it is empty, the caption (.txt).

    They go into each of `folders`, every file whole or not at all. PDF embeds its fonts as
    TrueType. The same figure gives the same bytes. `how` goes to matplotlib's `savefig`.
    """
    files = {"csv": neutral(data).to_csv(index=not isinstance(data.index, pd.RangeIndex))}
    files |= {"txt": f"{caption}\n"} if caption else {}
    for ending, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
        content = io.BytesIO()
        with plt.rc_context({"pdf.fonttype": 42}):
            figure.savefig(content, format=ending, metadata=metadata, **how)
        files[ending] = content.getvalue()
    for folder in folders:
        for ending, content in files.items():
            write_atomic(Path(folder) / f"{name}.{ending}", content)
