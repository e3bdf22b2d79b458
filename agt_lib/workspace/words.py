"""Text that strangers wrote: what a terminal, a file or a spreadsheet would take for a command."""

import unicodedata

import pandas as pd
from pandas.api.types import is_numeric_dtype

INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's control, format and surrogate characters, and separators of lines."""
FORMULA = ("=", "+", "@", "-", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def hidden(text: str) -> bool:
    """Whether `text` has characters that nobody sees: escape codes, zero width, other direction."""
    return any(unicodedata.category(character) in INVISIBLE for character in text)


def visible(text: str) -> str:
    """`text` with a question mark for each invisible character but line ends and tabs."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in INVISIBLE else "?" for c in text
    )


def neutral(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with an apostrophe before text that a spreadsheet would run as a formula."""
    found = table.copy()
    for column in table.columns[[not is_numeric_dtype(kind) for kind in table.dtypes]]:
        found[column] = [
            f"'{value}" if isinstance(value, str) and _runs(value) else value
            for value in table[column]
        ]
    return found


def _runs(text: str) -> bool:
    if not text.startswith(FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
