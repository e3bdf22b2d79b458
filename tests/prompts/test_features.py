"""Words and ranked labels as features: what is encoded, listed, refused, and done only once."""

import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.media import MediaError
from agt_lib.evaluation import pictures
from agt_lib.features.extraction import SHARD_SIZES, extract
from agt_lib.fusion.data import from_corpus
from agt_lib.fusion.reference import logistic_regression
from agt_lib.prompts import (
    ClassifierRanker,
    Rankings,
    build,
    place_shares,
    rank,
    ranked_corpus,
    ranked_features,
    tuned_text,
)
from agt_lib.prompts.wording import WORDS


class Letters:
    """How often each letter stands in a text; keeps what it read."""

    modality, dim = "text", 26

    def __init__(self):
        self.fingerprint = {"encoder": "letters"}
        self.read = {}

    def load(self, clip):
        if "unreadable" in clip["text"]:
            raise MediaError("encode", "it is unreadable")
        self.read[clip.name] = clip["text"]
        return clip["text"].lower()

    def encode(self, items):
        alphabet = "abcdefghijklmnopqrstuvwxyz"
        return np.array([[text.count(a) for a in alphabet] for text in items], np.float32)


@pytest.fixture
def ranked(labelled):
    corpus, folds = labelled(n=5)
    return corpus, folds, ClassifierRanker().rank(corpus, folds)


def features_of(*args, **options):
    return ranked_features(*args, progress=False, **options)


def test_the_encoder_reads_words_and_labels(ranked):
    corpus, _, rankings = ranked
    encoder = Letters()
    features_of(corpus, rankings, encoder, template="{text} => {labels}")
    said = {"neutral": "neutral", "angry": "anger", "happy": "happiness"}
    said |= {"sad": "sadness", "worried": "worry", "surprise": "surprise"}
    for name, text in corpus.clips["text"].items():
        labels = ", ".join(said[label] for label in rankings.table.loc[name])
        assert encoder.read[name] == f"{text} => {labels}"


def test_an_encoder_that_has_to_see_many_texts_at_once_does(ranked, monkeypatch):
    corpus, _, rankings = ranked
    encoder, sizes = Letters(), []
    encoder.shard_size = 1000  # as one that reads its layers anew for each shard
    encode = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda items: sizes.append(len(items)) or encode(items))
    monkeypatch.setitem(SHARD_SIZES, "text", 4)
    features_of(corpus, rankings, encoder)
    assert sizes == [len(corpus.clips)]


def test_a_clip_whose_ranking_failed_keeps_its_plain_words_and_is_listed(ranked):
    corpus, _, rankings = ranked
    found = {name: tuple(row) for name, row in rankings.table.iterrows()} | {"c1": None}
    rankings = Rankings.build(found, rankings.labels, {}, [("c1", "refused", "no")])
    encoder = Letters()
    features = features_of(corpus, rankings, encoder)
    assert encoder.read["c1"] == corpus.clips.at["c1", "text"]
    assert features.present.all()
    assert features.failures.values.tolist() == [["c1", "refused", "no"]]


def test_a_clip_without_words_is_absent_and_listed_once(labelled):
    corpus, folds = labelled(n=5)
    corpus.clips.loc["c1", "text"] = None
    rankings = ClassifierRanker().rank(corpus, folds)
    features = features_of(corpus, rankings, Letters()).in_memory()
    assert np.array(features.names)[~features.present].tolist() == ["c1"]
    assert features.failures["name"].tolist() == ["c1"]


def test_what_the_encoder_cant_read_is_listed_too(labelled):
    corpus, folds = labelled(n=5)
    corpus.clips.loc["t0", "text"] = "unreadable"
    rankings = ClassifierRanker().rank(corpus, folds)
    features = features_of(corpus, rankings, Letters()).in_memory()
    assert features.failures.values.tolist() == [["t0", "encode", "it is unreadable"]]


def test_ranked_features_differ_from_plain_ones_in_values_and_fingerprint(ranked):
    corpus, _, rankings = ranked
    plain = extract(corpus, Letters(), progress=False).in_memory()
    features = features_of(corpus, rankings, Letters()).in_memory()
    assert (features.values.sum(1) > plain.values.sum(1)).all()
    assert features.fingerprint != plain.fingerprint


def test_the_fingerprint_names_template_language_ranker_and_encoder(ranked):
    corpus, _, rankings = ranked
    other = replace(rankings, made_by={"ranker": "another"})
    encoder = Letters()
    encoder.fingerprint = {"encoder": "other letters"}
    prints = {
        features_of(corpus, rankings, Letters()).fingerprint,
        features_of(corpus, rankings, Letters(), template="{labels} {text}").fingerprint,
        features_of(corpus, rankings, Letters(), language="zh").fingerprint,
        features_of(corpus, other, Letters()).fingerprint,
        features_of(corpus, rankings, encoder).fingerprint,
    }
    assert len(prints) == 5
    again = features_of(corpus.only("test"), rankings, Letters())
    assert again.fingerprint in prints  # the same maker, fewer clips
    assert set(again.names) == set(corpus.split("test").index)


def test_clips_that_were_not_ranked_are_refused(ranked):
    corpus, folds, _ = ranked
    only = ClassifierRanker().rank(corpus.only("train"), folds)
    with pytest.raises(ValueError, match="6 clips with words .* 't0': rank the same corpus"):
        ranked_corpus(corpus, only)
    ranked_corpus(corpus.only("train"), only)


