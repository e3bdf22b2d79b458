from dataclasses import replace

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg

from agt_lib.clip_tuning import TuneConfig
from agt_lib.clip_tuning.network import (
    contrastive,
    drawn,
    frame_numbers,
    groups,
    normalised,
    prepare,
    tuned_parameters,
)
from agt_lib.features.clip import Source

LABELS = ("calm", "cross", "glad")


def network(model, **options):
    return prepare(Source.find(model), LABELS, TuneConfig(**options), torch.float32)


def gradients(network, size):
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 1])
    network(torch.randn(4, 2, 3, size, size), labels, labels).backward()
    return {name: p.grad for name, p in tuned_parameters(network).items()}


@pytest.mark.parametrize("which", ["model", "resnet"])
def test_both_towers_and_the_temperature_move_but_not_the_token_embedding(which, request):
    tuned = network(request.getfixturevalue(which))
    found = gradients(tuned, 32 if which == "resnet" else 16)
    assert all(gradient is not None for gradient in found.values())
    names = {name for name, _ in tuned.named_parameters()}
    assert names - set(found) == {"clip.token_embedding.weight"}
    assert "clip.logit_scale" in found


def test_the_text_tower_can_stay(model):
    found = set(tuned_parameters(network(model, tune_text=False)))
    assert {name.split(".")[1] for name in found} == {"visual", "logit_scale"}


def test_only_matrices_decay_and_the_text_tower_has_a_rate_of_its_own(model):
    tuned = network(model)
    found = groups(tuned, TuneConfig(text_rate=3.0))
    by_id = {id(p): group for group in found for p in group["params"]}
    parameters = tuned_parameters(tuned)
    assert set(by_id) == {id(p) for p in parameters.values()}
    for name, parameter in parameters.items():
        group = by_id[id(parameter)]
        assert group["weight_decay"] == (1e-3 if parameter.ndim > 1 else 0)
        text = "visual" not in name and "logit_scale" not in name
        assert group["rate"] == (3.0 if text else 1.0)


def test_batch_norms_keep_the_statistics_they_were_trained_with(resnet):
    tuned = network(resnet)
    before = {name: b.clone() for name, b in tuned.named_buffers() if "running" in name}
    gradients(tuned, 32)
    assert before
    assert all(torch.equal(b, before[n]) for n, b in tuned.named_buffers() if n in before)


def test_gradient_checkpointing_changes_no_gradient(model):
    plain, saving = (
        gradients(network(model), 16),
        gradients(network(model, gradient_checkpointing=True), 16),
    )
    for name, gradient in plain.items():
        torch.testing.assert_close(saving[name], gradient)


def test_bfloat16_gradients_are_close_to_those_of_float32(model):
    exact = gradients(network(model), 16)
    source = Source.find(model)
    rough = gradients(prepare(source, LABELS, TuneConfig(), torch.bfloat16), 16)
    for name, gradient in exact.items():
        assert rough[name].dtype == torch.float32
        torch.testing.assert_close(
            rough[name], gradient, rtol=0.2, atol=0.05 * gradient.abs().max().item() + 1e-6
        )


B, C, D = 7, 4, 5
NUMBERS = np.array([0, 0, 1, 3, 3, 3, 1])  # nobody shows class 2
SCALE = 6.0


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(0)
    return rng.standard_normal((B, D)), rng.standard_normal((C, D))


def by_hand(video, text, kind):
    """Equation 1 clip by clip, in float64."""
    similar = np.zeros((B, C))
    for i in range(B):
        for c in range(C):
            lengths = np.linalg.norm(video[i]) * np.linalg.norm(text[c])
            similar[i, c] = np.exp(SCALE * video[i] @ text[c] / lengths)
    losses = []
    for i in range(B):
        positive, total = 0.0, 0.0
        columns = range(C) if kind == "prompts" else NUMBERS
        for j, c in enumerate(columns):
            total += similar[i, c]
            own = {
                "prompts": c == NUMBERS[i],
                "in_batch": i == j,
                "in_batch_multi": c == NUMBERS[i],
            }
            positive += similar[i, c] * own[kind]
        losses.append(-np.log(positive / total))
    return losses


def losses(video, text, kind, part=slice(None)):
    labels = torch.from_numpy(NUMBERS)
    scale = torch.tensor(SCALE, dtype=torch.float64)
    return contrastive(video[part], text, scale, labels[part], labels, kind)


