"""Features of voice, face and words (notebook 01): one file an encoder, and running them."""

import lazy_loader

VERSION = 1
"""Raised when an encoder's features of the same clip come out otherwise."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "encoder": ["build"],
        "extraction": ["encode"],
        "runs": ["in_two_dimensions", "of_run", "summary"],
    },
)
