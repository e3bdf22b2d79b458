import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from agt_lib.clip_tuning import TuneConfig, tuned_spaces
from agt_lib.clip_tuning.zero_shot import over_time, prompt_embeddings, similarities, zero_shot
from agt_lib.corpora.media import decode_frames

OPTIONS = {"device": "cpu", "n_frames": 2, "workers": 1, "progress": False}


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
    spaces = tuned_spaces(corpus, folds, model, config, **OPTIONS)
    found = zero_shot(corpus, spaces, model, config)
    clip = corpus.clips.loc["clip4"]  # held out by fold 1
    for name, folder in {"raw": model, "tuned": f"local-dir:{spaces.models[1]}"}.items():
        frames, text, scale = by_open_clip(folder, clip, corpus.labels, 2)
        video = torch.nn.functional.normalize(frames.mean(0), dim=0)
        expected = (scale * text @ video).softmax(0)
        place = found[name].names.index("clip4")
        np.testing.assert_allclose(found[name].out_of_fold[0, place], expected, rtol=1e-4)
    assert found["tuned"].test_names == tuple(corpus.split("test").index)
    np.testing.assert_allclose(found["tuned"].test.sum(-1), 1, rtol=1e-5)


def test_tuned_prompts_are_found_where_raw_ones_are_not(corpus, folds, model, config):
    spaces = tuned_spaces(
        corpus, folds, model, TuneConfig(**vars(config) | {"epochs": 12}), **OPTIONS
    )
    found = zero_shot(corpus, spaces, model, config)
    right = {
        name: (result.test[0].argmax(1) == np.arange(24, 30) % 3).mean()
        for name, result in found.items()
    }
    assert right["tuned"] == 1.0 > right["raw"]


def test_similarities_over_time_are_each_frames_cosines(corpus, model, config):
    models = {"raw": {"clip2": model}}
    found = over_time(corpus, ["clip2"], models, config, n_frames=4)
    frames, text, _ = by_open_clip(model, corpus.clips.loc["clip2"], corpus.labels, 4)
    expected = torch.nn.functional.normalize(frames, dim=1) @ text.T
    wide = found.pivot(index="time", columns="label", values="cosine")[list(corpus.labels)]
    np.testing.assert_allclose(wide, expected, atol=1e-5)
    assert wide.index.tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_prompt_embeddings_have_length_one(corpus, model, config):
    text, scale = prompt_embeddings(model, corpus.labels, config)
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, rtol=1e-5)
    assert scale == pytest.approx(1 / 0.07, rel=1e-4)  # CLIP's initial temperature
    np.testing.assert_allclose(similarities(3 * text, text).diagonal(), 1, rtol=1e-5)
