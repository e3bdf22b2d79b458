"""Faces: the track through a clip, the crop, and the networks on real clips."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import build as build_corpus
from agt_lib.corpora.media import MediaError, decode_frames
from agt_lib.features.encoder import CheckpointError, build, fingerprint_of
from agt_lib.features.expression import EXPRESSIONS
from agt_lib.features.extraction import encode_all, extract
from agt_lib.features.face_detectors import OnnxDetector, detector
from agt_lib.features.faces import FILE, crop_faces, detect, follow
from agt_lib.features.frames import clip_frames
from agt_lib.workspace import kept, paths

CREMA = paths.ROOT.parent / "shared" / "data" / "crema_d_mini" / "data"
WEIGHTS = "a65b2ea0c7c30c9f"


def box(left, size, sure=0.9):
    return [left, 10, left + size, 10 + size, sure]


def boxes(*given):
    return [np.array(one, np.float32).reshape(-1, 5) for one in given]


def test_the_largest_face_is_followed_also_past_a_larger_one():
    track = follow(boxes([box(0, 40)], [box(5, 50), box(100, 20)], [box(8, 30), box(100, 45)]))
    np.testing.assert_array_equal(track.boxes[:, 0], [0, 5, 8])
    assert track.found.all()
    assert track.cuts == 0


def test_frames_without_a_face_take_the_nearest_box_and_a_jump_is_a_cut():
    track = follow(boxes([], [box(0, 40)], [], [], [box(200, 30)]))
    assert track.found.tolist() == [False, True, False, False, True]
    np.testing.assert_array_equal(track.boxes[:, 0], [0, 0, 0, 200, 200])
    assert track.cuts == 1
    assert follow(boxes([], [])) is None


def test_a_crop_is_square_and_black_beyond_the_frame(monkeypatch):
    frames = np.full((1, 60, 80, 3), 200, np.uint8)
    monkeypatch.setattr("agt_lib.features.faces.detect", lambda _: boxes([[-10, 20, 20, 60, 1]])[0])
    (face,), _ = crop_faces(frames)
    assert face.shape == (40, 40, 3)
    assert (face[:, :15] == 0).all()
    assert (face[:, 16:] == 200).all()
    (wide,), _ = crop_faces(frames, margin=0.25)
    assert wide.shape == (60, 60, 3)


def test_without_a_face_frames_stay_whole_and_it_is_said(tmp_path, write_clip, ramp, tone):
    path = write_clip(tmp_path / "grey.mp4", frames=ramp(), waveform=tone())
    clip = pd.Series({"video": str(path)}, name="grey")
    faces, remark = clip_frames(clip, 4, 60, "crop", 0.0)
    np.testing.assert_array_equal(np.stack(faces), decode_frames(path, 4))
    assert remark == "no face found: whole frames"
    table = pd.DataFrame({"name": ["grey"], "split": ["train"], "video": [str(path)]})
    corpus = build_corpus("one", table, source="one")
    for features in (encode_all(corpus, build("fer")), *[extract(corpus, build("fer"))] * 2):
        assert features.remarks[["name", "reason"]].to_numpy().tolist() == [["grey", remark]]
        assert features.present.all()
        assert features.failures.empty


def write_aligned(folder, faces):
    (folder / "video").mkdir(parents=True, exist_ok=True)
    place = folder / "openface_face" / "c"
    place.mkdir(parents=True, exist_ok=True)
    np.save(place / "c.npy", faces, allow_pickle=faces.dtype == object)
    return pd.Series({"video": str(folder / "video" / "c.mp4")}, name="c")


def test_aligned_faces_are_read_as_the_peer_leaves_them(tmp_path):
    faces = np.zeros((5, 8, 8, 3), np.uint8)
    faces[..., 0] = np.arange(5)[:, None, None]  # blue
    frames, _ = clip_frames(write_aligned(tmp_path, faces), 5, 60, "npy", 0.0)
    assert [int(frame[0, 0, 2]) for frame in frames] == [0, 1, 2, 3, 4]
    clip = write_aligned(tmp_path, np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(MediaError, match=r"expected \(T, H, W, 3\)"):
        clip_frames(clip, 5, 60, "npy", 0.0)
    with pytest.raises(MediaError, match="no numeric .npy"):
        clip_frames(write_aligned(tmp_path, np.array([print])), 5, 60, "npy", 0.0)
    (tmp_path / "openface_face" / "c" / "c.npy").unlink()
    with pytest.raises(MediaError, match="no aligned faces"):
        clip_frames(clip, 5, 60, "npy", 0.0)


def test_the_way_to_the_face_is_in_the_fingerprint_and_checked():
    prints = {face: fingerprint_of(build("clip", face=face)) for face in ("none", "crop", "npy")}
    assert len(set(prints.values())) == 3
    assert prints["none"] == fingerprint_of(build("clip"))
    with pytest.raises(ValueError, match="face is one of none, crop, npy, or crop:.* 'faces'"):
        build("fer", face="faces")
    with pytest.raises(ValueError, match="got 'npy:a.onnx'"):
        build("fer", face="npy:a.onnx")


class Yunet:
    """What OpenCV's FaceDetectorYN does, with the faces (left, top, width, height, .., sure)."""

    faces = None
    sizes: list = []

    @classmethod
    def create(cls, path, config, size):
        if Path(path).read_bytes() != b"yunet":
            raise ArithmeticError("Failed to parse ONNX model")
        return cls()

    def setInputSize(self, size):
        self.size = size

    def detect(self, image):
        assert image.shape == (self.size[1], self.size[0], 3)
        Yunet.sizes.append(self.size)
        Yunet.blue = image[0, 0, 0]
        return 1, self.faces


