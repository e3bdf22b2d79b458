"""The sources of clips, all behind `load`: a new one is a module with a reader, and a line here."""

import inspect
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from agt_lib.corpora import mertools
from agt_lib.corpora.corpus import Corpus, CorpusError, Problem, name_problems
from agt_lib.corpora.labels import understood
from agt_lib.corpora.looks import summary
from agt_lib.corpora.tables import read_rows
from agt_lib.workspace.kept import digest, stamp

if TYPE_CHECKING:
    from agt_lib.workspace.run import Run

SOURCES = {
    "mini": ("mini_corpus:load", "rendered by this project; no root"),
    "smoke": ("mini_corpus:smoke", "rendered by this project, small; no root"),
    "manifest": ("agt_lib.corpora.manifest:load", "root: a CSV file with one row per clip"),
    "folder": (
        "agt_lib.corpora.folder:load",
        "root: a folder of recordings, in folders named by emotion or loose",
    ),
    "mer2024": (
        "agt_lib.corpora.mer2024:load",
        "root: the folder mer2024-dataset as downloaded, or mer2024-dataset-process",
    ),
    "mer2025": ("agt_lib.corpora.mer2025:load", "root: MER2025's folder, with video and labels"),
    "mertools": (
        "agt_lib.corpora.mertools:load",
        "root: a folder of MERTools' features with its label-disdim.csv",
    ),
    "meld": ("agt_lib.corpora.meld:load", "root: MELD's folder, with its tables and clips"),
    "iemocap": ("agt_lib.corpora.iemocap:load", "root: the folder with Session1 to Session5"),
    "ravdess": ("agt_lib.corpora.ravdess:load", "root: RAVDESS' files"),
    "crema_d": ("agt_lib.corpora.crema_d:load", "root: CREMA-D's files"),
    "emodb": ("agt_lib.corpora.emodb:load", "root: EmoDB's files"),
}
"""Each source's reader, "module:function", and what it is given. A reader says by the names of its
parameters what it takes: `root` (a Path), `labels` (another label set), and options of its own. Its
module may have a function `recognises(root)`."""

AUTO = "auto"


def load(
    source: str, root: str | Path | None = None, corrections: str | Path = "", **options
) -> Corpus:
    """The corpus that `source` names, validated whole; "auto" is the one that `root` looks like.

    `root` is the file or folder it lies in (see `SOURCES`); the rendered corpora need none.
    `corrections` is a CSV with `name` and `label`, which replace the source's. `options` go to the
    source's own reader. Raises ValueError for an unknown source, a root that is not given or not
    recognised, or an option that the reader does not take, CorpusError with all problems found in
    the corpus or the corrections.
    """
    known = "\n".join(f"  {name}: {what}" for name, (_, what) in SOURCES.items())
    here = None if root is None or not str(root).strip() else Path(root).expanduser()
    if source == AUTO and here is not None:
        source = detect(here)
    if source not in SOURCES:
        raise ValueError(f"unknown corpus {source!r}; the sources are\n{known}")
    module, _, function = SOURCES[source][0].partition(":")
    reader = getattr(import_module(module), function)
    taken = inspect.signature(reader).parameters
    if unknown := [name for name in options if name not in taken]:
        only = f"only {', '.join(taken)}"
        raise ValueError(f"corpus {source!r} takes no {', '.join(unknown)}, {only}")
    if "root" not in taken:
        corpus = reader(**options)
    elif here is None:
        raise ValueError(f"corpus {source!r} needs a root; the sources are\n{known}")
    else:
        corpus = reader(root=here, **options)
    return corrected(corpus, corrections) if str(corrections) else corpus


def detect(root: Path) -> str:
    """The source whose layout `root` has. Raises ValueError if it is none, or more than one."""
    if not root.exists():
        raise ValueError(f"no such file or folder: {root}")
    modules = {name: import_module(SOURCES[name][0].partition(":")[0]) for name in SOURCES}
    found = [
        name
        for name, module in modules.items()
        if hasattr(module, "recognises") and module.recognises(root)
    ]
    if len(found) == 1:
        return found[0]
    looks = f"looks like {' and like '.join(found)}" if found else "is not recognised"
    known = "\n".join(f"  {name}: {what}" for name, (_, what) in SOURCES.items())
    raise ValueError(f"{root} {looks}: name the corpus, one of\n{known}")


def corrected(corpus: Corpus, path: str | Path) -> Corpus:
    """`corpus` with the labels in the CSV `path`: columns `name` and `label`, `speaker` if wanted.

    Raises CorpusError with all names that are no labelled clip's or stand twice, and labels that
    are none.
    """
    path = Path(path).expanduser()
    table, problems = read_rows(path, ["name", "label"])
    if table is None or problems:
        raise CorpusError(str(path), problems)
    table["name"] = table["name"].astype("str").str.strip()
    problems += name_problems(table["name"], [f"row {row}" for row in table.index])
    emotions, answers = corpus.clips["emotion"].copy(), corpus.answers.copy()
    speakers: dict[str, str] = {}
    for row, name, label, who in table.reindex(columns=["name", "label", "speaker"]).itertuples():
        place, meant = f"row {row}", understood(label, corpus.labels)
        split = corpus.clips["split"].get(name)
        if split is not None and not pd.isna(who):
            speakers[name] = who.strip()
            if label is None:
                continue
        if split is None or split == "unlabelled":
            what = "no clip has the name" if split is None else "an unlabelled clip is"
            problems.append(Problem(place, "name", f"{what} {name!r}"))
        elif meant is None:
            expected = ", ".join(corpus.labels)
            problems.append(Problem(place, "label", f"{label!r} is none of {expected}"))
        else:
            (answers if split == "test" else emotions)[name] = meant
    if problems:
        raise CorpusError(str(path), problems)
    before = pd.concat([corpus.clips["emotion"].dropna(), corpus.answers])
    after = pd.concat([emotions.dropna(), answers])
    n_changed = int((after != before.reindex(after.index)).sum())
    note = f"{n_changed} labels were changed by {path.name}, which has {len(table)}"
    note += f" and names the speakers of {len(speakers)} clips" * (len(speakers) > 0)
    clips = corpus.clips.assign(emotion=emotions)
    clips.loc[list(speakers), "speaker"] = list(speakers.values())
    return replace(corpus, clips=clips, answers=answers, notes=(*corpus.notes, note))


def of_run(run: "Run") -> Corpus:
    """The corpus of a notebook's run, told to the run; prints what was found and the notes.

    Raises as `load` does.
    """
    options = {"labels": run.labels} if run.labels else {}
    corpus = load(run.source, run.root, run.corrections, **options, **run.options)
    facts = {
        "name": corpus.name,
        "fingerprint": corpus.fingerprint,
        "answers": digest(corpus.answers.to_dict()),
        "synthetic": corpus.synthetic,
        "media": stamp(corpus.clips[["video", "audio"]].stack().dropna()),
    }
    if corpus.features_at is not None:
        facts["folders"] = mertools.stamps(corpus.features_at, run.encoders)
    run.tell("corpus", facts)
    print(summary(corpus), *corpus.notes, sep="\n")
    return corpus
