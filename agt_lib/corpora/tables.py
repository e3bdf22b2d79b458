"""CSV files: every row keeps the number that a spreadsheet shows, every fault is reported."""

import codecs
import csv
import errno
import io
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import CorpusError, Problem, listed, name_problems


def read_table(
    path: str | Path, columns: Sequence[str], advice: str = "", *, text: bool = True
) -> pd.DataFrame:
    """Read a CSV file that this project writes, or asks for, as `read_rows` does.

    Cells are strings ("" if empty) and the index holds the rows' numbers. Without `text` columns of
    numbers are numbers (NaN if empty). Only the names of `columns` are taken in any case. Raises
    FileNotFoundError, and ValueError with `advice` and all that is wrong with the file's form.
    """
    path = Path(path).expanduser().resolve(strict=True)
    table, problems = read_rows(path, columns, lower=False)
    if problems:
        raise ValueError(f"{path}: {listed(problems)}{f'. {advice}' if advice else ''}")
    return table.fillna("").astype("str") if text else table.apply(_numbers).reset_index(drop=True)


def read_rows(
    path: Path, required: Sequence[str], place: str = "", *, lower: bool = True
) -> tuple[pd.DataFrame | None, list[Problem]]:
    """Read a CSV file and list what is wrong with its form.

    It is UTF-8 (with or without BOM), UTF-16 with BOM, or Windows-1252 where most bytes beyond
    ASCII stand alone; its fields are separated by commas, or by semicolons or tabs if its first
    line has no comma. What is not UTF-8 with commas stands in the table's `attrs["notes"]`.

    The table has one column of strings per header, and none for a blank header. Headers are put in
    lower case, or, without `lower`, those of `required` alone. Blank cells are None; nothing else
    ("NA", "null") counts as missing. Its index holds the numbers a spreadsheet shows, 1 being the
    file's first row; blank rows are counted and left
    out. `place` stands before "row 7" in the problems. Rows of another length than the header and
    columns of `required` that are not there are problems; such rows are left out of the table.
    The table is None if the file can't be read, is in another encoding or no CSV.
    """
    given: list[list[str]] = []
    notes: list[str] = []
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode) and not Path(path).is_dir():
            raise OSError(errno.EINVAL, "no regular file")  # a pipe would be waited for
        text = decoded(Path(path).read_bytes(), notes)
        comma = _separator(text, notes)
        for row in csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=comma):
            given.append(row)
    except OSError as error:
        expected = f"expected a CSV file with the columns {', '.join(required)}"
        return None, [Problem(f"{path}", "file", f"{error.strerror}; {expected}")]
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        message = (
            f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8, for "
            f"instance, if it is Chinese: iconv -f GB18030 -t UTF-8 {Path(path).name} > utf8.csv"
        )
        return None, [Problem(f"{place}row {row}", "encoding", message)]
    except csv.Error as error:
        return None, [Problem(f"{place}row {len(given) + 1}", "fields", f"not CSV: {error}")]

    rows = {
        number: [cell if cell.strip() else None for cell in row]
        for number, row in enumerate(given, 1)
        if any(cell.strip() for cell in row)
    }
    if rows and re.fullmatch("sep=.?", (rows[min(rows)] or [""])[0] or ""):
        rows.pop(min(rows))  # a spreadsheet's own line
    header_row = min(rows, default=1)
    header = [(cell or "").strip() for cell in rows.pop(header_row, [])]
    header = [cell.lower() if lower or cell.lower() in required else cell for cell in header]
    problems = []
    for column in sorted({column for column in header if column and header.count(column) > 1}):
        message = f"the header has the column {column!r} {header.count(column)} times"
        problems.append(Problem(f"{place}row {header_row}", column, message))
    for column in required:
        if column not in header:
            message = f"missing column; the header has {', '.join(header) or 'nothing'}"
            problems.append(Problem(f"{place}row {header_row}", column, message))
    for number in [number for number, row in rows.items() if len(row) != len(header)]:
        message = (
            f"{len(rows.pop(number))} fields, but the header has {len(header)}; "
            'a text with a comma needs quotes: "yes, of course"'
        )
        problems.append(Problem(f"{place}row {number}", "fields", message))
    table = pd.DataFrame(list(rows.values()), list(rows), header, dtype=object)
    table.attrs["notes"] = [f"{Path(path).name} is {note}" for note in notes]
    return table.loc[:, ~table.columns.duplicated() & (table.columns != "")], problems


def read_parts(
    source: str, root: Path, parts: Mapping[str, Sequence[str]], missing: Sequence[Problem]
) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Read the CSV files `parts` of `root`, each with `name` and its columns and one row per clip.

    The tables, by file, are those of `read_rows`, indexed by name, with the column `where` ("FILE
    row 7"). Names that are unfit or repeated are problems too; such rows are left out. Raises
    CorpusError, about `source`, if there are `missing` parts, or if a file can't be read or lacks a
    column.
    """
    tables, problems = {}, list(missing)
    for part, columns in parts.items():
        table, found = read_rows(root / part, ["name", *columns], f"{part} ")
        problems += found
        if table is None or not {"name", *columns} <= set(table.columns):
            continue
        table["name"] = table["name"].astype("str").str.strip()
        table["where"] = [f"{part} row {row}" for row in table.index]
        unfit = name_problems(table["name"], table["where"])
        problems += unfit
        is_unfit = table["where"].isin([problem.where for problem in unfit])
        tables[part] = table[~is_unfit].set_index("name")
    if missing or len(tables) < len(parts):
        raise CorpusError(source, problems)
    return tables, problems


def _numbers(column: pd.Series) -> pd.Series:
    """A column of numbers as numbers, another as text; blank cells are missing."""
    try:
        return pd.to_numeric(column)
    except ValueError:
        return column.astype("str")


def decoded(content: bytes, notes: list[str]) -> str:
    """The text of a file; `notes` gain its encoding if it is not UTF-8. Else UnicodeDecodeError."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        notes.append("UTF-16")
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Chinese characters are two bytes or more; an accent or a quotation mark of Windows is one.
        together = sum(map(len, re.findall(rb"[\x80-\xff]{2,}", content)))
        if together > 0.5 * len(re.findall(rb"[\x80-\xff]", content)):
            raise
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            raise error from None
        notes.append("Windows-1252")
        return text


def _separator(text: str, notes: list[str]) -> str:
    """What separates the fields, by the first line; `notes` gain it if it is no comma."""
    first = text.strip().partition("\n")[0]
    if (told := re.fullmatch(r"sep=(.)\s*", first)) is not None:
        return told[1]
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if "," not in first and mark in first:
            notes.append(f"separated by {name}")
            return mark
    return ","