@pytest.mark.parametrize("kind", ["prompts", "in_batch", "in_batch_multi"])
def test_losses_are_equation_1_written_out(kind, embeddings):
    video, text = map(torch.from_numpy, embeddings)
    np.testing.assert_allclose(losses(video, text, kind), by_hand(*embeddings, kind), rtol=1e-12)


@pytest.mark.parametrize("kind", ["prompts", "in_batch", "in_batch_multi"])
def test_parts_of_a_step_have_the_losses_of_the_whole(kind, embeddings):
    video, text = map(torch.from_numpy, embeddings)
    parts = [losses(video, text, kind, part) for part in (slice(0, 3), slice(3, None))]
    torch.testing.assert_close(torch.cat(parts), losses(video, text, kind))


def test_the_two_in_batch_losses_have_the_same_gradient(embeddings):
    gradients = []
    for kind in ("in_batch", "in_batch_multi"):
        video, text = (torch.from_numpy(x).requires_grad_() for x in embeddings)
        losses(video, text, kind).sum().backward()
        gradients.append(torch.cat([video.grad, text.grad]))
    torch.testing.assert_close(*gradients)


def test_a_class_that_no_clip_shows_is_contrasted_with_by_prompts_alone(embeddings):
    video, text = map(torch.from_numpy, embeddings)
    moved = text.clone()
    moved[2] = -text[2]
    assert torch.equal(losses(video, text, "in_batch"), losses(video, moved, "in_batch"))
    assert not torch.allclose(losses(video, text, "prompts"), losses(video, moved, "prompts"))


TAKES = PreprocessCfg(size=8, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
CONFIG = TuneConfig(n_frames=4, frames_per_segment=3)
PLAIN = replace(CONFIG, colour=0.0)


def pictures(n_clips=3, n_frames=4, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (n_clips, n_frames, 10, 10, 3))
    return torch.from_numpy(values.astype(np.uint8))


def draws(n_clips=3, flipped=None):
    found = drawn(n_clips, CONFIG, np.random.default_rng(1))
    if flipped is not None:
        found[:, 2] = 0.2 if flipped else 0.7
    return found


def test_one_frame_comes_from_each_segment_and_any_of_it_may():
    numbers = frame_numbers(draws(500), CONFIG)
    assert numbers.shape == (500, 4)
    assert [set(column) for column in numbers.T] == [
        {0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11},
    ]  # fmt: skip


def test_without_flip_and_colour_a_picture_is_a_normalised_crop():
    frames = pictures(1)
    found = normalised(frames, draws(1, flipped=False), PLAIN, TAKES)
    assert found.shape == (1, 4, 3, 8, 8)
    whole = (frames[0].numpy() / 255 - TAKES.mean) / TAKES.std  # (T, 10, 10, 3)
    crops = [whole[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    matches = [np.allclose(found[0].permute(0, 2, 3, 1), crop, atol=1e-5) for crop in crops]
    assert sum(matches) == 1


def test_frames_of_a_clip_are_cropped_flipped_and_coloured_alike():
    frames = pictures(5, 1).expand(-1, 4, -1, -1, -1)
    found = normalised(frames, draws(5), CONFIG, TAKES)
    assert torch.equal(found[:, :1].expand_as(found), found)
    assert not torch.allclose(found, normalised(frames, draws(5), PLAIN, TAKES))


def test_half_of_the_clips_are_flipped():
    one = pictures(1).expand(400, -1, -1, -1, -1)
    same = draws(400)
    same[:, :2] = 0.0
    found = normalised(one, same, PLAIN, TAKES)
    unflipped = same[:1].copy()
    unflipped[:, 2] = 0.7
    plain = normalised(one[:1], unflipped, PLAIN, TAKES)[0]
    flipped = sum(torch.equal(clip, plain.flip(-1)) for clip in found)
    assert flipped + sum(torch.equal(clip, plain) for clip in found) == 400
    assert 160 < flipped < 240


def test_a_clips_augmentation_does_not_depend_on_the_others():
    frames, numbers = pictures(6), draws(6)
    part = normalised(frames[2:4], numbers[2:4], CONFIG, TAKES)
    assert torch.equal(part, normalised(frames, numbers, CONFIG, TAKES)[2:4])
