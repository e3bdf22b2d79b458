import warnings

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import build
from agt_lib.corpora.folds import (
    divisions,
    fold_numbers,
    folds_of,
    inner_split,
    make_folds,
    tuning_folds,
)


def corpus(emotions, speakers=None):
    table = pd.DataFrame({"name": [f"c{i}" for i in range(len(emotions))], "emotion": emotions})
    table = table.assign(split="train", speaker=speakers)
    return build("test", table, source="a table")


def balanced(per_class):
    return ["happy", "sad", "angry"] * per_class


def test_every_labelled_training_clip_is_in_exactly_one_fold():
    table = pd.DataFrame(
        {
            "name": [f"c{i}" for i in range(34)],
            "split": ["train"] * 31 + ["dev", "test", "unlabelled"],
            "emotion": [*balanced(10), None, "sad", None, None],
        }
    )
    folds = make_folds(build("test", table, source="a table"))
    assert folds.index.tolist() == [f"c{i}" for i in range(30)]
    assert sorted(folds.unique()) == [0, 1, 2, 3, 4]


def test_each_fold_has_its_share_of_every_emotion():
    emotions = ["happy"] * 50 + ["sad"] * 20 + ["angry"] * 5
    folds = make_folds(corpus(emotions))
    counts = pd.crosstab(folds.to_numpy(), np.array(emotions))
    assert (counts == {"happy": 10, "sad": 4, "angry": 1}).all(axis=None)


def test_no_speaker_is_in_two_folds():
    rng = np.random.default_rng(0)
    speakers = [f"s{i}" for i in rng.integers(0, 12, 300)]
    folds = make_folds(corpus(balanced(100), speakers))
    assert (folds.groupby(np.array(speakers)).nunique() == 1).all()
    assert sorted(folds.unique()) == [0, 1, 2, 3, 4]


def test_clips_are_not_grouped_when_one_has_no_speaker():
    folds = make_folds(corpus(balanced(10), [None, *["s1"] * 29]))
    assert folds.value_counts().tolist() == [6] * 5


