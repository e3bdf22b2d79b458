import numpy as np
import pytest
import torch

from agt_lib.clip_tuning.loss import contrastive

B, C, D = 7, 4, 5
LABELS = np.array([0, 0, 1, 3, 3, 3, 1])  # nobody shows class 2
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
        columns = range(C) if kind == "prompts" else LABELS
        for j, c in enumerate(columns):
            total += similar[i, c]
            own = {"prompts": c == LABELS[i], "in_batch": i == j, "in_batch_multi": c == LABELS[i]}
            positive += similar[i, c] * own[kind]
        losses.append(-np.log(positive / total))
    return losses


def losses(video, text, kind, part=slice(None)):
    labels = torch.from_numpy(LABELS)
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
