"""What a notebook's parameters become."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from agt_lib import corpora, fusion
from agt_lib.features.features import Features
from agt_lib.workspace import kept, paths, run
from agt_lib.workspace.story import finished


def start(notebook="99_test", **parameters):
    return run.start(
        notebook, {"profile": "smoke"} | dict.fromkeys(run.ENCODERS, "auto") | parameters
    )


def resolve(notebook="99_test", **parameters):
    """A run that was told its corpus, as a notebook's second cell leaves it."""
    resolved = start(notebook, **parameters)
    corpora.of_run(resolved)
    return resolved


def test_auto_takes_the_profiles_values_and_an_empty_one_leaves_the_modality_out():
    assert dict(start().encoders) == {"audio": "opensmile", "video": "clip", "text": "smollm2"}
    assert dict(start(text="", audio="hubert:x").encoders) == {
        "audio": "hubert:x",
        "video": "clip",
    }


def test_a_modality_that_a_notebook_has_no_parameter_for_is_left_out():
    told = run.start("99_test", {"profile": "smoke", "text": "auto"})
    assert dict(told.encoders) == {"text": "smollm2"}


def test_a_root_alone_asks_what_it_looks_like_and_options_reach_the_reader(tmp_path, monkeypatch):
    (tmp_path / "clips.csv").write_text("name,text,emotion\na,hello,anger\n")
    (tmp_path / "fixes.csv").write_text("name,label\na,happy\n")
    given = {"root": str(tmp_path / "clips.csv"), "corrections": str(tmp_path / "fixes.csv")}
    resolved = start(**given)
    assert (resolved.source, resolved.options) == ("auto", {})
    assert corpora.of_run(resolved).clips["emotion"].to_dict() == {"a": "happy"}
    told = start(options="language=english, x = 1", **given)
    assert told.options == {"language": "english", "x": "1"}
    again = start(**{key: value for key, value in told.parameters.items() if key != "profile"})
    assert again.parameters == told.parameters
    mixed = start(options="face=crop, max_seconds=600, x=1", root=given["root"])
    assert (mixed.face, mixed.max_seconds, mixed.options) == ("crop", 600.0, {"x": "1"})
    (tmp_path / "own.onnx").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    told_of_reading = start(options="track=deu, face=crop:own.onnx", root=given["root"])
    assert told_of_reading.encoder_options("audio") == {"max_seconds": 120.0, "track": "deu"}
    face = f"crop:{tmp_path / 'own.onnx'}"
    assert told_of_reading.encoder_options("video") == {"max_seconds": 120.0, "face": face}
    assert told_of_reading.encoder_options("text") == {}
    with pytest.raises(ValueError, match="takes no language"):
        corpora.of_run(told)
    with pytest.raises(ValueError, match="options are name=value"):
        start(options="english", **given)


def test_without_a_hub_base_takes_the_encoders_of_local_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(run.machine, "hub_answers", lambda: False)
    mine = {"profile": "base", "corpus": "manifest", "root": "x.csv"}
    assert start(**mine).encoders["video"] == "fer"
    said = capsys.readouterr().out
    assert "the model hub does not answer: opensmile for hubert:TencentGameMate" in said
    named = {"audio": "hubert:x", "video": "clip", "text": ""}
    assert dict(start(**mine, **named).encoders) == {"audio": "hubert:x", "video": "clip"}
    assert "hub" not in capsys.readouterr().out.replace("hubert", "")


def test_zero_folds_and_seeds_are_the_profiles():
    assert start().profile.n_folds == 3
    assert start(n_folds=4, n_seeds=2, seed=7).seeds == [7, 8]
    assert start(n_folds=4).profile.n_folds == 4


def test_the_line_names_versions_device_and_all_that_was_resolved(capsys):
    start(text="")
    line = capsys.readouterr().out
    for part in ("torch", "cpu", "profile smoke", "corpus smoke", "audio opensmile", "seeds [0]"):
        assert part in line


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"profile": "huge"}, "there are smoke, mini, local, base, paper"),
        ({"profile": "paper"}, "give the parameters corpus .* and root"),
        ({"audio": "", "video": "", "text": ""}, "every modality was left out"),
        ({"labels": "joy, anger"}, "corpus 'smoke' takes no labels"),
        ({"n_folds": 1}, "n_folds is 2 or more, or 0"),
        ({"n_seeds": -1}, "n_seeds is a whole number"),
        ({"max_failures": 2}, r"max_failures is a number in \[0, 1\]; got 2"),
        ({"max_failures": float("nan")}, "max_failures .* got nan"),
        ({"max_seconds": -1.0}, "max_seconds"),
        ({"options": "max_seconds=0"}, "max_seconds"),
        ({"seed": 0.5}, "seed is a whole number"),
    ],
)
def test_parameters_that_can_not_be_are_refused_with_what_to_give(parameters, message):
    with pytest.raises(ValueError, match=message):
        resolve(**parameters)


