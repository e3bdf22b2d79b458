import open_clip
import pytest
import torch

from agt_lib.features.clip_resnet import encode_image

TEXT = {"context_length": 8, "vocab_size": 50, "width": 8, "heads": 2, "layers": 1}
RESNET = {"image_size": 64, "layers": [2, 1, 1, 1], "width": 8, "head_width": 16}
TRANSFORMER = {"image_size": 64, "layers": 1, "width": 16, "head_width": 8, "patch_size": 32}


@pytest.fixture
def images():
    return torch.randn(
        3, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def network(vision):
    """A CLIP in float64 whose norms have statistics, gains and shifts of some size."""
    torch.manual_seed(0)
    clip = open_clip.CLIP(embed_dim=12, vision_cfg=vision, text_cfg=TEXT).double().eval()
    for module in clip.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 2.0)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.normal_(tensor)
    return clip


def gradients(clip, embeddings):
    weights = torch.linspace(-1, 1, embeddings.numel(), dtype=torch.float64)
    (embeddings.flatten() * weights).sum().backward()
    found = {name: p.grad for name, p in clip.visual.named_parameters()}
    clip.zero_grad()
    return found


def test_embeddings_and_gradients_are_those_of_open_clips_own_tower(images):
    clip = network(RESNET)
    expected = clip.encode_image(images)
    found = encode_image(clip, images)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    wanted, got = gradients(clip, expected), gradients(clip, found)
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-7, atol=1e-9, msg=name)
    assert any(gradient.abs().max() > 1e-3 for gradient in wanted.values())


def test_statistics_stay_even_where_the_tower_is_left_training(images):
    clip = network(RESNET)
    expected = clip.encode_image(images)
    before = {name: b.clone() for name, b in clip.named_buffers()}
    torch.testing.assert_close(encode_image(clip.train(), images), expected, rtol=1e-9, atol=1e-10)
    assert all(torch.equal(b, before[name]) for name, b in clip.named_buffers())


def test_another_tower_is_left_as_it_is(images):
    clip = network(TRANSFORMER)
    assert torch.equal(encode_image(clip, images), clip.encode_image(images))
