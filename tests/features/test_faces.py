"""Faces: the track through a clip, the crop, and the networks on real clips."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import build as build_corpus
from agt_lib.corpora.media import MediaError, decode_frames
from agt_lib.features.encoder import build, fingerprint_of
from agt_lib.features.expression import EXPRESSIONS
from agt_lib.features.extraction import encode_all, extract
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
    with pytest.raises(ValueError, match="face is one of none, crop, npy; got 'faces'"):
        build("fer", face="faces")


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
