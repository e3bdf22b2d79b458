import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.probing import METRICS, Leaderboard, PrintedScore, probe, probe_leaderboard
from agt_lib.probing.infer import share

PRINTED = {
    "worried": PrintedScore(0.0326),
    "happy": PrintedScore(0.0732),
    "neutral": PrintedScore(0.0505),
    "sad": PrintedScore(0.1157),
    "angry": PrintedScore(0.03412, 5, "truncate"),
    "surprise": PrintedScore(0.0094),
}
COUNTS = {"worried": 159, "happy": 246, "neutral": 201, "sad": 317, "angry": 163, "surprise": 83}


def as_answers(counts, labels):
    given = np.repeat(np.array(labels, dtype=object), counts)
    return pd.Series(given, index=[f"clip{i}" for i in range(len(given))])


def without(scores, *labels):
    return {label: score for label, score in scores.items() if label not in labels}


class TestThePapersScores:
    def test_give_its_counts_and_no_others(self):
        found = probe(PRINTED, n=1169)
        assert found.unique
        assert dict(zip(found.labels, found.count_low, strict=True)) == COUNTS
        np.testing.assert_array_equal(found.count_low, found.count_high)
        np.testing.assert_allclose(found.prior, [COUNTS[k] / 1169 for k in EMOTIONS])

    def test_fit_no_number_of_clips_but_1169_below_its_double(self):
        assert probe(PRINTED).sizes[:2] == (1169, 2338)

    def test_fit_no_count_with_angrys_rounded_and_the_error_says_what_would(self):
        rounded = PRINTED | {"angry": PrintedScore(0.03412, 5)}
        with pytest.raises(ValueError, match=r"score of angry;.* angry was cut by 'trunc"):
            probe(rounded, n=1169)

    def test_bound_each_share_by_their_digits(self):
        found = probe(PRINTED)
        for i, label in enumerate(EMOTIONS):
            share = COUNTS[label] / 1169
            assert found.low[i] <= share <= found.high[i]
            # One more digit of a score that rises by ds/dp at p bounds p by that much.
            slope = 2 * share * (2 + share) / (1 + share) ** 2
            step = 1e-5 if label == "angry" else 1e-4
            assert found.high[i] - found.low[i] <= 1.01 * step / slope

    @pytest.mark.parametrize("last", EMOTIONS)
    def test_give_its_counts_from_any_five(self, last):
        found = probe(without(PRINTED, last), n=1169, remaining=last)
        assert found.unique
        assert found.count_low[EMOTIONS.index(last)] == COUNTS[last]
        assert found.submissions == 5


def test_scores_may_be_given_as_printed_text_or_as_numbers():
    texts = {
        "neutral": "0.0505", "angry": "0.0341", "happy": "0.0732", "sad": "0.1157",
        "worried": "0.0326", "surprise": "0.0094",
    }  # fmt: skip
    for given in (texts, {label: float(score) for label, score in texts.items()}):
        found = probe(given, n=1169)
        assert found.table()["count"].tolist() == [201, 163, 246, 317, 159, 83]
        assert "the counts are unique for 1169 clips" in str(found)


def test_scores_that_were_cut_are_inverted_as_such():
    counts = [COUNTS[label] for label in EMOTIONS]
    answers = as_answers(counts, EMOTIONS)
    board = Leaderboard(answers, rounding="truncate")
    cut = {k: str(board.submit(pd.Series(k, answers.index))) for k in EMOTIONS}
    found = probe(cut, 1169, rounding="truncate")
    assert found.unique
    assert found.count_low.tolist() == counts
    with pytest.raises(ValueError, match="no counts of 1169 clips"):
        probe(cut, 1169)


def test_counts_that_are_ambiguous_are_said_to_be_and_left_out():
    found = probe({"joy": "0.3", "anger": "0.4"}, n=200)
    assert found.solutions > 1
    assert f"ambiguous: {found.solutions} sets of counts" in str(found)
    table = found.table()
    assert table["count"].isna().all()
    assert (table["count_low"] < table["count_high"]).all()


