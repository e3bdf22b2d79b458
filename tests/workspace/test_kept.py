import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from agt_lib.workspace import kept


def full_disk(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert kept.digest({"a": 1, "b": [2, 3]}) == kept.digest({"b": [2, 3], "a": 1})


@pytest.mark.parametrize("other", [{"a": 2}, {"b": 1}, {"a": "1"}, {"a": None}, {"a": 1.5}, {}])
def test_a_digest_tells_values_apart(other):
    assert kept.digest({"a": 1}) != kept.digest(other)


def test_a_digest_is_sha256_of_compact_sorted_json():
    assert kept.digest(["é"], 64) == hashlib.sha256(b'["\\u00e9"]').hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_has_no_digest(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        kept.digest({"a": value})


def test_an_object_has_no_digest():
    with pytest.raises(TypeError):
        kept.digest({"a": torch.zeros(1)})


def test_a_file_digest_is_of_its_bytes(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"abc")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (tmp_path / "file", "~/file"):
        # FIPS 180-2, appendix B.1
        assert kept.file_digest(path, 64).startswith("ba7816bf8f01cfea414140de5dae22")


def test_writing_makes_folders_and_leaves_nothing_beside_the_file(tmp_path):
    kept.write_atomic(tmp_path / "new/folder/file.txt", "é")
    assert (tmp_path / "new/folder/file.txt").read_bytes() == "é".encode()
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["file.txt"]


def test_a_full_disk_leaves_what_was_there_before(tmp_path, monkeypatch):
    path = tmp_path / "file"
    kept.write_atomic(path, b"before")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        kept.write_atomic(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_no_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        kept.write_manifest(tmp_path, {}, time.monotonic())
    assert kept.read_manifest(tmp_path) is None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_process_killed_while_writing_leaves_what_was_there_before(tmp_path):
    path = tmp_path / "manifest.json"
    kept.write_atomic(path, '{"schema": 1}')
    program = (
        "import os, signal, sys\n"
        "from agt_lib.workspace import kept\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "kept.write_atomic(sys.argv[1], 'half')\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert kept.read_manifest(tmp_path) == {"schema": 1}


def test_a_manifest_comes_back_with_what_made_it(tmp_path):
    written = kept.write_manifest(tmp_path, {"clips": 3, "name": "é"}, time.monotonic() - 2)
    assert kept.read_manifest(tmp_path) == written
    assert (written["schema"], written["clips"], written["name"]) == (kept.SCHEMA, 3, "é")
    assert written["seconds"] >= 2
    assert written["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert written["peak_memory_mb"] > 10  # Python and torch alone take more


def test_a_folder_without_manifest_is_unfinished(tmp_path):
    (tmp_path / "features.safetensors").write_bytes(b"")
    assert kept.read_manifest(tmp_path) is None
    assert kept.read_manifest(tmp_path / "gone") is None


@pytest.mark.parametrize("content", ["", '{"schema": 1', "[]", '{"schema": 0}', "{}"])
def test_a_damaged_or_foreign_manifest_is_named_with_the_remedy(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="delete its folder") as caught:
        kept.read_manifest(tmp_path)
    assert str(tmp_path / "manifest.json") in str(caught.value)


def test_what_json_cannot_hold_makes_no_manifest(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        kept.write_manifest(tmp_path, {"waf": float("nan")}, time.monotonic())
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_is_readable_json(tmp_path):
    kept.write_manifest(tmp_path, {"b": 1, "a": 2}, time.monotonic())
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.endswith("}\n")


def test_an_artefact_is_made_once_and_another_for_other_inputs(data_folder):
    made = []

    def make(folder):
        (folder / "numbers.txt").write_text("1 2 3")
        made.append(folder)
        return {"clips": 3}

    first = kept.kept("ranks", {"seed": 0}, make)
    assert kept.kept("ranks", {"seed": 0}, make) == first
    assert kept.kept("ranks", {"seed": 1}, make) != first
    assert len(made) == 2
    manifest = kept.read_manifest(first)
    assert (manifest["kind"], manifest["made_from"], manifest["clips"]) == ("ranks", {"seed": 0}, 3)


def test_making_that_was_stopped_goes_on_in_the_same_folder(data_folder):
    def stopped(folder):
        (folder / "half.txt").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.kept("ranks", {"seed": 0}, stopped)
    found = []
    kept.kept("ranks", {"seed": 0}, lambda folder: {"had": found.append(folder / "half.txt")})
    assert found[0].read_text() == "1"


@pytest.mark.parametrize(
    ("damage", "content", "said"),
    [
        ("part/numbers.txt", "1 2", "is damaged (part/numbers.txt: gone or changed)"),
        ("part/numbers.txt", None, "is damaged (part/numbers.txt: gone or changed)"),
        (kept.MANIFEST, '{"schema": 1', "manifest.json is damaged"),
        (kept.MANIFEST, '{"schema": 7}', "manifest.json is of schema 7, not 1"),
    ],
)
def test_what_is_not_whole_is_put_aside_and_made_again(data_folder, capsys, damage, content, said):
    made = []

    def make(folder):
        assert not (folder / "part" / "numbers.txt").exists()
        (folder / "part").mkdir()
        (folder / "part" / "numbers.txt").write_text("1 2 3")
        (folder / "model").write_text("tuned for hours")
        made.append(folder)
        return {}

    folder = kept.kept("ranks", {"seed": 0}, make)
    for _ in range(2):
        (folder / damage).unlink()
        if content is not None:
            (folder / damage).write_text(content)
        assert not kept.is_whole(folder)
        assert kept.kept("ranks", {"seed": 0}, make) == folder
        err = capsys.readouterr().err
        assert f"{folder} " in err
        assert said in err
        assert "it is made again" in err
        assert (folder.parent / f"{folder.name}.damaged" / "model").read_text() == "tuned for hours"
    assert len(made) == 3
    assert (folder / "part" / "numbers.txt").read_text() == "1 2 3"
    assert kept.is_whole(folder)
