"""A corpus: a validated table of clips and its label set.

Columns of `Corpus.clips`, indexed by clip name:

- `split`: train, dev, test or unlabelled;
- `emotion`: a label of the label set, or missing (always missing in test and unlabelled);
- `speaker`: or missing;
- `video`, `audio`: absolute paths, or missing (a missing audio is taken from the video);
- `text`: the transcript, or missing;
- `valence`: as the corpus' table of labels gives it, if it does. Nothing here reads it.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from agt_lib.corpora.labels import EMOTIONS, label_set, normalise, understood
from agt_lib.workspace.kept import digest
from agt_lib.workspace.words import hidden, visible

SPLITS = ("train", "dev", "test", "unlabelled")
SPLIT_ALIASES = {"val": "dev", "valid": "dev", "validation": "dev"}
COLUMNS = ("split", "emotion", "speaker", "video", "audio", "text")
SHOWN = 30


def listed(found: Sequence, shown: int = 10) -> str:
    """The first of what was found, for a message: "a, b and 3 more"."""
    more = len(found) - shown
    return ", ".join(map(str, found[:shown])) + f" and {more} more" * (more > 0)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a corpus: `where` (row, file or folder), `column`, what and why."""

    where: str
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.column}: {self.message}"


class CorpusError(ValueError):
    """All problems of a corpus, listed together before any work starts."""

    def __init__(self, source: str, problems: Sequence[Problem]):
        self.problems = list(problems)
        n = len(self.problems)
        lines = [f"{source}: {n} problem{'s' * (n > 1)}", *map(str, self.problems[:SHOWN])]
        lines += [f"... and {n - SHOWN} more"] * (n > SHOWN)
        super().__init__(visible("\n  ".join(lines)))


@dataclass(frozen=True)
class Corpus:
    """Clips with their splits, labels and media.

    `answers` holds the labels of test clips, as far as they are known. They are for scoring alone:
    nothing that fits or chooses reads them. `features_at` is the folder of features that MERTools
    made, for a corpus without media. `folds` are the corpus' own, by clip name, if it has some.
    """

    name: str
    clips: pd.DataFrame
    labels: tuple[str, ...] = EMOTIONS
    answers: pd.Series = field(default_factory=lambda: pd.Series(dtype="str"))
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    features_at: Path | None = None
    folds: pd.Series | None = None

    def split(self, *splits: str) -> pd.DataFrame:
        """The clips of the splits named, in the corpus' order."""
        return self.clips[self.clips["split"].isin(splits)]

    def only(self, *splits: str) -> "Corpus":
        """This corpus without the clips, and the answers, of all other splits."""
        clips = self.split(*splits)
        return replace(
            self, clips=clips, answers=self.answers[self.answers.index.isin(clips.index)]
        )

    def only_clips(self, names: Sequence[str]) -> "Corpus":
        """This corpus' clips `names` alone, in that order, with their answers."""
        answers = self.answers[self.answers.index.isin(names)]
        return replace(self, clips=self.clips.loc[list(names)], answers=answers)

    @property
    def labelled(self) -> pd.DataFrame:
        """The clips of train that have an emotion."""
        train = self.split("train")
        return train[train["emotion"].notna()]

    @property
    def fingerprint(self) -> str:
        """A hash of names, splits, emotions, speakers and texts (not of paths)."""
        table = self.clips[["split", "emotion", "speaker", "text"]].astype(object)
        rows = table.where(table.notna(), None).reset_index().values.tolist()
        return digest({"labels": list(self.labels), "clips": rows})


def name_problem(name: object) -> str | None:
    """What makes `name` unfit as a clip name, or None. A name can't leave its folder."""
    if normalise(name) is None:
        return "the clip name is empty"
    text = str(name)
    runs = re.search("^[=+@＝＋＠]|^[-－].*[|!(]", text)  # a name of YouTube's may begin with "-"
    if runs or re.search(r"[/\\]|\.\.|^\.$|^\s|\s$", text) or hidden(text):
        return (
            f"{text!r} is not a clip name: no '/', '\\', '..', invisible character or outer space, "
            "and no '=', '+' or '@' in front (or '-' with '|', '!' or '(' behind), which "
            "spreadsheets run"
        )
    return None


def name_problems(names: Iterable[object], where: Iterable[str]) -> list[Problem]:
    """The names that are unfit or repeated, each with its place from `where`."""
    found = []
    first: dict[str, str] = {}
    for place, name in zip(where, names, strict=True):
        if message := name_problem(name):
            found.append(Problem(place, "name", message))
        elif str(name) in first:
            found.append(Problem(place, "name", f"{str(name)!r} is in {first[str(name)]} too"))
        else:
            first[str(name)] = place
    return found


