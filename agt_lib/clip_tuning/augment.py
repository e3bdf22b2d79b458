"""Light augmentation: crop, flip and colour, the same for all frames of a clip.

b clips, T frames, P the side of a kept picture, S the side the network takes.
"""

import numpy as np
import torch
from open_clip.transform import PreprocessCfg
from torch import Tensor

from agt_lib.clip_tuning.config import TuneConfig


def drawn(n_clips: int, config: TuneConfig, rng: np.random.Generator) -> np.ndarray:
    """Random numbers in [0, 1) for each clip, (n_clips, 9 + T): drawn for all, used by a part.

    Two place the crop, one decides the flip, six the colour, the rest pick a frame per segment.
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
    frames: Tensor,
    draws: np.ndarray,
    config: TuneConfig,
    preprocessing: PreprocessCfg,
) -> Tensor:
    """uint8 (b, T, P, P, 3) to the network's float32 (b, T, 3, S, S), augmented.

    Each channel, in standard deviations of CLIP's normalisation, is multiplied by 1 ± `colour` and
    moved by ± 2 `colour`.
    """
    size = side(preprocessing)
    room = frames.shape[2] - size
    pictures = []
    for clip, draw in zip(frames, draws, strict=True):
        top, left = (int(x * (room + 1)) for x in draw[:2])
        picture = clip[:, top : top + size, left : left + size]  # (T, S, S, 3)
        pictures.append(picture.flip(2) if config.flip and draw[2] < 0.5 else picture)
    values = torch.stack(pictures).permute(0, 1, 4, 2, 3).float() / 255  # (b, T, 3, S, S)
    place = {"device": frames.device, "dtype": torch.float32}
    values -= torch.tensor(preprocessing.mean, **place)[:, None, None]
    values /= torch.tensor(preprocessing.std, **place)[:, None, None]
    around = torch.tensor(2 * draws[:, 3:9] - 1, **place)  # (b, 6) in [-1, 1)
    gain, shift = (x[:, None, :, None, None] for x in around.split(3, dim=1))
    return values * (1 + config.colour * gain) + 2 * config.colour * shift
