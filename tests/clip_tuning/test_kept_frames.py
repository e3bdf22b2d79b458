import numpy as np
import pytest

from agt_lib.clip_tuning import TuneConfig, frames
from agt_lib.corpora.media import decode_frames
from agt_lib.workspace.shards import ExtractionError

CONFIG = TuneConfig(n_frames=2, frames_per_segment=3, crop=0.5)


@pytest.fixture
def clips(corpus):
    return corpus.labelled


@pytest.fixture
def decoded(monkeypatch):
    """How often a clip was decoded."""
    calls = []

    def counted(path, *arguments):
        calls.append(path)
        return decode_frames(path, *arguments)

    monkeypatch.setattr(frames, "decode_frames", counted)
    return calls


def keep(clips, source, **options):
    return frames.keep(clips, source.preprocessing, CONFIG, progress=False, **options)


def test_each_clip_is_decoded_once(clips, source, decoded):
    kept = keep(clips, source)
    again = keep(clips, source)
    assert len(decoded) == 24
    assert kept.names == again.names == tuple(clips.index)


def test_pictures_are_larger_than_the_network_takes_by_the_room_to_crop(clips, source):
    taken = keep(clips, source).take(np.array([3, 0]), np.array([[0, 5], [1, 2]]))
    assert taken.shape == (2, 2, 24, 24, 3) and taken.dtype == np.uint8  # 16 pixels and a half


def test_the_middle_frame_of_a_segment_is_the_one_at_its_centre(clips, source):
    taken = keep(clips, source).take(np.array([4]), np.array([[1, 4]]))
    np.testing.assert_array_equal(taken[0], decode_frames(clips["video"].iloc[4], n_frames=2))


def test_a_stopped_decoding_goes_on_at_the_next_shard(clips, source, decoded, monkeypatch):
    monkeypatch.setattr(frames, "SHARD", 10)
    whole = frames.decode_frames

    def killed(path, *arguments):
        if path == clips["video"].iloc[15]:
            raise KeyboardInterrupt
        return whole(path, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(frames, "decode_frames", killed)
        keep(clips, source)
    decoded.clear()
    kept = keep(clips, source)
    assert len(decoded) == 14
    assert kept.names == tuple(clips.index)
    taken = kept.take(np.array([22]), np.array([[1, 4]]))
    np.testing.assert_array_equal(taken[0], decode_frames(clips["video"].iloc[22], n_frames=2))


def test_clips_that_can_not_be_read_are_left_out_and_listed(clips, source, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all")
    clips = clips.copy()
    clips.loc["clip1", "video"] = str(broken)
    clips.loc["clip2", "video"] = None
    kept = keep(clips, source)
    assert set(clips.index) - set(kept.names) == {"clip1", "clip2"}
    assert kept.failures["stage"].tolist() == ["open", "absent"]
    with pytest.raises(ExtractionError, match="clip1"):
        keep(clips, source, max_failures=0.01)
