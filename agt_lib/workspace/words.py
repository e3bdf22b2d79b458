"""Text that strangers wrote: what a terminal, a file or a spreadsheet would take for a command."""

import re
import unicodedata
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's control, format and surrogate characters, and separators of lines."""
BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0000-\U000e0fff]"
)
"""Letters and marks that are drawn as nothing: fillers, joiners, variation selectors."""
FORMULA = ("=", "+", "@", "-", "\t", "\r", "\n", "＝", "＋", "＠", "－")
"""What a spreadsheet takes for the beginning of a formula."""


def hidden(text: str) -> bool:
    """Whether `text` has characters that nobody sees: escape codes, zero width, other direction."""
    return bool(BLANK.search(text)) or any(unicodedata.category(c) in INVISIBLE for c in text)


def visible(text: str) -> str:
    """`text` with a question mark for each invisible character but line ends and tabs."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in INVISIBLE else "?"
        for c in BLANK.sub("?", text)
    )


def neutral(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with an apostrophe before text that a spreadsheet would run as a formula.

    Names of rows and columns are text too.
    """
    found = table.copy()
    for number, kind in enumerate(table.dtypes):
        if not is_numeric_dtype(kind):
            found.isetitem(number, table.iloc[:, number].map(_quoted))
    found.columns = found.columns.map(_quoted)
    if not is_numeric_dtype(found.index):
        found.index = found.index.map(_quoted).set_names(found.index.names)
    return found


def _quoted(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_quoted, value))
    return f"'{value}" if isinstance(value, str) and runs(value) else value


def runs(text: str) -> bool:
    """Whether a spreadsheet takes `text` for a formula; a number is none."""
    if not text.startswith(FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
