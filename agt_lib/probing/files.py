"""The files of a real challenge: one submission per label to upload, one table of scores to fill.

Before any is uploaded: the challenge's rules may forbid it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora import submission
from agt_lib.probing.scores import ROUNDINGS, Score
from agt_lib.workspace.kept import write_atomic

SCORES = "scores.csv"
COLUMNS = ("label", "file", "score", "rounding")


def write_submissions(folder: Path, names: Sequence[str], labels: Sequence[str]) -> dict[str, Path]:
    """Write a constant submission for each label into `folder`, and `scores.csv` to fill in.

    Every file lists all `names`. A `scores.csv` that is there stays as it is. Returns the files by
    label. Raises ValueError and FileExistsError as `submission.write` does.
    """
    files = {}
    for i, label in enumerate(labels):
        path = Path(folder) / f"probe_{i}_{re.sub(r'[^0-9a-z]+', '_', label)}.csv"
        constant = pd.Series(label, index=pd.Index(names), dtype="str")
        files[label] = submission.write(path, constant, names, labels)
    table = Path(folder) / SCORES
    if not table.exists():
        rows = [(label, path.name, "", ROUNDINGS[0]) for label, path in files.items()]
        content = pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False)
        write_atomic(table, content)
    return files


def read_scores(path: Path, labels: Sequence[str]) -> dict[str, Score]:
    """The scores filled into a `scores.csv`, by label; rows with an empty score are left out.

    A score is written with all printed decimals; the column `rounding`, where there is one, says
    "round" or "truncate". Raises FileNotFoundError, and ValueError with every problem found.
    """
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    if missing := [column for column in ("label", "score") if column not in table]:
        raise ValueError(f"{path}: no column {' and '.join(missing)}; found {list(table.columns)}")
    found, problems = {}, []
    for row, line in enumerate(table.to_dict("records"), start=2):
        label, text = line["label"].strip(), line["score"].strip()
        if label not in labels:
            problems.append(f"row {row}: {label!r} is none of the labels {', '.join(labels)}")
        elif label in found:
            problems.append(f"row {row}: {label} stands there twice")
        elif text:
            try:
                found[label] = Score.read(text, line.get("rounding", "").strip() or ROUNDINGS[0])
            except ValueError as error:
                problems.append(f"row {row}, {label}: {error}")
    if not problems and not found:
        problems.append("no score is filled in yet: upload the submissions and write their scores")
    if problems:
        raise ValueError(f"{path}: " + "; ".join(problems))
    return found
