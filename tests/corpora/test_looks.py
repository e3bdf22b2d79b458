import pandas as pd

from agt_lib.corpora import corpus, looks


def build(tmp_path):
    rows = [
        ("a", "train", "happy", "s1", "Hello"),
        ("b", "train", "sad", "s2", None),
        ("c", "train", "happy", "s1", "Again"),
        ("d", "test", "angry", "s3", "Here"),
    ]
    table = pd.DataFrame(rows, columns=["name", "split", "emotion", "speaker", "text"])
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video")
    table["video"] = [str(broken), None, None, None]
    return corpus.build("test", table, source="test")


def test_clips_of_different_emotions_come_first_and_unlabelled_ones_last(tmp_path):
    made = build(tmp_path)
    names = looks.choose(made, 4)
    assert set(made.clips.loc[names[:2], "emotion"]) == {"happy", "sad"}
    assert names[-1] == "d"


def test_a_clip_that_can_not_be_decoded_is_shown_as_such(tmp_path):
    first = looks.clips(build(tmp_path), ["a"])[0]
    assert first["frames"] is None
    assert "unreadable" in first["title"]


def test_a_sound_is_shown_beside_a_picture_that_can_not_be_decoded(tmp_path, write_clip, tone):
    made = build(tmp_path)
    made.clips.loc["a", "audio"] = str(write_clip(tmp_path / "a.wav", waveform=tone()))
    [shown] = looks.clips(made, ["a"])
    assert shown["frames"] is None
    assert len(shown["waveform"])
    assert shown["title"].startswith("a: happy (frames unreadable: ")
    assert shown["title"].count("unreadable") == 1


def test_a_clip_without_media_is_shown_by_its_words(tmp_path):
    shown = looks.clips(build(tmp_path), ["c"])[0]
    assert (shown["frames"], shown["waveform"], shown["text"]) == (None, None, "Again")


def test_a_summary_counts_splits_classes_speakers_and_what_is_missing(tmp_path, write_clip, tone):
    made = build(tmp_path)
    made.clips.loc["b", "audio"] = str(write_clip(tmp_path / "b.wav", waveform=tone(seconds=80)))
    made.clips.loc["c", "video"] = str(tmp_path / "gone.mp4")
    made.clips.loc["d", "speaker"] = None
    assert looks.summary(made).splitlines() == [
        "corpus test: 4 clips (3 train, 1 test); neutral 0, angry 0, happy 2, sad 1, worried 0, "
        "surprise 0; speakers: s1 2, s2 1, unknown 1",
        "1 without words, 1 without sound, 2 without picture, 1 files missing; about 4 min of "
        "media",
    ]


def test_of_many_speakers_a_summary_gives_the_range_of_their_clips():
    names = [f"c{k}" for k in range(30)]
    table = pd.DataFrame({"name": names, "split": "train", "text": "so"})
    table["speaker"] = ["a", "a"] + [f"s{k}" for k in range(28)]
    made = corpus.build("many", table, source="many")
    assert "speakers: 29 with 1 to 2 clips\n" in looks.summary(made)
    made.clips["speaker"] = None
    assert "no speakers known\n" in looks.summary(made)


def test_counts_do_not_show_the_labels_of_test_clips(tmp_path):
    table = looks.counts(build(tmp_path))
    assert table.loc["test", "no label"] == 1
    assert table.loc["test", "angry"] == 0
    assert table.loc["train", ["happy", "sad", "clips", "speakers", "with text"]].tolist() == [
        2, 1, 3, 2, 2,
    ]  # fmt: skip
