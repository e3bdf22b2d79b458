"""Black-box probing (section 2.3): the test labels' shares from the scores of constant guesses."""

import lazy_loader

VERSION = 1
"""Raised when the same scores or posteriors give other shares."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "estimates": [
            "distances", "estimate", "estimate_groups", "paper_prior", "prior_table", "revealed",
            "shares",
        ],
        "files": ["probe_challenge", "read_scores", "write_submissions"],
        "infer": ["paper_scores", "probe", "probe_leaderboard"],
        "leaderboard": ["METRICS", "Leaderboard", "PrintedScore"],
    },
)  # fmt: skip
