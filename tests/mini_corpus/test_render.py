import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mini_corpus
from agt_lib.corpora import media
from agt_lib.workspace import paths
from agt_lib.workspace.kept import is_whole
from mini_corpus import plan as planning
from mini_corpus import render

TINY = planning.Profile(
    train={"happy": 2, "sad": 1}, test={"angry": 1}, unlabelled=1, train_speakers=2, pool_speakers=1
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(planning.PROFILES, "smoke", TINY)
    return planning.plan("smoke")


def test_a_clip_decodes_to_what_was_rendered(tmp_path):
    clip = planning.plan("smoke")[0]
    frames, waveform = render.render_clip(clip)
    render.write_mp4(tmp_path / "clip.mp4", frames, waveform)
    assert (tmp_path / "clip.mp4").stat().st_size % render.BLOCK == 0
    shown = media.decode_frames(tmp_path / "clip.mp4", n_frames=clip.frames)
    assert shown.shape == frames.shape == (clip.frames, 96, 96, 3)
    assert np.abs(shown.astype(int) - frames).mean() < 10  # of 255, after compression
    heard = media.decode_audio(tmp_path / "clip.mp4")
    n_samples = min(len(heard), len(waveform))
    agreement = np.correlate(heard[:n_samples], waveform[:n_samples], "full")
    assert 0 <= agreement.argmax() - n_samples + 1 <= 1024  # the encoder's first frame
    assert agreement.max() > 0.9 * np.linalg.norm(heard) * np.linalg.norm(waveform)


def test_loading_renders_once_and_hides_labels_outside_train(tiny, capfd):
    corpus = mini_corpus.load("smoke")
    assert corpus.synthetic and any("synthetic" in note for note in corpus.notes)
    assert corpus.clips["split"].value_counts().to_dict() == {
        "train": 3,
        "test": 1,
        "unlabelled": 1,
    }
    assert corpus.clips.loc[corpus.clips["split"] != "train", "emotion"].isna().all()
    assert list(corpus.answers) == ["angry"]
    folder = next(paths.derived().iterdir())
    assert is_whole(folder)
    public = pd.read_csv(folder / "manifest.csv")
    assert list(public) == ["name", "split", "emotion", "speaker", "video", "text"]
    assert {path.suffix for path in (folder / "clips").iterdir()} == {".mp4"}
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}
    mini_corpus.load("smoke")
    assert written == {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}


def test_a_rendering_that_was_killed_goes_on_where_it_was(tiny):
    corpus = mini_corpus.load("smoke")
    folder = Path(corpus.clips["video"].iloc[0]).parents[1]
    (folder / "manifest.json").unlink()
    first, *others = sorted(folder.rglob("*.mp4"))
    first.unlink()
    written = {path: path.stat().st_mtime_ns for path in others}
    mini_corpus.load("smoke")
    assert first.is_file() and is_whole(folder)
    assert written == {path: path.stat().st_mtime_ns for path in others}


def test_the_rendering_processes_load_no_torch():
    code = "import sys, mini_corpus.render; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_truth_agrees_with_the_plan(tiny):
    truth = mini_corpus.truth("smoke")
    for clip in tiny:
        row = truth.loc[clip.name]
        assert (row["voice"], row["face"], row["words"]) == (clip.voice, clip.face, clip.words)
        assert row["snr_db"] == clip.snr_db and row["text"] == clip.text


def test_an_interrupted_rendering_goes_on_and_gives_the_same_files_to_the_byte(tiny, tmp_path):
    render.render_all(tiny, tmp_path / "whole", processes=1)
    interrupted = tmp_path / "interrupted"
    render.render_all(tiny[:2], interrupted, processes=1)
    half = render.clip_path(interrupted, tiny[2].name).with_name(f".{tiny[2].name}.mp4.1.partial")
    half.write_bytes(b"half a clip")
    kept = {path: path.stat().st_mtime_ns for path in (interrupted / "clips").glob("*.mp4")}
    assert len(kept) == 2
    render.render_all(tiny, interrupted, processes=2)
    assert not half.exists()
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in kept}.items()
    for clip in tiny:
        pair = [render.clip_path(folder, clip.name) for folder in (tmp_path / "whole", interrupted)]
        assert pair[0].read_bytes() == pair[1].read_bytes()


def test_a_failing_process_is_reported_with_its_own_message(tiny, tmp_path):
    broken = [replace(tiny[0], face="bored")]
    with pytest.raises(render.RenderError, match="bored"):
        render.render_all(broken, tmp_path, processes=1)
    assert json.loads((tmp_path / render.PLAN).read_text())[0]["face"] == "bored"
    assert not list((tmp_path / "clips").iterdir())
