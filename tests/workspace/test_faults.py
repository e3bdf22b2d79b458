"""Full, read-only and forgetful disks, stops of all kinds, two at once: on every kind of work."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from agt_lib.corpora import submission
from agt_lib.features.clip import Source
from agt_lib.features.encoder import CheckpointError
from agt_lib.prediction import Bundle
from agt_lib.voting.priors import read_prior
from agt_lib.workspace import kept, machine, paths, times
from agt_lib.workspace.kept import StoreError
from agt_lib.workspace.shards import LEDGER, Shards

TORTURE = Path(__file__).parents[1] / "torture"
sys.path.append(str(TORTURE))
import jobs  # noqa: E402
import plug  # noqa: E402

WORK = ("extraction", "tuning", "search", "import")
"""What is done in this process; the others are of the same kinds."""


def outputs_of(name, inputs):
    jobs.done[0] = 0
    return {k: plug._hash(value) for k, value in jobs.JOBS[name].work(inputs).items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """By job: its inputs, the outputs of a run that nobody disturbed, its units and data folder."""
    found = {}

    def make(name):
        if name not in found:
            inputs, data = (tmp_path_factory.mktemp(f"{name}_{part}") for part in ("in", "data"))
            jobs.JOBS[name].prepare(inputs)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AGT_DATA", str(data))
                found[name] = inputs, outputs_of(name, inputs), jobs.done[0], data
        return found[name]

    return make


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """Makes a disk of its own at AGT_DATA and returns what mounts it anew, with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)],
            capture_output=True,
        )
        if done.returncode:
            pytest.skip("no disk can be mounted here: run as root to test full and read-only ones")

    if os.name == "nt" or shutil.which("mount") is None:
        pytest.skip("no disk can be mounted here")
    mount("size=16k")
    monkeypatch.setenv("AGT_DATA", str(place))
    yield lambda *options: mount("remount", *options)
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("name", WORK)
def test_a_disk_that_fills_up_anywhere_is_named_and_the_run_goes_on_with_more_space(
    name, finished, small_disk
):
    inputs, expected, *_ = finished(name)
    refused = 0
    for size in 2 ** np.arange(5, 16):  # KiB
        try:
            found = outputs_of(name, inputs)
            break
        except (StoreError, OSError) as error:
            refused += 1
            assert "No space left on device" in str(error)
            assert str(paths.data()) in str(error)
        small_disk(f"size={size}k")
    assert refused
    assert found == expected
    assert not [p for p in paths.data().rglob("*") if p.name.endswith((".partial", "state.pt"))]


@pytest.mark.parametrize("name", WORK)
def test_a_folder_that_is_only_read_gives_what_it_holds_and_says_what_it_cannot_take(
    name, finished, small_disk
):
    inputs, expected, _, data = finished(name)
    small_disk("size=32m", "ro")
    with pytest.raises(StoreError, match="Read-only file system.*AGT_DATA"):
        outputs_of(name, inputs)
    small_disk("rw")
    shutil.copytree(data, paths.data(), dirs_exist_ok=True)
    small_disk("ro")
    assert outputs_of(name, inputs) == expected
    assert jobs.done == [0]


def test_a_data_folder_that_is_a_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"file.*could not be written.*AGT_DATA"):
        outputs_of("search", tmp_path)


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


KINDS = {
    "extraction": ["features/*/shard-*"],
    "tuning": ["derived/frames-*/shard-*", "derived/tuned_clip-*/*.json"],
    "search": ["derived/fit-*/model.safetensors", "derived/fit-*/manifest.json"],
    "import": ["derived/import-*/shard-*.safetensors", "derived/import-*/manifest.json"],
}  # fmt: skip


@pytest.mark.parametrize("damage", [halved, emptied, zeroed])
@pytest.mark.parametrize("name", WORK)
def test_what_a_disk_forgot_at_a_power_cut_is_made_again(
    name, damage, finished, data_folder, capsys
):
    inputs, expected, units, data = finished(name)
    shutil.copytree(data, data_folder)
    for kind in KINDS[name]:
        damage(max(data_folder.glob(kind), key=lambda path: path.stat().st_mtime))
        if damage is zeroed and kind.endswith("clip-*/*.json"):
            continue  # of the right size, and nothing that another file says
        assert outputs_of(name, inputs) == expected
        assert 0 < jobs.done[0] <= units
        assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [halved, zeroed])
