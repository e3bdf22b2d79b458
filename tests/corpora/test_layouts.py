"""Corpora as they lie on a user's disk: a writer for each layout, and what is read from it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpora.corpus import CorpusError
from agt_lib.corpora.folds import folds_of
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.corpora.sources import detect, load
from agt_lib.workspace import paths

SHARED = paths.ROOT.parent / "shared" / "data"
TRANSCRIPTS = "name,chinese,english\na,你好,hello\nb,,\nt,再见,bye\n"


def touch(path, text="not read by the reader"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def ravdess(root):
    for actor in (1, 2):
        for emotion in range(1, 9):
            stem = f"01-{emotion:02d}-01-02-01-{actor:02d}"
            touch(root / f"Actor_{actor:02d}" / f"03-{stem}.wav")
            touch(root / f"Video_{actor:02d}" / f"01-{stem}.mp4")
            touch(root / f"Video_{actor:02d}" / f"02-{stem}.MP4")
    touch(root / "song" / "03-02-03-01-01-01-01.wav")
    return root


def crema_d(root):
    for actor in (1001, 1002):
        for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"):
            touch(root / "AudioWAV" / f"{actor}_DFA_{emotion}_XX.wav")
            touch(root / "VideoFlash" / f"{actor}_DFA_{emotion}_XX.flv")
    return root


def emodb(root):
    for speaker in ("03", "08"):
        for emotion in "WLEAFTN":
            touch(root / "wav" / f"{speaker}a01{emotion}a.wav")
    return root


def iemocap(root):
    for k in (1, 2, 3):
        session, dialog = root / f"Session{k}", f"Ses0{k}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for n, label in enumerate(("neu", "ang", "hap", "exc", "sad", "fru", "xxx")):
            name = f"{dialog}_{'FM'[n % 2]}{n:03d}"
            lines += [
                f"[6.2 - 8.2]\t{name}\t{label}\t[2.5, 2.5, 2.5]",
                f"C-E2:\t{label};\t()",
            ]
            touch(session / "sentences" / "wav" / dialog / f"{name}.wav")
        touch(session / "dialog" / "EmoEvaluation" / f"{dialog}.txt", "\n".join(lines))
        words = f"{dialog}_F000 [006.2901-008.2357]: Excuse me.\n"
        touch(session / "dialog" / "transcriptions" / f"{dialog}.txt", words)
    return root


def meld(root):
    head = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season\n"
    folders = {
        "train": "train_splits",
        "dev": "dev_splits_complete",
        "test": "output_repeated_splits_test",
    }  # fmt: skip
    for split, folder in folders.items():
        emotions = ("neutral", "joy", "anger", "disgust", "fear", "sadness", "surprise")
        rows = [
            f'{n},"Oh, it\x92s {e}",Joey,{e},x,{n},0,1' for n, e in enumerate(emotions)
        ]  # fmt: skip
        touch(root / f"{split}_sent_emo.csv", head + "\n".join(rows) + "\n")
        for n in range(6):
            touch(root / folder / f"dia{n}_utt0.mp4")
        touch(root / folder / f"final_videos_{split}dia99_utt0.mp4")
        touch(root / folder / "._dia0_utt0.mp4")
    return root


def folder(root):
    for emotion in ("Happiness", "sad"):
        for k in range(2):
            touch(root / emotion / f"anna_{k}.MP4")
    touch(root / "sad" / "ben.2.wav")
    touch(root / "sad" / "ben.2.txt", "Oh no.\n")
    return root


def processed(root, labels="label-disdim.csv", words="transcription-merge.csv"):
    for name in ("a", "b", "t", "u"):
        touch(root / "video" / f"{name}.{'avi' if name == 'b' else 'mp4'}")
        touch(root / "audio" / f"{name}.wav")
    touch(root / labels, "name,discrete\na,happy\nb,sad\n")
    touch(root / words, TRANSCRIPTS)
    return root


def mer2024(root):
    touch(root / "reference-semi.csv", "name,discrete\nt,angry\n")
    return processed(root)


def mer2025(root):
    touch(root / "track_all_candidates.csv", "name\nt\n")
    return processed(root, "track1_train_disdim.csv", "subtitle_chieng.csv")


WRITERS = {
    "ravdess": ravdess, "crema_d": crema_d, "emodb": emodb, "iemocap": iemocap, "meld": meld,
    "folder": folder, "mer2024": mer2024, "mer2025": mer2025,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_layout_is_recognised_and_read_without_a_name(name, tmp_path):
    root = WRITERS[name](tmp_path / "Some Folder")
    assert detect(root) == name
    named, found = load(name, root), load("auto", root)
    pd.testing.assert_frame_equal(named.clips, found.clips)
    assert len(found.clips) > 0


def test_ravdess_joins_an_utterances_files_and_leaves_out_calm_disgust_and_song(tmp_path):
    corpus = load("ravdess", ravdess(tmp_path))
    assert corpus.labels == EMOTIONS
    assert len(corpus.clips) == 12
    assert set(corpus.clips["speaker"]) == {"actor 01", "actor 02"}
    clip = corpus.clips.loc["03-01-06-01-02-01-01"]
    assert clip["emotion"] == "worried"
    assert clip["text"] == "Dogs are sitting by the door."
    assert clip["video"].endswith("01-01-06-01-02-01-01.mp4")
    assert clip["audio"].endswith("03-01-06-01-02-01-01.wav")
    notes = "\n".join(corpus.notes)
    assert "2 clips of calm are left out" in notes
    assert "1 of 49 media files are no clips of ravdess" in notes
    own = load("ravdess", tmp_path, labels=("own",))
    assert len(own.clips) == 16
    assert own.labels[:2] == ("neutral", "calm")
    two = load("ravdess", tmp_path, labels=("calm", "fearful"))
    assert two.clips["emotion"].value_counts().to_dict() == {"calm": 2, "fearful": 2}
    with pytest.raises(ValueError, match="some of this corpus' own, neutral, calm.*got joy"):
        load("ravdess", tmp_path, labels=("joy",))


def test_crema_d_and_emodb_have_their_own_labels_or_the_six(tmp_path):
    corpus = load("crema_d", crema_d(tmp_path / "c"))
    assert corpus.clips["emotion"].nunique() == 6
    assert corpus.clips.loc["1001_DFA_ANG_XX", ["video", "audio", "text"]].notna().all()
    six = load("crema_d", tmp_path / "c", labels=("six",))
    assert len(six.clips) == 10
    assert six.clips.loc["1002_DFA_FEA_XX", "emotion"] == "worried"
    corpus = load("emodb", emodb(tmp_path / "e"))
    assert corpus.clips["emotion"].nunique() == 7
    assert corpus.clips.loc["03a01Fa", ["emotion", "speaker"]].tolist() == ["happiness", "03"]
    assert len(load("emodb", tmp_path / "e", labels=("six",)).clips) == 10


def test_iemocap_has_four_classes_and_its_sessions_are_folds(tmp_path):
    corpus = load("iemocap", iemocap(tmp_path))
    assert corpus.clips["emotion"].value_counts().to_dict() == {
        "happy": 6, "neutral": 3, "angry": 3, "sad": 3,
    }  # fmt: skip
    assert "3 utterances labelled fru are left out" in corpus.notes
    folds = folds_of(corpus, 5)
    assert sorted(set(folds)) == [0, 1, 2]
    assert all(folds[name] == int(name[4]) - 1 for name in folds.index)
    clip = corpus.clips.loc["Ses02F_impro01_F000"]
    assert clip[["speaker", "text"]].tolist() == ["Ses02F", "Excuse me."]
    assert corpus.clips["speaker"].nunique() == 6


def test_meld_has_its_splits_and_says_what_is_known_to_be_missing(tmp_path):
    corpus = load("meld", meld(tmp_path))
    assert corpus.clips["split"].value_counts().to_dict() == {"train": 7, "dev": 7, "test": 7}
    assert corpus.clips.loc["train_dia0_utt0", "text"] == "Oh, it's neutral"
    assert pd.isna(corpus.clips.loc["train_dia6_utt0", "video"])
    assert corpus.answers["test_dia1_utt0"] == "joy"
    notes = "\n".join(corpus.notes)
    assert "3 rows have no clip (1 of train, 1 of dev, 1 of test): their words alone" in notes
    assert "3 media files have no row" in notes
    six = load("meld", tmp_path, labels=("six",))
    assert len(six.clips) == 18
    assert "3 clips of disgust are left out" in six.notes
    assert six.clips.loc["dev_dia4_utt0", "emotion"] == "worried"


def test_a_folder_of_recordings_has_labels_speakers_and_words(tmp_path):
    corpus = load("folder", folder(tmp_path), speaker=r"/([a-z]+)[_.]")
    assert corpus.clips["emotion"].value_counts().to_dict() == {"sad": 3, "happy": 2}
    assert corpus.clips.loc["ben.2", ["speaker", "text"]].tolist() == ["ben", "Oh no."]
    assert set(corpus.clips.index) == {
        "Happiness-anna_0", "Happiness-anna_1", "sad-anna_0", "sad-anna_1", "ben.2",
    }  # fmt: skip
    own = load("folder", tmp_path, labels=("own",), speaker=r"_(\d)\.MP4$")
    assert own.labels == ("happiness", "sad")
    assert own.clips["speaker"].nunique() == 2
    assert load("folder", tmp_path, labels=("six",)).labels == EMOTIONS
    (tmp_path / "loose").mkdir()
    loose = load("folder", touch(tmp_path / "loose" / "x.wav").parent, speaker="[0-9]")
    assert loose.clips["split"].tolist() == ["unlabelled"]
    assert "1 of 1 clips have no speaker by '[0-9]'" in loose.notes
    with pytest.raises(ValueError, match="no regular expression"):
        load("folder", tmp_path, speaker="(")


@pytest.mark.parametrize("name", ["mer2024", "mer2025"])
def test_the_toolkits_layout_has_splits_words_in_two_languages_and_sound(name, tmp_path):
    root = WRITERS[name](tmp_path)
    corpus = load(name, root)
    assert corpus.clips["split"].to_dict() == {
        "a": "train", "b": "train", "t": "test", "u": "unlabelled",
    }  # fmt: skip
    assert corpus.clips.loc["b", "video"].endswith("b.avi")
    assert corpus.clips.loc["a", "audio"].endswith("a.wav")
    assert corpus.clips.loc["a", "text"] == "你好"
    assert load(name, root, language="english").clips.loc["a", "text"] == "hello"
    with pytest.raises(ValueError, match="one of chinese, english; got 'german'"):
        load(name, root, language="german")
    assert corpus.answers.to_dict() == ({"t": "angry"} if name == "mer2024" else {})
    assert any("MER2024's" in note for note in corpus.notes) == (name == "mer2025")


def test_labels_without_a_clip_are_clips_that_fail_and_two_rows_for_one_are_told(tmp_path):
    root = mer2024(tmp_path)
    touch(root / "label-disdim.csv", "name,discrete\na,happy\ngone,sad\n")
    corpus = load("mer2024", root)
    assert "1 clips of the tables have no file: gone" in corpus.notes
    assert corpus.clips.loc["gone", "video"].endswith("video/gone.mp4")
    touch(root / "label-disdim.csv", "name,discrete\na,happy\na,sad\n")
    touch(root / "video" / "a.avi")
    with pytest.raises(CorpusError, match="'a' is in label-disdim.csv row 2 too") as caught:
        load("mer2024", root)
    assert "another file has this name too" in str(caught.value)


def test_the_toolkits_own_npz_fills_the_pool_and_released_answers_name_the_test_clips(tmp_path):
    root = processed(tmp_path)
    (root / "label-disdim.csv").unlink()
    train, others = {"a": {"emo": "happy"}, "b": {"emo": "sad"}}, ("t", "u")
    filled = {name: {"emo": "neutral"} for name in others}
    np.savez_compressed(root / "label-6way.npz", train_corpus=train, test1_corpus=filled)
    assert load("mer2024", root).split("unlabelled").index.tolist() == ["t", "u"]
    touch(root / "reference-semi.csv", "name,discrete\nt,angry\n")
    corpus = load("mer2024", root)
    assert corpus.split("test").index.tolist() == ["t"]
    assert corpus.split("unlabelled").index.tolist() == ["u"]
    assert corpus.answers.to_dict() == {"t": "angry"}
    (root / "reference-semi.csv").unlink()
    (root / "label-6way.npz").rename(root / "track1_label_6way.npz")
    corpus = load("mer2025", root)
    assert corpus.split("test").index.tolist() == ["t", "u"]
    assert any("MER2024's" in note for note in corpus.notes)


def test_files_of_one_name_are_one_clip_and_names_hold_as_many_folders_as_it_takes(tmp_path):
    for who in ("anna", "ben"):
        for ending in ("mp4", "wav"):
            touch(tmp_path / who / "happy" / f"001.{ending}")
    touch(tmp_path / "anna" / "bored" / "002.mp4")
    corpus = load("folder", tmp_path, speaker="^([a-z]{1,9})/")
    assert sorted(corpus.clips.index) == ["002", "anna-happy-001", "ben-happy-001"]
    assert corpus.clips.loc["ben-happy-001", ["video", "audio"]].notna().all()
    assert corpus.clips.loc["ben-happy-001", "speaker"] == "ben"
    assert corpus.notes[-1].startswith("1 clips in a folder 'bored', which is no label")


def test_sound_beside_melds_clips_takes_nothing_from_them_and_wav_goes_before_mp3(tmp_path):
    root = meld(tmp_path / "m")
    touch(root / "train_splits" / "dia0_utt0.wav")
    clip = load("meld", root).clips.loc["train_dia0_utt0"]
    assert clip["video"].endswith(".mp4")
    assert clip["audio"].endswith(".wav")
    root = crema_d(tmp_path / "c")
    touch(root / "AudioMP3" / "1001_DFA_ANG_XX.mp3")
    assert load("crema_d", root).clips.loc["1001_DFA_ANG_XX", "audio"].endswith(".wav")


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("meld", "dev_sent_emo.csv", "dev_sent_emo.csv: file: missing"),
        ("iemocap", "Session2/dialog/EmoEvaluation/Ses02F_impro01.txt", "Session2/dialog/EmoEval"),
        ("mer2025", "track1_train_disdim.csv", "label-disdim.csv"),
    ],
)
def test_a_missing_part_is_named(name, part, message, tmp_path):
    root = WRITERS[name](tmp_path)
    (root / part).unlink()
    with pytest.raises(CorpusError, match=message):
        load(name, root)


def in_gbk(path, text):
    path.write_bytes(text.encode("gbk"))


@pytest.mark.parametrize(
    ("name", "part", "text"),
    [
        ("mer2024", "transcription-merge.csv", "name,chinese\na,你好世界\n"),
        ("mer2025", "subtitle_chieng.csv", "name,chinese\na,你好世界\n"),
        ("meld", "train_sent_emo.csv", "Utterance\n你好世界\n"),
    ],
)
def test_words_in_gbk_are_refused_with_file_row_and_remedy(name, part, text, tmp_path):
    root = WRITERS[name](tmp_path)
    in_gbk(root / part, text)
    with pytest.raises(CorpusError, match=f"{part} row 2: .*iconv -f GB18030.* {part}"):
        load(name, root)


def test_words_in_gbk_beside_a_recording_are_named(tmp_path):
    root = folder(tmp_path)
    in_gbk(root / "sad" / "ben.2.txt", "你好世界")
    with pytest.raises(ValueError, match="ben.2.txt is not UTF-8"):
        load("folder", root)


@pytest.mark.parametrize(
    ("name", "part", "row"),
    [
        ("mer2025", "track1_train_disdim.csv", "a,sad"),
        ("meld", "train_sent_emo.csv", "0,again,Joey,joy,x,0,0,1"),
        (
            "iemocap", "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
            "\n[6.2 - 8.2]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        ),
    ],
)  # fmt: skip
def test_two_rows_for_one_clip_are_told_with_their_place(name, part, row, tmp_path):
    root = WRITERS[name](tmp_path)
    (root / part).write_text((root / part).read_text(encoding="utf-8") + row + "\n", "utf-8")
    place = Path(part).name
    with pytest.raises(CorpusError, match=f"(?s){place}.*: name: .* is in .*{place}.* too"):
        load(name, root)


def test_names_with_points_and_mixed_and_upper_case_endings_are_clips(tmp_path):
    for name in ("a.b.c.MP4", "a.b.d.avi", "e.Wav"):
        touch(tmp_path / "happy" / name)
    touch(tmp_path / "sad" / "x.AVI")
    corpus = load("auto", tmp_path)
    assert corpus.clips.index.tolist() == ["a.b.c", "a.b.d", "e", "x"]
    assert corpus.clips["video"].notna().tolist() == [True, True, False, True]


@pytest.mark.parametrize("name", ["ravdess", "crema_d", "emodb", "folder", "iemocap", "meld"])
def test_an_empty_folder_is_told_for_what_it_is(name, tmp_path):
    with pytest.raises(CorpusError):
        load(name, tmp_path)


def test_what_is_no_layout_or_two_at_once_is_refused_with_the_names(tmp_path):
    touch(tmp_path / "x.pdf")
    with pytest.raises(ValueError, match="(?s)is not recognised: name the corpus.*ravdess"):
        load("auto", tmp_path)
    with pytest.raises(ValueError, match="no such file or folder"):
        load("auto", tmp_path / "gone")
    meld(emodb(tmp_path / "both") and tmp_path / "both")
    with pytest.raises(ValueError, match="both"):
        iemocap(tmp_path / "both")
        load("auto", tmp_path / "both")
    assert detect(touch(tmp_path / "clips.csv", "name,text\nx,hi\n")) == "manifest"


def test_corrections_replace_labels_of_every_source(tmp_path):
    root = mer2024(tmp_path / "m")
    path = touch(tmp_path / "fixes.csv", "name,label\na ,Sadness\nt,happy\nb,sad\n")
    corpus = load("mer2024", root, path)
    assert corpus.labelled["emotion"].to_dict() == {"a": "sad", "b": "sad"}
    assert corpus.answers.to_dict() == {"t": "happy"}
    assert "2 labels were changed by fixes.csv, which has 3" in corpus.notes
    touch(path, "name,label\ngone,sad\na,strange\nu,sad\na,sad\n")
    with pytest.raises(CorpusError, match="(?s)row 2.*'gone'.*row 3.*'strange' is no") as caught:
        load("mer2024", root, path)
    assert "an unlabelled clip is 'u'" in str(caught.value)
    assert "'a' is in row 3 too" in str(caught.value)
    with pytest.raises(CorpusError, match="label: missing column"):
        load("mer2024", root, touch(path, "name,emotion\na,sad\n"))


def test_corrections_may_name_speakers_also_of_clips_without_a_label(tmp_path):
    root = mer2024(tmp_path / "m")
    path = touch(
        tmp_path / "who.csv", "name,label,speaker\na,,anna\nu,,ben\nb,happy,\nt,sad,anna\n"
    )
    corpus = load("mer2024", root, path)
    assert corpus.clips["speaker"].dropna().to_dict() == {"a": "anna", "t": "anna", "u": "ben"}
    assert corpus.labelled["emotion"].to_dict() == {"a": "happy", "b": "happy"}
    assert corpus.answers.to_dict() == {"t": "sad"}
    assert corpus.notes[-1].endswith("which has 4 and names the speakers of 3 clips")
    with pytest.raises(CorpusError, match="no clip has the name 'gone'"):
        load("mer2024", root, touch(path, "name,label,speaker\ngone,,anna\n"))


def test_a_folder_of_a_seventh_emotion_beside_the_six_is_recognised_and_said(tmp_path):
    for name in ("happy", "sad", "disgust"):
        touch(tmp_path / name / "x.wav")
    corpus = load("auto", tmp_path)
    assert corpus.clips["split"].tolist() == ["unlabelled", "train", "train"]
    assert corpus.notes[0].startswith("1 clips in a folder 'disgust', which is no label")
    assert load("auto", tmp_path, labels=("own",)).labels == ("disgust", "happy", "sad")
    for name in ("code", "papers"):
        touch(tmp_path / name / "x.txt")
    with pytest.raises(ValueError, match="is not recognised: name the corpus"):
        load("auto", tmp_path)  # two of five folders


@pytest.mark.parametrize(
    ("name", "table"), [("mer2024", "label-disdim.csv"), ("mer2025", "track1_train_disdim.csv")]
)
def test_a_valence_in_the_table_of_labels_is_kept(name, table, tmp_path):
    root = WRITERS[name](tmp_path)
    labels = root / table
    touch(labels, "name,discrete,valence\na,happy,1.5\nb,sad,-2\n")
    corpus = load("auto", root)
    assert corpus.clips["valence"].dropna().to_dict() == {"a": "1.5", "b": "-2"}
    touch(labels, "name,discrete\na,happy\nb,sad\n")
    assert "valence" not in load("auto", root).clips


def test_real_ravdess_wavs_have_the_emotions_and_speakers_that_their_names_say():
    if not (SHARED / "ravdess_wav").is_dir():
        pytest.skip(f"{SHARED / 'ravdess_wav'} is missing: no real clips here")
    corpus = load("auto", SHARED / "ravdess_wav")
    assert corpus.name == "ravdess"
    files = sorted(path.stem for path in (SHARED / "ravdess_wav").glob("*.wav"))
    codes = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry", "06": "worried"}
    codes["08"] = "surprise"
    kept = [name for name in files if name[6:8] in codes]
    assert corpus.clips.index.tolist() == kept
    assert len(kept) < len(files)
    assert corpus.clips["emotion"].tolist() == [codes[name[6:8]] for name in kept]
    assert corpus.clips["speaker"].tolist() == [f"actor {name[-2:]}" for name in kept]
    assert corpus.clips["audio"].map(lambda path: Path(path).is_file()).all()


@pytest.mark.parametrize(
    ("name", "part", "clips"), [("emodb", "emodb", 535), ("crema_d", "crema_d_mini", 12)]
)
def test_real_corpora_are_recognised_and_read(name, part, clips):
    if not (SHARED / part).is_dir():
        pytest.skip(f"{SHARED / part} is missing: no real clips here")
    corpus = load("auto", SHARED / part)
    assert corpus.name == name
    assert len(corpus.clips) == clips
    assert not any("missing" in note for note in corpus.notes)
    assert json.dumps(corpus.notes)