def test_scores_of_other_labels_than_the_six_emotions_are_all_there_are():
    found = probe({"joy": "0.3333"}, remaining="anger")
    assert found.labels == ("joy", "anger")
    assert found.prior == pytest.approx([0.5, 0.5], abs=1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_the_closed_forms_agree_with_scikit_learn(name):
    generator = np.random.default_rng(0)
    for _ in range(20):
        true = generator.choice(6, 300, p=generator.dirichlet(np.ones(6)))
        for c in range(6):
            constant = np.full(300, c)
            average = {"waf": "weighted", "macro_f1": "macro", "class_f1": None}.get(name)
            if name == "accuracy":
                score = accuracy_score(true, constant)
            else:
                score = f1_score(true, constant, labels=range(6), average=average, zero_division=0)
            score = score[c] if name == "class_f1" else score
            assert share(name, score, 6) == pytest.approx(np.mean(true == c), abs=1e-12)


def test_random_counts_are_recovered_from_four_digits_or_said_to_be_ambiguous():
    generator = np.random.default_rng(1)
    unique = 0
    for _ in range(40):
        n, c = int(20 * 1000 ** generator.random()), int(generator.integers(2, 8))
        labels = [f"label{i}" for i in range(c)]
        truth = generator.multinomial(n, generator.dirichlet(np.full(c, 2.0)))
        rounding = str(generator.choice(["round", "truncate"]))
        name = str(generator.choice(list(METRICS)))
        answers = as_answers(truth, labels)
        found = probe_leaderboard(
            Leaderboard(answers, name, 4, rounding, labels=labels), answers.index, n
        )
        assert (found.count_low <= truth).all()
        assert (truth <= found.count_high).all()
        np.testing.assert_allclose(found.prior, truth / n, atol=(found.high - found.low).max())
        assert found.unique == (found.count_low == found.count_high).all()
        unique += found.unique
    assert 10 < unique < 38


@pytest.mark.parametrize("seed", range(4))
def test_all_sets_of_counts_that_fit_are_counted(seed):
    truth = np.random.default_rng(seed).multinomial(30, [0.4, 0.3, 0.2, 0.1])
    printed = [round(2 * (k / 30) ** 2 / (1 + k / 30), 1) for k in range(31)]
    scores = {f"label{i}": PrintedScore(printed[k], 1) for i, k in enumerate(truth)}
    found = probe(scores, n=30)
    fitting = [
        counts
        for counts in itertools.product(range(31), repeat=4)
        if sum(counts) == 30 and [printed[k] for k in counts] == [printed[k] for k in truth]
    ]
    assert found.solutions == len(fitting) > 1
    np.testing.assert_array_equal(found.count_low, np.min(fitting, axis=0))
    np.testing.assert_array_equal(found.count_high, np.max(fitting, axis=0))


def test_twenty_thousand_clips_are_ambiguous_and_the_truth_lies_within():
    truth = np.array([5000, 4000, 3500, 3000, 2500, 2000])
    answers = as_answers(truth, EMOTIONS)
    found = probe_leaderboard(Leaderboard(answers), answers.index, n=20_000)
    assert found.solutions > 1
    assert f"{found.solutions} sets of counts fit" in found.verdict
    assert (found.count_low <= truth).all()
    assert (truth <= found.count_high).all()
    assert (found.count_high - found.count_low).max() < 20


def test_a_label_that_no_clip_has_gets_a_count_of_none():
    answers = as_answers([30, 20, 0, 25, 15, 10], EMOTIONS)
    found = probe_leaderboard(Leaderboard(answers), answers.index, n=100)
    assert found.unique
    assert found.count_low.tolist() == [30, 20, 0, 25, 15, 10]


def test_what_is_not_submitted_costs_nothing():
    answers = as_answers([30, 20, 5, 25, 15, 5], EMOTIONS)
    board = Leaderboard(answers)
    scores = {k: board.submit(pd.Series(k, answers.index)) for k in EMOTIONS if k != "surprise"}
    found = probe(scores, n=100, remaining="surprise")
    assert board.submissions == found.submissions == 5
    assert found.table().loc["surprise", "score"] == "from the sum"
    assert found.count_low.tolist() == [30, 20, 5, 25, 15, 5]
    assert probe_leaderboard(board, answers.index, n=100).submissions == 6
    assert board.submissions == 11


def test_without_the_number_of_clips_the_shares_still_sum_to_one_and_lie_near_the_truth():
    found = probe(without(PRINTED, "angry"), remaining="angry")
    assert found.prior.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.prior, [COUNTS[k] / 1169 for k in EMOTIONS], atol=5e-4)
    assert 1169 in found.sizes
    last, others = EMOTIONS.index("angry"), [k != "angry" for k in EMOTIONS]
    assert found.low[last] == pytest.approx(1 - found.high[others].sum())
    assert found.high[last] == pytest.approx(1 - found.low[others].sum())


def test_a_hidden_half_is_not_seen():
    answers = as_answers([60, 40, 10, 50, 30, 10], EMOTIONS).sample(frac=1, random_state=0)
    board = Leaderboard(answers, private_share=0.5, seed=3)
    found = probe_leaderboard(board, answers.index, n=board.n_scored)
    assert found.count_low.sum() == 100
    with pytest.raises(ValueError, match="hidden part"):
        probe_leaderboard(board, answers.index, n=199)


