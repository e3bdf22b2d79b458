"""Extraction with tiny encoders: what is interrupted or damaged must not spoil the rest."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from agt_lib.corpora.corpus import Corpus, build
from agt_lib.corpora.media import MediaError, decode_audio, decode_frames
from agt_lib.features.extraction import SEEN, extract, key_of
from agt_lib.workspace.shards import ExtractionError, StoreError

TESTS = Path(__file__).parent


class Loudness:
    """Mean, deviation and length of a clip's sound; counts what it loads."""

    modality = "audio"
    dim = 3

    def __init__(self, **fingerprint):
        self.fingerprint = {"model": "loudness", **fingerprint}
        self.loaded: list[str] = []

    def load(self, clip: pd.Series) -> np.ndarray:
        self.loaded.append(clip.name)
        return decode_audio(clip["audio"] if not pd.isna(clip["audio"]) else clip["video"])

    def encode(self, items: list) -> np.ndarray:
        return np.array([[w.mean(), w.std(), len(w)] for w in items], dtype=np.float32)


class Letters(Loudness):
    """The number of words, the length of the last one and its first letter."""

    modality = "text"

    def load(self, clip: pd.Series) -> list[str]:
        self.loaded.append(clip.name)
        return clip["text"].split()

    def encode(self, items: list) -> np.ndarray:
        rows = [[len(words), len(words[-1]), ord(words[-1][0])] for words in items]
        return np.array(rows, dtype=np.float32)


class Greys(Loudness):
    """The mean grey of each of four frames."""

    modality = "video"
    dim = 4

    def load(self, clip: pd.Series) -> np.ndarray:
        self.loaded.append(clip.name)
        return decode_frames(clip["video"], n_frames=4)

    def encode(self, items: list) -> np.ndarray:
        return np.stack(items).mean(axis=(2, 3, 4)).astype(np.float32)


def corpus_of(names: list[str], check_files: bool = True, **columns) -> Corpus:
    table = pd.DataFrame({"name": names, "split": "train", **columns})
    return build("tiny", table, source="the test", check_files=check_files)


def sounds(folder: Path, numbers: list[int]) -> Corpus:
    return corpus_of(
        [f"clip_{i}" for i in numbers], audio=[str(folder / f"clip_{i % 6}.wav") for i in numbers]
    )


def sentences(n: int) -> Corpus:
    words = ["I", "really", "did", "not", "expect", "this"]
    return corpus_of(
        [f"clip_{i}" for i in range(n)], text=[" ".join(words[: 1 + i % 6]) for i in range(n)]
    )


def quietly(corpus: Corpus, encoder, shard_size=None, **options):
    if shard_size:
        encoder.shard_size = shard_size
    return extract(corpus, encoder, progress=False, **options).in_memory()


def test_features_stand_in_the_corpus_order_and_equal_the_encoders_own(clips_folder):
    corpus = sounds(clips_folder, [3, 0, 5, 1])
    features = quietly(corpus, Loudness(), shard_size=3)
    assert features.names == ("clip_3", "clip_0", "clip_5", "clip_1")
    assert features.present.all()
    assert features.failures.empty
    assert features.values.dtype == np.float32
    waveforms = [decode_audio(path) for path in corpus.clips["audio"]]
    np.testing.assert_array_equal(features.values, Loudness().encode(waveforms))


def test_sound_is_taken_from_the_video_where_there_is_no_audio_file(clips_folder):
    corpus = corpus_of(["a"], video=[str(clips_folder / "clip_0.mp4")])
    values = quietly(corpus, Loudness()).values
    np.testing.assert_array_equal(
        values, Loudness().encode([decode_audio(clips_folder / "clip_0.mp4")])
    )


def test_a_second_extraction_loads_nothing(clips_folder):
    corpus = sounds(clips_folder, [0, 1, 2])
    first = quietly(corpus, Loudness())
    again = Loudness()
    second = quietly(corpus, again)
    assert again.loaded == []
    np.testing.assert_array_equal(first.values, second.values)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("shard_size", [1, 4, 64])
