"""CLIP as it is tuned: pictures in, equation 1 out; which parameters are tuned.

B clips of a step, b of them in a part, T frames, C classes, D features, P the side of a kept
picture, S the side that the network takes.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg
from torch import Tensor, nn
from torch.nn import functional as F

from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.features.clip import Source
from agt_lib.features.clip_resnet import encode_image

EMBEDDINGS = ("token_embedding", "word_embeddings")
"""They stay: six prompts show only a few tokens."""


class TunedClip(nn.Module):
    """A CLIP with its class prompts; `forward` gives the sum of its clips' losses.

    It stays in evaluation mode: there is no dropout, and a batch of a few clips would estimate the
    statistics of batch norms badly, and differently in each process.
    """

    def __init__(self, clip: nn.Module, prompts: Tensor, config: TuneConfig, dtype: torch.dtype):
        super().__init__()
        self.clip = clip
        self.register_buffer("prompts", prompts, persistent=False)  # (C, context) token numbers
        self.config = config
        self.dtype = dtype
        self.eval()

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
    """The CLIP of `source` with its labels' prompts, ready to be tuned."""
    clip = source.network(torch.float32)
    tune_these(clip, config)
    tokens = tokenised(source.architecture, tuple(config.prompts(labels)))
    return TunedClip(clip, tokens, config, dtype)


@cache
def tokenised(architecture: str, prompts: tuple[str, ...]) -> Tensor:
    """The prompts' token numbers, (C, context); kept, since open_clip's tokenizer loads slowly."""
    return open_clip.get_tokenizer(architecture)(list(prompts))


def tune_these(clip: nn.Module, config: TuneConfig) -> None:
    """Mark what is tuned of an open_clip model: both towers, the projections, the temperature.

    The token embedding is not tuned, and without `tune_text` the text tower is not either.
    """
    for name, parameter in clip.named_parameters():
        text = not name.startswith("visual.") and name != "logit_scale"
        embedding = any(part in name for part in EMBEDDINGS)
        parameter.requires_grad_(not embedding and (config.tune_text or not text))
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


def contrastive(
    video: Tensor, text: Tensor, scale: Tensor, labels: Tensor, batch_labels: Tensor, kind: str
) -> Tensor:
    """Each clip's loss, (b,), from unscaled embeddings video (b, D) and text (C, D).

    `labels` (b,) number the clips' classes, `batch_labels` (B,) those of the whole step; `scale`
    is 1 / temperature. Equation 1 contrasts a clip with the prompts of all clips j of the batch.
    `kind` names a reading of it:

    - `prompts`: j runs over the C class prompts instead, each once;
    - `in_batch`: as printed: one positive, other clips of the class are negatives;
    - `in_batch_multi`: all clips of the class are positives.

    A prompt depends on the class alone, so the sum over j is one over classes weighted by their
    number of clips. The last two therefore differ by log(clips of the class), a constant: they
    have the same gradient, that of `prompts` with the batch's class shares as prior. No embedding
    of another process is needed: the labels of the step suffice.
    """
    cosines = F.normalize(video, dim=-1) @ F.normalize(text, dim=-1).T  # (b, C)
    logits = scale * cosines
    if kind == "prompts":
        return F.cross_entropy(logits, labels, reduction="none")
    counts = torch.bincount(batch_labels, minlength=len(text)).to(logits.dtype)  # (C,)
    total = torch.logsumexp(logits + counts.log(), dim=1)  # (b,); log 0 = -inf leaves a class out
    own = logits.gather(1, labels[:, None])[:, 0]
    return total - (own + counts[labels].log() if kind == "in_batch_multi" else own)


def drawn(n_clips: int, config: TuneConfig, rng: np.random.Generator) -> np.ndarray:
    """Random numbers in [0, 1) for each clip's augmentation, (n_clips, 9 + T).

    Two place the crop, one decides the flip, six the colour; the others pick a frame of each
    segment. They are drawn for all clips, so the parts of a step do not change them.
    """
    return rng.random((n_clips, 9 + config.n_frames))


def frame_numbers(draws: np.ndarray, config: TuneConfig) -> np.ndarray:
    """Which kept frames to take, (b, T): a random one of each segment."""
    within = np.floor(draws[:, 9:] * config.frames_per_segment).astype(np.int64)
    return np.arange(config.n_frames) * config.frames_per_segment + within


def side(preprocessing: PreprocessCfg) -> int:
    """The side S of the square pictures that a CLIP takes, in pixels."""
    size = preprocessing.size
    return size if isinstance(size, int) else max(size)


def normalised(
    frames: Tensor, draws: np.ndarray, config: TuneConfig, preprocessing: PreprocessCfg
) -> Tensor:
    """Kept pictures, uint8 (b, T, P, P, 3), as the network takes them: float32 (b, T, 3, S, S).

    All frames of a clip get the same crop and the same colour, and half of the clips are flipped.
    Each channel, in standard deviations of CLIP's normalisation, is multiplied by 1 ± `colour` and
    moved by ± 2 `colour`.
    """
    size = side(preprocessing)
    room = frames.shape[2] - size
    pictures = []
    for clip, draw in zip(frames, draws, strict=True):
        top, left = (int(x * (room + 1)) for x in draw[:2])
        picture = clip[:, top : top + size, left : left + size]  # (T, S, S, 3)
        pictures.append(picture.flip(2) if draw[2] < 0.5 else picture)
    values = torch.stack(pictures).permute(0, 1, 4, 2, 3).float() / 255  # (b, T, 3, S, S)
    place = {"device": frames.device, "dtype": torch.float32}
    values -= torch.tensor(preprocessing.mean, **place)[:, None, None]
    values /= torch.tensor(preprocessing.std, **place)[:, None, None]
    around = torch.tensor(2 * draws[:, 3:9] - 1, **place)  # (b, 6) in [-1, 1)
    gain, shift = (x[:, None, :, None, None] for x in around.split(3, dim=1))
    return values * (1 + config.colour * gain) + 2 * config.colour * shift
