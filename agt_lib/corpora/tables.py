"""CSV files as their authors see them: every row keeps its number, every fault is told."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import Problem, name_problem


def listed(found: Sequence, shown: int = 10) -> str:
    """The first of what was found, for a message: "a, b and 3 more"."""
    more = len(found) - shown
    return ", ".join(map(str, found[:shown])) + f" and {more} more" * (more > 0)


def read_table(
    path: str | Path, columns: Sequence[str], advice: str = "", *, text: bool = True
) -> pd.DataFrame:
    """Read a CSV file that this project writes, or asks for. Cells are `text` ("" where empty).

    Where not, pandas decides what they are. Raises FileNotFoundError, and ValueError with `advice`
    where the file lacks one of `columns`.
    """
    table = pd.read_csv(path, **({"dtype": "str", "keep_default_na": False} if text else {}))
    if missing := [column for column in columns if column not in table]:
        found = ", ".join(map(str, table.columns))
        message = f"{path}: no column {', '.join(missing)}; found {found}"
        raise ValueError(f"{message}. {advice}" if advice else message)
    return table


def read_rows(
    path: Path, required: Sequence[str], place: str = ""
) -> tuple[pd.DataFrame, list[Problem]]:
    """Read a UTF-8 CSV file (with or without BOM) and list what is wrong with its form.

    The table has one column of strings per header, in lower case, and none for a blank header.
    Blank cells are None; nothing else ("NA", "null") counts as missing. Its index holds the
    numbers a spreadsheet shows, 1 being the file's first row; blank rows are counted and left
    out. `place` stands before "row 7" in the problems. Rows of another length than the header and
    columns of `required` that are not there are problems; such rows are left out of the table.
    """
    unread = pd.DataFrame(dtype=object)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        expected = f"expected a CSV file with the columns {', '.join(required)}"
        return unread, [Problem(f"{path}", "file", f"{error.strerror}; {expected}")]
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        message = (
            f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8, for "
            f"instance: iconv -f GB18030 -t UTF-8 {Path(path).name} > utf8.csv"
        )
        return unread, [Problem(f"{place}row {row}", "encoding", message)]

    problems = []
    rows: dict[int, list[str | None]] = {}
    header: list[str] = []
    header_row = 1
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 0
    try:
        for number, row in enumerate(reader, 1):
            cells = [cell if cell.strip() else None for cell in row]
            if not any(cells):
                continue
            if not header:
                header_row = number
                header = [(cell or "").strip().lower() for cell in cells]
            elif len(cells) != len(header):
                message = (
                    f"{len(cells)} fields, but the header has {len(header)}; "
                    'a text with a comma needs quotes: "yes, of course"'
                )
                problems.append(Problem(f"{place}row {number}", "fields", message))
            else:
                rows[number] = cells
    except csv.Error as error:
        problems.append(Problem(f"{place}row {number + 1}", "fields", f"not CSV: {error}"))

    place_of_header = f"{place}row {header_row}"
    for column in sorted({column for column in header if column and header.count(column) > 1}):
        message = f"the header has the column {column!r} {header.count(column)} times"
        problems.append(Problem(place_of_header, column, message))
    for column in required:
        if column not in header:
            message = f"missing column; the header has {', '.join(header) or 'nothing'}"
            problems.append(Problem(place_of_header, column, message))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=header, dtype=object)
    return table.loc[:, ~table.columns.duplicated() & (table.columns != "")], problems


def read_parts(
    root: Path, parts: Mapping[str, Sequence[str]]
) -> tuple[dict[str, pd.DataFrame | None], list[Problem]]:
    """`read_named` for each of the files `parts` of `root`, with its columns: tables by file."""
    read = {part: read_named(root / part, columns, f"{part} ") for part, columns in parts.items()}
    problems = [problem for _, found in read.values() for problem in found]
    return {part: table for part, (table, _) in read.items()}, problems


def read_named(
    path: Path, columns: Sequence[str] = (), place: str = ""
) -> tuple[pd.DataFrame | None, list[Problem]]:
    """Read a CSV file with one row per clip: `name` and `columns`, as `read_rows` reads them.

    The table is indexed by name and has the column `row`. It is None where the file has no such
    rows at all: it can't be read, is not UTF-8, or lacks a column. Names that are unfit or
    repeated are problems too; the first of each is kept.
    """
    table, problems = read_rows(path, ["name", *columns], place)
    if problems and not set(columns) | {"name"} <= set(table.columns):
        return None, problems
    table["name"] = table["name"].astype("str").str.strip()
    first: dict[str, int] = {}
    for row, name in table["name"].items():
        if message := name_problem(name):
            problems.append(Problem(f"{place}row {row}", "name", message))
        elif name in first:
            message = f"{name!r} stands in row {first[name]} too"
            problems.append(Problem(f"{place}row {row}", "name", message))
        else:
            first[name] = row
    kept = table.loc[list(first.values())]
    return kept.assign(row=kept.index).set_index("name"), problems