class TestBadInput:
    def test_five_of_six_scores_name_the_missing_one_and_both_ways_out(self):
        with pytest.raises(ValueError, match=r"5 of 6 .*missing: sad\. Submit.*remaining='sad'"):
            probe(without(PRINTED, "sad"))

    def test_four_of_six_can_not_follow_from_the_sum(self):
        with pytest.raises(ValueError, match=r"4 of 6 .*missing: angry, sad\. Submit"):
            probe(without(PRINTED, "sad", "angry"))
        with pytest.raises(ValueError, match="missing: angry"):
            probe(without(PRINTED, "sad", "angry"), remaining="sad")

    def test_a_score_of_no_label_is_named(self):
        with pytest.raises(ValueError, match="joy"):
            probe(PRINTED | {"joy": PrintedScore(0.1)})

    def test_the_remaining_label_must_be_one_without_a_score(self):
        with pytest.raises(ValueError, match="remaining='sad'"):
            probe(PRINTED, remaining="sad")

    def test_a_wrong_metric_is_noticed_and_the_right_one_named(self):
        with pytest.raises(ValueError, match=r"sum to 0\.31.* by accuracy.*by waf they would"):
            probe(PRINTED, metric="accuracy")

    @pytest.mark.parametrize("absent", [["surprise"], ["angry", "surprise"]])
    def test_macro_f1_over_the_labels_there_are_names_those_that_the_test_set_lacks(self, absent):
        counts = [0 if label in absent else 20 + 5 * i for i, label in enumerate(EMOTIONS)]
        answers = as_answers(counts, EMOTIONS)
        printed = {  # scikit-learn's default: the mean over labels that are true or predicted
            label: f"{f1_score(answers, [label] * len(answers), average='macro'):.4f}"
            for label in EMOTIONS
        }
        with pytest.raises(ValueError, match=f"without {', '.join(absent)} they would") as told:
            probe(printed, metric="macro_f1")
        there = [label for label in EMOTIONS if label not in absent]
        assert f"labels={there}" in str(told.value)
        with_those = {label: printed[label] for label in there}
        found = probe(with_those, len(answers), there, metric="macro_f1")
        assert found.count_low.tolist() == [count for count in counts if count]

    def test_noise_is_noticed(self):
        noisy = {k: PrintedScore(round(s.value + 0.002, 4)) for k, s in PRINTED.items()}
        with pytest.raises(ValueError, match="suspect noise"):
            probe(noisy)

    def test_a_number_of_clips_that_no_counts_fit_names_those_that_would(self):
        with pytest.raises(ValueError, match=r"no counts of 1200 clips.* fit: 1169"):
            probe(PRINTED, n=1200)

    @pytest.mark.parametrize("n", [0, -5, "1169", 1169.0])
    def test_the_number_of_clips_is_a_whole_one_above_zero(self, n):
        with pytest.raises(ValueError, match=f"whole number of 1 or more; got {n!r}"):
            probe(PRINTED, n)

    def test_no_scores_at_all_are_refused(self):
        with pytest.raises(ValueError, match="no scores are given"):
            probe({})

    def test_a_digit_that_is_no_decimal_is_no_score(self):
        with pytest.raises(ValueError, match="'0.²' is no score"):
            probe(PRINTED | {"sad": "0.²"})

    def test_an_unknown_metric_lists_the_known(self):
        with pytest.raises(ValueError, match="macro_f1"):
            probe(PRINTED, metric="f1")

    @pytest.mark.parametrize("value", [-0.1, 1.2, float("nan")])
    def test_a_score_outside_zero_to_one_is_refused(self, value):
        with pytest.raises(ValueError, match="between 0 and 1"):
            PrintedScore(value)

    def test_a_score_in_per_cent_is_told_to_be_divided(self):
        with pytest.raises(ValueError, match="divide per cent by 100"):
            PrintedScore(3.26, 2)

    def test_a_score_with_more_digits_than_said_is_refused(self):
        with pytest.raises(ValueError, match="'1e-05' is no score"):
            probe({"joy": 1e-5, "anger": 0.9})
        with pytest.raises(ValueError, match="more than 4 digits"):
            PrintedScore(0.03412)

    def test_scores_that_are_all_zero_are_suspected_of_noise(self):
        with pytest.raises(ValueError, match="suspect noise"):
            probe(dict.fromkeys(EMOTIONS, "0.0000"), metric="macro_f1")
