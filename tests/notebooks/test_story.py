"""Every notebook headless, as its users run it: from nothing, and in other orders."""

import os
import re
import subprocess

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import agt_lib
from agt_lib import corpora, evaluation
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.workspace import paths, story


def test_07_runs_from_nothing_and_leaves_table_2_and_a_submission(
    data_folder, tmp_path, by_papermill
):
    results = by_papermill("07_vote", tmp_path / "out.ipynb")
    table = pd.read_csv(results / "table2.csv")
    rows = table[["model", "stage"]].apply(tuple, axis=1)
    assert set(rows) >= {(m, s) for m in ("baseline", "AGT") for s in ("none", "P", "P+V")}
    assert (table["waf_low"] <= table["waf"]).all()
    assert (table["waf"] <= table["waf_high"]).all()
    assert table["corpus"].str.contains("synthetic").all()
    submitted = pd.read_csv(results / "submission.csv")
    assert list(submitted.columns) == ["name", "discrete"]
    corpus = corpora.load("smoke")
    assert sorted(submitted["name"]) == sorted(corpus.split("test", "unlabelled").index)
    assert submitted["discrete"].isin(corpus.labels).all()


def test_07b_runs_alone_and_maps_where_a_vote_helps(data_folder, tmp_path, execute):
    output = tmp_path / "out.ipynb"
    results = execute("07b_vote_maps", output)
    cells = pd.read_csv(results / "map.csv")
    assert set(cells["stage"]) == {"none", "P"}
    assert (cells["difference_low"] <= cells["difference_high"]).all()
    assert len(pd.read_csv(results / "guide_sweep.csv")) == 42
    assert "synthetic" in story.result(output)


def test_04_runs_by_papermill_in_its_folder_and_leaves_a_table_with_intervals(
    data_folder, tmp_path, by_papermill
):
    output = tmp_path / "out.ipynb"
    results = by_papermill("04_train_agt", output)

    scores = pd.read_csv(results / "table1.csv")
    raw, tuned = {"A+V", "A+T", "A+V+T", "A", "V", "T"}, {"A+V*", "A+T*", "A+V*+T*", "V*", "T*"}
    assert set(scores["features"]) == raw | tuned
    assert {"out-of-fold", "test"} == set(scores["set"])
    assert (scores["waf_low"] < scores["waf"]).all()
    assert (scores["waf"] < scores["waf_high"]).all()
    assert scores["corpus"].str.contains("synthetic").all()
    assert "synthetic" in story.result(output)

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


def test_04s_bundle_predicts_test_clips_of_two_speakers_as_the_notebook_did(data_folder):
    (results,) = data_folder.glob("runs/04_train_agt-smoke-*")
    corpus = corpora.load("smoke")
    who = corpus.split("test")["speaker"]
    who = who[who.isin(who.value_counts().index[:2])]
    clips = corpus.clips.loc[who.index, ["video", "audio", "text"]]
    found = agt_lib.predict(clips, results.name, speaker=who.to_dict())
    assert set(found["scaled_by"]) == {"speaker (known)"}
    check_predictions(found, results, "A+V+T")


def check_predictions(found, results, features):
    """`found` are the mean over the seeds of notebook 04's test predictions."""
    expected = pd.read_csv(results / "predictions_test.csv")
    expected = expected.query(f"features == {features!r} and model == 'AGT'")
    labels = [label for label in EMOTIONS if label in expected]
    expected = expected.groupby("name")[labels].mean().loc[found.index]
    np.testing.assert_allclose(found[labels], expected, atol=1e-5)


def test_09_predicts_plays_and_looks_over_time(data_folder, tmp_path, execute):
    results = execute("09_predict_new_clips", tmp_path / "out.ipynb")
    table = pd.read_csv(results / "predictions.csv", index_col="name")
    assert len(table) == 6
    assert table["emotion"].isin(EMOTIONS).all()
    assert table["corpus"].str.contains("synthetic").all()
    left = pd.read_csv(results / "left_out.csv")["left"].tolist()
    assert left == ["everything", "without voice", "without face", "without words"]
    course = pd.read_csv(results / "windows.csv")
    assert (course["end"] > course["start"]).all()


def test_04b_changes_one_option_at_a_time_on_the_fits_of_04(data_folder, tmp_path, execute):
    results = execute("04b_ablation", tmp_path / "out.ipynb")
    ablated = pd.read_csv(results / "ablation.csv")
    assert "no gate" in set(ablated["model"])
    assert set(ablated["against"]) == {"AGT"}
    taken = pd.read_csv(results / "robustness.csv")
    assert set(taken["condition"]) == {"noise", "absent", "alone"}


def test_01_reads_what_04_extracted(data_folder, tmp_path, execute):
    before = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.safetensors")}
    results = execute("01_extract_features", tmp_path / "out.ipynb")
    features = pd.read_csv(results / "features.csv")
    assert features["present"].tolist()[:2] == [275, 275]
    # 01 adds the unlabelled clips, which 04 does not need, and leaves what was extracted alone.
    after = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.safetensors")}
    assert {path: after.get(path) for path in before} == before


