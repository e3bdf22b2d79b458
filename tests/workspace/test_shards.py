"""Shards keep what was written whole, and believe nothing else."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from agt_lib.workspace import shards
from agt_lib.workspace.shards import Shards, StoreError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "shards"


def array(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape or (3,), dtype=np.float32)


def append(shards: Shards, arrays: dict[str, np.ndarray]) -> None:
    with shards.locked():
        shards.append(arrays)


def test_what_is_read_is_what_was_written_whatever_its_shape_and_type(folder):
    written = {"a": array(0), "b": array(1, 2, 3), "c": np.arange(7, dtype=np.uint8)}
    append(Shards(folder), {"a": written["a"], "b": written["b"]})
    append(Shards(folder), {"c": written["c"]})
    found = Shards(folder).read(["c", "nobody", "b"])
    assert list(found) == ["c", "b"]
    for key, value in found.items():
        assert value.dtype == written[key].dtype
        np.testing.assert_array_equal(value, written[key])


def test_an_empty_folder_has_no_keys_and_no_failures(folder):
    assert Shards(folder).keys() == set()
    assert Shards(folder).read(["a"]) == {}
    assert Shards(folder).failures().empty
    append(Shards(folder), {})
    assert not list(folder.glob("shard-*"))


def test_shards_are_plain_safetensors(folder):
    append(Shards(folder), {"a": array(0), "b": array(1)})
    found = load_file(folder / "shard-00000.safetensors")
    np.testing.assert_array_equal(found["b"], array(1))


def test_the_ledger_keeps_commas_quotes_and_the_word_nan(folder):
    rows = [
        {"key": "1", "name": "a", "stage": "open", "reason": 'no audio, only "video"'},
        {"key": "2", "name": "nan", "stage": "encode", "reason": "NaN"},
    ]
    shards = Shards(folder)
    with shards.locked():
        shards.record(rows[:1])
        shards.record(rows[1:])
    assert Shards(folder).failures().to_dict("records") == rows
    with shards.locked():
        shards.forget(["1", "nobody"])
    assert Shards(folder).failures().to_dict("records") == rows[1:]


def test_a_full_disk_leaves_nothing_half_written_and_says_what_to_do(folder, full_disk):
    shards = Shards(folder)
    append(shards, {"a": array(0)})
    full_disk(True)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        append(shards, {"b": array(1)})
    assert "1 items) is safe" in str(caught.value)
    assert "run the same again" in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "shard-00000.safetensors"]
    assert Shards(folder).keys() == {"a"}


def test_what_a_killed_writer_left_behind_is_cleared_and_never_read(folder):
    append(Shards(folder), {"a": array(0)})
    whole = (folder / "shard-00000.safetensors").read_bytes()
    left = folder / ".shard-00001.safetensors.4711.partial"
    left.write_bytes(whole[: len(whole) // 2])
    assert Shards(folder).keys() == {"a"}
    append(Shards(folder), {"b": array(1)})
    assert not left.exists()
    assert Shards(folder).keys() == {"a", "b"}


@pytest.mark.parametrize("end", [0, 10, -4])
def test_a_damaged_shard_is_deleted_and_said_and_can_be_made_again(folder, end, capsys):
    append(Shards(folder), {"a": array(0)})
    append(Shards(folder), {"b": array(1)})
    known = Shards(folder)
    assert known.keys() == {"a", "b"}
    shard = folder / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:end])
    assert list(known.read(["a", "b"])) == ["b"]
    assert "shard-00000.safetensors is damaged" in capsys.readouterr().err
    assert not shard.exists()
    assert known.keys() == Shards(folder).keys() == {"b"}
    append(known, {"a": array(0)})
    np.testing.assert_array_equal(Shards(folder).read(["a"])["a"], array(0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_neither_taken_nor_believed(folder, value, capsys):
    bad = np.array([0, value, 0], np.float32)
    with pytest.raises(ValueError, match="NaN or infinity in the arrays of b"):
        append(Shards(folder), {"a": array(0), "b": bad})
    assert Shards(folder).keys() == set()
    save_file({"b": bad}, folder / "shard-00000.safetensors")
    assert Shards(folder).read(["b"]) == {}
    assert "it holds NaN or infinity" in capsys.readouterr().err
    assert Shards(folder).keys() == set()


HOLDER = """
import sys
import numpy as np
from agt_lib.workspace.shards import Shards
shards = Shards(sys.argv[1])
with shards.locked():
    print("locked", flush=True)
    sys.stdin.readline()
    shards.append({sys.argv[2]: np.ones(3)})
