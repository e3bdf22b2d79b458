"""A table for print: text, Markdown and LaTeX from the same cells, CSV from the numbers."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from agt_lib.workspace import kept

ABSENT = "—"
WIDTH = 110

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "†": r"$^\dagger$",
    ABSENT: "---",
}
"""What TeX reads otherwise or its text fonts lack."""


@dataclass(frozen=True)
class Printed:
    """A table as readers see it, and the numbers behind it.

    `cells` holds text, one row a line; rows with equal first cells belong together. `title` is the
    paper's number, `caption` one paragraph, `notes` stand below. `data` are the numbers, in long
    form.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    data: pd.DataFrame

    def text(self) -> str:
        """The table with its caption and notes, for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.cells, strict=True)]
        lines = [
            "  ".join(map(str.ljust, row, widths)).rstrip()
            for row in (self.columns, *self._grouped())
        ]
        head, *notes = (textwrap.fill(t, WIDTH) for t in (self._headed, *self.notes))
        return "\n".join([head, *lines, *notes])

    def markdown(self) -> str:
        """The table with its caption and notes; "A+V*+T*" is no emphasis."""
        columns, *cells = (tuple(map(_plain, row)) for row in (self.columns, *self.cells))
        rows = [columns, ("---",) * len(columns), *cells]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        head, *notes = map(_plain, (self._headed, *self.notes))
        return "\n\n".join([head, lines, *notes]) + "\n"

    def latex(self) -> str:
        """A `table*` in booktabs style, a little space between rows that don't belong together."""
        lines = []
        for i, row in enumerate(self._grouped()):
            lines += [r"\addlinespace"] * (i > 0 and row[0] != "") + [_line(row)]
        notes = [rf"\par\smallskip\footnotesize {escape(note)}" for note in self.notes]
        body = [
            r"% needs \usepackage{booktabs}",
            r"\begin{table*}",
            r"\centering\small",
            rf"\caption{{{escape(self.caption)}}}",
            rf"\label{{tab:{self.name}}}",
            rf"\begin{{tabular}}{{{'l' * len(self.columns)}}}",
            r"\toprule",
            _line(self.columns),
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table*}",
        ]
        return "\n".join(body) + "\n"

    @property
    def _headed(self) -> str:
        return f"{self.title}. {self.caption}"

    def _grouped(self) -> list[tuple[str, ...]]:
        """The rows; what stands in the first cell above is not repeated."""
        above = ("", *(row[0] for row in self.cells))
        return [
            ("" if row[0] == before else row[0], *row[1:])
            for row, before in zip(self.cells, above, strict=False)
        ]

    def write(self, folders: Sequence[Path]) -> None:
        """Write .csv (the numbers), .md and .tex into each folder."""
        contents = {
            "csv": self.data.to_csv(index=False),
            "md": self.markdown(),
            "tex": self.latex(),
        }
        for folder in map(Path, folders):
            for ending, content in contents.items():
                kept.write_atomic(folder / f"{self.name}.{ending}", content)


def escape(text: str) -> str:
    """`text` as LaTeX prints it."""
    return "".join(LATEX.get(letter, letter) for letter in text)


def _plain(text: str) -> str:
    """`text` as Markdown prints it."""
    return re.sub(r"([\\|*_])", r"\\\1", text)


def _line(row: Sequence[str]) -> str:
    return " & ".join(map(escape, row)) + r" \\"
