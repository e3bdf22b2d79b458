"""The sources of clips, all behind `load`: a new one is a module with a reader, and a line here."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from agt_lib.corpora import mertools
from agt_lib.corpora.corpus import Corpus
from agt_lib.workspace.kept import digest, stamp

if TYPE_CHECKING:
    from agt_lib.workspace.run import Run

SOURCES = {
    "mini": ("mini_corpus:load", "rendered by this project; no root"),
    "smoke": ("mini_corpus:smoke", "rendered by this project, small; no root"),
    "manifest": ("agt_lib.corpora.manifest:load", "root: a CSV file with one row per clip"),
    "mer2024": ("agt_lib.corpora.mer2024:load", "root: the folder mer2024-dataset as downloaded"),
    "mertools": (
        "agt_lib.corpora.mertools:load",
        "root: a folder of MERTools' features with its label-disdim.csv",
    ),
}
"""Each source's reader, "module:function", and what it is given. A reader says by the names of its
parameters what it takes: `root` (a Path), `labels` (another label set), and options of its own."""


def load(source: str, root: str | Path | None = None, **options) -> Corpus:
    """The corpus that `source` names, validated whole.

    `root` is the file or folder it lies in (see `SOURCES`); the rendered corpora need none.
    `options` go to the source's own reader. Raises ValueError for an unknown source, a root that
    is not given or an option that the reader does not take, CorpusError with all problems found
    in the corpus.
    """
    known = "\n".join(f"  {name}: {what}" for name, (_, what) in SOURCES.items())
    if source not in SOURCES:
        raise ValueError(f"unknown corpus {source!r}; the sources are\n{known}")
    module, _, function = SOURCES[source][0].partition(":")
    reader = getattr(import_module(module), function)
    taken = inspect.signature(reader).parameters
    if unknown := [name for name in options if name not in taken]:
        only = f"only {', '.join(taken)}"
        raise ValueError(f"corpus {source!r} takes no {', '.join(unknown)}, {only}")
    if "root" not in taken:
        return reader(**options)
    if root is None or not str(root).strip():
        raise ValueError(f"corpus {source!r} needs a root; the sources are\n{known}")
    return reader(root=Path(root).expanduser(), **options)


def of_run(run: "Run") -> Corpus:
    """The corpus of a notebook's run, told to the run; prints what the corpus notes.

    Raises as `load` does.
    """
    corpus = load(run.source, run.root, **({"labels": run.labels} if run.labels else {}))
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
    print(*corpus.notes, sep="\n")
    return corpus
