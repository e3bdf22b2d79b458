import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.labels import EMOTIONS, MISSING, PROMPT_ORDER, label_set, normalise, to_numbers

# MER2024's own numbering, and the paper's prompt (section 2.1)
TOOLKIT = {"neutral": 0, "angry": 1, "happy": 2, "sad": 3, "worried": 4, "surprise": 5}
PROMPT = {"worried": 0, "happy": 1, "neutral": 2, "angry": 3, "surprise": 4, "sad": 5}


def test_emotions_are_numbered_as_in_mer2024s_toolkit():
    assert dict(zip(EMOTIONS, range(6), strict=True)) == TOOLKIT
    assert to_numbers(list(TOOLKIT)).tolist() == list(TOOLKIT.values())


def test_the_prompt_numbers_emotions_as_the_paper_does():
    assert dict(zip(PROMPT_ORDER, range(6), strict=True)) == PROMPT
    assert to_numbers(list(PROMPT), PROMPT_ORDER).tolist() == list(PROMPT.values())


@pytest.mark.parametrize("absent", [None, np.nan, float("nan"), pd.NA, pd.NaT, "", "  "])
def test_every_kind_of_absent_label_is_none(absent):
    assert normalise(absent) is None
    assert to_numbers([absent, "sad"]).tolist() == [MISSING, 3]


def test_labels_match_in_any_case_and_with_outer_spaces():
    assert to_numbers([" Happy", "SAD\n", "\u3000angry"]).tolist() == [2, 3, 1]


def test_labels_outside_the_set_are_named():
    with pytest.raises(ValueError, match=r"unknown labels \['disgust', 'fear'\]"):
        to_numbers(["fear", "sad", "disgust", "fear"])


def test_numbers_are_int64_even_for_no_labels():
    assert to_numbers([]).dtype == np.int64
    assert to_numbers([]).shape == (0,)


def test_a_label_set_may_be_written_in_any_case():
    assert to_numbers(["joy", "Anger"], ["Anger", "Joy"]).tolist() == [1, 0]
    assert label_set([" Anger", "Joy"]) == ("anger", "joy")


def test_labels_that_run_or_hide_are_refused():
    for label in ("=cmd", "@x", "a\x1b[2J", "a\u202eb"):
        with pytest.raises(ValueError, match="is no label"):
            label_set(["sad", label])


@pytest.mark.parametrize("labels", [[], ["one"], ["a", "A"], ["a", ""], ["a", None], "angry"])
def test_what_is_no_label_set_is_refused(labels):
    with pytest.raises(ValueError, match="two or more different labels"):
        label_set(labels)