def test_order_of_clips_and_size_of_shards_change_no_feature(shard_size, monkeypatch, tmp_path):
    corpus = sentences(11)
    expected = quietly(corpus, Letters(), shard_size=7)
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "elsewhere"))
    order = np.random.default_rng(shard_size).permutation(11)
    shuffled = corpus_of(
        corpus.clips.index[order].tolist(), text=corpus.clips["text"].iloc[order].tolist()
    )
    found = quietly(shuffled, Letters(), shard_size=shard_size)
    assert found.names == tuple(corpus.clips.index[order])
    np.testing.assert_array_equal(found.values, expected.values[order])


def test_a_corpus_that_grows_and_a_choice_of_splits_read_only_what_is_new(clips_folder):
    quietly(sounds(clips_folder, [0, 1]), Loudness())
    encoder = Loudness()
    quietly(sounds(clips_folder, [1, 2, 0, 3]), encoder)
    assert sorted(encoder.loaded) == ["clip_2", "clip_3"]

    names = ["clip_0", "clip_4", "clip_5"]
    table = pd.DataFrame({"name": names, "split": ["train", "test", "dev"]})
    table["audio"] = [str(clips_folder / f"{name}.wav") for name in names]
    corpus = build("tiny", table, source="the test")
    encoder = Loudness()
    assert quietly(corpus.only("test"), encoder).names == ("clip_4",)
    assert encoder.loaded == ["clip_4"]
    quietly(corpus, encoder)
    assert encoder.loaded == ["clip_4", "clip_5"]


def test_a_clip_that_changes_on_disk_is_read_anew(clips_folder, tmp_path):
    path = tmp_path / "clip.wav"
    shutil.copy(clips_folder / "clip_0.wav", path)
    corpus = corpus_of(["a"], audio=[str(path)])
    before = quietly(corpus, Loudness())
    shutil.copy(clips_folder / "clip_1.wav", path)  # as large as the other
    after = quietly(corpus, Loudness())
    expected = Loudness().encode([decode_audio(clips_folder / "clip_1.wav")])
    assert not np.array_equal(before.values, after.values)
    np.testing.assert_array_equal(after.values, expected)


def test_a_clip_that_was_moved_is_found_again(clips_folder, tmp_path):
    shutil.copytree(clips_folder, tmp_path / "here")
    before = quietly(sounds(tmp_path / "here", [0, 1, 2]), Loudness())
    (tmp_path / "here").rename(tmp_path / "there")
    encoder = Loudness()
    after = quietly(sounds(tmp_path / "there", [0, 1, 2]), encoder)
    assert encoder.loaded == []
    np.testing.assert_array_equal(after.values, before.values)


