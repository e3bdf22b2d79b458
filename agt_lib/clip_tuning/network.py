"""CLIP as tuning sees it: which parameters move, and the loss of a part of a step.

b clips, T frames, S pixels, C classes, D features.
"""

from collections.abc import Sequence
from functools import cache

import open_clip
import torch
from torch import Tensor, nn

from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.loss import contrastive
from agt_lib.features.clip import Source
from agt_lib.features.clip_resnet import encode_image

EMBEDDINGS = ("token_embedding", "word_embeddings")


class TunedClip(nn.Module):
    """A CLIP with its class prompts; `forward` gives the sum of its clips' losses.

    Normalisation statistics stay as they were trained: a batch of a few clips, or a process' part
    of it, would estimate them badly and differently.
    """

    def __init__(self, clip: nn.Module, prompts: Tensor, config: TuneConfig, dtype: torch.dtype):
        super().__init__()
        self.clip = clip
        self.register_buffer("prompts", prompts, persistent=False)  # (C, context) token numbers
        self.config = config
        self.dtype = dtype

    def train(self, mode: bool = True) -> "TunedClip":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, frames: Tensor, labels: Tensor, batch_labels: Tensor) -> Tensor:
        """Frames (b, T, 3, S, S), their labels (b,), those of the whole step (B,): a scalar."""
        kind = frames.device.type
        with torch.autocast(kind, self.dtype, enabled=self.dtype != torch.float32):
            frame = encode_image(self.clip, frames.flatten(0, 1))  # (b T, D)
            text = self.clip.encode_text(self.prompts)  # (C, D)
        video = frame.float().unflatten(0, frames.shape[:2]).mean(1)  # (b, D)
        scale = self.clip.logit_scale.exp()
        losses = contrastive(video, text.float(), scale, labels, batch_labels, self.config.loss)
        return losses.sum()


def prepare(
    source: Source, labels: Sequence[str], config: TuneConfig, dtype: torch.dtype
) -> TunedClip:
    """The CLIP of `source` with its labels' prompts, ready to train; raises as `tune_these`."""
    clip = source.network(torch.float32)
    tune_these(clip, config)
    tokens = tokenised(source.architecture, tuple(config.prompts(tuple(labels))))
    return TunedClip(clip, tokens, config, dtype)


@cache
def tokenised(architecture: str, prompts: tuple[str, ...]) -> Tensor:
    """The prompts' token numbers, (C, context); kept, since open_clip's tokenizer loads slowly."""
    return open_clip.get_tokenizer(architecture)(list(prompts))


def tune_these(clip: nn.Module, config: TuneConfig) -> None:
    """Let the parameters of an open_clip model take gradients that are to be tuned.

    Both towers, projection and temperature, but not the token embedding; not what `config` freezes.
    Raises ValueError where the image tower has fewer blocks than are to be frozen, or none known.
    """
    clip.requires_grad_(True)
    for name, parameter in clip.named_parameters():
        image = name.startswith("visual.")
        text = not image and name != "logit_scale"
        if any(part in name for part in EMBEDDINGS) or (text and not config.tune_text):
            parameter.requires_grad_(False)
        if name.startswith("text_decoder."):  # CoCa's captions: no part in the loss
            parameter.requires_grad_(False)
    if getattr(clip, "logit_bias", None) is not None:  # no part in a softmax
        clip.logit_bias.requires_grad_(False)
    for part in _first_blocks(clip.visual, config.freeze_blocks):
        part.requires_grad_(False)
    if config.gradient_checkpointing:
        clip.set_grad_checkpointing(True)


def tuned_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that take gradients, by name."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def groups(network: nn.Module, config: TuneConfig) -> list[dict]:
    """AdamW's groups: matrices with weight decay, vectors and the temperature without.

    `rate` is a group's share of the learning rate: `text_rate` for the text tower.
    """
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in tuned_parameters(network).items():
        image = "clip.visual." in name or name.endswith("logit_scale")
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        found.setdefault((decay, 1.0 if image else config.text_rate), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "rate": rate}
        for (decay, rate), parameters in found.items()
    ]


def _first_blocks(tower: nn.Module, n: int) -> list[nn.Module | nn.Parameter]:
    """What stands before block n of an image tower: the stem and n blocks; nothing for n = 0."""
    if n == 0:
        return []
    if hasattr(tower, "layer4"):  # a ResNet
        early = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")
        stem = [getattr(tower, name) for name in early]
        blocks = [getattr(tower, f"layer{i}") for i in (1, 2, 3, 4)]
    else:
        early = ("conv1", "class_embedding", "positional_embedding", "ln_pre")
        stem = [getattr(tower, name) for name in early if hasattr(tower, name)]
        blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if blocks is None or n > len(blocks):
        found = "none that are known here" if blocks is None else f"{len(blocks)}"
        raise ValueError(
            f"freeze_blocks is {n}, but the image tower {type(tower).__name__} has {found}"
        )
    return [*stem, *list(blocks)[:n]]
