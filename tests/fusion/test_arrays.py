"""Cross-validation on plain arrays: what comes out, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.fusion import FittedModel, FusionConfig, cross_validate
from agt_lib.workspace import paths

N = 60
LABELS = np.array(["sad", "happy", "angry"], dtype=object)[np.arange(N) % 3]
WHO = [f"s{i // 6}" for i in range(N)]


def arrays(n=N, seed=0):
    rng = np.random.default_rng(seed)
    shown = 4 * np.eye(3)[[["sad", "happy", "angry"].index(x) for x in LABELS[:n]]]
    return {
        "text": rng.standard_normal((n, 4)).astype(np.float32),
        "audio": np.hstack([shown + rng.standard_normal((n, 3)), rng.standard_normal((n, 2))]),
    }


@pytest.fixture(scope="module")
def fitted():
    return cross_validate(arrays(), LABELS, speakers=WHO, n_folds=3, seeds=(0, 1))


def test_the_score_is_the_out_of_fold_one_and_says_its_interval(fitted):
    line = fitted.score()
    assert line["waf"] > 80
    assert line["waf_low"] <= line["waf"] <= line["waf_high"]
    assert (line["clips"], line["seeds"], line["interval_over"]) == (N, 2, "speakers")


def test_emotions_stand_in_their_order_and_each_row_sums_to_one(fitted):
    table = fitted.out_of_fold
    assert list(table) == ["angry", "happy", "sad"]
    assert table.index.equals(pd.RangeIndex(N))
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
    assert (table.idxmax(axis=1) == LABELS).mean() > 0.8


def test_new_clips_are_predicted_by_the_mean_of_all_models(fitted):
    new = {m: pd.DataFrame(x, index=[f"new{i}" for i in range(9)]) for m, x in arrays(9, 5).items()}
    found = fitted.predict(new)
    assert found.index.tolist() == [f"new{i}" for i in range(9)]
    assert (found.idxmax(axis=1) == LABELS[:9]).mean() > 0.8
    alone = fitted.predict({m: x.iloc[2:3] for m, x in new.items()})
    np.testing.assert_allclose(alone, found.iloc[2:3], rtol=1e-4)


def test_new_clips_of_a_speaker_are_scaled_by_their_own_statistics(fitted):
    """A speaker whose features are all shifted is predicted as one whose features are not."""
    new = arrays(30, 5)
    moved = {m: x + 10 for m, x in new.items()}
    found = fitted.predict(moved, speakers=["stranger"] * 30)
    assert (found.idxmax(axis=1) == LABELS[:30]).mean() > 0.7
    lost = fitted.predict(moved)
    assert (lost.idxmax(axis=1) == LABELS[:30]).mean() < 0.5


def test_a_speaker_of_the_training_clips_keeps_the_statistics_from_there(fitted):
    new = arrays(12, 5)
    together = fitted.predict(new, speakers=[WHO[0]] * 12)
    alone = fitted.predict({m: x[:1] for m, x in new.items()}, speakers=[WHO[0]])
    np.testing.assert_allclose(alone, together.iloc[:1], rtol=1e-4)
    other = fitted.predict(new, speakers=["stranger"] * 12)
    assert np.abs(other.to_numpy() - together.to_numpy()).max() > 1e-3


def test_no_speaker_is_in_two_folds(fitted):
    assert pd.Series(fitted.result.folds.to_numpy()).groupby(WHO).nunique().eq(1).all()


def test_nothing_is_written_unless_a_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("AGT_DATA", str(tmp_path / "data"))
    config = FusionConfig.default("attention", ("audio", "text"), epochs=1)
    cross_validate(arrays(), LABELS, config, n_folds=2)
    assert not paths.derived().exists()
    made = cross_validate(arrays(), LABELS, config, n_folds=2, folder=tmp_path / "mine")
    written = pd.read_csv(tmp_path / "mine" / "out_of_fold.csv", index_col=0)
    np.testing.assert_allclose(written, made.out_of_fold, rtol=1e-5)
    model = FittedModel.load(tmp_path / "mine" / "seed0-fold1")
    np.testing.assert_array_equal(
        model.predict(made.data), made.result.models["attention"][0][1].predict(made.data)
    )
    assert not paths.derived().exists()


def test_a_row_of_nan_is_an_absent_modality():
    config = FusionConfig.default("agt", ("audio", "text"), epochs=1)
    given = arrays()
    given["text"][::2] = np.nan
    made = cross_validate(given, LABELS, config, n_folds=2)
    assert made.data.is_present("text").tolist() == [False, True] * (N // 2)
    found = made.predict({"audio": given["audio"][:2], "text": np.full((2, 4), np.nan)})
    assert np.isfinite(found).all().all()


def test_labels_may_be_numbers_and_others_than_the_six():
    config = FusionConfig.default("unimodal", ("audio",), epochs=1)
    numbers = np.arange(N) % 3 + 7
    made = cross_validate({"audio": arrays()["audio"]}, numbers, config, n_folds=2)
    assert list(made.out_of_fold) == [7, 8, 9]
    others = np.array(["zeal", "calm"], dtype=object)[np.arange(N) % 2]
    made = cross_validate({"audio": arrays()["audio"]}, others, config, n_folds=2)
    assert list(made.out_of_fold) == ["calm", "zeal"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": {"eeg": np.zeros((N, 2))}}, "'eeg' is no modality; expected audio, video"),
        ({"features": {}}, "no features were given; expected one or more of audio"),
        ({"features": {"audio": np.zeros(N)}}, r"audio: an array of shape \(60,\); expected"),
        ({"features": arrays() | {"text": np.zeros((9, 4))}}, "text: 9 rows; audio has 60"),
        ({"features": {"audio": np.full((N, 1), "x")}}, "audio: expected numbers"),
        ({"labels": LABELS[:50]}, "labels: 50 were given; the features have 60 rows"),
        ({"labels": [None, *LABELS[1:]]}, "labels: 1 are missing, the first in row 0"),
        ({"speakers": WHO[:5]}, "speakers: 5 were given; the features have 60 rows"),
        ({"n_folds": 21}, "21 folds were asked for.*20 clips of the label"),
        ({"n_folds": 1}, "1 folds were asked for; expected 2 or more"),
        ({"n_folds": 5, "speakers": ["a"] * N}, "5 folds need 5 speakers"),
        ({"model": "tfn"}, "model is one of agt, attention, unimodal; got 'tfn'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(change, message):
    with pytest.raises(ValueError, match=message):
        cross_validate(**({"features": arrays(), "labels": LABELS} | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": np.zeros((9, 6))}, r"audio \(6 columns\).*given; .* on audio \(5 columns\)"),
        ({"eeg": np.zeros((9, 6))}, "'eeg' is no modality; expected audio, video, text"),
        ({"audio": np.zeros((8, 5))}, "text: 9 rows; audio has 8"),
        ({"video": np.zeros((9, 6))}, r"video \(6 columns\), text \(4 columns\) were given"),
        (
            {"text": None},
            r"of audio \(5 columns\) were given; .* audio \(5 columns\), text \(4 col",
        ),
        ({"text": np.array([[1, np.nan, 1, 1]] * 9)}, "text features of 9 clips are not finite"),
    ],
)
def test_other_features_than_those_of_the_fit_are_refused(fitted, change, message):
    given = {m: x for m, x in (arrays(9) | change).items() if x is not None}
    with pytest.raises(ValueError, match=message):
        fitted.predict(given)


@pytest.mark.parametrize("pair", [("A", "a"), ("calm", " calm"), ("calm", " ")])
def test_labels_that_differ_in_case_or_spaces_alone_are_refused(pair):
    labels = np.array(pair, dtype=object)[np.arange(N) % 2]
    with pytest.raises(ValueError, match="not empty and that differ in more than case"):
        cross_validate(arrays(), labels, n_folds=2)


@pytest.mark.parametrize("column", ["labels", "speakers"])
def test_counted_clips_in_another_order_than_the_features_are_refused(column):
    table = {m: pd.DataFrame(x) for m, x in arrays().items()}
    given = {"labels": LABELS, column: pd.Series(LABELS).iloc[::-1]}
    with pytest.raises(ValueError, match=f"{column}: its index is not that of the features"):
        cross_validate(table, **given)


def test_numpys_integers_are_seeds(tmp_path):
    config = FusionConfig.default("unimodal", ("audio",), epochs=1)
    features = {"audio": arrays()["audio"]}
    cross_validate(features, LABELS, config, n_folds=2, seeds=np.arange(1), folder=tmp_path)
    assert FittedModel.load(tmp_path / "seed0-fold1").seed == 0