@pytest.mark.parametrize("place", [0, 5 * SEEN // 2, 5 * SEEN - 1])
def test_files_of_one_size_and_time_are_told_apart(tmp_path, place):
    content, keys = bytearray(5 * SEEN), set()
    for folder in ("a", "b"):
        path = tmp_path / folder / "clip.wav"
        path.parent.mkdir()
        path.write_bytes(content)
        os.utime(path, (1, 1))
        keys.add(key_of("clip", str(path), "audio"))
        content[place] = 1
    assert len(keys) == 2


def test_a_clip_that_cant_be_opened_has_a_key(tmp_path, monkeypatch):
    path = tmp_path / "clip.wav"
    path.write_bytes(b"x")
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    assert key_of("clip", str(path), "audio") != key_of("clip", f"{path}2", "audio")


def test_words_that_change_are_read_anew():
    before = quietly(corpus_of(["a"], text=["oh no"]), Letters())
    after = quietly(corpus_of(["a"], text=["oh yes"]), Letters())
    assert before.values[0].tolist() == [2, 2, ord("n")]
    assert after.values[0].tolist() == [2, 3, ord("y")]


def test_another_fingerprint_is_another_feature(clips_folder):
    corpus = sounds(clips_folder, [0])
    first = quietly(corpus, Loudness(layers=4))
    encoder = Loudness(layers=5)
    second = quietly(corpus, encoder)
    assert encoder.loaded == ["clip_0"]
    assert first.fingerprint != second.fingerprint


def bad_clips(folder: Path, clips_folder: Path, write_clip, ramp, tone) -> dict[str, tuple]:
    """Each bad clip's file, and stages of failure for sound and for frames (None: it is read)."""
    whole = (clips_folder / "clip_0.mp4").read_bytes()
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no film\n" * 100)
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    write_clip(folder / "mute.mp4", frames=ramp())
    write_clip(folder / "blind.mp4", waveform=tone())
    write_clip(folder / "one_frame.mp4", frames=ramp(1), waveform=tone())
    write_clip(folder / "blip.wav", waveform=tone(seconds=0.02), audio_codec="pcm_s16le")
    write_clip(folder / "silence.mp4", frames=ramp(), waveform=0 * tone())
    write_clip(
        folder / "hour.mp4",
        frames=ramp(2, 16, 16),
        milliseconds=[0, 3_600_000],
        waveform=tone(),
    )
    return {
        "zero.mp4": ("open", "open"),
        "text.mp4": ("open", "open"),
        "cut.mp4": ("open", "open"),
        "gone.mp4": ("open", "open"),
        "mute.mp4": ("open", None),
        "blind.mp4": (None, "open"),
        "one_frame.mp4": (None, None),
        "blip.wav": ("length", "open"),
        "silence.mp4": (None, None),
        "hour.mp4": ("length", "length"),
    }


@pytest.mark.parametrize("encoder", [Loudness(), Greys()], ids=["audio", "video"])
def test_bad_clips_go_to_the_ledger_and_the_run_goes_on(
    encoder, tmp_path, clips_folder, write_clip, ramp, tone
):
    expected = bad_clips(tmp_path, clips_folder, write_clip, ramp, tone)
    files = [tmp_path / name for name in expected] + [clips_folder / "clip_2.mp4"]
    corpus = corpus_of(
        [file.name for file in files], check_files=False, video=[str(file) for file in files]
    )
    features = quietly(corpus, encoder, max_failures=1.0, shard_size=4)
    stages = {name: pair[encoder.modality == "video"] for name, pair in expected.items()}
    failed = {name: stage for name, stage in stages.items() if stage is not None}
    assert dict(zip(features.failures["name"], features.failures["stage"], strict=True)) == failed
    assert (features.failures["reason"].str.len() > 0).all()
    present = dict(zip(features.names, features.present.tolist(), strict=True))
    assert {name for name, found in present.items() if not found} == set(failed)
    assert not features.values[~features.present].any()
    assert np.isfinite(features.values).all()
    np.testing.assert_array_equal(
        features.values[-1], encoder.encode([encoder.load(corpus.clips.loc["clip_2.mp4"])])[0]
    )


def test_a_failed_clip_is_not_tried_again_until_its_file_changes(clips_folder, tmp_path):
    shutil.copy(clips_folder / "clip_0.wav", tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"")
    corpus = corpus_of(["a", "b"], audio=[str(tmp_path / f"{name}.wav") for name in "ab"])
    assert quietly(corpus, Loudness(), max_failures=0.5).present.tolist() == [True, False]
    encoder = Loudness()
    features = quietly(corpus, encoder, max_failures=0.5)
    assert encoder.loaded == []
    assert features.failures["name"].tolist() == ["b"]
    shutil.copy(clips_folder / "clip_1.wav", tmp_path / "b.wav")
    features = quietly(corpus, encoder)
    assert encoder.loaded == ["b"]
    assert features.present.all()
    assert features.failures.empty


def test_too_many_failures_stop_the_run_early_and_count_the_reasons(clips_folder, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    files = (
        [tmp_path / "empty.wav"] * 5 + [tmp_path / "gone.wav"] + [clips_folder / "clip_0.wav"] * 94
    )
    names = [f"clip_{i:03d}" for i in range(100)]
    corpus = corpus_of(names, check_files=False, audio=[str(file) for file in files])
    encoder = Loudness()
    with pytest.raises(ExtractionError) as caught:
        quietly(corpus, encoder, shard_size=10)
    lines = str(caught.value).splitlines()
    assert lines[0] == "audio: 6 of 100 clips could not be read (6.0%; max_failures allows 5.0%):"
    assert lines[1] == (
        "  5 x open: the file is empty (zero bytes) (clip_000, clip_001, clip_002, ...)"
    )
    assert lines[2] == "  1 x open: no such file (clip_005)"
    assert "failures.csv" in lines[3]
    assert len(encoder.loaded) <= 20  # the shard that broke the limit and the one behind it

    repeated = Loudness()
    with pytest.raises(ExtractionError):
        quietly(corpus, repeated)
    assert repeated.loaded == []

    features = quietly(corpus, repeated, max_failures=0.06)
    assert features.present.sum() == 94
    assert len(repeated.loaded) == 90


def test_reasons_that_differ_by_a_number_are_counted_together(tmp_path, write_clip, tone):
    for i in range(3):
        write_clip(
            tmp_path / f"{i}.wav", waveform=tone(seconds=0.01 + 0.01 * i), audio_codec="pcm_s16le"
        )
    corpus = corpus_of(list("abc"), audio=[str(tmp_path / f"{i}.wav") for i in range(3)])
    with pytest.raises(ExtractionError, match=r"3 x length: 0.010 s of sound.*\(a, b, c\)"):
        quietly(corpus, Loudness())


def test_clips_without_words_are_absent_but_no_failures():
    texts = [None, "oh no", None, "  "]
    features = quietly(corpus_of(list("abcd"), text=texts), Letters(), max_failures=0.0)
    assert features.present.tolist() == [False, True, False, False]
    assert features.failures.to_dict("records") == [
        {"name": name, "stage": "absent", "reason": "the clip has no words"} for name in "acd"
    ]


def test_reasons_stand_in_the_corpus_order(clips_folder, tmp_path):
    files = [tmp_path / "gone.wav", None, clips_folder / "clip_0.wav", None, tmp_path / "gone.wav"]
    corpus = corpus_of(
        list("ebdca"), check_files=False, audio=[file and str(file) for file in files]
    )
    failures = quietly(corpus, Loudness(), max_failures=1.0).failures
    assert failures["name"].tolist() == ["e", "b", "c", "a"]
    assert failures["stage"].tolist() == ["open", "absent", "absent", "open"]


def test_a_corpus_without_the_modality_gives_features_that_are_all_absent():
    corpus = corpus_of(["a", "b"], text=["oh", "no"])
    features = quietly(corpus, Loudness(), max_failures=0.0)
    assert features.values.shape == (2, 3)
    assert not features.present.any()
    assert set(features.failures["stage"]) == {"absent"}


class Broken(Loudness):
    """Returns `value` for the clips called bad, or refuses the batch that holds one."""

    def __init__(self, value: float | None):
        super().__init__(value=str(value))
        self.value = value

    def load(self, clip: pd.Series) -> str:
        return clip.name

    def encode(self, items: list) -> np.ndarray:
        if self.value is None and "bad" in items:
            raise MediaError("encode", "no voiced frame")
        return np.array([[0, 1, self.value if name == "bad" else 2] for name in items], np.float32)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.nan, "NaN or infinity"), (-np.inf, "NaN or infinity"), (None, "no voiced frame")],
)
def test_a_clip_that_the_encoder_cannot_take_spoils_no_other(value, reason, clips_folder):
    corpus = corpus_of(["a", "bad", "c"], audio=[str(clips_folder / "clip_0.wav")] * 3)
    features = quietly(corpus, Broken(value), max_failures=0.5)
    assert features.present.tolist() == [True, False, True]
    assert features.values.tolist() == [[0, 1, 2], [0, 0, 0], [0, 1, 2]]
    assert features.failures["stage"].tolist() == ["encode"]
    assert reason in features.failures["reason"].item()


