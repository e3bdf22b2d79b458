"""The store keeps what was written whole, and believes nothing else."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agt_lib.features.store import FeatureStore, StoreError

ROOT = Path(__file__).parents[1]
ENCODER = {"model": "tiny", "layers": [-1]}


def utterance_store() -> FeatureStore:
    return FeatureStore("audio", "utterance", 3, ENCODER)


def clip(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def append(store: FeatureStore, keys: list[str], clips: list[np.ndarray]) -> None:
    with store.locked():
        store.append(keys, [f"name of {key}" for key in keys], clips)


def test_what_is_read_is_what_was_written_in_the_order_asked_for():
    clips = [clip(seed, 3) for seed in range(5)]
    append(utterance_store(), ["a", "b"], clips[:2])
    append(utterance_store(), ["c", "d", "e"], clips[2:])
    values, lengths, present = utterance_store().read(["e", "a", "nobody", "c"])
    assert lengths is None
    assert present.tolist() == [True, True, False, True]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [clips[4], clips[0], np.zeros(3), clips[2]])


def test_frames_come_back_padded_with_zeros_behind_each_clips_end():
    store = FeatureStore("video", "frame", 3, ENCODER)
    clips = {"a": clip(0, 2, 3), "b": clip(1, 5, 3), "c": clip(2, 1, 3)}
    append(store, ["a", "b", "c"], list(clips.values()))
    values, lengths, present = store.read(["c", "nobody", "a"])
    assert lengths.tolist() == [1, 0, 2]
    assert present.tolist() == [True, False, True]
    assert values.shape == (3, 2, 3)  # as long as the longest asked for
    np.testing.assert_array_equal(values[0], [clips["c"][0], np.zeros(3)])
    np.testing.assert_array_equal(values[2], clips["a"])


def test_an_empty_store_knows_no_clip():
    values, _, present = utterance_store().read(["a", "b"])
    assert values.shape == (2, 3)
    assert not present.any()
    assert utterance_store().failures().empty
    values, lengths, _ = FeatureStore("video", "frame", 3, ENCODER).read(["a"])
    assert values.shape == (1, 0, 3)
    assert lengths.tolist() == [0]


def test_shards_are_plain_safetensors_with_names(data_folder):
    store = utterance_store()
    append(store, ["a", "b"], [clip(0, 3), clip(1, 3)])
    shard = store.folder / "shard-00000.safetensors"
    assert store.folder.parent == data_folder / "features"
    np.testing.assert_array_equal(load_file(shard)["values"], [clip(0, 3), clip(1, 3)])
    assert b"name of b" in shard.read_bytes()


@pytest.mark.parametrize(
    "other",
    [
        FeatureStore("audio", "utterance", 3, {"model": "tiny", "layers": [-2]}),
        FeatureStore("audio", "utterance", 4, ENCODER),
        FeatureStore("audio", "frame", 3, ENCODER),
        FeatureStore("video", "utterance", 3, ENCODER),
    ],
    ids=["layers", "width", "level", "modality"],
)
def test_whatever_changes_the_numbers_changes_the_folder_and_the_fingerprint(other):
    assert other.fingerprint != utterance_store().fingerprint
    assert other.folder.name != utterance_store().folder.name


def test_the_order_of_the_fingerprints_entries_does_not_matter():
    swapped = FeatureStore("audio", "utterance", 3, dict(reversed(ENCODER.items())))
    assert swapped.fingerprint == utterance_store().fingerprint


def test_the_ledger_keeps_commas_quotes_and_the_word_nan():
    rows = [
        {"key": "1", "name": "a", "stage": "open", "reason": 'no audio, only "video"'},
        {"key": "2", "name": "nan", "stage": "encode", "reason": "NaN"},
    ]
    store = utterance_store()
    with store.locked():
        store.record(rows[:1])
        store.record(rows[1:])
    assert utterance_store().failures().to_dict("records") == rows


def test_a_full_disk_leaves_nothing_half_written_and_says_what_to_do(full_disk):
    store = utterance_store()
    append(store, ["a"], [clip(0, 3)])
    full_disk(True)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        append(store, ["b"], [clip(1, 3)])
    assert "1 clips) is safe" in str(caught.value)
    assert "run the same again" in str(caught.value)
    assert sorted(path.name for path in store.folder.iterdir()) == [
        ".lock",
        "shard-00000.safetensors",
    ]
    assert utterance_store().stored() == {"a"}


def test_what_a_killed_writer_left_behind_is_cleared_and_never_read():
    store = utterance_store()
    append(store, ["a"], [clip(0, 3)])
    whole = (store.folder / "shard-00000.safetensors").read_bytes()
    left = store.folder / ".shard-00001.safetensors.4711.partial"
    left.write_bytes(whole[: len(whole) // 2])
    assert utterance_store().stored() == {"a"}
    append(utterance_store(), ["b"], [clip(1, 3)])
    assert not left.exists()
    assert utterance_store().stored() == {"a", "b"}


@pytest.mark.parametrize("end", [0, 10, -4])
def test_a_damaged_shard_is_named_with_what_to_do(end):
    store = utterance_store()
    append(store, ["a"], [clip(0, 3)])
    shard = store.folder / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:end])
    with pytest.raises(StoreError, match=r"shard-00000.safetensors is damaged.*Delete it"):
        utterance_store().read(["a"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3), np.float32), r"shape \(2, 3\); expected \(1, 3\)"),
        (np.zeros((1, 4), np.float32), r"shape \(1, 4\); expected \(1, 3\)"),
        (np.array([[0, np.nan, 0]], np.float32), "NaN or infinity"),
        (np.array([[0, np.inf, 0]], np.float32), "NaN or infinity"),
    ],
)
def test_a_shard_of_another_shape_or_not_finite_is_refused(values, message):
    store = utterance_store()
    store.folder.mkdir(parents=True)
    metadata = {"keys": '["a"]', "names": '["a"]'}
    save_file({"values": values}, store.folder / "shard-00000.safetensors", metadata)
    with pytest.raises(StoreError, match=message):
        store.read(["a"])


def test_a_level_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="'utterance' or 'frame'"):
        FeatureStore("audio", "word", 3, ENCODER)


HOLDER = """
import sys, time
from agt_lib.features.store import FeatureStore
store = FeatureStore("audio", "utterance", 3, {"model": "tiny", "layers": [-1]})
with store.locked():
    print("locked", flush=True)
    sys.stdin.readline()
    store.append(["a"], ["a"], [[1.0, 2.0, 3.0]])
"""


def hold_lock() -> subprocess.Popen:
    """Another process that has the lock, and on a line of input writes a clip and ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == "locked\n"
    return holder


def test_a_second_process_says_that_it_waits_and_then_sees_what_the_first_wrote():
    with hold_lock() as holder:
        store = utterance_store()
        assert store.stored() == set()
        waiting = subprocess.Popen(
            [sys.executable, "-c", HOLDER.replace('"a"', '"b"')],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert "waiting" in waiting.stderr.readline()
        assert waiting.poll() is None
        holder.communicate("go\n")
        waiting.communicate("go\n")
    assert store.stored() == {"a", "b"}


def test_a_killed_holder_blocks_nobody():
    with hold_lock() as holder:
        holder.kill()
    append(utterance_store(), ["b"], [clip(0, 3)])
    assert utterance_store().stored() == {"b"}