def test_the_fold_seed_alone_decides():
    first, again, other = (make_folds(corpus(balanced(20)), fold_seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_series_equal(first, again)
    assert not first.equals(other)


def test_too_few_clips_of_a_class_are_named():
    with pytest.raises(ValueError, match="too few of angry: 3"):
        make_folds(corpus([*["happy"] * 9, *["angry"] * 3]))


@pytest.mark.parametrize("n_folds", [1, 0, -1])
def test_folds_are_two_or_more(n_folds):
    with pytest.raises(ValueError, match=f"two or more; got {n_folds}"):
        make_folds(corpus(balanced(10)), n_folds)


def test_too_few_speakers_are_counted():
    with pytest.raises(ValueError, match="5 folds need 5 speakers; the corpus has 3"):
        make_folds(corpus(balanced(10), ["s1", "s2", "s3"] * 10))


def test_a_corpus_without_labels_has_nothing_to_fold():
    with pytest.raises(ValueError, match="no labelled training clips"):
        make_folds(corpus([None, None]))


def test_the_inner_part_is_a_fifth_of_each_class():
    emotions = np.array(["happy"] * 50 + ["sad"] * 20)
    part = inner_split(emotions, None, seed=0)
    assert part.dtype == bool
    assert (part[:50].sum(), part[50:].sum()) == (10, 4)


def test_the_inner_part_shares_no_speaker_with_the_rest():
    speakers = np.array([f"s{i % 10}" for i in range(200)], dtype=object)
    part = inner_split(np.array(balanced(67)[:200]), speakers, seed=0)
    assert 0 < part.sum() < 200
    assert not set(speakers[part]) & set(speakers[~part])


@pytest.mark.parametrize("speakers", [["s1", "s2"] * 15, [None, "s1", "s2"] * 10, [np.nan] * 30])
def test_the_inner_part_is_not_grouped_by_speakers_too_few_or_unknown(speakers):
    part = inner_split(np.array(balanced(10)), np.array(speakers, dtype=object), seed=0)
    assert part.sum() == 6


def test_a_rare_class_neither_stops_nor_warns_the_inner_split():
    emotions = np.array(["happy"] * 30 + ["surprise"] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part = inner_split(emotions, None, seed=0)
    assert part[:30].sum() == 6


def test_classes_that_are_all_rare_have_fewer_parts():
    part = inner_split(np.array(["happy", "sad"] * 3), None, seed=0)
    assert part.sum() == 2


def test_numbered_classes_split_like_named_ones():
    names = np.array(balanced(20))
    numbers = np.unique(names, return_inverse=True)[1]
    np.testing.assert_array_equal(
        inner_split(names, None, seed=1), inner_split(numbers, None, seed=1)
    )


@pytest.fixture
def with_dev():
    """A corpus of six training clips, three dev clips and one without a label."""
    splits = ["train"] * 6 + ["dev"] * 3 + ["dev"]
    table = pd.DataFrame({"name": [f"c{i}" for i in range(10)], "split": splits})
    return build("test", table.assign(emotion=[*balanced(3), None]), source="a table")


def test_a_dev_split_is_held_out_once_and_its_training_clips_never(with_dev):
    folds = folds_of(with_dev)
    assert folds.tolist() == [-1] * 6 + [0] * 3
    assert folds.index.tolist() == [f"c{i}" for i in range(9)]


def test_a_corpus_without_labelled_dev_clips_has_folds_by_number_and_seed():
    plain = corpus(balanced(10))
    pd.testing.assert_series_equal(folds_of(plain, 3, 1), make_folds(plain, 3, 1))


@pytest.mark.parametrize("numbers", [[-1, -1, -1], [0, 2, 0], [0, 1, -2], [0, 0, 0], [0, 0.5, 1]])
def test_folds_that_hold_nothing_out_or_leave_a_number_out_are_refused(numbers):
    with pytest.raises(ValueError, match="folds are numbered 0, 1, 2 and so on"):
        fold_numbers(["a", "b", "c"], pd.Series(numbers, index=["a", "b", "c"]))


def test_the_fold_of_each_clip_is_found_by_its_name():
    folds = pd.Series([0, -1, 1], index=["a", "b", "c"])
    assert fold_numbers(["c", "b", "a"], folds).tolist() == [1, -1, 0]
    with pytest.raises(ValueError, match="1 of 2 clips have no fold, the first is 'd'"):
        fold_numbers(["a", "d"], folds)


def test_with_a_dev_split_features_are_tuned_on_folds_of_the_training_clips(with_dev):
    folds = tuning_folds(with_dev, folds_of(with_dev))
    assert folds.index.tolist() == [f"c{i}" for i in range(6)]
    assert sorted(folds) == [0, 0, 0, 1, 1, 1]  # two clips of each class
    whole = make_folds(corpus(balanced(10)))
    assert tuning_folds(corpus(balanced(10)), whole) is whole


class TestDivisions:
    def test_no_model_is_trained_on_its_own_fold_and_every_clip_is_predicted_once(self):
        made = corpus(balanced(10))
        folds = make_folds(made)
        parts = divisions(made, folds)
        assert sorted(name for part in parts for name in part.held_out) == sorted(folds.index)
        for part in parts:
            assert not set(folds[part.held_out]) & set(folds[part.training])
            assert len(part.held_out) + len(part.training) == len(folds)

    def test_clips_that_no_fold_holds_out_are_divided_without_those_that_one_does(self):
        made = corpus(balanced(10))
        folds = make_folds(made)
        folds = folds.where(folds == 0, -1)
        outer, *inner = divisions(made, folds)
        assert set(outer.held_out) == set(folds.index[folds == 0])
        assert set(outer.training) == set(folds.index[folds == -1])
        assert sorted(name for part in inner for name in part.held_out) == sorted(outer.training)
        for part in inner:
            assert not set(part.held_out) & set(part.training)
            assert set(part.training) < set(outer.training)

    def test_rare_labels_and_few_speakers_make_fewer_inner_folds(self):
        made = corpus(balanced(5))
        folds = make_folds(made)
        folds = folds.where(folds == 0, -1)
        assert len(divisions(made, folds)) == 1 + 4  # four clips of each label are not held out
        made.clips.loc[folds.index, "speaker"] = [f"s{i // 3 % 3}" for i in range(len(folds))]
        parts = divisions(made, folds)
        assert len(parts) == 1 + 3
        speakers = made.clips["speaker"]
        for part in parts[1:]:
            assert not set(speakers[part.held_out]) & set(speakers[part.training])

    def test_folds_of_another_corpus_are_refused(self):
        made = corpus(balanced(10))
        with pytest.raises(ValueError, match="1 clips .* 'stranger'"):
            divisions(made, pd.concat([make_folds(made), pd.Series({"stranger": 0})]))
