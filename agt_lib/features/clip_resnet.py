"""The ResNet image tower of open_clip with its statistics fixed: the same function, fewer passes.

F frames, S pixels, W channels, h w positions, T tokens, H heads, D features.
"""

import torch
from open_clip.modified_resnet import AttentionPool2d, Bottleneck, ModifiedResNet
from torch import Tensor, nn
from torch.nn import functional as F


def encode_image(clip: nn.Module, images: Tensor) -> Tensor:
    """Images (F, 3, S, S) to embeddings (F, D): `clip.encode_image` in evaluation, to rounding.

    A ResNet's, with the same parameters and gradients, in less time: each norm is folded into the
    weights of the convolution before it, channels are the last dimension in memory, and the pool
    attends from the one token that it returns. Other towers compute as they are.
    """
    tower = clip.visual
    if not isinstance(tower, ModifiedResNet):
        return clip.encode_image(images)
    x = images.contiguous(memory_format=torch.channels_last)
    stem = ((tower.conv1, tower.bn1), (tower.conv2, tower.bn2), (tower.conv3, tower.bn3))
    for conv, norm in stem:
        x = F.relu(_folded(x, conv, norm), inplace=True)
    x = tower.avgpool(x)
    for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        for block in layer:
            x = _block(block, x)
    return _pooled(tower.attnpool, x)


def _folded(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """The norm, by its running statistics, of the convolution of x."""
    gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = conv.weight * gain[:, None, None, None]
    bias = norm.bias - norm.running_mean * gain
    return F.conv2d(x, weight, bias, conv.stride, conv.padding)


def _block(block: Bottleneck, x: Tensor) -> Tensor:
    out = F.relu(_folded(x, block.conv1, block.bn1), inplace=True)
    out = F.relu(_folded(out, block.conv2, block.bn2), inplace=True)
    out = _folded(block.avgpool(out), block.conv3, block.bn3)
    if block.downsample is not None:
        pool, conv, norm = block.downsample
        x = _folded(pool(x), conv, norm)
    return F.relu(out + x, inplace=True)


def _pooled(pool: AttentionPool2d, x: Tensor) -> Tensor:
    """(F, W, h, w) to (F, D): attention from the mean position to all."""
    tokens = x.flatten(2).transpose(1, 2)  # (F, h w, W)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1) + pool.positional_embedding
    query, key, value = (
        part.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)  # (F, H, T, W / H)
        for part in (pool.q_proj(tokens[:, :1]), pool.k_proj(tokens), pool.v_proj(tokens))
    )
    return pool.c_proj(F.scaled_dot_product_attention(query, key, value).flatten(1))