def test_an_output_of_the_wrong_shape_is_an_error_of_the_encoder(clips_folder):
    class Wide(Loudness):
        def encode(self, items):
            return np.zeros((len(items), 4), dtype=np.float32)

    with pytest.raises(ValueError, match=r"Wide.*shape \(1, 4\); expected \(1, 3\)"):
        quietly(sounds(clips_folder, [0]), Wide())


def test_a_mistake_in_an_encoder_is_not_taken_for_a_bad_clip(clips_folder):
    class Mistaken(Loudness):
        def load(self, clip):
            raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column"):
        quietly(sounds(clips_folder, [0, 1]), Mistaken())


def test_at_most_two_shards_of_loaded_clips_are_in_memory():
    class Counting(Letters):
        held, most, lock = 0, 0, threading.Lock()

        def load(self, clip):
            with self.lock:
                self.held += 1
                self.most = max(self.most, self.held)
            return super().load(clip)

        def encode(self, items):
            time.sleep(0.005)  # for the loaders to run ahead as far as they may
            with self.lock:
                self.held -= len(items)
            return super().encode(items)

    encoder = Counting()
    quietly(sentences(60), encoder, shard_size=5)
    assert encoder.held == 0
    assert encoder.most <= 10


@pytest.mark.parametrize(("asked", "expected"), [(None, [512, 8]), (50, [50] * 10 + [20])])
def test_an_encoder_may_ask_for_shards_of_its_own_size(asked, expected):
    class Sized(Letters):
        shard_size = asked
        seen: ClassVar[list] = []

        def encode(self, items):
            self.seen.append(len(items))
            return super().encode(items)

    quietly(sentences(520), Sized())
    assert Sized.seen == expected


