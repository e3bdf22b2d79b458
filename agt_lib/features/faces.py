"""Finding the face in a clip's frames: MTCNN (Zhang et al. 2016), and a track over the clip.

The weights are those of the package facenet-pytorch (MIT), converted by
`benchmarks/convert_face_networks.py`. T frames, H height, W width, N boxes, B crops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms, nms

from agt_lib.workspace import paths

FILE = paths.LIBRARY / "features" / "checkpoints" / "faces" / "faces.safetensors"
LONGEST = 640
"""Pixels that the longer side of a frame has when faces are looked for."""
SMALLEST = 60
"""Pixels that a face measures at least, of these."""
SHRINK = 0.709
"""From one size of the pyramid to the next: the area halves."""
SURE = (0.6, 0.7, 0.7)
"""How sure each of the three networks must be."""
NEAR = 0.3
"""Boxes of one face in two frames overlap by more than this (intersection over union)."""


@cache
def weights() -> dict[str, Tensor]:
    """The tensors of the face networks by name."""
    return load_file(FILE)


@dataclass(frozen=True)
class Track:
    """A face through a clip's frames: `boxes` (T, 4) in pixels, left, top, right, bottom.

    `found` (T,) says in which frames it was seen; between them the nearest box stands. `cuts`
    counts where the face jumps from one frame to the next.
    """

    boxes: np.ndarray
    found: np.ndarray
    cuts: int


def crop_faces(
    frames: np.ndarray,
    margin: float = 0.0,
    find: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[list[np.ndarray], Track | None]:
    """The face's square in each of the frames (T, H, W, 3), and its track.

    `find` gives the faces in a frame; by default it is `detect`. The squares are those of `follow`,
    enlarged by the share `margin` on each side; beyond the frame they are black. Without a face
    these are the whole frames, and the track is None.
    """
    track = follow([(find or detect)(frame) for frame in frames])
    if track is None:
        return list(frames), None
    return [_square(f, box, margin) for f, box in zip(frames, track.boxes, strict=True)], track


def follow(detected: list[np.ndarray]) -> Track | None:
    """The track of the largest face in the boxes (N, 5) of each frame; None if there is no box.

    From the frame with the largest one on, in both directions, the box is taken that overlaps most
    with the one before; where none does, the largest: a cut.
    """
    area = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in detected]
    largest = [a.max() if len(a) else 0 for a in area]
    if not max(largest, default=0):
        return None
    start, chosen, cuts = int(np.argmax(largest)), {}, 0
    for order in (range(start, len(detected)), range(start - 1, -1, -1)):
        last = chosen.get(start)
        for k in order:
            boxes = detected[k][:, :4]
            if not len(boxes):
                continue
            overlaps = _overlap(boxes, last) if last is not None else np.zeros(len(boxes))
            same = overlaps.max() > NEAR
            cuts += int(last is not None and not same)
            last = chosen[k] = boxes[(overlaps if same else area[k]).argmax()]
    seen = np.array(sorted(chosen))
    nearest = seen[np.abs(np.arange(len(detected))[:, None] - seen).argmin(1)]
    found = np.isin(np.arange(len(detected)), seen)
    return Track(np.stack([chosen[k] for k in nearest]), found, cuts)


@torch.inference_mode()
def detect(frame: np.ndarray) -> np.ndarray:
    """The faces in a frame (H, W, 3) uint8 RGB: boxes and how sure, (N, 5), surest first."""
    height, width = frame.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    pixels = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float()
    if scale < 1:
        size = round(height * scale), round(width * scale)
        pixels = F.interpolate(pixels, size, mode="area")
    image = (pixels - 127.5) / 128
    boxes = _proposals(image)
    for name, side, sure in (("rnet", 24, SURE[1]), ("onet", 48, SURE[2])):
        if not len(boxes):
            return np.zeros((0, 5), np.float32)
        boxes = _as_squares(boxes)
        logits, shift = _refine(name, _crops(image, boxes, side))
        score = logits.softmax(1)[:, 1]
        kept = score > sure
        boxes = _shifted(boxes[kept], shift[kept])
        score = score[kept]
        order = nms(boxes, score, 0.7 if name == "rnet" else 0.5)
        boxes, score = boxes[order], score[order]
    return torch.cat([boxes / scale, score[:, None]], 1).numpy()


def _proposals(image: Tensor) -> Tensor:
    """Squares (N, 4) that the first network takes for faces, over a pyramid of sizes."""
    w, found, scores, levels = weights(), [], [], []
    shorter, scale = min(image.shape[2:]), 12 / SMALLEST
    while shorter * scale >= 12:
        size = [int(side * scale + 1) for side in image.shape[2:]]
        x = F.interpolate(image, size, mode="area")
        x = _conv(x, "pnet", 1)
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        x = _conv(_conv(x, "pnet", 2), "pnet", 3)
        face = F.conv2d(x, w["pnet.conv4_1.weight"], w["pnet.conv4_1.bias"]).softmax(1)[0, 1]
        shift = F.conv2d(x, w["pnet.conv4_2.weight"], w["pnet.conv4_2.bias"])[0]
        y, x = (face >= SURE[0]).nonzero(as_tuple=True)
        corners = torch.stack([2 * x, 2 * y, 2 * x + 12, 2 * y + 12], 1) / scale
        score = face[y, x]
        order = nms(corners, score, 0.5)
        found.append(_shifted(corners, shift[:, y, x].T)[order])
        scores.append(score[order])
        levels.append(torch.zeros(len(order), dtype=torch.long))
        scale *= SHRINK
    if not found:
        return torch.zeros(0, 4)
    boxes, score = torch.cat(found), torch.cat(scores)
    return boxes[batched_nms(boxes, score, torch.cat(levels), 0.7)]


def _conv(x: Tensor, network: str, number: int) -> Tensor:
    """One convolution with its PReLU."""
    w, name = weights(), f"{network}.conv{number}"
    x = F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"])
    return F.prelu(x, w[f"{network}.prelu{number}.weight"])


def _dense(x: Tensor, name: str) -> Tensor:
    return F.linear(x, weights()[f"{name}.weight"], weights()[f"{name}.bias"])


def _refine(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, 2) of no face and face, and shifts of the box (B, 4), of crops (B, 3, S, S)."""
    x = F.max_pool2d(_conv(x, name, 1), 3, 2, ceil_mode=True)
    x = F.max_pool2d(_conv(x, name, 2), 3, 2, ceil_mode=True)
    x, last = _conv(x, name, 3), 4
    if name == "onet":
        x, last = _conv(F.max_pool2d(x, 2, 2, ceil_mode=True), name, 4), 5
    x = _dense(x.permute(0, 3, 2, 1).flatten(1), f"{name}.dense{last}")  # the weights' order
    x = F.prelu(x, weights()[f"{name}.prelu{last}.weight"])
    return _dense(x, f"{name}.dense{last + 1}_1"), _dense(x, f"{name}.dense{last + 1}_2")


