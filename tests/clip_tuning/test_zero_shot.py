from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from agt_lib.clip_tuning import (
    TunedSpaces,
    prompts_over_time,
    tuned_spaces,
    zero_shot,
    zero_shot_predictions,
)
from agt_lib.clip_tuning.zero_shot import prompt_embeddings, similarities
from agt_lib.corpora.media import MediaError, decode_frames
from agt_lib.features.features import Features


def by_open_clip(folder, clip, labels, n_frames):
    """Frame embeddings, prompt embeddings and scale by open_clip's own path."""
    network, _, transform = open_clip.create_model_and_transforms(folder)
    tokens = open_clip.get_tokenizer(folder)([f"the person is {label}" for label in labels])
    pixels = [transform(Image.fromarray(f)) for f in decode_frames(clip["video"], n_frames)]
    with torch.inference_mode():
        network.eval()
        frames, text = network.encode_image(torch.stack(pixels)), network.encode_text(tokens)
        return frames, torch.nn.functional.normalize(text, dim=1), network.logit_scale.exp()


def test_probabilities_are_open_clips_own(corpus, folds, model, config):
    spaces = tuned_spaces(corpus, folds, model, config)
    found, test = zero_shot_predictions(corpus, spaces, model, config)
    clip = corpus.clips.loc["clip4"]  # held out by fold 1
    for name, folder in (("raw", model), ("tuned", f"local-dir:{spaces.models[1]}")):
        frames, text, scale = by_open_clip(folder, clip, corpus.labels, 8)
        video = torch.nn.functional.normalize(frames.mean(0), dim=0)
        expected = (scale * text @ video).softmax(0)
        np.testing.assert_allclose(
            found.table(f"{name}, zero-shot").loc["clip4"], expected, rtol=1e-4
        )
    assert test.names == tuple(corpus.split("test").index)


def test_a_test_clip_has_the_mean_of_the_folds_models(corpus, folds, model, config):
    spaces = tuned_spaces(corpus, folds, model, replace(config, epochs=1))
    _, test = zero_shot_predictions(corpus, spaces, model, config)
    single = [
        zero_shot_predictions(
            corpus,
            replace(spaces, by_fold=(part,), models=(folder,), folds=0 * folds),
            model,
            config,
        )[1].table("tuned, zero-shot")
        for part, folder in zip(spaces.by_fold, spaces.models, strict=True)
    ]
    np.testing.assert_allclose(test.table("tuned, zero-shot"), sum(single) / 3, rtol=1e-5)


def test_tuned_prompts_are_found_where_raw_ones_are_not(corpus, folds, model, config):
    config = replace(config, epochs=12)
    spaces = tuned_spaces(corpus, folds, model, config)
    _, test = zero_shot_predictions(corpus, spaces, model, config)
    right = {
        name: (test.chosen(f"{name}, zero-shot")[0] == np.arange(24, 30) % 3).mean()
        for name in ("raw", "tuned")
    }
    assert right["tuned"] == 1.0 > right["raw"]


def test_similarities_over_time_are_each_frames_cosines(corpus, model, resnet, config, monkeypatch):
    monkeypatch.setattr(zero_shot, "N_FRAMES", 4)
    nothing = Features("video", (), np.zeros((0, 12)), np.zeros(0, bool), "")
    other = Path(resnet.removeprefix("local-dir:"))
    spaces = TunedSpaces(nothing, (nothing,), pd.Series({"clip2": 0}), (other,))
    found = prompts_over_time(corpus, ["clip2"], spaces, model, config)
    for series, name in {"raw": model, "tuned": resnet}.items():
        frames, text, _ = by_open_clip(name, corpus.clips.loc["clip2"], corpus.labels, 4)
        expected = torch.nn.functional.normalize(frames, dim=1) @ text.T
        part = found[found["model"] == series]
        wide = part.pivot(index="time", columns="label", values="cosine")[list(corpus.labels)]
        np.testing.assert_allclose(wide, expected, atol=1e-5)
        with pytest.raises(MediaError, match="longer than 0.1 s"):
            prompts_over_time(corpus, ["clip2"], spaces, model, config, max_seconds=0.1)
        assert wide.index.tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_prompt_embeddings_have_length_one(corpus, model, config):
    text, scale = prompt_embeddings(model, corpus.labels, config)
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, rtol=1e-5)
    assert scale == pytest.approx(1 / 0.07, rel=1e-4)  # CLIP's initial temperature
    np.testing.assert_allclose(similarities(3 * text, text).diagonal(), 1, rtol=1e-5)
