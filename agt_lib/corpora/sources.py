"""One function per source of clips, all behind `load`."""

from pathlib import Path

from agt_lib.corpora.corpus import Corpus
from agt_lib.workspace.kept import digest
from agt_lib.workspace.run import Run

SOURCES = {
    "mini": "rendered by this project; no root",
    "smoke": "rendered by this project, small; no root",
    "manifest": "root: a CSV file with one row per clip",
    "mer2024": "root: the folder mer2024-dataset as downloaded",
    "mertools": "root: a folder of MERTools' features with its label-disdim.csv",
}


def load(source: str, root: str | Path | None = None, **options) -> Corpus:
    """The corpus that `source` names, validated whole.

    `root` is the file or folder it lies in (see `SOURCES`); the rendered corpora need none.
    `options` go to the source's own reader. Raises ValueError for an unknown source or a root
    that is not given, CorpusError with all problems found in the corpus.
    """
    known = "\n".join(f"  {name}: {what}" for name, what in SOURCES.items())
    if source not in SOURCES:
        raise ValueError(f"unknown corpus {source!r}; the sources are\n{known}")
    if source in ("mini", "smoke"):
        import mini_corpus

        return mini_corpus.load(source, **options)
    if root is None or not str(root).strip():
        raise ValueError(f"corpus {source!r} needs a root; the sources are\n{known}")
    root = Path(root).expanduser()
    if source == "manifest":
        from agt_lib.corpora import manifest

        return manifest.load(root, **options)
    if source == "mer2024":
        from agt_lib.corpora import mer2024

        return mer2024.load(root, **options)
    from agt_lib.corpora import mertools

    return mertools.load(root, **options)


def of_run(run: Run) -> Corpus:
    """The corpus of a notebook's run, told to the run; prints what the corpus notes.

    Raises ValueError where the run names labels and the source has its own, and as `load` does.
    """
    if run.labels and run.source not in ("manifest", "mertools"):
        raise ValueError(
            f"corpus {run.source!r} has its own label set; leave the parameter labels empty"
        )
    facts = {}
    if run.source == "mertools":
        from agt_lib.corpora import mertools

        facts["folders"] = mertools.stamps(run.root, run.encoders)
    corpus = load(run.source, run.root, **({"labels": run.labels} if run.labels else {}))
    run.tell(
        "corpus",
        facts
        | {
            "name": corpus.name,
            "fingerprint": corpus.fingerprint,
            "answers": digest(corpus.answers.to_dict()),
            "synthetic": corpus.synthetic,
        },
    )
    print(*corpus.notes, sep="\n")
    return corpus
