"""Tables 1 and 2: each number is the results' or the paper's, and what is missing is missing."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agt_lib.figures import tables
from agt_lib.workspace import paths

RUN = SimpleNamespace(
    caption="corpus made up (synthetic)", source="mini", profile=SimpleNamespace(name="mini"),
    seeds=[0, 1, 2], encoders={"audio": "opensmile", "video": "clip"},
)  # fmt: skip
CLIPS = SimpleNamespace(synthetic=True, answers=["an answer"])


def score(waf, seed_sd=0.4, unit="speakers"):
    low, high = waf - 3.25, waf + 3.25
    named = {"clips": 504, "seeds": 3, "interval_over": unit}
    return {"waf": waf, "waf_low": low, "waf_high": high, "seed_sd": seed_sd} | named


def table1_scores():
    rows = [
        ("A+V", "baseline", "out-of-fold", score(60.04)),
        ("A+V", "AGT", "out-of-fold", score(64.0)),
        ("A+V", "AGT", "test", score(61.5, unit="clips")),
        ("A+V", "logistic regression", "test", score(59.0, np.nan)),
        ("A+V", "AGT, scaled by fold", "test", score(12.3)),
        ("A", "one modality", "test", score(11.1)),
    ]
    keys = ("features", "model", "set")
    return pd.DataFrame([dict(zip(keys, row, strict=False)) | row[3] for row in rows])


def table2_scores(**changed):
    none = {
        "difference": 0.0,
        "difference_low": 0.0,
        "difference_high": 0.0,
        "fixed": 0.0,
        "broken": 0.0,
    }
    vote = {
        "difference": -0.26,
        "difference_low": -1.2,
        "difference_high": 0.7,
        "fixed": 4.5,
        "broken": 6.0,
    }
    rows = [
        {"model": "AGT", "stage": "none"} | score(61.5) | none | {"submissions": 0},
        {"model": "AGT", "stage": "P+V"} | score(61.2) | vote | {"submissions": 6},
    ]
    steps = {"step": -0.26, "step_low": -1.2, "step_high": 0.7, "pseudo_labels": "confidence"}
    return pd.DataFrame(rows).assign(**(steps | changed))


def row(table, *first):
    """The cells of the row that begins with `first`."""
    rows = table.cells.itertuples(index=False, name=None)
    (found,) = [cells for cells in rows if cells[: len(first)] == first]
    return found


def test_table_1_shows_the_results_beside_the_papers_values():
    table = tables.table1(table1_scores(), RUN, CLIPS)
    assert tuple(table.cells.columns[2:]) == (
        "out-of-fold, ours", "Train&Val, paper", "test, ours", "MER-SEMI, paper"
    )  # fmt: skip
    assert row(table, "A+V", "baseline")[2:] == ("60.0 [56.8, 63.3] ±0.4", "78.77", "—", "84.34")
    assert row(table, "A+V", "AGT")[2:] == (
        "64.0 [60.8, 67.2] ±0.4", "79.12", "61.5 [58.2, 64.8] ±0.4", "83.43"
    )  # fmt: skip


def test_table_1_has_the_papers_rows_and_ours_and_a_dash_for_what_is_missing():
    table = tables.table1(table1_scores(), RUN, CLIPS)
    rows = list(dict.fromkeys(table.cells["features"]))
    assert rows == ["A+V", "A+V*", "A+T", "A+T*", "A+V+T", "A+V*+T*"]
    assert row(table, "A+V*+T*", "AGT")[2:] == ("—", "83.22", "—", "88.28")
    assert row(table, "A+T*", "baseline")[2:] == ("—", "—", "—", "—")
    assert row(table, "A+V", "logistic regression")[2:] == ("—", "—", "59.0 [55.8, 62.2]", "—")
    assert table.cells.index[table.cells["model"] == "logistic regression"].tolist() == [2]


def test_table_1_keeps_the_numbers_unrounded_in_its_data():
    data = tables.table1(table1_scores(), RUN, CLIPS).data.set_index(["features", "model", "set"])
    assert data.loc[("A+V", "baseline", "out-of-fold"), "waf"] == 60.04
    assert data.loc[("A+V", "baseline", "out-of-fold"), "paper"] == 78.77
    assert np.isnan(data.loc[("A+V*", "AGT", "test"), "waf"])
    assert data.loc[("A+V*", "AGT", "test"), "paper"] == 83.73
    assert set(data["corpus"]) == {"corpus made up (synthetic)"}


def test_other_sets_of_features_than_the_papers_follow_its_rows():
    ours = table1_scores().replace({"features": {"A+V": "V+T"}})
    table = tables.table1(ours, RUN, CLIPS)
    assert table.cells["features"].tolist()[-3:] == ["V+T"] * 3
    assert row(table, "V+T", "AGT")[3] == "—"


def test_the_caption_says_corpus_profile_seeds_intervals_and_whether_numbers_compare():
    caption = tables.table1(table1_scores(), RUN, CLIPS).caption
    for words in (
        "corpus made up (synthetic)", "profile mini", "seeds 0, 1, 2", "A opensmile, V clip",
        "95 % bootstrap intervals over clips and speakers", "not comparable",
    ):  # fmt: skip
        assert words in caption


def test_the_caption_says_how_the_run_that_made_the_scores_scaled_features():
    made = table1_scores().assign(corpus="corpus made up; features scaled by speaker")
    assert "features scaled by speaker" in tables.table1(made, RUN, CLIPS).caption


def test_only_the_papers_own_corpus_is_held_against_its_values():
    def said(**changes):
        run = SimpleNamespace(**(vars(RUN) | changes))
        real = SimpleNamespace(synthetic=False, answers=[])
        return tables.table1(table1_scores(), run, real).caption

    assert "not comparable" not in said(source="mer2024")
    assert "not comparable, unless" in said(source="manifest")


def test_the_damaged_row_names_are_said_to_be_a_reading():
    notes = " ".join(tables.table1(table1_scores(), RUN, CLIPS).notes)
    assert "1+1 is A+V or A+V*, 1+3 is A+V* or A+T*, 1+1+2 is A+V+T, 1+3+4 is A+V*+T*" in notes


def test_table_2_shows_differences_in_points_and_clips_and_marks_what_probing_cost():
    table = tables.table2(table2_scores(), RUN, CLIPS)
    assert len(table.cells) == 6
    assert row(table, "AGT", "N")[2:] == ("61.5 [58.2, 64.8] ±0.4", "—", "—", "88.28", "—")
    # (89.83 - 88.28) % of 1169 clips are 18.1
    assert row(table, "AGT", "P+V, 6 submissions")[2:] == (
        "61.2 [58.0, 64.5] ±0.4", "−0.3 [−1.2, +0.7]", "4.5, 6.0", "89.83", "+18"
    )  # fmt: skip
    assert row(table, "AGT", "P")[2:] == ("—", "—", "—", "89.26", "+11")
    assert row(table, "baseline", "P+V")[2:] == ("—", "—", "—", "89.02", "+16")


def test_table_2_keeps_the_steps_and_the_papers_gain_in_clips_in_its_data():
    data = tables.table2(table2_scores(), RUN, CLIPS).data.set_index(["model", "stage"])
    assert data.loc[("AGT", "P+V"), ["step", "paper", "paper_clips"]].tolist() == [-0.26, 89.83, 18]
    assert data.loc[("AGT", "P+V"), "submissions"] == 6


def test_a_corpus_without_test_answers_has_no_column_that_says_test():
    untold = SimpleNamespace(synthetic=True, answers=[])
    assert tables.table2(table2_scores(), RUN, untold).cells.columns[2] == "out-of-fold, ours"
    assert tables.table2(table2_scores(), RUN, CLIPS).cells.columns[2] == "test, ours"


def test_a_lone_modality_has_a_row_where_agt_was_trained_on_it():
    ours = table1_scores().replace({"features": {"A+V": "A"}})
    table = tables.table1(ours, RUN, CLIPS)
    assert row(table, "A", "AGT")[2] == "64.0 [60.8, 67.2] ±0.4"


def test_a_vote_without_pseudo_labels_is_a_row_of_its_own():
    table = tables.table2(table2_scores(stage=["none", "V"]), RUN, CLIPS)
    assert row(table, "AGT", "V, 6 submissions")[5:] == ("—", "—")


def test_table_2_says_that_the_papers_tables_disagree_and_how_wide_an_interval_is():
    notes = " ".join(tables.table2(table2_scores(), RUN, CLIPS).notes)
    assert "87.66 in table 1, 87.61 here" in notes
    assert "about 1.8 points" in notes


def test_tables_without_any_results_are_the_papers_alone(tmp_path):
    first = tables.table1(tables.read(tmp_path, "table1", tables.TABLE1_COLUMNS), RUN, CLIPS)
    second = tables.table2(tables.read(tmp_path, "table2", tables.TABLE2_COLUMNS), RUN, CLIPS)
    assert set(first.cells.iloc[:, 2]) | set(second.cells.iloc[:, 2]) == {"—"}
    assert row(second, "baseline", "N")[5] == "87.61"
    for table in (first, second):
        assert table.latex().count(r"\\") == len(table.cells) + 1


def test_results_are_read_back_as_they_were_written(tmp_path):
    table1_scores().to_csv(tmp_path / "table1.csv", index=False)
    found = tables.read(tmp_path, "table1", tables.TABLE1_COLUMNS)
    pd.testing.assert_frame_equal(found, table1_scores())


def test_results_without_a_column_are_refused_with_its_name(tmp_path):
    table1_scores().drop(columns="waf_low").to_csv(tmp_path / "table1.csv", index=False)
    with pytest.raises(ValueError, match=r"table1\.csv: row 1: waf_low: missing column"):
        tables.read(tmp_path, "table1", tables.TABLE1_COLUMNS)


def test_captions_say_which_rule_chose_our_pseudo_labels_and_what_was_changed():
    note = "07_vote with partner='baseline'."
    said = tables.table2(table2_scores(), RUN, CLIPS, note).markdown()
    assert "ours by confidence; the paper's by raw confidence above 0.9" in said
    assert r"07\_vote with partner='baseline'." in said


def test_published_figures_lie_apart_by_profile_and_corpus():
    assert tables.published("mini", "mini") == paths.ROOT / "figures" / "mini"
    assert tables.published("paper", "mer2024") == paths.ROOT / "figures" / "paper-mer2024"
