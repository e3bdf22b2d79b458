"""Tables 1 and 2: ours, from results on disk, beside the values the paper published."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.labels import LETTERS
from agt_lib.evaluation import paper
from agt_lib.evaluation.tables import cell
from agt_lib.figures.printed import ABSENT, Printed
from agt_lib.fusion.table1 import AGT, BASELINE, OUT_OF_FOLD, REFERENCE, TEST
from agt_lib.workspace import paths
from agt_lib.workspace.run import Run

FEATURES = ("A+V", "A+V*", "A+T", "A+T*", "A+V+T", "A+V*+T*")
"""Table 1's rows: the paper's four as we read them, and A+T, A+T* of our own."""

STRATEGIES = {"none": "N", "P": "P", "P+V": "P+V"}
"""Table 2's strategies by their stage, under the paper's letters."""

SCORE = ("waf", "waf_low", "waf_high", "seed_sd", "clips", "seeds", "interval_over")
CHANGE = ("difference", "difference_low", "difference_high", "fixed", "broken", "submissions")
STEP = ("step", "step_low", "step_high")
TABLE1_COLUMNS = ("features", "model", "set", *SCORE)
TABLE2_COLUMNS = ("model", "stage", *SCORE, *CHANGE, *STEP)
PUBLISHED = {OUT_OF_FOLD: paper.TRAIN_AND_VAL, TEST: paper.MER_SEMI}

Row = Mapping[str, Any]
"""A line of a results table by its columns' names."""


@dataclass(frozen=True)
class About:
    """What a caption says of our numbers: corpus, profile, seeds, encoders by modality, a note.

    Without test answers (`tested` false) table 2 is scored on the labelled clips, out of fold.
    """

    corpus: str
    synthetic: bool
    source: str
    profile: str
    seeds: Sequence[int]
    encoders: Mapping[str, str]
    tested: bool
    note: str = ""

    @classmethod
    def of(cls, run: Run, corpus: Corpus, note: str = "") -> "About":
        """What a run on `corpus` says of itself, and a `note` on the results it shows."""
        return cls(
            run.caption,
            corpus.synthetic,
            run.source,
            run.profile.name,
            run.seeds,
            run.encoders,
            len(corpus.answers) > 0,
            note,
        )

    @property
    def sentence(self) -> str:
        used = ", ".join(f"{LETTERS[m]} {name}" for m, name in self.encoders.items())
        seeds = ", ".join(map(str, self.seeds))
        ours = f"Ours: {self.corpus}; profile {self.profile}; seeds {seeds}; features {used}."
        return f"{ours} {self.note}".strip()

    @property
    def comparable(self) -> str:
        """Whether ours may be held against the paper's."""
        if self.synthetic:
            return "The paper's are of MER2024, ours of rendered clips: not comparable."
        if self.source == "mer2024":
            return "The paper's are of this corpus too, with folds of its own."
        return "The paper's are of MER2024: not comparable, unless this corpus is it."


def published(profile: str, corpus: str) -> Path:
    """The checkout's folder of figures and tables of a profile and the corpus it ran on."""
    return paths.ROOT / "figures" / "-".join(dict.fromkeys((profile, corpus)))


