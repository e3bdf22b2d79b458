"""A challenge's submission: `name,discrete`, one line for each candidate clip."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora.corpus import listed, name_problem
from agt_lib.corpora.tables import read_table
from agt_lib.workspace.kept import write_atomic

NAME, LABEL = "name", "discrete"


def candidates(path: str | Path, known: Collection[str] | None = None) -> list[str]:
    """The clips that a challenge asks for: the column `name` of a CSV, in its order.

    `known` are the names of the corpus' clips, if they are to be checked. Raises FileNotFoundError,
    and ValueError if the column is missing, a name is empty or repeated, or is not `known`.
    """
    names = read_table(path, [NAME])[NAME]
    named = names[names != ""]
    unknown = [] if known is None else sorted(set(named) - set(known))
    problems = _told(
        {
            "no name in": [f"row {row}" for row in names.index[names == ""]],
            "more than once": named[named.duplicated()].unique(),
            "not among the corpus' clips": unknown,
        }
    )
    if problems or names.empty:
        raise ValueError(f"{path}: {problems or 'no candidates'}")
    return list(names)


def write(
    path: str | Path, predicted: pd.Series, candidates: Sequence[str], labels: Sequence[str]
) -> Path:
    """Write the labels `predicted` (by clip name) of all `candidates`, in their order, to `path`.

    Raises ValueError listing candidates without a prediction, predictions that are no candidate's,
    names that are repeated and labels that are not of `labels`. Nothing but an earlier
    submission for the same candidates is overwritten: FileExistsError for any other file.
    """
    path = Path(path)
    given, wanted = predicted.index, pd.Index(candidates)
    unfit = [name for name in wanted if name_problem(name)]
    unknown = predicted[~predicted.isin(list(labels))].map(repr).unique()
    problems = _told(
        {
            "candidates that are no clip names": unfit,
            "candidates named more than once": wanted[wanted.duplicated()].unique(),
            "clips predicted more than once": given[given.duplicated()].unique(),
            "candidates without a prediction": wanted.difference(given),
            "predictions for clips that are no candidates": given.difference(wanted),
            f"labels that are none of {', '.join(labels)}": unknown,
        }
    )
    if problems or wanted.empty:
        raise ValueError(f"no submission was written to {path}. {problems or 'no candidates'}")
    if path.exists() and not _is_submission(path, wanted, labels):
        raise FileExistsError(
            f"{path} is there and is no submission for these candidates: it was not changed; "
            "name another file or remove it"
        )
    table = pd.DataFrame({NAME: wanted, LABEL: predicted.loc[wanted].to_numpy()})
    write_atomic(path, table.to_csv(index=False, lineterminator="\n"))
    return path


def _is_submission(path: Path, candidates: pd.Index, labels: Sequence[str]) -> bool:
    try:
        table = read_table(path, [NAME, LABEL])
    except (ValueError, OSError):  # no text, no CSV, a folder
        return False
    return (
        list(table.columns) == [NAME, LABEL]
        and sorted(table[NAME]) == sorted(candidates)
        and set(table[LABEL]) <= set(labels)
    )


def _told(found: Mapping[str, Sequence]) -> str:
    return "; ".join(f"{what}: {listed(faults)}" for what, faults in found.items() if len(faults))
