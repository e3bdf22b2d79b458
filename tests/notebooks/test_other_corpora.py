"""Notebooks headless on other corpora: real clips, MERTools' features, and what is amiss."""

import nbformat
import numpy as np
import pandas as pd
import pytest

from agt_lib import corpora, evaluation
from agt_lib.corpora.folds import make_folds
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.features import mertools
from agt_lib.fusion.config import FusionConfig, capped
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.data import from_corpus, with_speakers
from agt_lib.workspace import paths, story

SHARED = paths.ROOT.parent / "shared" / "data"


def test_01_runs_on_real_clips_that_a_manifest_lists(data_folder, tmp_path, execute):
    folder = SHARED / "crema_d_mini"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: no real clips here")
    ours = {"anger": "angry", "fear": "worried", "happiness": "happy", "sadness": "sad"}
    table = pd.read_csv(folder / "transcript.csv").set_index("name")
    table = table.join(pd.read_csv(folder / "label.csv").set_index("name"))
    table = table[table.index.str.startswith("1001")]
    labels = table["label"].map(lambda label: ours.get(label, label))
    manifest = pd.DataFrame(
        {
            "emotion": labels.where(labels.isin(EMOTIONS)),
            "video": [str(folder / "data" / f"{name}.flv") for name in table.index],
            "text": table["transcript"],
        }
    )
    manifest.rename_axis("name").to_csv(tmp_path / "crema.csv")
    options = {"corpus": "manifest", "root": str(tmp_path / "crema.csv")}
    results = execute("01_extract_features", tmp_path / "out.ipynb", **options)
    features = pd.read_csv(results / "features.csv")
    assert features["present"].tolist() == [6, 6, 6]


def write_peer_tree(root):
    """RAVDESS' features as MERTools lays out its own; returns the number of clips."""
    with np.load(SHARED / "ravdess_features" / "features.npz", allow_pickle=False) as file:
        part = {key: file[key] for key in file.files}
    table = {"name": part["name"], "discrete": part["emotion"], "speaker": part["actor"]}
    pd.DataFrame(table).to_csv(root / "label-disdim.csv", index=False)
    for feature, key in (("whisper-UTT", "audio_whisper"), ("openface-UTT", "video_openface_au35")):
        (root / "features" / feature).mkdir(parents=True)
        for name, row in zip(part["name"], part[key], strict=True):
            np.save(root / "features" / feature / f"{name}.npy", row.astype(np.float32))
    return len(part["name"])


def test_04_scores_the_peers_features_as_the_library_does(data_folder, tmp_path, execute):
    if not (SHARED / "ravdess_features").is_dir():
        pytest.skip(f"{SHARED / 'ravdess_features'} is missing: no real features here")
    n_clips = write_peer_tree(tmp_path)
    results = execute(
        "04_train_agt", tmp_path / "out.ipynb", corpus="mertools", root=str(tmp_path),
        audio="whisper-UTT", video="openface-UTT", text="", n_folds=3,
    )  # fmt: skip
    scores = pd.read_csv(results / "table1.csv")
    shown = scores.set_index(["features", "model", "set"]).loc[("A+V", "AGT", "out-of-fold")]
    assert shown["clips"] == n_clips
    assert shown["interval_over"] == "speakers"

    corpus = corpora.load("mertools", tmp_path)
    folders = {"audio": "whisper-UTT", "video": "openface-UTT"}
    features = {
        modality: mertools.read_features(tmp_path, folder, modality, corpus.clips.index)
        for modality, folder in folders.items()
    }
    (data,) = with_speakers(from_corpus(corpus, features))
    config = FusionConfig.default("agt", ("audio", "video"), scale="speaker")
    config = {"AGT": capped(config, max_epochs=8)}
    # Fitted here, not read from what the notebook kept.
    options = {"seeds": (0,), "progress": False, "keep": False}
    result = fit_folds(data, make_folds(corpus, 3), config, **options)
    waf = 100 * evaluation.waf(data.labels, result.out_of_fold.chosen("AGT")[0])
    assert shown["waf"] == pytest.approx(waf, abs=1e-9)


def test_07_votes_where_a_label_was_never_learnt_and_uses_no_prior(tmp_path, monkeypatch, execute):
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "data"))
    folder = tmp_path / "features" / "voice-UTT"
    folder.mkdir(parents=True)
    rng, clips = np.random.default_rng(0), []
    for split, n, labels in (("train", 30, EMOTIONS[:5]), ("test", 12, EMOTIONS)):
        for i in range(n):
            clips.append((split, f"{split}{i}", labels[i % len(labels)]))
            shown = rng.standard_normal(6) + 2 * np.eye(6)[EMOTIONS.index(clips[-1][2])]
            np.save(folder / f"{split}{i}.npy", shown.astype(np.float32))
    table = pd.DataFrame(clips, columns=["split", "name", "discrete"]).set_index("split")
    table.loc["train"].to_csv(tmp_path / "label-disdim.csv", index=False)
    table.loc["test"].to_csv(tmp_path / "reference-semi.csv", index=False)
    folders = {"audio": "voice-UTT", "video": "", "text": ""}
    results = execute(
        "07_vote", tmp_path / "out.ipynb", corpus="mertools", root=str(tmp_path), n_folds=2,
        **folders,
    )  # fmt: skip
    rules = pd.read_csv(results / "rules.csv")["rule"]
    assert "vote" in set(rules)
    assert not rules.str.contains("corrected|triggers by").any()
    assert len(pd.read_csv(results / "submission.csv")) == 12


def test_a_corpus_with_problems_stops_the_notebook_with_all_of_them(data_folder, tmp_path, execute):
    (tmp_path / "bad.csv").write_text("name,emotion,text\na/b,happy,hello\nc,furious,hello\n")
    output = tmp_path / "out.ipynb"
    with pytest.raises(story.NotebookError, match=r"(?s)row 2.*row 3.*furious"):
        execute("04_train_agt", output, corpus="manifest", root=str(tmp_path / "bad.csv"))
    failed = nbformat.read(output.with_suffix(".failed.ipynb"), 4)
    assert any("bad.csv" in str(cell.get("outputs")) for cell in failed.cells)


def test_make_model_is_named_where_the_language_model_is_missing(tmp_path, monkeypatch, execute):
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "empty"))
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\n")
    options = {"corpus": "manifest", "root": str(tmp_path / "clips.csv"), "audio": "", "video": ""}
    with pytest.raises(story.NotebookError, match="make model"):
        execute("01_extract_features", tmp_path / "out.ipynb", **options)