@pytest.mark.parametrize(
    ("notebook", "parameters"),
    [
        ("04_train_agt", {"reduce": -1}),
        ("04_train_agt", {"draws": -1}),
        ("05_pseudo_label", {"rounds": 0}),
        ("05_pseudo_label", {"threshold": float("nan")}),
        ("03_prompt_text", {"budget": float("nan")}),
        ("03_prompt_text", {"price_in": -30.0}),
        ("07b_vote_maps", {"guide_share": 1.5}),
        ("02_finetune_clip", {"epochs": -3}),
        ("09_predict_new_clips", {"window": float("nan")}),
    ],
)
def test_numbers_of_a_notebook_that_can_not_be_are_refused(notebook, parameters):
    with pytest.raises(ValueError, match=f"{next(iter(parameters))} is a"):
        start(notebook, **parameters)


def test_mertools_without_folders_lists_those_there_are(tmp_path):
    (tmp_path / "label-disdim.csv").write_text("name,discrete\na,happy\n")
    (tmp_path / "features" / "hubert-UTT").mkdir(parents=True)
    with pytest.raises(ValueError, match="not there: video 'clip', text .*Folders: hubert-UTT"):
        resolve(corpus="mertools", root=str(tmp_path), audio="hubert-UTT")


def test_a_label_set_of_ones_own_reaches_the_corpus(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("name,emotion,text\na,joy,hello\nb,anger,no\n")
    told = start(corpus="manifest", root=str(path), labels="Joy, anger")
    assert corpora.of_run(told).labels == ("joy", "anger")


def test_a_modality_that_no_labelled_clip_has_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    path = tmp_path / "clips.csv"
    path.write_text("name,split,emotion,text\na,train,happy,hello\nb,train,happy,oh\nc,test,,no\n")
    told = start(corpus="manifest", root=str(path), audio="opensmile", video="", text="", n_folds=2)
    names = ("a", "b", "c")

    def made(modality, present):
        there = np.full(3, present)
        return Features(modality, names, np.ones((3, 2), np.float32), there, "made")

    both = {"audio": made("audio", False), "text": made("text", True)}
    monkeypatch.setattr("agt_lib.fusion.runs.raw_features", lambda *_: dict(both))
    given = fusion.of_run(told, corpora.of_run(told))
    assert given.data.modalities == ("text",)
    assert given.test.modalities == ("text",)
    assert "no labelled clip has audio" in capsys.readouterr().out


def test_files_that_a_parameter_names_are_told_apart_by_their_contents(tmp_path):
    (tmp_path / "scores.csv").write_text("label,score\n")
    before = start(scores=str(tmp_path / "scores.csv")).own
    (tmp_path / "scores.csv").write_text("label,score\nsad,0.1\n")
    assert start(scores=str(tmp_path / "scores.csv")).own != before


def test_results_of_a_notebook_are_found_by_another_with_the_same_settings_alone(
    tmp_path, monkeypatch
):
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\nb,sad,oh\n")
    mine = {"corpus": "manifest", "root": str(tmp_path / "clips.csv")}
    earlier = resolve("98_earlier", **mine)
    assert finished(resolve(**mine), "98_earlier") is None
    assert finished(resolve(**mine), "98_earlier") is None, "not finished yet"
    earlier.finish()
    assert finished(resolve(**mine), "98_earlier") == earlier.folder
    assert finished(resolve(**mine, seed=1), "98_earlier") is None
    assert finished(resolve(**mine, text=""), "98_earlier") is None
    assert finished(resolve(**mine, max_failures=0.5), "98_earlier") is None
    with monkeypatch.context() as patch:
        patch.setattr(kept, "versions", lambda: {"torch": "another"})
        assert finished(resolve(**mine), "98_earlier") is None
    monkeypatch.setattr(kept, "room_versions", lambda: {"fusion": 0})
    assert finished(resolve(**mine), "98_earlier") is None


def test_results_of_an_older_notebook_are_not_found_but_parameters_are_settings_of_a_run(
    tmp_path, monkeypatch
):
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\nb,sad,oh\n")
    mine = {"corpus": "manifest", "root": str(tmp_path / "clips.csv")}
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()

    def write(code, default=1):
        given = [f"{name} = {value!r}" for name, value in (run.SHARED | {"x": default}).items()]
        parameters = new_code_cell("\n".join(given), metadata={"tags": ["parameters"]})
        notebook = new_notebook(cells=[parameters, new_code_cell(code)])
        nbformat.write(notebook, tmp_path / "notebooks" / "98_earlier.ipynb")

    write("print(x)")
    earlier = resolve("98_earlier", **mine)
    earlier.finish()
    assert finished(resolve(**mine), "98_earlier") == earlier.folder
    write("print(x)", default=2)
    assert finished(resolve(**mine), "98_earlier") == earlier.folder
    write("print(x + 1)")
    assert finished(resolve(**mine), "98_earlier") is None
    assert resolve("98_earlier", **mine).folder != earlier.folder


def test_results_scored_by_other_test_answers_are_not_found(tmp_path, monkeypatch):
    path = tmp_path / "clips.csv"
    mine = {"corpus": "manifest", "root": str(path)}
    path.write_text("name,split,emotion,text\na,train,happy,hello\nb,test,sad,oh\n")
    earlier = resolve(**mine)
    earlier.finish()
    assert finished(resolve(**mine), "99_test") == earlier.folder
    path.write_text("name,split,emotion,text\na,train,happy,hello\nb,test,angry,oh\n")
    corrected = resolve(**mine)
    assert corrected.facts["corpus"]["fingerprint"] == earlier.facts["corpus"]["fingerprint"]
    assert finished(corrected, "99_test") is None
    assert corrected.folder != earlier.folder


def test_results_from_other_features_in_the_same_folder_are_not_found(tmp_path):
    (tmp_path / "label-disdim.csv").write_text("name,discrete\na,happy\nb,sad\n")
    folder = tmp_path / "features" / "hubert-UTT"
    folder.mkdir(parents=True)
    for name, value in (("a", 1.0), ("b", 2.0)):
        np.save(folder / f"{name}.npy", np.full(3, value, np.float32))
    mine = {"corpus": "mertools", "root": str(tmp_path)}
    mine |= {"audio": "hubert-UTT", "video": "", "text": ""}
    earlier = resolve(**mine)
    earlier.finish()
    assert finished(resolve(**mine), "99_test") == earlier.folder
    np.save(folder / "b.npy", np.full(3, 3.0, np.float32))
    assert finished(resolve(**mine), "99_test") is None


def test_a_notebooks_own_parameters_are_on_record_and_make_another_folder(tmp_path, monkeypatch):
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\nb,sad,oh\n")
    mine = {"corpus": "manifest", "root": str(tmp_path / "clips.csv")}
    strict, lax = (resolve(**mine, threshold=t) for t in (0.9, 0.5))
    assert strict.folder != lax.folder
    lax.finish()
    assert kept.read_manifest(lax.folder)["own"]["threshold"] == 0.5


def test_results_that_lost_a_file_are_not_found(tmp_path):
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\nb,sad,oh\n")
    mine = {"corpus": "manifest", "root": str(tmp_path / "clips.csv")}
    earlier = resolve(**mine)
    earlier.table(pd.DataFrame({"x": [1]}), "table1")
    earlier.finish()
    assert finished(resolve(**mine), "99_test") == earlier.folder
    (earlier.folder / "table1.csv").unlink()
    assert finished(resolve(**mine), "99_test") is None


def test_scores_that_are_filled_in_afterwards_leave_a_run_whole(tmp_path):
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\n")
    resolved = resolve(corpus="manifest", root=str(tmp_path / "clips.csv"))
    kept.write_atomic(resolved.folder / "probe" / "scores.csv", "label,score\nsad,\n")
    resolved.finish()
    (resolved.folder / "probe" / "scores.csv").write_text("label,score\nsad,0.1157\n")
    assert kept.is_whole(resolved.folder)


def test_results_of_media_that_changed_are_not_found(tmp_path, write_clip, tone):
    write_clip(tmp_path / "a.wav", waveform=tone(), audio_codec="pcm_s16le")
    (tmp_path / "clips.csv").write_text("name,emotion,audio\na,happy,a.wav\n")
    mine = {"corpus": "manifest", "root": str(tmp_path / "clips.csv")}
    resolve(**mine).finish()
    assert finished(resolve(**mine), "99_test") is not None
    write_clip(tmp_path / "a.wav", waveform=tone(300, 2.0), audio_codec="pcm_s16le")
    assert finished(resolve(**mine), "99_test") is None


def test_a_second_cell_that_runs_again_gives_the_same_folder_and_an_edit_counts_from_the_start(
    tmp_path, monkeypatch
):
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\nb,sad,oh\n")
    mine = {"corpus": "manifest", "root": str(tmp_path / "clips.csv"), "x": 1}
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    given = [f"{name} = {value!r}" for name, value in (run.SHARED | {"x": 1}).items()]
    parameters = new_code_cell("\n".join(given), metadata={"tags": ["parameters"]})
    path = tmp_path / "notebooks" / "98_earlier.ipynb"
    nbformat.write(new_notebook(cells=[parameters, new_code_cell("print(x)")]), path)
    first = resolve("98_earlier", **mine)
    again = resolve("98_earlier", **mine, later="a literal of a later cell")
    assert again.folder == first.folder
    nbformat.write(new_notebook(cells=[parameters, new_code_cell("print(x + 1)")]), path)
    first.finish()
    assert finished(resolve("98_earlier", **mine), "98_earlier") is None


def test_numbers_of_a_notebook_of_ones_own_mean_what_it_says():
    resolved = start("mine", precision="bfloat16", window=-1)
    assert resolved.own["precision"] == "bfloat16"
