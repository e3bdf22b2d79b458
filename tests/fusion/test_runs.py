"""Which features of a corpus are tuned, and with what."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from agt_lib import clip_tuning, prompts
from agt_lib.corpora.corpus import build
from agt_lib.fusion import runs


@pytest.fixture
def corpus():
    rows = [
        {"name": f"clip{i}", "split": "train", "emotion": ("sad", "happy")[i % 2], "text": "so"}
        for i in range(4)
    ]
    return build("x", pd.DataFrame(rows), source="x")


def run_of(encoders, profile="mini"):
    """What `tuned_features` reads of a run."""
    profile = SimpleNamespace(name=profile, max_epochs=None)
    return SimpleNamespace(
        encoders=encoders, profile=profile, seed=0, max_failures=0.05,
        encoder_options=lambda modality: {"max_seconds": 60.0, "face": "crop"},
    )  # fmt: skip


@pytest.mark.parametrize("model", ["", "a-model-of-ones-own"])
def test_a_language_model_of_unknown_price_ranks_within_a_budget_too(corpus, monkeypatch, model):
    monkeypatch.setenv("OPENAI_MODEL", model)
    asked = []
    monkeypatch.setattr(runs, "build", lambda spec: spec)
    monkeypatch.setattr(prompts, "tuned_text", lambda *_, ranker, **__: asked.append(ranker))
    folds = pd.Series([0, 0, 1, 1], index=corpus.clips.index)
    runs.tuned_features(run_of({"text": "an encoder"}, profile="paper"), corpus, folds)
    assert asked[0].model == (model or "gpt-4")
    assert asked[0].budget == runs.LLM_BUDGET
    assert asked[0].prices[0] > 0


def test_what_no_labelled_clip_has_is_not_tuned(corpus):
    clips = corpus.clips.copy()
    clips.loc["test", ["split", "video", "text"]] = "test", "test.mp4", "so"
    clips.loc[corpus.clips.index, "text"] = None
    folds = pd.Series([0, 0, 1, 1], index=corpus.clips.index)
    run = run_of({"video": "clip", "text": "an encoder"})
    assert runs.tuned_features(run, replace(corpus, clips=clips), folds) == {}


def test_with_a_dev_split_clip_is_tuned_on_folds_of_the_training_clips(corpus, monkeypatch):
    clips = corpus.clips.copy()
    clips.loc["dev", ["split", "emotion"]] = "dev", "sad"
    clips["video"] = [f"{name}.mp4" for name in clips.index]
    own = replace(corpus, clips=clips)
    dev = pd.Series([-1, -1, -1, -1, 0], index=clips.index)
    asked = []

    def spaces(_, folds, *arguments, **options):
        assert (options["face"], options["max_seconds"]) == ("crop", 60.0)
        asked.append(folds)
        return SimpleNamespace(cross_fitted=lambda: None)

    monkeypatch.setattr(clip_tuning, "tuned_spaces", spaces)
    run = run_of({"video": "clip"})
    runs.tuned_features(run, own, dev)
    assert asked[0].index.tolist() == corpus.clips.index.tolist()  # no dev clip is tuned on
    assert sorted(asked[0]) == [0, 0, 1, 1]
    runs.tuned_features(run, own, pd.Series([0, 0, 1, 1], index=corpus.clips.index))
    assert asked[1].tolist() == [0, 0, 1, 1]