def _shifted(boxes: Tensor, shift: Tensor) -> Tensor:
    """Boxes moved by shares of their width and height."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes + shift * torch.stack([width, height, width, height], 1)


def _as_squares(boxes: Tensor) -> Tensor:
    """Squares of the longer side about the same centres."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([centre - half, centre + half], 1)


def _crops(image: Tensor, boxes: Tensor, side: int) -> Tensor:
    """The squares of the image (1, 3, H, W), (B, 3, side, side); outside it is grey."""
    height, width = image.shape[2:]
    found = []
    for left, top, right, bottom in boxes.round().long().tolist():
        inside = image[:, :, max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
        if not inside.numel():
            inside = image[:, :, :1, :1]
        pad = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
        found.append(F.interpolate(F.pad(inside, pad), (side, side), mode="area"))
    return torch.cat(found)


def _square(frame: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    """The square about a box of a frame (H, W, 3), black beyond the frame."""
    left, top, right, bottom = box
    half = max(right - left, bottom - top) * (0.5 + margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    side = max(int(round(2 * half)), 1)
    left, top = int(round(x - half)), int(round(y - half))
    square = np.zeros((side, side, 3), frame.dtype)
    height, width = frame.shape[:2]
    rows = slice(max(top, 0), max(min(top + side, height), 0))
    columns = slice(max(left, 0), max(min(left + side, width), 0))
    inside = frame[rows, columns]
    if inside.size:
        y, x = rows.start - top, columns.start - left
        square[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return square


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) with one."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)