"""


def start(folder: Path, key: str) -> subprocess.Popen:
    """Another process that takes the lock, and on a line of input writes an array and ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), key],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_second_process_says_that_it_waits_and_then_sees_what_the_first_wrote(folder):
    with start(folder, "a") as holder:
        assert holder.stdout.readline() == "locked\n"
        shards = Shards(folder)
        assert shards.keys() == set()
        waiting = start(folder, "b")
        assert "waiting" in waiting.stderr.readline()
        assert waiting.poll() is None
        holder.communicate("go\n")
        waiting.communicate("go\n")
    assert shards.keys() == {"a", "b"}


def test_a_killed_holder_blocks_nobody(folder):
    with start(folder, "a") as holder:
        assert holder.stdout.readline() == "locked\n"
        holder.kill()
    append(Shards(folder), {"b": array(0)})
    assert Shards(folder).keys() == {"b"}


@pytest.mark.parametrize("code", [5, 12])  # an unreadable sector, no memory left
def test_what_the_system_does_not_let_be_read_is_not_damaged(tmp_path, monkeypatch, code):
    append(Shards(tmp_path), {"a": np.ones(3, np.float32)})

    def refused(*_, **__):
        raise OSError(code, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "safe_open", refused)
        with pytest.raises(OSError, match="refused"):
            Shards(tmp_path).keys()
    assert Shards(tmp_path).keys() == {"a"}


def test_two_readers_may_find_the_same_damage(tmp_path, monkeypatch):
    append(Shards(tmp_path), {"a": np.ones(3, np.float32)})
    shard = tmp_path / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4])

    def read_by_both(*given, **options):
        with pytest.raises(SafetensorError) as caught:
            safe_open(*given, **options)
        shard.rename(shard.with_suffix(".damaged"))  # as the faster one does
        raise caught.value

    monkeypatch.setattr(shards, "safe_open", read_by_both)
    assert Shards(tmp_path).keys() == set()
    assert [path.name for path in tmp_path.glob("shard-*")] == ["shard-00000.damaged"]


def test_a_damaged_shard_is_put_aside_and_not_deleted(tmp_path, capsys):
    append(Shards(tmp_path), {"a": np.ones(3, np.float32)})
    shard = tmp_path / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4])
    assert Shards(tmp_path).keys() == set()
    assert shard.with_suffix(".damaged").is_file()
    assert "made again" in capsys.readouterr().err


@pytest.fixture
def stored(folder):
    """Five rows in three shards, and the same in memory; the third is none of them."""
    values = {key: array(seed) for seed, key in enumerate("abcd")}
    for part in ("da", "b", "c"):
        append(Shards(folder), {key: values[key] for key in part})
    keys = ["a", "b", None, "c", "d"]
    return Shards(folder).rows(keys, 3), np.stack([values.get(key, np.zeros(3)) for key in keys])


@pytest.mark.parametrize(
    "rows",
    [
        slice(1, 4),
        slice(None),
        [4, 0, 0, 2],
        np.array([True, False, True, True, False]),
        np.array([], int),
        3,
        -1,
    ],
)
def test_stored_rows_are_indexed_as_an_array_is(stored, rows):
    lazy, expected = stored
    assert lazy[rows].dtype == np.float32
    np.testing.assert_array_equal(lazy[rows], expected[rows])


def test_rows_of_stored_rows_are_read_when_they_are_asked_for(stored, folder):
    lazy, expected = stored
    taken = lazy.take(np.array([3, -1, 0]))
    assert taken.shape == (3, 3)
    np.testing.assert_array_equal(taken, [expected[3], [0, 0, 0], expected[0]])
    (folder / "shard-00002.safetensors").unlink()
    np.testing.assert_array_equal(taken[1:], [[0, 0, 0], expected[0]])
    with pytest.raises(ValueError, match=r"shard-00002.* has changed .*run the same again"):
        taken[:1]


def test_stored_rows_of_a_key_that_is_not_there_are_refused(stored, folder):
    with pytest.raises(ValueError, match="lacks 1 of its items: run the same again"):
        Shards(folder).rows(["a", "nobody"], 3)


def test_what_is_whole_is_known_after_each_shard_was_read(folder, capsys):
    append(Shards(folder), {"a": array(0)})
    append(Shards(folder), {"b": array(1)})
    save_file({"b": np.full(3, np.nan, np.float32)}, folder / "shard-00001.safetensors")
    assert Shards(folder).whole(["a", "b", "nobody"]) == {"a"}
    assert "it holds NaN or infinity" in capsys.readouterr().err
