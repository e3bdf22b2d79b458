import numpy as np
import pandas as pd
import pytest

from agt_lib.features.features import Features


def utterances(**changes):
    fields = {
        "modality": "audio",
        "names": ("a", "b", "c"),
        "values": np.array([[1, 2], [0, 0], [5, 6]], dtype=np.float32),
        "present": np.array([True, False, True]),
        "fingerprint": "made by hand",
        "failures": pd.DataFrame([("b", "decode", "broken")], columns=["name", "stage", "reason"]),
    }
    return Features(**fields | changes)


def test_selecting_follows_the_names_asked_for():
    selected = utterances().select(["c", "b", "a"])
    assert selected.names == ("c", "b", "a")
    np.testing.assert_array_equal(selected.values, [[5, 6], [0, 0], [1, 2]])
    assert selected.present.tolist() == [True, False, True]
    assert selected.fingerprint == "made by hand"


def test_an_unknown_clip_is_absent_with_a_reason_and_zeros():
    selected = utterances().select(["x", "a", "b"])
    assert selected.present.tolist() == [False, True, False]
    assert not selected.values[0].any()
    assert selected.failures.set_index("name")["reason"].to_dict() == {
        "b": "broken",
        "x": "the audio features do not have this clip",
    }


def test_failures_of_clips_not_selected_are_left_out():
    assert utterances().select(["a"]).failures.empty


def test_selecting_copies():
    original = utterances()
    original.select(["a"]).values[:] = 9
    assert original.values[0].tolist() == [1, 2]


def test_selecting_nothing_leaves_the_width():
    assert utterances().select([]).values.shape == (0, 2)


def test_dim_is_the_width():
    assert utterances().dim == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros((2, 2))}, r"expected \(N, D\) and \(N,\)"),
        ({"present": np.ones(2, bool)}, r"expected \(N, D\) and \(N,\)"),
        ({"values": np.zeros((3, 2, 2))}, r"expected \(N, D\)"),
        ({"values": np.zeros(3)}, r"expected \(N, D\)"),
        ({"names": ("a", "b", "a")}, r"repeated clip names \['a'\]"),
    ],
)
def test_parts_that_disagree_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        utterances(**changes)
