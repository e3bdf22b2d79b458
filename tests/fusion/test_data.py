"""Clips, features and labels meet by name, and what does not fit is named."""

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import build
from agt_lib.features.features import Features
from agt_lib.fusion.data import assemble, from_corpus, with_speakers

LABELS = ("calm", "cross")


def features_of(modality, names, dim=3):
    n = len(names)
    values = np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32)
    return Features(modality, tuple(names), values, np.ones(n, bool), modality[0])


def test_features_are_aligned_to_the_clips_by_name():
    audio, text = features_of("audio", "abc"), features_of("text", "cd")
    data = assemble("cab", {"text": text, "audio": audio}, label_set=LABELS)
    assert data.modalities == ("audio", "text")
    np.testing.assert_array_equal(data.features["audio"], audio.values[[2, 0, 1]])
    assert data.present.tolist() == [[True, True], [True, False], [True, False]]
    np.testing.assert_array_equal(data.features["text"][0], text.values[0])
    assert data.labels.tolist() == [-1, -1, -1]


def test_a_corpus_gives_its_labelled_training_clips_and_test_clips_without_answers():
    table = pd.DataFrame(
        {
            "name": list("abcd"),
            "split": ["train", "train", "train", "test"],
            "emotion": ["cross", None, "calm", "calm"],
            "speaker": ["s", "s", "t", None],
        }
    )
    corpus = build("c", table, source="table", labels=LABELS)
    features = {"audio": features_of("audio", "abcd")}
    train = from_corpus(corpus, features)
    assert train.names == ("a", "c")
    assert train.labels.tolist() == [1, 0]
    assert train.groups.tolist() == ["s", "t"]
    test = from_corpus(corpus, features, ("test",))
    assert corpus.answers.tolist() == ["calm"]
    assert test.labels.tolist() == [-1]
    assert test.groups is None


def test_a_speaker_that_is_not_known_leaves_those_of_other_clips():
    table = pd.DataFrame(
        {
            "name": list("abcd"),
            "split": "train",
            "emotion": ["cross", "calm"] * 2,
            "speaker": ["s", None, "t", None],
        }
    )
    corpus = build("c", table, source="table", labels=LABELS)
    train = from_corpus(corpus, {"audio": features_of("audio", "abcd")})
    assert pd.isna(train.groups).tolist() == [False, True, False, True]
    assert train.groups[[0, 2]].tolist() == ["s", "t"]
    (train,) = with_speakers(train)
    assert np.isfinite(train.scaled("speaker").features["audio"]).all()


def test_rows_and_modalities_can_be_selected():
    data = assemble(
        "abc",
        {m: features_of(m, "abc") for m in ("audio", "text")},
        label_set=LABELS,
        labels=np.array([0, 1, 0]),
    )
    part = data.rows(np.array([2, 0])).only(("text",))
    assert part.names == ("c", "a")
    assert part.modalities == ("text",)
    np.testing.assert_array_equal(part.features["text"], data.features["text"][[2, 0]])
    assert part.present.shape == (2, 1)
    with pytest.raises(ValueError, match="no video features"):
        data.only(("video",))


def test_taking_a_modality_away_marks_it_absent_everywhere():
    data = assemble("ab", {m: features_of(m, "ab") for m in ("audio", "video")}, label_set=LABELS)
    assert data.without("audio").present.tolist() == [[False, True]] * 2


def test_noise_has_the_size_asked_for_in_each_features_own_unit():
    values = np.random.default_rng(0).standard_normal((4000, 2)).astype(np.float32) * [1, 100]
    names = tuple(map(str, range(4000)))
    features = Features("audio", names, values.astype(np.float32), np.ones(4000, bool), "f")
    data = assemble(names, {"audio": features}, label_set=LABELS)
    added = data.with_noise("audio", 0.5).features["audio"] - data.features["audio"]
    # a standard deviation from 4000 draws is known to 1 / sqrt(8000) = .011 of itself
    np.testing.assert_allclose(added.std(0), [0.5, 50], rtol=0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_unless_its_clip_is_absent(bad):
    features = features_of("audio", "abc")
    features.values[1, 0] = bad
    with pytest.raises(ValueError, match="not finite.*'b'"):
        assemble("abc", {"audio": features}, label_set=LABELS)
    features.present[1] = False
    assemble("abc", {"audio": features}, label_set=LABELS)


def test_two_clips_of_one_name_are_refused():
    with pytest.raises(ValueError, match="differ"):
        assemble("aa", {"audio": features_of("audio", "a")}, label_set=LABELS)


def test_a_split_without_clips_gives_data_without_clips():
    values = np.ones((2, 3), np.float32)
    features = {"audio": Features("audio", ("a", "b"), values, np.ones(2, bool), "f")}
    assert assemble((), features, label_set=("sad", "happy")).names == ()
