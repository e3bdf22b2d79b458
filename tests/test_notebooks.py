"""Every notebook headless, as its users run it: from nothing, in other orders, on other corpora."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from agt_lib import corpora, evaluation, paths, reproduce, table1
from agt_lib.corpora import mertools
from agt_lib.crossval import cross_validate
from agt_lib.emotions import EMOTIONS
from agt_lib.folds import make_folds
from agt_lib.fusion_config import FusionConfig
from agt_lib.fusion_data import from_corpus

SHARED = paths.ROOT.parent / "shared" / "data"
NOTEBOOKS = paths.ROOT / "notebooks"
DATA = Path(os.environ.get("AGT_DATA") or paths.ROOT / "data")
SMOLLM2 = DATA / "models" / "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A data folder with nothing in it but the language model that `make model` converted."""
    folder = tmp_path_factory.mktemp("data")
    if not SMOLLM2.is_dir():
        pytest.fail(f"{SMOLLM2} is missing: run `make model`, or all tests by `make test`")
    (folder / "models").mkdir()
    (folder / "models" / SMOLLM2.name).symlink_to(SMOLLM2, target_is_directory=True)
    return folder


@pytest.fixture
def data_folder(home, monkeypatch):
    """The folder that these tests share, in the place of a fresh one for each."""
    monkeypatch.setenv("AGT_DATA", str(home))
    return home


def run_folder(home, notebook):
    """The newest folder of results of `notebook`."""
    return max((home / "runs").glob(f"{notebook}-*/"), key=lambda path: path.stat().st_mtime)


def execute(notebook, output, **parameters):
    reproduce.run_notebook(
        NOTEBOOKS / f"{notebook}.ipynb", output, {"profile": "smoke"} | parameters
    )


