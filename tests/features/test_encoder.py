import numpy as np
import pytest

from agt_lib.features.encoder import batches, mean_rows

LENGTHS = [3, 10, 4, 10, 1, 4, 25]


def test_batches_hold_every_clip_once_longest_first_within_the_budget():
    found = list(batches(LENGTHS, budget=20))
    assert found == [[6], [1, 3], [2, 5, 0, 4]]


def test_a_clip_longer_than_the_budget_is_a_batch_of_its_own():
    assert list(batches([50, 40], budget=20)) == [[0], [1]]


def test_batches_of_equal_length_mix_no_lengths():
    found = list(batches(LENGTHS, budget=100, equal_length=True))
    assert found == [[6], [1, 3], [2, 5], [0], [4]]


def test_no_clips_are_no_batches():
    assert list(batches([], budget=20)) == []


@pytest.mark.parametrize("count", [1, 3])
def test_features_are_means_over_each_clips_own_frames(count):
    clips = [np.arange(2.0 * (i + 1), dtype=np.float32).reshape(-1, 2) for i in range(count)]
    values = mean_rows(clips)
    assert values.dtype == np.float32
    # Frames (0, 1), (2, 3), ... up to i: the mean is (i, i + 1).
    np.testing.assert_array_equal(values, [[i, i + 1] for i in range(count)])
