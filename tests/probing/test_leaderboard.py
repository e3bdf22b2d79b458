import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.probing import Leaderboard, PrintedScore

NAMES = [f"clip{i}" for i in range(200)]


def drawn(seed):
    return pd.Series(np.random.default_rng(seed).choice(EMOTIONS, len(NAMES)), index=NAMES)


ANSWERS, GUESS = drawn(0), drawn(1)


@pytest.mark.parametrize(
    ("metric", "exact"),
    [
        ("waf", f1_score(ANSWERS, GUESS, average="weighted")),
        ("macro_f1", f1_score(ANSWERS, GUESS, average="macro")),
        ("accuracy", accuracy_score(ANSWERS, GUESS)),
    ],
)
def test_prints_scikit_learns_score_rounded_or_truncated(metric, exact):
    assert Leaderboard(ANSWERS, metric).submit(GUESS) == PrintedScore(round(exact, 4))
    cut = Leaderboard(ANSWERS, metric, 3, "truncate").submit(GUESS)
    assert cut == PrintedScore(math.floor(exact * 1000) / 1000, 3, "truncate")


def test_prints_the_f1_of_each_class():
    exact = f1_score(ANSWERS, GUESS, average=None, labels=EMOTIONS)
    printed = Leaderboard(ANSWERS, "class_f1").submit(GUESS)
    assert [printed[label].value for label in EMOTIONS] == pytest.approx(exact, abs=5e-5)


def test_the_order_of_clips_and_clips_that_are_not_scored_do_not_matter():
    board = Leaderboard(ANSWERS)
    more = pd.concat([GUESS, pd.Series("sad", index=["other1", "other2"])])
    assert board.submit(more.sample(frac=1, random_state=0)) == board.submit(GUESS)


def test_counts_submissions_but_not_refused_ones():
    board = Leaderboard(ANSWERS)
    board.submit(GUESS)
    with pytest.raises(ValueError, match="no label for 1 of 200 clips, the first is 'clip7'"):
        board.submit(GUESS.drop("clip7"))
    board.submit(GUESS)
    assert board.submissions == 2


def test_the_public_score_ignores_the_hidden_part_and_the_hidden_score_the_public():
    board = Leaderboard(ANSWERS, "accuracy", 10, private_share=0.3, seed=5)
    assert board.n_scored == 140
    public = [
        name
        for name in NAMES
        if board.submit(
            ANSWERS.where(ANSWERS.index != name, "wrong").replace(
                "wrong", "sad" if ANSWERS[name] != "sad" else "happy"
            )
        ).value
        < 1
    ]
    assert len(public) == 140
    worse = ANSWERS.copy()
    worse[public] = ["sad" if label != "sad" else "happy" for label in worse[public]]
    assert board.submit(worse).value == 0
    assert board.score_private(worse) == 1
    before = board.submissions
    board.score_private(GUESS)
    assert board.submissions == before


def test_the_seed_draws_the_hidden_part():
    def score(seed):
        board = Leaderboard(ANSWERS, digits=10, private_share=0.5, seed=seed)
        return board.submit(GUESS)

    assert score(1) == score(1)
    assert score(1) != score(2)


class TestBadInput:
    def test_answers_with_gaps_are_refused(self):
        with pytest.raises(ValueError, match="answers: no label for 1 of 200 clips"):
            Leaderboard(ANSWERS.where(ANSWERS.index != "clip3"))
        with pytest.raises(ValueError, match="needs answers; there are none"):
            Leaderboard(ANSWERS[:0])

    def test_answers_may_be_a_dictionary(self):
        board = Leaderboard({"a": "sad", "b": "happy"}, metric="accuracy")
        assert str(board.submit(pd.Series({"b": "happy", "a": "happy"}))) == "0.5000"

    def test_answers_that_name_a_clip_twice_are_refused(self):
        with pytest.raises(ValueError, match="'clip0' is named more than once"):
            Leaderboard(pd.concat([ANSWERS, ANSWERS[:1]]))

    def test_unknown_labels_are_named(self):
        with pytest.raises(ValueError, match="joy"):
            Leaderboard(ANSWERS.replace("sad", "joy"))
        with pytest.raises(ValueError, match="joy"):
            Leaderboard(ANSWERS).submit(GUESS.replace("sad", "joy"))

    def test_a_submission_without_a_label_or_with_a_name_twice_is_refused(self):
        with pytest.raises(ValueError, match="first is 'clip9'"):
            Leaderboard(ANSWERS).submit(GUESS.where(GUESS.index != "clip9"))
        with pytest.raises(ValueError, match="'clip0' is named more than once"):
            Leaderboard(ANSWERS).submit(pd.concat([GUESS, GUESS[:1]]))

    @pytest.mark.parametrize("share", [-0.1, 1.0, 0.999])
    def test_a_hidden_share_must_leave_clips(self, share):
        with pytest.raises(ValueError, match="private_share"):
            Leaderboard(ANSWERS, private_share=share)

    def test_nothing_hidden_has_no_hidden_score(self):
        with pytest.raises(ValueError, match="hides no clips"):
            Leaderboard(ANSWERS).score_private(GUESS)

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"metric": "f2"}, "no metric 'f2'"), ({"rounding": "up"}, "'up'"), ({"digits": 0}, "0")],
    )
    def test_unknown_metrics_roundings_and_digits_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            Leaderboard(ANSWERS, **options)
