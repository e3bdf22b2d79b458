"""The classifier: it learns what words tell, and nothing that they don't."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from agt_lib.corpora.folds import make_folds
from agt_lib.prompts import ClassifierRanker, Rankings, by_share
from agt_lib.prompts.rankings import NO_WORDS


def mean_rank(corpus, rankings):
    return (1 / rankings.places(corpus.labelled["emotion"])).mean()


def test_words_that_tell_the_label_put_it_first_out_of_fold_and_on_test_clips(labelled):
    corpus, folds = labelled()
    rankings = ClassifierRanker().rank(corpus, folds)
    assert mean_rank(corpus, rankings) > 0.9
    # Test clip i has the cue of label i.
    assert tuple(rankings.table.loc[[f"t{i}" for i in range(6)], "rank1"]) == corpus.labels


def test_permuted_labels_rank_at_chance(labelled):
    by_luck = (1 / np.arange(1, 7)).mean()
    found = []
    for seed in range(5):
        corpus, folds = labelled(n=20, shuffle=seed)
        found.append(mean_rank(corpus, ClassifierRanker().rank(corpus, folds)))
    # The reciprocal rank of one clip has a standard deviation of .31: .013 for 600 of them.
    assert np.mean(found) == pytest.approx(by_luck, abs=0.04)


def test_a_clips_own_label_has_no_part_in_its_ranking(labelled):
    corpus, folds = labelled()
    before = ClassifierRanker().rank(corpus, folds).table
    clips = corpus.clips.copy()
    own = folds.index[folds == 2]
    clips.loc[own, "emotion"] = np.roll(clips.loc[own, "emotion"], 1)
    after = ClassifierRanker().rank(replace(corpus, clips=clips), folds).table
    pd.testing.assert_frame_equal(before.loc[own], after.loc[own])
    assert not before.equals(after)


def test_test_clips_are_ranked_by_the_mean_of_the_fold_models(labelled):
    corpus, folds = labelled()
    rankings = ClassifierRanker().rank(corpus, folds)
    train, test = corpus.labelled, corpus.split("test")
    total = 0
    for fold in range(5):
        seen = train[folds != fold]
        words = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True)
        model = LogisticRegression(max_iter=2000).fit(
            words.fit_transform(seen["text"]), seen["emotion"]
        )
        total = total + model.predict_proba(words.transform(test["text"]))
    expected = model.classes_[np.argsort(-total, axis=1)]
    np.testing.assert_array_equal(rankings.table.loc[test.index].to_numpy(), expected)


def test_ranking_again_gives_the_same(labelled):
    corpus, folds = labelled()
    first, second = (ClassifierRanker().rank(corpus, folds) for _ in range(2))
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.fingerprint == second.fingerprint


def test_a_clip_without_words_has_no_ranking_and_is_listed(labelled):
    corpus, folds = labelled()
    corpus.clips.loc[["c3", "t1"], "text"] = None
    rankings = ClassifierRanker().rank(corpus, folds)
    assert rankings.table.loc["c3"].isna().all()
    assert rankings.failures.values.tolist() == [
        ["c3", "absent", NO_WORDS],
        ["t1", "absent", NO_WORDS],
    ]


def test_only_the_splits_of_the_corpus_are_ranked(labelled):
    corpus, folds = labelled()
    corpus.clips.loc["t0", "split"] = "unlabelled"
    ranked = ClassifierRanker().rank(corpus.only("train", "test"), folds).table.index
    assert set(ranked) == set(corpus.clips.index) - {"t0"}


def test_a_label_that_a_training_fold_lacks_comes_last_there(labelled):
    corpus, folds = labelled()
    folds[corpus.clips.loc[folds.index, "emotion"] == "surprise"] = 1
    table = ClassifierRanker().rank(corpus, folds).table
    assert set(table.loc[folds.index[folds == 1], "rank6"]) == {"surprise"}


def test_training_clips_of_a_corpus_with_its_own_dev_split_are_cross_fitted_too(labelled):
    corpus, folds = labelled(n=20, shuffle=3)
    folds = folds.where(folds == 0, -1)
    rankings = ClassifierRanker().rank(corpus, folds)
    train = corpus.clips.loc[folds.index[folds == -1], "emotion"]
    # In-sample the classifier would put most of these shuffled labels first.
    assert (1 / rankings.places(train)).mean() < 0.55


def test_other_label_sets_are_ranked(labelled):
    corpus, _ = labelled()
    clips = corpus.clips.copy()
    clips["emotion"] = clips["emotion"].map(
        lambda e: e if pd.isna(e) else "calm" if e in ("neutral", "happy") else "stirred"
    )
    corpus = replace(corpus, clips=clips, labels=("calm", "stirred"))
    rankings = ClassifierRanker().rank(corpus, make_folds(corpus))
    assert isinstance(rankings, Rankings)
    assert list(rankings.table.columns) == ["rank1", "rank2"]
    assert mean_rank(corpus, rankings) > 0.9


def test_no_words_at_all_is_said(labelled):
    corpus, folds = labelled()
    corpus.clips["text"] = None
    with pytest.raises(ValueError, match="0 clips with words"):
        ClassifierRanker().rank(corpus, folds)


def test_a_ranker_that_knows_words_beats_the_order_of_shares(labelled):
    corpus, folds = labelled()
    true = corpus.labelled["emotion"]
    order = by_share(true, corpus.labels)
    by_shares = true.map({label: i for i, label in enumerate(order, 1)})
    rankings = ClassifierRanker().rank(corpus, folds)
    assert mean_rank(corpus, rankings) > (1 / by_shares).mean() + 0.4


def test_folds_of_another_corpus_are_refused(labelled):
    corpus, folds = labelled()
    with pytest.raises(ValueError, match="1 clips .* 'stranger'"):
        ClassifierRanker().rank(corpus, pd.concat([folds, pd.Series({"stranger": 0})]))
