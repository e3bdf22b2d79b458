import pandas as pd
import pytest

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.probing import PrintedScore, probe, read_scores, write_submissions

NAMES = [f"clip{i}" for i in range(5)]
PRINTED = {
    "worried": "0.0326", "happy": "0.0732", "neutral": "0.0505", "sad": "0.1157",
    "angry": "0.03412", "surprise": "0.0094",
}  # fmt: skip


def fill(folder, scores, rounding=()):
    table = pd.read_csv(folder / "scores.csv", dtype="str", keep_default_na=False)
    table["score"] = table["label"].map(scores).fillna("")
    table["rounding"] = table["label"].map(dict(rounding)).fillna(table["rounding"])
    table.to_csv(folder / "scores.csv", index=False)
    return folder / "scores.csv"


def test_each_label_has_a_submission_of_its_own_for_all_clips(tmp_path):
    files = write_submissions(tmp_path, NAMES, EMOTIONS)
    assert list(files) == list(EMOTIONS)
    for label, path in files.items():
        table = pd.read_csv(path)
        assert list(table.columns) == ["name", "discrete"]
        assert list(table["name"]) == NAMES
        assert set(table["discrete"]) == {label}


def test_filled_in_scores_give_the_papers_counts(tmp_path):
    write_submissions(tmp_path, NAMES, EMOTIONS)
    path = fill(tmp_path, PRINTED, {"angry": "truncate"}.items())
    found = probe(read_scores(path, EMOTIONS), n=1169)
    assert found.count_low.tolist() == [201, 163, 246, 317, 159, 83]
    assert found.unique


def test_trailing_zeros_are_digits(tmp_path):
    (tmp_path / "s.csv").write_text("label,score\nsad,0.1150\n")
    assert read_scores(tmp_path / "s.csv", EMOTIONS) == {"sad": PrintedScore(0.115, 4)}


def test_filled_in_scores_are_not_overwritten(tmp_path):
    write_submissions(tmp_path, NAMES, EMOTIONS)
    path = fill(tmp_path, PRINTED)
    write_submissions(tmp_path, NAMES, EMOTIONS)
    assert len(read_scores(path, EMOTIONS)) == 6


def test_a_score_not_yet_filled_in_is_left_out_and_inferring_asks_for_it(tmp_path):
    write_submissions(tmp_path, NAMES, EMOTIONS)
    given = read_scores(fill(tmp_path, PRINTED | {"sad": ""}), EMOTIONS)
    assert len(given) == 5
    with pytest.raises(ValueError, match="5 of 6 scores are given; missing: sad"):
        probe(given)


def test_no_score_filled_in_says_what_to_do(tmp_path):
    write_submissions(tmp_path, NAMES, EMOTIONS)
    with pytest.raises(ValueError, match="upload the submissions"):
        read_scores(tmp_path / "scores.csv", EMOTIONS)


def test_all_problems_are_listed_with_their_rows(tmp_path):
    (tmp_path / "s.csv").write_text(
        "label,score,rounding\nsad,11.57,round\nhappy,7.32%,round\njoy,0.1,round\n"
        "angry,0.1,up\nneutral,0.1,\nneutral,0.2,\n"
    )
    with pytest.raises(ValueError, match="row") as error:
        read_scores(tmp_path / "s.csv", EMOTIONS)
    text = str(error.value)
    assert "row 2, sad: a score lies between 0 and 1; got 11.57 (divide per cent by 100)" in text
    assert "row 3, happy: '7.32%' is no score" in text
    assert "row 4: 'joy' is none of the labels" in text
    assert "row 5, angry: rounding is one of round, truncate; got 'up'" in text
    assert "row 7: neutral is there twice" in text


def test_a_file_without_the_columns_is_refused(tmp_path):
    (tmp_path / "s.csv").write_text("class,score\nsad,0.1\n")
    with pytest.raises(
        ValueError, match="row 1: label: missing column; the header has class, score"
    ):
        read_scores(tmp_path / "s.csv", EMOTIONS)


def test_labels_with_other_characters_make_file_names_of_their_own(tmp_path):
    files = write_submissions(tmp_path, NAMES, ("n/a", "n a"))
    assert len(set(files.values())) == 2
    assert all(path.parent == tmp_path for path in files.values())
