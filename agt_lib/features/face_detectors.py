"""Face detectors of the user's own: an ONNX file that OpenCV's FaceDetectorYN runs, as YuNet is.

H height, W width, N boxes.
"""

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import hf_hub_download, model_info, try_to_load_from_cache

from agt_lib.features.encoder import HUB_SECONDS, CheckpointError, asking_hub, reason
from agt_lib.features.faces import LONGEST
from agt_lib.workspace import paths
from agt_lib.workspace.kept import file_digest


class OnnxDetector:
    """The detector in the file that `name` names; as sure of a face as OpenCV asks for by default.

    `name` is a file, or one on the hub, OWNER/MODEL/FILE, which is looked for in
    `data/models/OWNER--MODEL` and the hub's cache first. Raises CheckpointError if OpenCV or the
    file is not there, or if FaceDetectorYN can't use it.
    """

    def __init__(self, name: str):
        try:
            import cv2
        except ImportError as error:
            raise CheckpointError(
                f"the face detector {name} needs OpenCV: pip install opencv-python-headless"
            ) from error
        self._cv2, self._path, self._own = cv2, _find(name), threading.local()
        self.fingerprint: dict[str, Any] = {
            "detector": file_digest(self._path),
            "opencv": cv2.__version__,
        }
        try:
            self(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise CheckpointError(
                f"{self._path}: OpenCV's FaceDetectorYN can't use it ({reason(error)}); expected a "
                "YuNet, such as face_detection_yunet_2023mar.onnx"
            ) from error

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The faces in a frame (H, W, 3) uint8 RGB: boxes and how sure, (N, 5), surest first."""
        if not hasattr(self._own, "network"):  # it serves one thread
            self._own.network = self._cv2.FaceDetectorYN.create(str(self._path), "", (64, 64))
        height, width = frame.shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = np.ascontiguousarray(frame[..., ::-1])
        if scale < 1:
            image = self._cv2.resize(image, size, interpolation=self._cv2.INTER_AREA)
        self._own.network.setInputSize(size)
        _, found = self._own.network.detect(image)
        if found is None:
            return np.zeros((0, 5), np.float32)
        corner, sides, sure = found[:, :2], found[:, 2:4], found[:, -1:]
        boxes = np.concatenate([corner / scale, (corner + sides) / scale, sure], axis=1)
        return boxes[np.argsort(-boxes[:, 4], kind="stable")].astype(np.float32)


detector = lru_cache(maxsize=4)(OnnxDetector)
"""The one `OnnxDetector` of a name."""


def _find(name: str) -> Path:
    repository, _, file = name.rpartition("/")
    place = paths.models() / repository.replace("/", "--") / file
    cached = None
    if on_hub := re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository):
        cached = try_to_load_from_cache(repository, file)
    for path in (Path(name).expanduser(), place, cached):
        if isinstance(path, str | Path) and Path(path).is_file():
            return Path(path)
    if not on_hub:
        expected = "an ONNX file, or OWNER/MODEL/FILE on the hub"
        raise CheckpointError(f"no face detector {name}: expected {expected}")
    with asking_hub(name, paths.relative(place), "Put the file there"):
        model_info(repository, timeout=HUB_SECONDS)
        return Path(hf_hub_download(repository, file))
