"""Text features by ranked prompts (notebook 03; section 2.1 and figure 2b of the paper).

A ranker puts the labels in order for each transcript; words and labels together go through the
language model.
"""

import lazy_loader

VERSION = 1
"""Raised when the same words and labels give another prompt, another ranking or another text."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "classifier": ["ClassifierRanker"],
        "endpoint": ["RankingError"],
        "features": ["build", "rank", "ranked_corpus", "ranked_features", "tuned_text"],
        "llm": ["LLMRanker"],
        "rankings": ["Rankings", "by_share", "place_shares", "quality"],
        "wording": ["TEMPLATES", "check_template", "compose", "language_of", "messages"],
    },
)  # fmt: skip
