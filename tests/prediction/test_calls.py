"""From files to a table, in Python and by the command `agt`."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import agt_lib
from agt_lib.__main__ import main
from agt_lib.features.encoder import CheckpointError, build
from agt_lib.fusion.model import FingerprintError
from agt_lib.prediction import Bundle
from agt_lib.workspace import paths


@pytest.fixture(scope="session")
def hearing(make):
    """A run whose voice is openSMILE's."""
    return make(audio=build("opensmile"))


@pytest.fixture
def run(hearing):
    folder = paths.runs() / "04_train_agt-mini-1"
    hearing.bundle.write(folder / "bundle")
    return folder


@pytest.fixture
def wavs(clips_folder, tmp_path):
    (tmp_path / "clips").mkdir()
    for path in clips_folder.glob("*.wav"):
        shutil.copy(path, tmp_path / "clips")
    return tmp_path / "clips"


def test_clips_are_predicted_and_nothing_is_written(run, wavs):
    before = sorted(paths.data().rglob("*"))
    one = agt_lib.predict(wavs / "clip_0.wav", run.name)
    assert one.index.tolist() == ["clip_0"]
    assert one.loc["clip_0", "emotion"] in ("calm", "cross", "glad")
    every = agt_lib.predict(wavs, Bundle.load(run / "bundle"), speaker="anna")
    assert len(every) == 6
    assert set(every["scaled_by"]) == {"speaker (6 clips of this call)"}
    assert sorted(paths.data().rglob("*")) == before


def test_a_clip_that_cant_be_read_keeps_its_row_and_the_others_theirs(run, wavs, capsys):
    (wavs / "clip_0.wav").write_bytes(b"no sound")
    out = wavs / "out.csv"
    assert main(["predict", str(wavs), "--model", run.name, "--out", str(out)]) == 1
    table = pd.read_csv(out, index_col="name")
    assert table["emotion"].isna().tolist() == [True] + [False] * 5
    assert "FFmpeg can't read it" in table.loc["clip_0", "absent"]
    assert "1 of 6 clips have no emotion" in capsys.readouterr().err


def test_a_clip_without_sound_too_long_or_of_a_blink_keeps_its_row(
    hearing, tmp_path, write_clip, tone, ramp
):
    plain = {"audio_codec": "pcm_s16le"}  # aac would fill its last packet
    write_clip(tmp_path / "short.wav", waveform=tone(seconds=0.2), **plain)
    write_clip(tmp_path / "blink.wav", waveform=tone(seconds=0.05), **plain)
    write_clip(tmp_path / "silent.mp4", frames=ramp())
    write_clip(tmp_path / "long.wav", waveform=np.zeros(121_000), rate=1000, audio_codec="pcm_u8")
    bundle = replace(hearing.bundle, encoders={"audio": "opensmile"})
    table = agt_lib.predict([*map(str, tmp_path.iterdir())], bundle, speaker="s1")
    assert table["emotion"].notna().to_dict() == {
        "blink": False, "long": False, "short": True, "silent": False,
    }  # fmt: skip
    assert "at least 0.1 s is needed" in table.loc["blink", "absent"]
    assert "longer than 120 s" in table.loc["long", "absent"]
    assert "no audio stream; found: video" in table.loc["silent", "absent"]


def test_the_command_goes_on_where_it_stopped(run, wavs, monkeypatch, capsys):
    assert main(["predict", str(wavs), "--model", run.name]) == 0
    assert "clip_5" in (first := capsys.readouterr().out)
    monkeypatch.setattr("agt_lib.features.opensmile.OpenSmileEncoder.encode", None)
    assert main(["predict", str(wavs), "--model", str(run)]) == 0
    assert capsys.readouterr().out == first


def test_the_command_takes_speakers_and_writes_json(run, wavs):
    out = wavs.parent / "out.json"
    names = [f"clip_{k}" for k in range(6)]
    who = [part for name in names for part in ("--speaker", f"{name}=s1")]
    assert main(["predict", str(wavs), "--model", str(run), "--out", str(out), *who]) == 0
    rows = json.loads(out.read_text())
    assert [row["name"] for row in rows] == names
    assert {row["scaled_by"] for row in rows} == {"speaker (known)"}
    assert sum(rows[0][label] for label in ("calm", "cross", "glad")) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.wav"], "no such file or folder: nope.wav"),
        (["{wavs}", "--out", "x.xlsx"], "ends in .csv or .json"),
        (["{wavs}", "--text", "Hi"], "--text goes with one media file"),
        (["{csv}", "--text", "Hi"], "--text goes with one media file"),
        (["{wavs}", "--speaker", "a", "--speaker", "b"], "once for all clips"),
        (["{wavs}", "--prior", "nope.csv"], "nope.csv"),
    ],
)
def test_the_command_says_what_is_wrong(run, wavs, capsys, arguments, message):
    (wavs.parent / "clips.csv").write_text("name,text\na,hi\nb,ho\n")
    given = [text.format(wavs=wavs, csv=wavs.parent / "clips.csv") for text in arguments]
    assert main(["predict", *given, "--model", run.name]) == 1
    assert message in capsys.readouterr().err


def test_the_command_says_what_it_did_not_read_and_who_is_known(
    run, hearing, wavs, capsys, monkeypatch
):
    deaf_to_words = replace(hearing.bundle, encoders={"audio": "opensmile"})
    monkeypatch.setattr(Bundle, "load", lambda _: deaf_to_words)
    clip = str(wavs / "clip_0.wav")
    given = ["predict", clip, "--model", run.name]
    assert main([*given, "--text", "Hi", "--speaker", "s1"]) == 0
    said = capsys.readouterr().err
    assert "the models read no words: --text was not used" in said
    assert "s1: of the run's own speakers" in said
    assert main([*given, "--speaker", "anna"]) == 0
    said = capsys.readouterr().err
    assert "--text" not in said
    assert "own speakers" not in said


def test_an_encoder_that_is_not_there_or_is_another_is_named(hearing, wavs, monkeypatch):
    gone = {"audio": "hubert:/no/such/folder"}
    with pytest.raises(CheckpointError, match="the bundle's audio encoder is not here"):
        agt_lib.predict(wavs, replace(hearing.bundle, encoders=gone))
    prints = hearing.bundle.fingerprints | {"audio": "other"}
    with pytest.raises(FingerprintError, match="'opensmile' here makes other features"):
        agt_lib.predict(wavs, replace(hearing.bundle, fingerprints=prints))


def test_clips_without_anything_the_models_read_are_refused(make, wavs):
    bundle = replace(make().bundle, encoders={"text": "smollm2"})
    with pytest.raises(ValueError, match="they read text"):
        agt_lib.predict(wavs, bundle)


def test_info_and_models_name_what_is_there(run, capsys):
    assert main(["models"]) == 0
    assert "04_train_agt-mini-1: corpus of tests; audio opensmile" in capsys.readouterr().out
    assert main(["info", "nothing"]) == 1
    assert "no finished run nothing" in capsys.readouterr().err
    assert main(["run", "99_nothing"]) == 1
    assert "there are 01_extract_features" in capsys.readouterr().err


def test_probabilities_are_a_distribution(run, wavs):
    found = agt_lib.predict([wavs / "clip_0.wav", wavs / "clip_1.wav"], run)
    np.testing.assert_allclose(found[["calm", "cross", "glad"]].sum(axis=1), 1, atol=1e-5)
