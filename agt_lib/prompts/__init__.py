"""Text features by ranked prompts (section 2.1 and figure 2b of the paper).

A ranker puts the labels in order for each transcript; words and labels together go through the
language model.
"""

from agt_lib.prompts.classifier import ClassifierRanker
from agt_lib.prompts.compose import TEMPLATES, check_template, compose
from agt_lib.prompts.features import build, rank, ranked_corpus, ranked_features, tuned_text
from agt_lib.prompts.llm import LLMRanker, RankingError
from agt_lib.prompts.ranking import Rankings, by_share, mean_reciprocal_rank, place_shares
from agt_lib.prompts.wording import language_of

__all__ = [
    "TEMPLATES",
    "ClassifierRanker",
    "LLMRanker",
    "RankingError",
    "Rankings",
    "build",
    "by_share",
    "check_template",
    "compose",
    "language_of",
    "mean_reciprocal_rank",
    "place_shares",
    "rank",
    "ranked_corpus",
    "ranked_features",
    "tuned_text",
]
