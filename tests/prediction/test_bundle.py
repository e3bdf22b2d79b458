"""A bundle's folder: whole or refused."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agt_lib.prediction import Bundle, find_bundle
from agt_lib.workspace import kept, paths


@pytest.fixture
def folder(made, tmp_path):
    made.bundle.write(tmp_path / "bundle")
    return tmp_path / "bundle"


def change(folder, **changes):
    """Rewrite the manifest, with hashes of the files as they are now."""
    about = json.loads((folder / "manifest.json").read_text()) | changes
    about["files"] = {
        name: kept.file_digest(folder / name) for name in about["files"]
    } | changes.get("files", {})
    (folder / "manifest.json").write_text(json.dumps(about))


def change_weights(place, edit):
    """Change tensors of one model, with its own manifest's hash made right."""
    tensors = edit(load_file(place / "model.safetensors"))
    save_file(tensors, place / "model.safetensors")
    about = json.loads((place / "manifest.json").read_text())
    about["weights"] = kept.file_digest(place / "model.safetensors")
    (place / "manifest.json").write_text(json.dumps(about))


def test_it_holds_no_pickle_and_works_where_it_was_copied_to(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    shutil.rmtree(folder)
    assert {path.suffix for path in copy.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    bundle = Bundle.load(copy)
    assert bundle.labels == ("calm", "cross", "glad")
    assert [*bundle.encoders] == ["audio", "video", "text"]
    assert len(bundle.models["AGT"]) == 2
    assert len(bundle.models["AGT"][0]) == 3


def test_a_swapped_file_is_refused(folder):
    a, b = (folder / "models" / n / "model.safetensors" for n in ("000", "001"))
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    with pytest.raises(ValueError, match="is not the file that the bundle was written with"):
        Bundle.load(folder)


def test_a_scaler_of_another_width_is_refused_though_all_hashes_are_right(folder):
    def swap(tensors):
        audio, video = (f"scaler.{m}.sd" for m in ("audio", "video"))
        return tensors | {audio: tensors[video], video: tensors[audio]}

    change_weights(folder / "models" / "000", swap)
    change(folder)
    with pytest.raises(ValueError, match=r"scaler of audio is \(8,\)|scaler of audio"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scaler.audio.sd", 0.0, "not above zero"),
        ("scaler.audio.mean", np.nan, "not finite"),
        ("network.amf.classifier.weight", np.nan, "weights are not finite"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_when_it_is_read(folder, name, value, message):
    def spoil(tensors):
        key = name if name in tensors else next(k for k in tensors if k.startswith("network."))
        return tensors | {key: np.full_like(tensors[key], value)}

    change_weights(folder / "models" / "000", spoil)
    change(folder)
    with pytest.raises(ValueError, match=message):
        Bundle.load(folder)


def test_a_label_order_of_another_run_is_refused(folder):
    change(folder, labels=["glad", "cross", "calm"])
    with pytest.raises(ValueError, match="has the labels calm, cross, glad"):
        Bundle.load(folder)


def test_speakers_that_are_not_those_of_the_statistics_are_refused(folder):
    change(folder, speakers=["only one"])
    with pytest.raises(ValueError, match="statistics of speakers for audio"):
        Bundle.load(folder)


def test_a_newer_format_and_a_path_that_leaves_the_folder_are_refused(folder, tmp_path):
    (tmp_path / "outside").write_text("x")
    change(folder, format=99)
    with pytest.raises(ValueError, match="newer agt_lib .format 99"):
        Bundle.load(folder)
    place = folder / "speakers.safetensors"
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    change(folder, format=1)
    with pytest.raises(ValueError, match="outside of the bundle"):
        Bundle.load(folder)
    place.unlink()
    (tmp_path / "elsewhere").rename(place)
    change(folder, format=1, files={"../outside": "0"})
    with pytest.raises(ValueError, match="outside of the bundle"):
        Bundle.load(folder)


def test_a_missing_file_a_damaged_manifest_and_no_bundle_are_named(folder, tmp_path):
    (folder / "speakers.safetensors").unlink()
    with pytest.raises(ValueError, match="speakers.safetensors is missing"):
        Bundle.load(folder)
    (folder / "manifest.json").write_text('{"format": 1')
    with pytest.raises(ValueError, match="no manifest of a bundle"):
        Bundle.load(folder)
    with pytest.raises(FileNotFoundError, match="no bundle"):
        Bundle.load(tmp_path / "nothing")


def test_nothing_but_a_bundle_is_overwritten(made, folder, tmp_path):
    made.bundle.write(folder)  # an older bundle goes
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(FileExistsError, match="something else than a bundle"):
        made.bundle.write(mine)
    assert (mine / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": []}, "is damaged"),
        ({"labels": None}, "damaged|label set"),
        ({"temperatures": {"AGT": 0, "AGT, scaled by fold": 1}}, "temperatures are"),
        ({"models": []}, "there is no model called"),
        ({"options": {"audio": {"x": []}, "video": {}, "text": {}}}, "options of encoders"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(folder, changes, message):
    about = json.loads((folder / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=message):
        Bundle.load(folder)


def test_a_run_is_found_by_folder_and_by_name_and_others_are_listed(made):
    run = paths.runs() / "04_train_agt-mini-1"
    made.bundle.write(run / "bundle")
    for model in (run, run / "bundle", run.name):
        assert find_bundle(model) == run / "bundle"
    with pytest.raises(FileNotFoundError, match="04_train_agt-mini-1"):
        find_bundle("another")