def test_tuned_weights_that_a_disk_forgot_are_never_taken_for_weights(
    damage, finished, data_folder
):
    inputs, expected, _, data = finished("tuning")
    shutil.copytree(data, data_folder)
    weights = next(data_folder.glob("derived/tuned_clip-*/*.safetensors"))
    damage(weights)
    with pytest.raises(CheckpointError, match=r"can't be read as weights"):
        Source.find(f"local-dir:{weights.parent}").network(torch.float32)
    if damage is halved:
        assert outputs_of("tuning", inputs) == expected


def stopped_in_tuning(inputs, monkeypatch, place, name, after):
    """Runs the job until `after` calls of a function, and stops it there."""
    whole, calls = getattr(place, name), []

    def stop(*given, **options):
        found = whole(*given, **options)
        calls.append(1)
        if len(calls) == after:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, name, stop)
        outputs_of("tuning", inputs)


@pytest.mark.parametrize("damage", [halved, emptied])
def test_a_state_of_tuning_that_a_disk_forgot_begins_that_model_again(
    damage, finished, data_folder, monkeypatch, capsys
):
    inputs, expected, *_ = finished("tuning")
    stopped_in_tuning(inputs, monkeypatch, jobs.tune, "save_state", 3)
    damage(next(data_folder.glob("derived/tuned_clip-*/.state.pt")))
    assert outputs_of("tuning", inputs) == expected
    assert "the tuning begins again" in capsys.readouterr().err
    assert not list(data_folder.rglob("*state*"))