def build(
    name: str,
    table: pd.DataFrame,
    *,
    source: str,
    where: Iterable[str] | None = None,
    labels: Sequence[str] = EMOTIONS,
    synthetic: bool = False,
    notes: Iterable[str] = (),
    problems: Iterable[Problem] = (),
    check_files: bool = True,
    features_at: Path | None = None,
) -> Corpus:
    """Validate `table` (a `name` column and `COLUMNS`) and return it as a Corpus.

    `where` says for each row where it came from ("row 7"); it defaults to the row's number in a
    CSV with a header line. `problems` are those the reader found already. Splits and labels are
    matched in lower case without outer spaces; a note counts the labels that had to be changed.
    Other names of splits (`SPLIT_ALIASES`) and of the six emotions (`labels.ALIASES`) are
    understood, and noted. Labels of test rows move to `answers`. Those of unlabelled rows are
    dropped, with a note. A media file that is not there is noted; its clip fails when it is read.
    Raises CorpusError with every problem found, ValueError for `labels` that are no label set.
    """
    labels = label_set(labels)
    table = table.reset_index(drop=True)
    where = list(where) if where is not None else [f"row {i + 2}" for i in range(len(table))]
    found = list(problems)
    if table.empty:
        nothing = Problem(source, "name", "no clips at all; expected one row per clip")
        raise CorpusError(source, found or [nothing])
    extra = ["valence"] if table.get("valence", pd.Series()).notna().any() else []
    table = table.reindex(columns=["name", *COLUMNS, *extra]).astype(object)
    table = table.where(table.notna(), None)
    notes = list(notes)
    table["split"] = pd.Series(map(normalise, table["split"]), dtype=object)
    notes += _translate(table, "split", lambda split: SPLIT_ALIASES.get(split, split))
    given = table["emotion"].copy()
    table["emotion"] = pd.Series(map(normalise, given), dtype=object)
    changed = int((table["emotion"].notna() & (table["emotion"] != given)).sum())
    if changed:
        notes.append(f"labels that had other case or outer spaces and were normalised: {changed}")
    notes += _translate(table, "emotion", lambda label: understood(label, labels) or label)
    found += name_problems(table["name"], where) + _row_problems(table, where, labels)
    if found:
        raise CorpusError(source, found)
    if check_files and (missing := missing_files(table)):
        notes.append(f"{len(missing)} media files are missing: {listed(missing, 5)}")
    table["text"] = [None if normalise(text) is None else str(text) for text in table["text"]]
    present = table.set_index(table["name"].astype("str")).drop(columns="name")
    clips = present.astype("str").where(present.notna())
    is_test, is_unlabelled = (clips["split"] == split for split in ("test", "unlabelled"))
    answers = clips.loc[is_test, "emotion"].dropna()
    if dropped := clips.loc[is_unlabelled, "emotion"].count():
        notes.append(f"labels of unlabelled clips, which were dropped: {dropped}")
    clips.loc[is_test | is_unlabelled, "emotion"] = None
    return Corpus(name, clips, labels, answers, synthetic, tuple(notes), features_at)


def _translate(table: pd.DataFrame, column: str, mean: Callable[[str], str]) -> list[str]:
    """Replace the column's values by what they mean; a note says which, and how often."""
    given = table[column]
    meant = [value if value is None else mean(value) for value in given]
    table[column] = pd.Series(meant, dtype=object)
    changed = given[(given != table[column]) & given.notna()].value_counts(sort=False)
    said = [f"{value!r} as {mean(value)} ({n} clips)" for value, n in changed.items()]
    return [f"{column} understood: {', '.join(said)}"] if said else []


def missing_files(clips: pd.DataFrame) -> list[str]:
    """The media files of `clips` that are not there."""
    given = [path for column in ("video", "audio") for path in clips[column].dropna()]
    # Path.is_file raises for a name that is too long
    return [str(path) for path in given if not os.path.isfile(path)]  # noqa: PTH113


def _row_problems(table: pd.DataFrame, where: list[str], labels: Sequence[str]) -> list[Problem]:
    found = []
    for place, row in zip(where, table.itertuples(index=False), strict=True):
        if row.split not in SPLITS:
            given = "the split is empty" if pd.isna(row.split) else f"{row.split!r} is no split"
            message = f"{given}; expected one of {', '.join(SPLITS)}"
            found.append(Problem(place, "split", message))
        if row.emotion not in (None, *labels):
            message = f"unknown emotion {row.emotion!r}; expected one of {', '.join(labels)}"
            if re.fullmatch(r"\d+(\.0)?", str(row.emotion)):
                order = ", ".join(f"{k} {label}" for k, label in enumerate(labels))
                message = (
                    f"the emotion is the number {row.emotion}, and corpora number them in other "
                    f"orders: write names. If yours is the order of MER2024, they are {order}"
                )
            found.append(Problem(place, "emotion", message))
        for column in ("video", "audio"):
            path = getattr(row, column)
            if path is not None and os.sep == "/" and "\\" in Path(path).name:
                slashed = Path(path).name.replace("\\", "/")
                message = f"a path of Windows: here folders are separated by '/', as in {slashed}"
                found.append(Problem(place, column, message))
    return found
