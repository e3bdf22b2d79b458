"""Tables 1 and 2: ours, from results on disk, beside the values the paper published."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.labels import LETTERS
from agt_lib.corpora.tables import read_table
from agt_lib.evaluation import paper
from agt_lib.evaluation.paper import AGT, BASELINE
from agt_lib.evaluation.tables import OUT_OF_FOLD, REFERENCE, SCORE, TEST, cell
from agt_lib.workspace import kept, paths
from agt_lib.workspace.words import neutral

if TYPE_CHECKING:
    from agt_lib.workspace.run import Run

FEATURES = ("A+V", "A+V*", "A+T", "A+T*", "A+V+T", "A+V*+T*")
"""Table 1's rows: the paper's four as we read them, and A+T, A+T* of our own."""

STRATEGIES = {"none": "N", "P": "P", "P+V": "P+V"}
"""Table 2's strategies by their stage, under the paper's letters."""

SCORED = [column for column in SCORE if column != "accuracy"]
CHANGE = ["difference", "difference_low", "difference_high", "fixed", "broken", "submissions"]
STEP = ["step", "step_low", "step_high"]
TABLE1_COLUMNS = ["features", "model", "set", *SCORED]
TABLE2_COLUMNS = ["model", "stage", *SCORED, *CHANGE, *STEP, "pseudo_labels"]
PUBLISHED = {OUT_OF_FOLD: paper.TRAIN_AND_VAL, TEST: paper.MER_SEMI}

ABSENT = "—"
TEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "−": r"$-$", "†": r"$^\dagger$", ABSENT: "---"}
)
"""What TeX reads otherwise or its text fonts lack."""


@dataclass(frozen=True)
class Printed:
    """A table as readers see it, `cells` of text, and the numbers behind it, `data`.

    Rows of `cells` with equal first cells belong together. `caption` is one paragraph, `notes`
    stand below.
    """

    name: str
    caption: str
    cells: pd.DataFrame
    notes: tuple[str, ...]
    data: pd.DataFrame

    def markdown(self) -> str:
        """The table with its caption and notes; "A+V*+T*" is no emphasis. Notebooks show it."""
        title = f"{self.name.replace('table', 'Table ')}. {self.caption}"
        head, *notes = map(_plain, (title, *self.notes))
        cells = self.cells.map(_plain).rename(columns=_plain)
        rows = cells.to_markdown(index=False, disable_numparse=True)
        return "\n\n".join([head, rows, *notes]) + "\n"

    _repr_markdown_ = markdown

    def latex(self) -> str:
        """A `table*` in booktabs style, a little space between rows that don't belong together."""
        cells = self.cells.map(_tex).rename(columns=_tex)
        first = cells.iloc[:, 0]
        space = [r"\addlinespace " if i else "" for i in range(len(first))]
        cells.isetitem(0, (space + first).where(~first.duplicated(), ""))
        rows = cells.to_latex(index=False, column_format="l" * len(cells.columns))
        notes = [rf"\par\smallskip\footnotesize {_tex(note)}" for note in self.notes]
        head = [r"% needs \usepackage{booktabs}", r"\begin{table*}", r"\centering\small"]
        head += [rf"\caption{{{_tex(self.caption)}}}", rf"\label{{tab:{self.name}}}"]
        return "\n".join([*head, rows.rstrip(), *notes, r"\end{table*}"]) + "\n"

    def write(self, folders: Sequence[Path]) -> None:
        """Write .csv (the numbers), .md and .tex into each folder."""
        contents = {"csv": neutral(self.data).to_csv(index=False)}
        contents |= {"md": self.markdown(), "tex": self.latex()}
        for folder in map(Path, folders):
            for ending, content in contents.items():
                kept.write_atomic(folder / f"{self.name}.{ending}", content)


