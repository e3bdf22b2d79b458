"""Each modality's features of a corpus: raw, and tuned on emotions (section 2.1 of the paper).

The guide, the voice, is frozen in the paper: only the face (V*, a tuned CLIP) and the words (T*,
ranked prompts) have tuned features.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from agt_lib import clip_tuning
from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import tuning_folds
from agt_lib.features.encoder import build
from agt_lib.features.features import Features

LLM_BUDGET = 5.0
"""Dollars that ranking may cost where notebook 03 did not pay for it before; it sets its own."""
LLM_PRICES = (30.0, 60.0)
"""Dollars per million tokens in and out that this budget counts, whatever the model: GPT-4's, which
few exceed."""


def tuned(
    corpus: Corpus,
    folds: pd.Series,
    specs: Mapping[str, str],
    *,
    ranker: str = "classifier",
    splits: Sequence[str] | None = None,
    max_failures: float = 0.05,
    max_epochs: int | None = None,
    seed: int = 0,
) -> dict[str, Features]:
    """Cross-fitted tuned features of the modalities among `specs` that can be tuned.

    The face where its encoder is a CLIP; the words, with emotions ranked by `ranker` (see
    `prompts.build`). Each labelled clip's come from a model that never saw its label; what none of
    them has is not tuned. What was made before (by notebooks 02 and 03, for one) is read.
    """
    # Imported here: they bring heavy libraries that a notebook on raw features does without.
    from agt_lib import prompts

    clips, found = corpus.only(*splits) if splits else corpus, {}
    there = corpus.clips.loc[folds.index, ["video", "text"]].notna().any()
    if there["video"] and clip_tuning.is_clip(specs.get("video", "")):
        model, config = clip_tuning.clip_to_tune(specs["video"], max_epochs)
        spaces = clip_tuning.tuned_spaces(
            clips, tuning_folds(corpus, folds), model, config, seed=seed, max_failures=max_failures
        )
        found["video"] = spaces.cross_fitted()
    if there["text"] and "text" in specs:
        asked = prompts.build(
            ranker,
            language=prompts.language_of(corpus),
            budget=LLM_BUDGET,
            prices=LLM_PRICES,
        )
        encoder = build(specs["text"])
        found["text"] = prompts.tuned_text(
            clips, folds, encoder, ranker=asked, max_failures=max_failures
        )
    return found
