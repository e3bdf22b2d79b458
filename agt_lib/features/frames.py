"""A clip's frames as a video encoder sees them: whole, cropped to the face, or cropped before.

T frames, H height, W width.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora.media import ACCESS, MediaError, decode_frames
from agt_lib.features.encoder import window_of
from agt_lib.features.face_detectors import detector
from agt_lib.features.faces import FILE, crop_faces
from agt_lib.workspace.kept import file_digest

NONE, CROP, NPY = "none", "crop", "npy"
FACES = (NONE, CROP, NPY)
OPENFACE = "openface_face"
"""The folder of aligned faces that MERTools leaves beside `video`."""


def face_fingerprint(face: str, margin: float) -> dict[str, Any]:
    """What of the way to the face changes an encoder's numbers.

    Raises ValueError for what is no way to the face, and what `detector` raises.
    """
    own = _detector_of(face)
    if own is None and face not in FACES:
        ways = f"{', '.join(FACES)}, or {CROP}:FILE.onnx with a detector of your own"
        raise ValueError(f"face is one of {ways}; got {face!r}")
    if own or face == CROP:
        found = detector(own).fingerprint if own else {"detector": file_digest(FILE)}
        return {"face": CROP, "margin": margin} | found
    return {} if face == NONE else {"face": face}


def clip_frames(
    clip: pd.Series, n_frames: int, max_seconds: float, face: str, margin: float
) -> tuple[list[np.ndarray], str]:
    """`n_frames` frames of a clip, uint8 RGB (H, W, 3), and what there is to say about them.

    They are at the centres of equal segments. `face`: "none" takes them whole; "crop" the largest
    face, tracked over the clip, its square enlarged by `margin` on each side, and whole frames if
    there is none; "crop:FILE" the same with the detector in an ONNX file (see `face_detectors`);
    "npy" the aligned faces that MERTools left in `openface_face/NAME/NAME.npy` (T, H, W, 3) BGR,
    beside the folder of the video. Raises MediaError for a clip without video or faces.
    """
    if pd.isna(clip["video"]):
        raise MediaError("absent", "the clip has no video file")
    if face == NPY:
        if window_of(clip) is not None:
            raise MediaError("decode", "aligned faces have no times, so no part can be read")
        return _aligned(aligned_faces(clip["video"], clip.name), n_frames), ""
    remarks: list[str] = []
    frames = decode_frames(clip["video"], n_frames, max_seconds, window_of(clip), remarks)
    faces = list(frames)
    if face != NONE:
        own = _detector_of(face)
        faces, track = crop_faces(frames, margin, detector(own) if own else None)
        if track is None:
            remarks.append("no face found: whole frames")
        elif track.cuts:
            remarks.append("the face changes (a cut)")
    return faces, "; ".join(remarks)


def _detector_of(face: str) -> str | None:
    """The FILE of "crop:FILE", or None."""
    way, _, file = face.partition(":")
    return file or None if way == CROP else None


def reads(face: str, name: str, video: str) -> str:
    """The file that is read of a clip: its video, or its aligned faces."""
    return str(aligned_faces(video, name)) if face == NPY else video


def aligned_faces(video: str | Path, name: str) -> Path:
    """Where MERTools left the aligned faces of the clip `name`."""
    return Path(video).parent.parent / OPENFACE / name / f"{name}.npy"


def _aligned(path: Path, n_frames: int) -> list[np.ndarray]:
    if not path.is_file():
        raise MediaError(ACCESS, "no aligned faces (openface_face/NAME/NAME.npy)", path)
    try:
        faces = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise MediaError("open", f"no numeric .npy file ({error})", path) from error
    if faces.ndim != 4 or faces.shape[-1] != 3 or faces.dtype != np.uint8 or not len(faces):
        reason = f"shape {faces.shape} of {faces.dtype}; expected (T, H, W, 3) of uint8"
        raise MediaError("open", reason, path)
    wanted = ((np.arange(n_frames) + 0.5) / n_frames * len(faces)).astype(int)
    return [np.ascontiguousarray(faces[k][..., ::-1]) for k in wanted]