@pytest.mark.parametrize("damage", ["cut short", "infinite"])
def test_a_damaged_shard_is_said_and_its_clips_alone_are_made_again(damage, data_folder, capfd):
    corpus = sentences(12)
    first = quietly(corpus, Letters(), shard_size=4)
    shard = sorted(data_folder.glob("features/*/shard-*"))[1]
    if damage == "cut short":
        shard.write_bytes(shard.read_bytes()[:-4])
    else:
        arrays = load_file(shard)
        save_file({key: array * np.inf for key, array in arrays.items()}, shard)
    encoder = Letters()
    again = quietly(corpus, encoder)
    assert encoder.loaded == [f"clip_{i}" for i in range(4, 8)]
    assert "shard-00001.safetensors is damaged" in capfd.readouterr().err
    np.testing.assert_array_equal(again.values, first.values)


def test_a_disk_that_fills_up_stops_the_run_which_then_goes_on(full_disk, data_folder):
    class Filling(Letters):
        def encode(self, items):
            full_disk(len(self.loaded) > 6)
            return super().encode(items)

    corpus = sentences(12)
    with pytest.raises(StoreError, match="No space left on device"):
        quietly(corpus, Filling(), shard_size=3)
    full_disk(False)
    (folder,) = (data_folder / "features").iterdir()
    shards = len(list(folder.glob("shard-*")))
    encoder = Letters()
    features = quietly(corpus, encoder, shard_size=3)
    assert len(encoder.loaded) == 12 - 3 * shards
    assert features.present.all()


class Slow(Letters):
    """Takes its time over each shard."""

    def encode(self, items: list) -> np.ndarray:
        time.sleep(0.1)
        return super().encode(items)