def test_a_template_without_a_place_for_the_labels_is_refused_before_any_work(ranked):
    corpus, _, rankings = ranked
    encoder = Letters()
    with pytest.raises(ValueError, match="no place for the labels"):
        features_of(corpus, rankings, encoder, template="{text}")
    assert not encoder.read


def test_an_encoder_of_another_modality_is_refused(ranked):
    corpus, _, rankings = ranked
    encoder = Letters()
    encoder.modality = "audio"
    with pytest.raises(ValueError, match="encoder of text; got one of audio"):
        features_of(corpus, rankings, encoder)


def test_a_transcript_of_ten_thousand_characters_is_cut_with_a_warning_and_keeps_its_labels(
    ranked,
):
    corpus, _, rankings = ranked
    clips = corpus.clips.copy()
    clips.loc["c2", "text"] = "blah\x00\x1b " * 1500
    with pytest.warns(UserWarning, match="1 transcripts are longer than 2000 .* 'c2'"):
        composed = ranked_corpus(replace(corpus, clips=clips), rankings)
    assert len(composed.clips.at["c2", "text"]) < 2100
    last = WORDS["en"][rankings.table.at["c2", "rank6"]]
    assert composed.clips.at["c2", "text"].endswith(f", {last}")


class Places(Letters):
    """Where each label's word stands in a text: all that a ranking tells."""

    dim = 6

    def encode(self, items):
        return np.array(
            [[text.find(w) for w in WORDS["en"].values()] for text in items], np.float32
        )


def test_permuted_labels_score_at_chance_through_ranking_and_fusion(labelled):
    right = []
    for seed in range(5):
        corpus, folds = labelled(n=20, shuffle=seed)
        rankings = ClassifierRanker().rank(corpus, folds)
        features = features_of(corpus, rankings, Places(), template="{labels}\n{text}")
        data = from_corpus(corpus, {"text": features})
        found = logistic_regression(data, folds, {"words": ["text"]}).out_of_fold
        right.append((found.chosen("words")[0] == data.labels).mean())
    # One in six by luck; the share of 600 clips has a standard deviation of .015.
    assert np.mean(right) == pytest.approx(1 / 6, abs=0.045)


def test_words_that_tell_the_label_score_through_ranking_and_fusion(labelled):
    corpus, folds = labelled(n=10)
    rankings = ClassifierRanker().rank(corpus, folds)
    features = features_of(corpus, rankings, Places(), template="{labels}\n{text}")
    data = from_corpus(corpus, {"text": features})
    found = logistic_regression(data, folds, {"words": ["text"]}, strengths=(1.0,)).out_of_fold
    assert (found.chosen("words")[0] == data.labels).mean() > 0.8


def test_tuned_text_is_the_same_in_one_call_and_ranks_once(ranked, monkeypatch):
    corpus, folds, rankings = ranked
    expected = features_of(corpus, rankings, Letters(), language="en")
    found = tuned_text(corpus, folds, Letters(), ranker=ClassifierRanker(), progress=False)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.fingerprint == expected.fingerprint
    monkeypatch.setattr(ClassifierRanker, "rank", None)  # called, it would raise
    again = tuned_text(corpus, folds, Letters(), ranker=ClassifierRanker(), progress=False)
    np.testing.assert_array_equal(again.values, expected.values)


def test_rankings_from_disk_equal_fresh_ones(labelled):
    corpus, folds = labelled(n=5)
    corpus.clips.loc["c1", "text"] = None
    for _ in range(2):
        found = rank(corpus, folds, ClassifierRanker())
        fresh = ClassifierRanker().rank(corpus, folds)
        pd.testing.assert_frame_equal(found.table, fresh.table)
        pd.testing.assert_frame_equal(found.failures, fresh.failures)
        assert found.fingerprint == fresh.fingerprint


def test_other_folds_are_ranked_anew(ranked):
    corpus, folds, _ = ranked
    first = rank(corpus, folds, ClassifierRanker())
    second = rank(corpus, (folds + 1) % 5, ClassifierRanker())
    other = rank(
        corpus, folds.sample(frac=1, random_state=0).set_axis(folds.index), build("classifier")
    )
    assert first.table.equals(second.table)  # the same division by other numbers
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize("kind", ["classifier", "llm"])
def test_a_corpus_without_transcripts_is_refused(labelled, kind):
    corpus, folds = labelled(n=5)
    corpus.clips["text"] = None
    with pytest.raises(ValueError, match="corpus 'words' has no transcripts"):
        tuned_text(corpus, folds, Letters(), ranker=build(kind))


def test_an_unknown_ranker_is_refused():
    with pytest.raises(ValueError, match="classifier, llm; got 'oracle'"):
        build("oracle")


def test_the_heatmap_shows_each_share_at_its_label_and_rank(ranked):
    corpus, folds, rankings = ranked
    true = corpus.labelled["emotion"]
    table = place_shares(rankings, true)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        figure = pictures.heatmaps({"out-of-fold": table, "test": table}, fmt=".0%")
    drawn = figure.axes[0].collections[0].get_array().reshape(6, 6)
    np.testing.assert_allclose(drawn, table)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == list(corpus.labels)
    plt.close(figure)


def test_an_option_that_no_ranker_has_is_refused():
    assert isinstance(build("classifier", language="en", budget=None), ClassifierRanker)
    with pytest.raises(ValueError, match="takes no nonsense"):
        build("classifier", nonsense=1)
