"""The files of a real challenge: one submission per label to upload, one table of scores to fill.

Read the challenge's rules before you upload any: they may forbid it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agt_lib.corpora import submission
from agt_lib.corpora.tables import read_table
from agt_lib.probing.infer import Probed, probe, probe_leaderboard
from agt_lib.probing.leaderboard import ROUNDINGS, Leaderboard, PrintedScore
from agt_lib.workspace import paths
from agt_lib.workspace.kept import write_atomic

SCORES = "scores.csv"


def probe_challenge(
    folder: Path,
    names: Sequence[str],
    labels: Sequence[str],
    answers: pd.Series,
    scores: str | Path = "",
    *,
    metric: str = "waf",
    digits: int = 4,
    rounding: str = "round",
    n: int | None = None,
    remaining: str | None = None,
) -> Probed | None:
    """Probe a real challenge or a simulated one; prints what was found.

    The submissions for the clips `names` are written to `folder`. With a file of `scores`, those of
    the real challenge are inverted (`metric`, `n` and `remaining` as in `probe`). Without it, a
    leaderboard is simulated on `answers` (labels by clip name), if there are any (`metric`,
    `digits` and `rounding` as in `Leaderboard`). None if there are neither scores nor answers.
    Raises as `write_submissions`, `read_scores`, `probe` and `Leaderboard` do.
    """
    if len(names):
        write_submissions(folder, names, labels)
        print(f"Files for a real challenge: {paths.relative(folder)}")
    if scores:
        given = read_scores(Path(scores).expanduser(), labels)
        found = probe(given, n, labels, metric=metric, remaining=remaining)
    elif len(answers):
        board = Leaderboard(answers, metric, digits, rounding, labels=labels)
        found = probe_leaderboard(board, names, board.n_scored)
    else:
        print("No test answers here and no scores given: nothing to probe.")
        return None
    print(found.verdict)
    return found


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
        columns = {"label": list(files), "file": [path.name for path in files.values()]}
        unfilled = pd.DataFrame(columns | {"score": "", "rounding": ROUNDINGS[0]})
        write_atomic(table, unfilled.to_csv(index=False))
    return files


def read_scores(path: Path, labels: Sequence[str]) -> dict[str, PrintedScore]:
    """The scores filled into a `scores.csv`, by label; rows with an empty score are left out.

    A score is written with all printed decimals. The column `rounding`, which may be missing, says
    "round" or "truncate". Raises FileNotFoundError, and ValueError with every problem found.
    """
    table = read_table(path, ["label", "score"])
    found: dict[str, PrintedScore] = {}
    problems = []
    for row, line in table.iterrows():
        label, text = line["label"].strip(), line["score"].strip()
        if label not in labels:
            problems.append(f"row {row}: {label!r} is none of the labels {', '.join(labels)}")
        elif label in found:
            problems.append(f"row {row}: {label} is there twice")
        elif text:
            try:
                rounding = line.get("rounding", "").strip() or ROUNDINGS[0]
                found[label] = PrintedScore.read(text, rounding)
            except ValueError as error:
                problems.append(f"row {row}, {label}: {error}")
    if not problems and not found:
        problems.append("no score is filled in yet: upload the submissions and write their scores")
    if problems:
        raise ValueError(f"{path}: " + "; ".join(problems))
    return found