SLOW_RUN = """
import sys
sys.path.insert(0, "tests/features")
import test_extraction
test_extraction.quietly(test_extraction.sentences(40), test_extraction.Slow(), shard_size=4)
"""


def start_slow_run() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN], cwd=TESTS.parents[1], stderr=subprocess.PIPE, text=True
    )


def wait_for_shards(data_folder: Path, n_shards: int, process: subprocess.Popen) -> None:
    while len(list(data_folder.glob("features/*/shard-*"))) < n_shards:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def test_a_run_killed_with_sigkill_loses_at_most_one_shard(data_folder, monkeypatch, tmp_path):
    with start_slow_run() as process:
        wait_for_shards(data_folder, 3, process)
        process.kill()
    shards = len(list(data_folder.glob("features/*/shard-*")))
    assert 3 <= shards < 10
    encoder = Slow()
    resumed = quietly(sentences(40), encoder, shard_size=4)
    assert len(encoder.loaded) == 40 - 4 * shards

    monkeypatch.setenv("AGT_DATA", str(tmp_path / "uninterrupted"))
    whole = quietly(sentences(40), Letters(), shard_size=4)
    assert resumed.values.tobytes() == whole.values.tobytes()
    assert resumed.present.all()


def test_a_second_process_waits_and_then_finds_the_work_done(data_folder):
    with start_slow_run() as first:
        wait_for_shards(data_folder, 1, first)
        encoder = Slow()
        features = quietly(sentences(40), encoder, shard_size=4)
        assert first.wait() == 0
    assert encoder.loaded == []
    assert features.present.all()
    assert len(list(data_folder.glob("features/*/shard-*"))) == 10


def test_progress_names_the_rate_and_can_be_silenced(capfd):
    quietly(sentences(3), Letters())
    assert capfd.readouterr().err == ""
    extract(sentences(6), Letters())
    shown = capfd.readouterr().err
    assert "text features: 100%" in shown
    assert "clip/s" in shown
    assert "3/6" in shown  # what was there already counts as done


def test_a_clip_that_could_not_be_opened_for_now_is_tried_again(clips_folder):
    class Shut(Loudness):
        def load(self, clip: pd.Series) -> np.ndarray:
            raise MediaError("access", "can't be opened now: permission denied")

    corpus = sounds(clips_folder, [0, 1])
    shut = extract(corpus, Shut(), max_failures=1, progress=False)
    assert shut.failures["stage"].tolist() == ["access", "access"]
    again = extract(corpus, Loudness(), progress=False)
    assert again.present.all()
    assert again.failures.empty


def test_a_clip_refused_for_its_length_is_read_when_the_limit_is_another(clips_folder):
    class Limited(Loudness):
        def load(self, clip: pd.Series) -> np.ndarray:
            return decode_audio(clip["audio"], self.max_seconds)

    corpus, encoder = sounds(clips_folder, [0]), Limited()
    encoder.max_seconds = 0.5
    refused = extract(corpus, encoder, max_failures=1, progress=False)
    assert refused.failures["stage"].tolist() == ["length"]
    encoder.max_seconds = 2.0
    assert extract(corpus, encoder, progress=False).present.all()


def test_a_clip_with_a_remark_is_made_again_when_its_shard_is_damaged(data_folder):
    class Remarking(Letters):
        def __init__(self):
            super().__init__()
            self.remarks = {}

        def load(self, clip):
            self.remarks[clip.name] = "something to say"
            return super().load(clip)

    corpus = sentences(3)
    expected = quietly(corpus, Remarking(), shard_size=1)
    shard = sorted(data_folder.glob("features/*/shard-*"))[1]
    shard.write_bytes(b"damaged")
    again = quietly(corpus, Remarking(), shard_size=1)
    assert again.present.all()
    np.testing.assert_array_equal(again.values, expected.values)
