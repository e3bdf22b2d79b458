"""Which features of a corpus are tuned, and with what."""

from dataclasses import replace

import pandas as pd
import pytest

from agt_lib import encoders, feature_sets, prompts
from agt_lib.corpus import build


@pytest.fixture
def corpus():
    rows = [
        {"name": f"clip{i}", "split": "train", "emotion": ("sad", "happy")[i % 2], "text": "so"}
        for i in range(4)
    ]
    return build("x", pd.DataFrame(rows), source="x")


@pytest.mark.parametrize("model", ["", "a-model-of-ones-own"])
def test_a_language_model_of_unknown_price_ranks_within_a_budget_too(corpus, monkeypatch, model):
    monkeypatch.setenv("OPENAI_MODEL", model)
    asked = []
    monkeypatch.setattr(encoders, "build", lambda spec: spec)
    monkeypatch.setattr(prompts, "tuned_text", lambda *_, ranker, **__: asked.append(ranker))
    folds = pd.Series([0, 0, 1, 1], index=corpus.clips.index)
    feature_sets.tuned(corpus, folds, {"text": "an encoder"}, ranker="llm")
    assert asked[0].model == (model or "gpt-4")
    assert asked[0].budget == feature_sets.LLM_BUDGET
    assert asked[0].prices[0] > 0


def test_what_no_labelled_clip_has_is_not_tuned(corpus):
    clips = corpus.clips.copy()
    clips.loc["test", ["split", "video", "text"]] = "test", "test.mp4", "so"
    clips.loc[corpus.clips.index, "text"] = None
    folds = pd.Series([0, 0, 1, 1], index=corpus.clips.index)
    specs = {"video": "clip", "text": "an encoder"}
    assert feature_sets.tuned(replace(corpus, clips=clips), folds, specs) == {}