def test_02_shows_raw_and_tuned_clip_and_what_seen_labels_pretend(data_folder, tmp_path, execute):
    results = execute("02_finetune_clip", tmp_path / "out.ipynb")
    scores = pd.read_csv(results / "scores.csv")
    assert {"out-of-fold", "test"} == set(scores["set"])
    assert {"tuned, zero-shot", "raw, logistic regression"} <= set(scores["model"])
    assert (pd.read_csv(results / "optimism.csv")["difference_low"].notna()).all()


def test_03_ranks_every_clip_with_words_and_compares_plain_with_ranked(
    data_folder, tmp_path, execute
):
    results = execute("03_prompt_text", tmp_path / "out.ipynb")
    rankings = pd.read_csv(results / "rankings.csv", index_col="name")
    clips = corpora.load("smoke").clips  # all: those without a label tell of their speakers
    ranks = [f"rank{i}" for i in range(1, 7)]
    ranked = rankings[rankings["rank1"].notna()]
    assert set(ranked.index) == set(clips.index[clips["text"].notna()])
    assert all(sorted(row) == sorted(EMOTIONS) for row in ranked[ranks].to_numpy())
    assert {"out-of-fold", "test"} == set(pd.read_csv(results / "differences.csv")["set"])


def test_05_shows_rounds_of_pseudo_labels(data_folder, tmp_path, execute):
    output = tmp_path / "out.ipynb"
    execute("05_pseudo_label", output)
    assert "synthetic" in story.result(output)


def test_06_recovers_the_counts_of_the_test_labels(data_folder, tmp_path, execute):
    output = tmp_path / "out.ipynb"
    results = execute("06_probe_distribution", output)
    prior = pd.read_csv(results / "prior.csv")
    counts = corpora.load("smoke").answers.value_counts().reindex(prior["label"])
    assert prior["count"].tolist() == counts.tolist()
    assert prior["em_test"].sum() == pytest.approx(1)
    for name in ("shares", "figure3_paper"):
        assert Image.open(results / "figures" / f"{name}.png").size == (1020, 750), "as in print"
        assert pd.read_csv(results / "figures" / f"{name}.csv")["corpus"].nunique() == 1
    outputs = [o for cell in nbformat.read(output, 4).cells for o in cell.get("outputs", ())]
    assert sum("image/png" in o.get("data", ()) for o in outputs) == 2, "both are shown"


def test_08_draws_from_what_the_others_left_and_keeps_the_checkout_clean(
    data_folder, tmp_path, execute
):
    earlier = sorted(data_folder.glob("runs/0[467]_*"))
    status = ["git", "status", "--porcelain", "figures"]
    before = subprocess.run(status, cwd=paths.ROOT, capture_output=True, text=True).stdout
    output = tmp_path / "out.ipynb"
    results = execute("08_paper_figures", output)
    assert sorted(data_folder.glob("runs/0[467]_*")) == earlier, "nothing was run again"
    files = {path.name for path in results.rglob("*")}
    figures = {f"figure{i}.{end}" for i in (1, 2) for end in ("png", "pdf")}
    tables = {f"table{i}.{end}" for i in (1, 2) for end in ("csv", "md", "tex")}
    assert figures | tables <= files
    assert "paper" in story.result(output)
    assert subprocess.run(status, cwd=paths.ROOT, capture_output=True, text=True).stdout == before


def test_04_runs_on_a_users_manifest_with_a_network_of_ones_own_and_principal_components(
    data_folder, tmp_path, execute
):
    clips = corpora.load("smoke").clips.drop(columns=["audio", "speaker"])
    clips = clips[clips["split"].isin(["train", "test"])]
    # The user names the files relative to the manifest and writes labels in a way of their own.
    clips["video"] = [os.path.relpath(path, tmp_path) for path in clips["video"]]
    clips["emotion"] = clips["emotion"].str.title() + " "
    clips.to_csv(tmp_path / "clips.csv")
    readme = (paths.ROOT / "README.md").read_text()
    (text,) = re.findall(r"```python\n(import torch\n.*?)```", readme, re.DOTALL)
    (tmp_path / "my_network.py").write_text(text)
    results = execute(
        "04_train_agt", tmp_path / "out.ipynb", corpus="manifest",
        root=str(tmp_path / "clips.csv"), text="", tuned=False, n_folds=2, reduce=8,
        own_network=str(tmp_path / "my_network.py"),
    )  # fmt: skip
    scores = pd.read_csv(results / "table1.csv").set_index(["features", "model", "set"])
    assert set(scores.index.unique("features")) == {"A+V", "A", "V"}
    assert not scores["corpus"].str.contains("synthetic").any()
    assert scores.loc[("A+V", "my_network", "out-of-fold"), "waf"] > 0
    said = nbformat.read(tmp_path / "out.ipynb", 4)
    shown = [str(cell.get("outputs")) for cell in said.cells]
    assert any("8 principal components a modality" in text for text in shown)
    asked = clips[clips["split"] == "test"].index[:20]
    files = [str(tmp_path / clips.loc[name, "video"]) for name in asked]
    found = agt_lib.predict(files, results)
    assert found.index.tolist() == asked.tolist()
    check_predictions(found, results, "A+V")