def published(profile: str, corpus: str) -> Path:
    """The checkout's folder of figures and tables of a profile and the corpus it ran on."""
    return paths.ROOT / "figures" / "-".join(dict.fromkeys((profile, corpus)))


def read(folder: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """The table `name`.csv of a run's folder; without rows if there is no such file.

    Raises ValueError if the file lacks one of `columns`.
    """
    path = Path(folder) / f"{name}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    advice = "Delete its folder and run the notebook that made it again"
    return read_table(path, columns, advice, text=False)


def table1(scores: pd.DataFrame, run: "Run", corpus: Corpus, note: str = "") -> Printed:
    """Table 1 beside the paper's. `scores` has `TABLE1_COLUMNS`, as notebook 04 leaves them.

    Rows are `FEATURES`, then what else the baseline or AGT was trained on, each for both and, if
    it was scored, for logistic regression. The caption names `run`, `corpus` and the `note`.
    """
    theirs = {(c.features, c.model, c.set): c.waf for c in paper.TABLE1}
    fused = scores.loc[scores["model"].isin([BASELINE, AGT]), "features"]
    names = ["features", "model", "set"]
    models = (BASELINE, AGT, REFERENCE)
    keys = pd.MultiIndex.from_product(
        [list(dict.fromkeys((*FEATURES, *fused))), models, list(PUBLISHED)], names=names
    )
    data = scores.set_index(names)[SCORED].reindex(keys)
    data["paper"] = [theirs.get((row, model, PUBLISHED[part])) for row, model, part in keys]
    scored = data["waf"].notna().groupby(level=names[:2]).transform("any")
    data = data[scored | (keys.get_level_values("model") != REFERENCE)]
    columns = {}
    for part, printed in PUBLISHED.items():
        there = data.xs(part, level="set")
        columns[f"{part}, ours"] = _said(there, "waf")
        columns[f"{printed}, paper"] = _said(there, "paper", "{:.2f}")
    readings = ", ".join(
        f"{printed} is {read}" + f" or {other}" * (other != read)
        for printed, read in dict.fromkeys((c.printed, c.features) for c in paper.TABLE1)
        if (other := paper.TABLE1_OTHER_READING[printed])
    )
    notes = (
        "Out-of-fold scores are of single models on clips they were not trained on, test scores of "
        "the mean of the fold models: not to be compared with one another. A voice, V face, T "
        f"words; * tuned features. {ABSENT}: no such result.",
        f"Row names are a reading: the paper's feature numbers are damaged in print. {readings}. "
        "A+T, A+T* and logistic regression are rows of our own.",
    )
    caption = _caption(scores, run, corpus, note)
    cells = pd.DataFrame(columns).reset_index()
    return Printed("table1", caption, cells, notes, data.reset_index().assign(corpus=run.caption))


def table2(scores: pd.DataFrame, run: "Run", corpus: Corpus, note: str = "") -> Printed:
    """Table 2 beside the paper's. `scores` has `TABLE2_COLUMNS`, as notebook 07 leaves them.

    Rows are the paper's strategies, then what else was scored here, for the baseline and AGT. A
    corpus without answers is scored on the labelled clips, out of fold.
    """
    stages = list(dict.fromkeys((*STRATEGIES, *scores["stage"])))
    keys = pd.MultiIndex.from_product([(BASELINE, AGT), stages], names=["model", "stage"])
    data = scores.set_index(list(keys.names))[[*SCORED, *CHANGE, *STEP]].reindex(keys)
    data["paper"] = pd.Series({(c.model, c.step): c.waf for c in paper.TABLE2}).reindex(keys)
    gained = data["paper"] - data["paper"].groupby(level="model").transform("first")
    later = pd.Series(keys.get_level_values("stage") != "none", keys)
    data["paper_clips"] = (gained / 100 * paper.N_TEST).round().where(later)
    cost = data["submissions"].fillna(0)
    change = data[later].reindex(keys)
    cells = pd.DataFrame(
        {
            "strategy": [
                STRATEGIES.get(stage, stage) + f", {n:.0f} submissions" * (n > 0)
                for stage, n in zip(keys.get_level_values("stage"), cost, strict=True)
            ],
            f"{TEST if len(corpus.answers) else OUT_OF_FOLD}, ours": _said(data, "waf"),
            "minus N, points": _said(change, "difference"),
            "fixed, broken": [
                ABSENT if pd.isna(fixed) else f"{fixed:.1f}, {broken:.1f}"
                for fixed, broken in zip(change["fixed"], change["broken"], strict=True)
            ],
            f"{paper.MER_SEMI}, paper": _said(data, "paper", "{:.2f}"),
            "paper, clips": _said(data, "paper_clips", "{:+.0f}"),
        },
        index=keys,
    )
    pseudo = next(iter(scores["pseudo_labels"].dropna()), "not said")
    plain = data.loc[(AGT, "none"), "paper"] / 100
    interval = 100 * 1.96 * math.sqrt(plain * (1 - plain) / paper.N_TEST)
    same = (FEATURES[-1], paper.MER_SEMI, BASELINE)
    twin = next(c for c in paper.TABLE1 if (c.features, c.set, c.model) == same)
    notes = (
        f"N no strategy, P pseudo-labels (ours by {pseudo}; the paper's by raw confidence above "
        "0.9), V the vote (the mean over its draws). Points, and the clips fixed and broken, are "
        "paired against N; the paper's gain in clips is reckoned from its WAF. A row that used the "
        "probed prior says how many submissions that cost: it is not a headline result. "
        f"{ABSENT}: no such result.",
        f"On {paper.N_TEST} clips a 95 % interval is about {interval:.1f} points either way. The "
        f"paper's tables disagree on the baseline without strategy: {twin.waf} in table 1, "
        f"{data.loc[(BASELINE, 'none'), 'paper']} here.",
    )
    caption = _caption(scores, run, corpus, note)
    cells = cells.reset_index("model").reset_index(drop=True)
    return Printed("table2", caption, cells, notes, data.reset_index().assign(corpus=run.caption))


def _caption(scores: pd.DataFrame, run: "Run", corpus: Corpus, note: str) -> str:
    """What the numbers are, and whether ours may be compared with the paper's.

    A column corpus of `scores` says it as the run did that made them.
    """
    compared = "The paper's are of MER2024: not comparable, unless this corpus is it."
    if corpus.synthetic:
        compared = "The paper's are of MER2024, ours of rendered clips: not comparable."
    elif run.source == "mer2024":
        compared = "The paper's are of this corpus too, with folds of its own."
    used = ", ".join(f"{LETTERS[m]} {name}" for m, name in run.encoders.items())
    units = " and ".join(sorted(set(scores["interval_over"].dropna()))) or "clips"
    ours = next(iter(scores["corpus"]), run.caption) if "corpus" in scores else run.caption
    parts = (
        f"WAF, %. Ours: {ours}; profile {run.profile.name}; seeds "
        f"{', '.join(map(str, run.seeds))}; features {used}.",
        note,
        f"In brackets 95 % bootstrap intervals over {units}, after ± the spread over seeds.",
        compared,
    )
    return " ".join(filter(None, parts))


def _said(table: pd.DataFrame, value: str, form: str = "") -> pd.Series:
    """Each line's `value` as text, in `form` or with its interval; a dash if there is none."""
    texts = [
        ABSENT if pd.isna(line[value]) else form.format(line[value]) if form else cell(line, value)
        for line in table.to_dict("records")
    ]
    return pd.Series(texts, table.index, dtype="str")


def _plain(text: str) -> str:
    """`text` as Markdown prints it."""
    return re.sub(r"([\\|*_])", r"\\\1", text)


def _tex(text: str) -> str:
    """`text` as LaTeX prints it."""
    return text.translate(TEX)
