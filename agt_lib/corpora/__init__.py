"""Clips, labels and folds: a validated table of clips, its readers (one file a source), media."""

import lazy_loader

VERSION = 2
"""Raised when a clip's decoded frames or sound, or the folds of a corpus, come out otherwise."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corpus": ["build"],
        "sources": ["SOURCES", "load", "of_run"],
    },
)