def test_tuning_that_is_stopped_between_its_last_file_and_its_manifest_tunes_nothing_again(
    finished, data_folder, monkeypatch
):
    inputs, expected, units, _ = finished("tuning")
    stopped_in_tuning(inputs, monkeypatch, kept, "files_of", 1)
    assert outputs_of("tuning", inputs) == expected
    assert jobs.done == [(units - 24) // 2]  # the epochs of the second model alone
    assert not list(data_folder.rglob("*state*"))


def test_a_bundle_that_a_disk_forgot_is_refused_and_written_again(finished, data_folder):
    inputs, expected, _, data = finished("results")
    shutil.copytree(data, data_folder)
    [bundle] = data_folder.glob("runs/*/bundle")
    for name in ("models/000/model.safetensors", "models/000/manifest.json", "manifest.json"):
        halved(bundle / name)
        with pytest.raises(ValueError, match="missing or is not the file|damaged"):
            Bundle.load(bundle)
        shutil.rmtree(bundle)
        assert outputs_of("results", inputs) == expected


def test_a_bundle_that_fills_the_disk_is_named(finished, small_disk):
    *_, data = finished("results")
    bundle = Bundle.load(next(data.glob("runs/*/bundle")))
    with pytest.raises(StoreError, match=r"bundle.*No space left on device.*AGT_DATA"):
        bundle.write(paths.data() / "bundle")
    small_disk("size=4m")
    bundle.write(paths.data() / "bundle")
    assert Bundle.load(paths.data() / "bundle").labels == bundle.labels


@pytest.mark.parametrize("name", WORK)
def test_a_clock_that_jumps_back_makes_nothing_again(name, finished, data_folder):
    inputs, expected, _, data = finished(name)
    shutil.copytree(data, data_folder)
    for path in data_folder.rglob("*"):
        os.utime(path, (time.time() + 3e7,) * 2)
    assert outputs_of(name, inputs) == expected
    assert jobs.done == [0]


def in_process(name, inputs, place, data):
    """Another process that does the job in the folder `data`; plug's `ended` waits for it."""

    def work():
        os.environ["AGT_DATA"] = str(data)
        return jobs.JOBS[name].work(inputs)

    return plug.start(work, place)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
@pytest.mark.parametrize("name", WORK)
def test_two_at_once_on_one_data_folder_give_the_same_and_do_nothing_twice(
    name, finished, data_folder, tmp_path
):
    inputs, expected, units, _ = finished(name)
    places = [tmp_path / "a", tmp_path / "b"]
    started = [in_process(name, inputs, place, data_folder) for place in places]
    assert [plug.ended(number, 120) for number in started] == [0, 0]
    found = [json.loads((place / plug.OUTPUTS).read_text()) for place in places]
    assert [one["outputs"] for one in found] == [expected, expected]
    assert sum(one["done"] for one in found) == units


@needs_fork
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", [*WORK, "pseudo"])
def test_what_a_signal_stops_goes_on_where_it_was(name, stop, finished, data_folder, tmp_path):
    inputs, expected, units, _ = finished(name)
    number = in_process(name, inputs, tmp_path / "stopped", data_folder)
    while plug.ended(number, 0.02) is None:
        half = 2 * len([*data_folder.rglob("fit-*/manifest.json")]) > units
        if half or any(data_folder.rglob("shard-*.safetensors")):
            os.kill(number, stop)
            assert plug.ended(number, 60) != 0
            break
    assert not plug.alive(number, tmp_path / "stopped")
    assert outputs_of(name, inputs) == expected
    assert jobs.done[0] < units or name == "import"  # a store is one piece


@pytest.mark.parametrize("name", ["tuning", "search"])
def test_ctrl_c_in_a_notebook_leaves_everything_resumable_in_the_same_kernel(
    name, finished, data_folder
):
    inputs, expected, units, _ = finished(name)
    interrupted, done = [], 0
    for _ in range(3):
        signal.setitimer(signal.ITIMER_REAL, 0.25)
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            outputs_of(name, inputs)
        except KeyboardInterrupt as error:
            interrupted.append(error)  # as a kernel keeps the last traceback, and all its frames
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        done += jobs.done[0]
    assert interrupted
    assert outputs_of(name, inputs) == expected
    assert done + jobs.done[0] <= units + 9 * len(interrupted)  # a stack, or an epoch, for each


def test_a_worker_that_the_system_kills_for_memory_is_said_with_what_to_do():
    calls = [joblib.delayed(signal.raise_signal)(signal.SIGKILL), joblib.delayed(abs)(-1)]
    with pytest.raises(MemoryError, match=r"one of 2 processes was killed.*run the same again"):
        list(machine.shared(calls, 2))
    assert list(machine.shared([joblib.delayed(abs)(-n) for n in range(3)], 2)) == [0, 1, 2]


LEDGERS = [
    b"",
    b"\xff\xfe\x00",
    "名字,原因\n".encode("gbk"),
    b"key,name\n1,a\n",
    b'key,name,stage,reason\n"1',
]


@pytest.mark.parametrize("content", LEDGERS)
def test_a_damaged_ledger_is_put_aside_and_its_items_are_tried_again(tmp_path, content, capsys):
    shards = Shards(tmp_path)
    with shards.locked():
        shards.record([("1", "a", "open", "no video")])
        (tmp_path / LEDGER).write_bytes(content)
        assert shards.failures().empty
        assert "failures.csv is damaged" in capsys.readouterr().err
        shards.record([("2", "b", "open", "no video")])
    assert shards.failures()["key"].tolist() == ["2"]
    assert (tmp_path / "failures.damaged").read_bytes() == content


def test_a_copy_of_a_shard_by_another_name_keeps_nothing_from_being_written(tmp_path):
    shards = Shards(tmp_path)
    with shards.locked():
        shards.append({"a": np.ones(3)})
        shutil.copy(tmp_path / "shard-00000.safetensors", tmp_path / "shard-00000 (1).safetensors")
        shards.append({"b": np.ones(3)})
    assert (tmp_path / "shard-00001.safetensors").is_file()
    assert Shards(tmp_path).keys() == {"a", "b"}


@pytest.mark.parametrize("files", ["[1]", "3", "null", '"x"'])
def test_a_manifest_whose_files_are_none_is_damaged(tmp_path, files):
    (tmp_path / "manifest.json").write_text(f'{{"schema": 1, "files": {files}}}')
    assert "damaged" in kept.fault(tmp_path)


@pytest.mark.parametrize("content", ['{"schema": 1, "files": {}}', '{"schema": 1}'])
@pytest.mark.parametrize("name", ["search", "import"])
def test_a_manifest_that_lost_what_it_said_is_made_again(
    name, content, finished, data_folder, capsys
):
    inputs, expected, _, data = finished(name)
    shutil.copytree(data, data_folder)
    next(data_folder.glob("derived/*/manifest.json")).write_text(content)
    assert outputs_of(name, inputs) == expected
    assert "damaged" in capsys.readouterr().err


def test_a_prior_and_candidates_in_another_encoding_are_named_with_the_remedy(tmp_path):
    for name, text in {
        "prior.csv": "label,probed,submissions\n高兴,0.5,1\n",
        "c.csv": "name\n高兴\n",
    }.items():
        (tmp_path / name).write_bytes(text.encode("gbk"))
    with pytest.raises(ValueError, match=r"prior.csv.*iconv -f GB18030"):
        read_prior(tmp_path / "prior.csv", ["高兴"])
    with pytest.raises(ValueError, match=r"c.csv.*iconv -f GB18030"):
        submission.candidates(tmp_path / "c.csv")


@pytest.mark.parametrize("content", LEDGERS)
def test_a_damaged_table_of_run_times_is_begun_anew(data_folder, content):
    data_folder.mkdir()
    (data_folder / "run_times.csv").write_bytes(content)
    times.record("01_x", "mini", 3.0)
    assert times.read()["seconds"].tolist() == [3]
