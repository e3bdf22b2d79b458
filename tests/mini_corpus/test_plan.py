from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from agt_lib.corpora import corpus
from agt_lib.corpora.folds import make_folds
from agt_lib.corpora.labels import EMOTIONS
from mini_corpus import plan as planning
from mini_corpus.plan import plan, shares


@pytest.fixture(scope="module")
def mini() -> pd.DataFrame:
    return pd.DataFrame([vars(clip) for clip in plan("mini")])


def counts(clips: pd.DataFrame, split: str) -> dict[str, int]:
    return Counter(clips.loc[clips["split"] == split, "emotion"])


def test_mini_has_a_tenth_of_mer2024s_labels_and_half_of_its_probed_test_set(mini):
    assert counts(mini, "train") == {
        "worried": 62,
        "happy": 104,
        "neutral": 125,
        "angry": 121,
        "surprise": 19,
        "sad": 73,
    }
    assert counts(mini, "test") == {
        "worried": 80,
        "happy": 123,
        "neutral": 100,
        "angry": 82,
        "surprise": 42,
        "sad": 158,
    }
    assert (mini["split"] != "train").sum() == 1200


def test_unlabelled_shares_lie_half_way_between_train_and_test(mini):
    # sad: (73 / 504 + 158 / 585) / 2 * 615 = 127.6; angry: (121 / 504 + 82 / 585) / 2 * 615 = 116.9
    unlabelled = counts(mini, "unlabelled")
    assert sum(unlabelled.values()) == 615
    assert abs(unlabelled["sad"] - 127.6) < 1 and abs(unlabelled["angry"] - 116.9) < 1


def test_smoke_has_125_labelled_clips_and_a_pool_of_150():
    clips = pd.DataFrame([vars(clip) for clip in plan("smoke")])
    assert counts(clips, "train") == {
        "worried": 15,
        "happy": 26,
        "neutral": 31,
        "angry": 30,
        "surprise": 5,
        "sad": 18,
    }
    assert counts(clips, "test") == {
        "worried": 4,
        "happy": 6,
        "neutral": 5,
        "angry": 4,
        "surprise": 2,
        "sad": 8,
    }
    assert counts(clips, "unlabelled").total() == 121


def test_no_speaker_or_template_of_the_test_set_appears_in_train(mini):
    train, test = mini[mini["split"] == "train"], mini[mini["split"] == "test"]
    for column in ("speaker", "speaker_seed", "template"):
        assert not (set(train[column]) & set(test[column])) - {""}
    assert mini["speaker"].nunique() >= 24


@pytest.mark.parametrize("profile", ["mini", "smoke"])
@pytest.mark.parametrize("fold_seed", range(5))
def test_every_fold_by_speaker_holds_every_emotion(profile, fold_seed):
    table = pd.DataFrame([vars(clip) for clip in plan(profile)])
    built = corpus.build(profile, table, source="plan", check_files=False)
    fold = make_folds(built, 5, fold_seed)
    by_fold = pd.crosstab(fold, built.clips.loc[fold.index, "emotion"])
    assert by_fold.shape == (5, 6) and (by_fold > 0).all(axis=None)


def test_shares_scale_what_lies_off_the_diagonal():
    # sad voices: neutral 22, worried 10, the remaining 2 spread over three; .6 of all that
    rest = 0.004
    expected = {
        "sad": 0.796,
        "neutral": 0.132,
        "worried": 0.06,
        "angry": rest,
        "happy": rest,
        "surprise": rest,
    }
    found = dict(zip(EMOTIONS, shares("voice", "sad", 0.6), strict=True))
    assert found == pytest.approx(expected)


def test_the_clips_show_what_the_shares_say(monkeypatch):
    monkeypatch.setattr(planning, "SECOND_TEST", {"surprise": 2000})
    clips = plan("mini", second_test=True, reliability={"face": 1})
    for emotion, share in {"surprise": 0.35, "neutral": 0.31, "happy": 0.17, "angry": 0.14}.items():
        found = np.mean([clip.face == emotion for clip in clips])
        assert abs(found - share) < 3.3 * np.sqrt(share * (1 - share) / 2000)


def test_intensities_are_beta_2_2_and_half_correlated(mini):
    intensities = mini[["voice_intensity", "face_intensity", "words_intensity"]]
    for column in intensities:
        assert stats.kstest(intensities[column], stats.beta(2, 2).cdf).pvalue > 0.01
    between = intensities.corr().to_numpy()[np.triu_indices(3, 1)]
    assert np.all(np.abs(between - 0.5) < 0.08)


def test_length_noise_gain_and_name_tell_nothing_of_the_emotion(mini):
    mini = mini.assign(number=mini["name"].str[5:].astype(int))
    assert list(mini["name"]) == sorted(mini["name"])
    for column in ("frames", "snr_db", "gain_db", "number"):
        by_emotion = [group[column] for _, group in mini.groupby("emotion")]
        assert stats.kruskal(*by_emotion).pvalue > 0.01, column
    by_split = [group["number"] for _, group in mini.groupby("split")]
    assert stats.kruskal(*by_split).pvalue > 0.01


def test_another_shift_leaves_every_training_clip_as_it_was(monkeypatch):
    def train(**options):
        return [clip for clip in plan("smoke", **options) if clip.split == "train"]

    before = train()
    assert train(seed=1) != before
    shifted = replace(planning.PROFILES["smoke"], test={"sad": 20})
    monkeypatch.setitem(planning.PROFILES, "smoke", shifted)
    assert train() == before


def test_a_second_test_set_has_mer_semis_counts_and_speakers_of_its_own(mini):
    second = pd.DataFrame([vars(clip) for clip in plan("mini", second_test=True)])
    assert counts(second, "test") == {
        "worried": 159,
        "happy": 246,
        "neutral": 201,
        "angry": 163,
        "surprise": 83,
        "sad": 317,
    }
    assert len(second) == 1169
    for column in ("name", "speaker"):
        assert not set(second[column]) & set(mini[column])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "maxi"}, "mini, smoke"),
        ({"reliability": {"smell": 1}}, "smell"),
        ({"reliability": {"words": 2.0}}, "reliability 2.0 of words"),
    ],
)
def test_parameters_that_cannot_be_planned_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        plan(**options)