def read(folder: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """The table `name`.csv of a run's folder; without rows where there is no such file.

    Raises ValueError where the file lacks one of `columns`.
    """
    path = Path(folder) / f"{name}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    table = pd.read_csv(path)
    if missing := [column for column in columns if column not in table]:
        raise ValueError(
            f"{path} has no columns {', '.join(missing)}; it has {', '.join(table.columns)}. "
            "Delete its folder and run the notebook that made it again"
        )
    return table


def table1(scores: pd.DataFrame, about: About) -> Printed:
    """Table 1 beside the paper's. `scores` has `TABLE1_COLUMNS`, as notebook 04 leaves them.

    Rows are `FEATURES`, then what else the baseline or AGT was trained on, each for both and,
    where it is there, for logistic regression.
    """
    published = {(c.features, c.model, c.set): c.waf for c in paper.TABLE1}
    ours = _by(scores, ["features", "model", "set"])
    fused = scores.loc[scores["model"].isin([BASELINE, AGT]), "features"]
    cells, data = [], []
    for features in dict.fromkeys((*FEATURES, *fused)):
        for model in (BASELINE, AGT, REFERENCE):
            found = [ours.get((features, model, part)) for part in PUBLISHED]
            if model == REFERENCE and found == [None, None]:
                continue
            cells.append([features, model])
            for (part, theirs), row in zip(PUBLISHED.items(), found, strict=True):
                printed = published.get((features, model, theirs))
                cells[-1] += [_score(row), ABSENT if printed is None else f"{printed:.2f}"]
                key = {"features": features, "model": model, "set": part}
                data.append(key | _numbers(row, SCORE) | {"paper": printed})
    columns = ["features", "model"]
    columns += [
        title for part, p in PUBLISHED.items() for title in (f"{part}, ours", f"{p}, paper")
    ]
    readings = ", ".join(
        f"{printed} is {read}" + f" or {other}" * (other != read)
        for printed, read in dict.fromkeys((c.printed, c.features) for c in paper.TABLE1)
        if (other := paper.TABLE1_OTHER_READING[printed])
    )
    notes = (
        "Out-of-fold scores are of single models on clips they never saw, test scores of the mean "
        "of the fold models: not to be compared with one another. A voice, V face, T words; "
        f"* tuned features. {ABSENT}: no such result.",
        f"Row names are a reading: the paper's feature numbers are damaged in print. {readings}. "
        "A+T, A+T* and logistic regression are rows of our own.",
    )
    return Printed(
        "table1", "Table 1", _caption(scores, about), tuple(columns),
        tuple(map(tuple, cells)), notes, pd.DataFrame(data).assign(corpus=about.corpus),
    )  # fmt: skip


def table2(scores: pd.DataFrame, about: About, pseudo: str = "not said") -> Printed:
    """Table 2 beside the paper's. `scores` has `TABLE2_COLUMNS`, as notebook 07 leaves them.

    `pseudo` is the rule in words by which our pseudo-labels joined. Rows are the paper's
    strategies, then what else was scored here, for the baseline and AGT.
    """
    published = {(c.model, c.step): c.waf for c in paper.TABLE2}
    ours = _by(scores, ["model", "stage"])
    cells, data = [], []
    for model in (BASELINE, AGT):
        for stage in dict.fromkeys((*STRATEGIES, *scores["stage"])):
            row, printed = ours.get((model, stage)), published.get((model, stage))
            clips = None
            if printed is not None and stage != "none":
                clips = round((printed - published[model, "none"]) / 100 * paper.N_TEST)
            theirs = [
                ABSENT if number is None else text.format(number)
                for number, text in ((printed, "{:.2f}"), (clips, "{:+d}"))
            ]
            cells.append([model, _strategy(stage, row), _score(row), *_change(row), *theirs])
            key = {"model": model, "stage": stage} | _numbers(row, (*SCORE, *CHANGE, *STEP))
            data.append(key | {"paper": printed, "paper_clips": clips})
    columns = (
        "model", "strategy", f"{TEST if about.tested else OUT_OF_FOLD}, ours", "minus N, points",
        "fixed, broken", f"{paper.MER_SEMI}, paper", "paper, clips",
    )  # fmt: skip
    plain = published[AGT, "none"] / 100
    interval = 100 * 1.96 * math.sqrt(plain * (1 - plain) / paper.N_TEST)
    same = (FEATURES[-1], paper.MER_SEMI, BASELINE)
    twin = next(c for c in paper.TABLE1 if (c.features, c.set, c.model) == same)
    notes = (
        f"N no strategy, P pseudo-labels (ours by {pseudo}; the paper's by raw confidence above "
        "0.9), V the vote (the mean over its draws). Points, and the "
        "clips fixed and broken, are paired against N; the paper's gain in clips is reckoned from "
        "its WAF. A row that used the probed prior says how many submissions that cost; it is no "
        f"headline. {ABSENT}: no such result.",
        f"On {paper.N_TEST} clips a 95 % interval is about {interval:.1f} points either way. The "
        f"paper's tables disagree on the baseline without strategy: {twin.waf} in table 1, "
        f"{published[BASELINE, 'none']} here.",
    )
    return Printed(
        "table2", "Table 2", _caption(scores, about), columns,
        tuple(map(tuple, cells)), notes, pd.DataFrame(data).assign(corpus=about.corpus),
    )  # fmt: skip


def _caption(scores: pd.DataFrame, about: About) -> str:
    units = " and ".join(sorted(set(scores["interval_over"].dropna()))) or "clips"
    return (
        f"WAF, %. {about.sentence} In brackets 95 % bootstrap intervals over {units}, "
        f"after ± the spread over seeds. {about.comparable}"
    )


def _by(table: pd.DataFrame, keys: list[str]) -> dict[tuple, Row]:
    return {tuple(row[key] for key in keys): row for row in table.to_dict("records")}


def _numbers(row: Row | None, columns: Iterable[str]) -> dict[str, object]:
    return {column: None if row is None else row[column] for column in columns}


def _score(row: Row | None) -> str:
    if row is None:
        return ABSENT
    return cell(row)


def _strategy(stage: str, row: Row | None) -> str:
    cost = 0 if row is None else int(row["submissions"])
    return STRATEGIES.get(stage, stage) + f", {cost} submissions" * (cost > 0)


def _change(row: Row | None) -> tuple[str, str]:
    """The paired difference to no strategy, and the clips behind it."""
    if row is None or row["stage"] == "none":
        return ABSENT, ABSENT
    return cell(row, "difference").replace("-", "−"), f"{row['fixed']:.1f}, {row['broken']:.1f}"