@pytest.fixture
def onnx_file(tmp_path, monkeypatch):
    """A detector's file; OpenCV stands in for itself."""
    stand_in = SimpleNamespace(
        FaceDetectorYN=Yunet, __version__="5", error=ArithmeticError, INTER_AREA=3,
        resize=lambda image, size, interpolation: np.zeros((size[1], size[0], 3), np.uint8),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "cv2", stand_in)
    monkeypatch.setattr(Yunet, "faces", None)
    detector.cache_clear()
    path = tmp_path / "own.onnx"
    path.write_bytes(b"yunet")
    yield path
    detector.cache_clear()


def test_a_detector_of_ones_own_gives_boxes_in_the_frames_pixels(onnx_file, monkeypatch):
    find = OnnxDetector(str(onnx_file))
    blue = np.zeros((120, 160, 3), np.uint8)
    blue[..., 2] = 255
    assert find(blue).shape == (0, 5)
    assert Yunet.blue == 255  # OpenCV takes blue first
    faces = np.zeros((2, 15), np.float32)
    faces[:, :4] = [10, 20, 30, 40], [50, 60, 8, 8]
    faces[:, -1] = 0.91, 0.97
    monkeypatch.setattr(Yunet, "faces", faces)
    expected = np.array([[50, 60, 58, 68, 0.97], [10, 20, 40, 60, 0.91]], np.float32)
    np.testing.assert_array_equal(find(blue), expected)
    large = np.zeros((960, 1280, 3), np.uint8)
    np.testing.assert_array_equal(find(large)[:, :4], 2 * expected[:, :4])
    assert Yunet.sizes[-1] == (640, 480)


def test_an_encoder_crops_by_a_detector_of_ones_own_and_its_bytes_are_in_the_fingerprint(
    onnx_file, monkeypatch, tmp_path, write_clip, ramp
):
    face = f"crop:{onnx_file}"
    fingerprint = build("fer", face=face).fingerprint
    assert fingerprint["detector"] == kept.file_digest(onnx_file)
    assert fingerprint["opencv"] == "5"
    row = np.array([[16, 8, 20, 20, *[0] * 10, 0.95]], np.float32)
    monkeypatch.setattr(Yunet, "faces", row)
    path = write_clip(tmp_path / "grey.mp4", frames=ramp())
    frames, remark = clip_frames(pd.Series({"video": str(path)}, name="grey"), 2, 60, face, 0.0)
    assert [frame.shape for frame in frames] == [(20, 20, 3)] * 2
    assert remark == ""


def test_a_detector_that_can_not_be_used_is_named_with_what_mends_it(onnx_file, monkeypatch):
    with pytest.raises(CheckpointError, match="no face detector gone.onnx: expected an ONNX file"):
        build("fer", face="crop:gone.onnx")
    placed = paths.models() / "opencv--face_detection_yunet" / "small.onnx"
    with pytest.raises(CheckpointError, match=f"neither as .*{placed.parent.name}"):
        build("fer", face="crop:opencv/face_detection_yunet/small.onnx")
    onnx_file.write_bytes(b"a web page")
    with pytest.raises(CheckpointError, match="Failed to parse ONNX model.* expected a YuNet"):
        build("clip", face=f"crop:{onnx_file}")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(CheckpointError, match="pip install opencv-python-headless"):
        build("fer", face=f"crop:{onnx_file}")


def test_opencv_itself_refuses_what_is_no_detector(tmp_path):
    pytest.importorskip("cv2")
    (tmp_path / "page.onnx").write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match="FaceDetectorYN can't use it"):
        OnnxDetector(str(tmp_path / "page.onnx"))


def test_the_shipped_weights_are_those_that_were_looked_at():
    assert kept.file_digest(FILE) == WEIGHTS


def test_real_faces_are_found_and_happiness_looks_happy():
    if not CREMA.is_dir():
        pytest.skip(f"{CREMA} is missing: no real faces here")
    encoder, found, frames_seen = build("fer"), {}, 0
    for path in sorted(CREMA.glob("*.flv")):
        seen = [len(detect(frame)) for frame in decode_frames(path, 8)]
        frames_seen += sum(map(bool, seen))
        row = pd.Series({"video": str(path)}, name=path.stem)
        (values,) = encoder.encode([encoder.load(row)])
        assert values.shape == (135,)
        found[path.stem.split("_")[2]] = EXPRESSIONS[values[128:].argmax()]
    assert frames_seen >= 0.95 * 48
    assert found["HAP"] == "happy"
    assert found["SAD"] == "sad"
    assert not encoder.remarks