def by_papermill(notebook, output):
    """Run a notebook as its reader does, from the notebooks' folder."""
    done = subprocess.run(
        [Path(sys.executable).parent / "papermill", f"{notebook}.ipynb", output]
        + ["-p", "profile", "smoke"],
        cwd=NOTEBOOKS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_07_runs_from_nothing_and_leaves_table_2_and_a_submission(data_folder, tmp_path):
    by_papermill("07_vote", tmp_path / "out.ipynb")
    results = run_folder(data_folder, "07_vote")
    table = pd.read_csv(results / "table2.csv")
    rows = table[["model", "stage"]].apply(tuple, axis=1)
    assert set(rows) >= {(m, s) for m in ("baseline", "AGT") for s in ("none", "P", "P+V")}
    assert (table["low"] <= table["waf"]).all()
    assert (table["waf"] <= table["high"]).all()
    assert table["corpus"].str.contains("synthetic").all()
    submitted = pd.read_csv(results / "submission.csv")
    assert list(submitted.columns) == ["name", "discrete"]
    corpus = corpora.load("smoke")
    assert sorted(submitted["name"]) == sorted(corpus.split("test", "unlabelled").index)
    assert submitted["discrete"].isin(corpus.labels).all()


def test_04_runs_by_papermill_in_its_folder_and_leaves_a_table_with_intervals(
    data_folder, tmp_path
):
    output = tmp_path / "out.ipynb"
    by_papermill("04_train_agt", output)

    results = run_folder(data_folder, "04_train_agt")
    scores = pd.read_csv(results / "table1.csv")
    raw, tuned = {"A+V", "A+T", "A+V+T", "A", "V", "T"}, {"A+V*", "A+T*", "A+V*+T*", "V*", "T*"}
    assert set(scores["features"]) == raw | tuned
    assert {"out-of-fold", "test"} == set(scores["set"])
    assert (scores["low"] < scores["waf"]).all()
    assert (scores["waf"] < scores["high"]).all()
    assert scores["corpus"].str.contains("synthetic").all()
    assert "synthetic" in reproduce.result(output)

    truth = corpora.load("smoke").labelled["emotion"]
    predicted = pd.read_csv(results / "predictions_oof.csv").query(
        "features == 'A+V+T' and model == 'AGT'"
    )
    assert sorted(predicted["name"]) == sorted(truth.index)
    chosen = predicted.set_index("name")[list(EMOTIONS)].idxmax(axis=1)
    waf = 100 * evaluation.waf(truth, chosen.loc[truth.index])
    shown = scores.query("features == 'A+V+T' and model == 'AGT' and set == 'out-of-fold'")
    assert shown["waf"].item() == pytest.approx(waf)
    assert len(pd.read_csv(results / "predictions_test.csv")["name"].unique()) == 29


def test_01_reads_what_04_extracted(data_folder, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.safetensors")}
    execute("01_extract_features", tmp_path / "out.ipynb")
    features = pd.read_csv(run_folder(data_folder, "01_extract_features") / "features.csv")
    assert features["present"].tolist()[:2] == [275, 275]
    # 01 adds the unlabelled clips, which 04 does not need, and leaves what was extracted alone.
    after = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.safetensors")}
    assert {path: after.get(path) for path in before} == before


def test_02_shows_raw_and_tuned_clip_and_what_seen_labels_pretend(data_folder, tmp_path):
    execute("02_finetune_clip", tmp_path / "out.ipynb")
    results = run_folder(data_folder, "02_finetune_clip")
    scores = pd.read_csv(results / "scores.csv")
    assert {"out-of-fold", "test"} == set(scores["set"])
    assert {"tuned, zero-shot", "raw, logistic regression"} <= set(scores["model"])
    assert (pd.read_csv(results / "optimism.csv")["low"].notna()).all()


def test_03_ranks_every_clip_with_words_and_compares_plain_with_ranked(data_folder, tmp_path):
    execute("03_prompt_text", tmp_path / "out.ipynb")
    results = run_folder(data_folder, "03_prompt_text")
    rankings = pd.read_csv(results / "rankings.csv", index_col="name")
    clips = corpora.load("smoke").split("train", "test")
    ranks = [f"rank{i}" for i in range(1, 7)]
    ranked = rankings[rankings["rank1"].notna()]
    assert set(ranked.index) == set(clips.index[clips["text"].notna()])
    assert all(sorted(row) == sorted(EMOTIONS) for row in ranked[ranks].to_numpy())
    assert {"out-of-fold", "test"} == set(pd.read_csv(results / "differences.csv")["set"])


def test_05_shows_rounds_of_pseudo_labels(data_folder, tmp_path):
    output = tmp_path / "out.ipynb"
    execute("05_pseudo_label", output)
    assert "synthetic" in reproduce.result(output)


def test_06_recovers_the_counts_of_the_test_labels(data_folder, tmp_path):
    execute("06_probe_distribution", tmp_path / "out.ipynb")
    prior = pd.read_csv(run_folder(data_folder, "06_probe_distribution") / "prior.csv")
    counts = corpora.load("smoke").answers.value_counts().reindex(prior["label"])
    assert prior["count"].tolist() == counts.tolist()
    assert prior["em_test"].sum() == pytest.approx(1)


def test_08_draws_from_what_the_others_left_and_keeps_the_checkout_clean(data_folder, tmp_path):
    earlier = sorted(data_folder.glob("runs/0[467]_*"))
    status = ["git", "status", "--porcelain", "figures"]
    before = subprocess.run(status, cwd=paths.ROOT, capture_output=True, text=True).stdout
    output = tmp_path / "out.ipynb"
    execute("08_paper_figures", output)
    assert sorted(data_folder.glob("runs/0[467]_*")) == earlier, "nothing was run again"
    files = {path.name for path in run_folder(data_folder, "08_paper_figures").rglob("*")}
    figures = {f"figure{i}.{end}" for i in (1, 2) for end in ("png", "pdf")}
    tables = {f"table{i}.{end}" for i in (1, 2) for end in ("csv", "md", "tex")}
    assert figures | tables <= files
    assert "paper" in reproduce.result(output)
    assert subprocess.run(status, cwd=paths.ROOT, capture_output=True, text=True).stdout == before


def test_04_runs_on_a_users_manifest(data_folder, tmp_path):
    clips = corpora.load("smoke").clips.drop(columns="audio")
    clips = clips[clips["split"].isin(["train", "test"])]
    # The user names the files relative to the manifest and writes labels in a way of their own.
    clips["video"] = [os.path.relpath(path, tmp_path) for path in clips["video"]]
    clips["emotion"] = clips["emotion"].str.title() + " "
    clips.to_csv(tmp_path / "clips.csv")
    manifest = {"corpus": "manifest", "root": str(tmp_path / "clips.csv"), "text": ""}
    manifest["tuned"] = False
    execute("04_train_agt", tmp_path / "out.ipynb", **manifest)
    scores = pd.read_csv(run_folder(data_folder, "04_train_agt") / "table1.csv")
    assert set(scores["features"]) == {"A+V", "A", "V"}
    assert not scores["corpus"].str.contains("synthetic").any()


def test_01_runs_on_real_clips_that_a_manifest_lists(data_folder, tmp_path):
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
    execute("01_extract_features", tmp_path / "out.ipynb", **options)
    features = pd.read_csv(run_folder(data_folder, "01_extract_features") / "features.csv")
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


def test_04_scores_the_peers_features_as_the_library_does(data_folder, tmp_path):
    if not (SHARED / "ravdess_features").is_dir():
        pytest.skip(f"{SHARED / 'ravdess_features'} is missing: no real features here")
    n_clips = write_peer_tree(tmp_path)
    execute(
        "04_train_agt", tmp_path / "out.ipynb", corpus="mertools", root=str(tmp_path),
        audio="whisper-UTT", video="openface-UTT", text="", n_folds=6,
    )  # fmt: skip
    scores = pd.read_csv(run_folder(data_folder, "04_train_agt") / "table1.csv")
    shown = scores.set_index(["features", "model", "set"]).loc[("A+V", "AGT", "out-of-fold")]
    assert shown["clips"] == n_clips
    assert shown["interval_over"] == "speakers"

    corpus = corpora.load("mertools", tmp_path)
    folders = {"audio": "whisper-UTT", "video": "openface-UTT"}
    features = {
        modality: mertools.features(tmp_path, folder, modality, corpus.clips.index)
        for modality, folder in folders.items()
    }
    data = from_corpus(corpus, features)
    config = FusionConfig.default("agt", ("audio", "video"))
    config = {"AGT": table1.capped(config, max_epochs=8)}
    result = cross_validate(data, make_folds(corpus, 6), config, seeds=(0,), progress=False)["AGT"]
    waf = 100 * evaluation.waf(data.labels, result.out_of_fold[0].argmax(1))
    assert shown["waf"] == pytest.approx(waf, abs=1e-9)


def test_07_votes_where_a_label_was_never_learnt_and_uses_no_prior(tmp_path, monkeypatch):
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
    execute(
        "07_vote", tmp_path / "out.ipynb", corpus="mertools", root=str(tmp_path), n_folds=2,
        **folders,
    )  # fmt: skip
    results = run_folder(tmp_path / "data", "07_vote")
    rules = pd.read_csv(results / "rules.csv")["rule"]
    assert "vote" in set(rules)
    assert not rules.str.contains("corrected|triggers by").any()
    assert len(pd.read_csv(results / "submission.csv")) == 12


def test_a_corpus_with_problems_stops_the_notebook_with_all_of_them(data_folder, tmp_path):
    (tmp_path / "bad.csv").write_text("name,emotion,text\na/b,happy,hello\nc,furious,hello\n")
    output = tmp_path / "out.ipynb"
    with pytest.raises(reproduce.NotebookError, match=r"(?s)row 2.*row 3.*furious"):
        execute("04_train_agt", output, corpus="manifest", root=str(tmp_path / "bad.csv"))
    failed = nbformat.read(output.with_suffix(".failed.ipynb"), 4)
    assert any("bad.csv" in str(cell.get("outputs")) for cell in failed.cells)


def test_make_model_is_named_where_the_language_model_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "empty"))
    (tmp_path / "clips.csv").write_text("name,emotion,text\na,happy,hello\n")
    options = {"corpus": "manifest", "root": str(tmp_path / "clips.csv"), "audio": "", "video": ""}
    with pytest.raises(reproduce.NotebookError, match="make model"):
        execute("01_extract_features", tmp_path / "out.ipynb", **options)
