"""Clips as users name them."""

import pandas as pd
import pytest

from agt_lib.corpora.corpus import CorpusError
from agt_lib.prediction import read_clips


def touch(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_folder_gives_all_media_below_it_with_words_beside_them(tmp_path):
    touch(tmp_path / "a" / "one.mp4")
    touch(tmp_path / "a" / "one.txt", " What a day!\n")
    touch(tmp_path / "b" / "one.MP4")
    touch(tmp_path / "b" / "two.name.wav")
    touch(tmp_path / "b" / "._two.mp4")
    touch(tmp_path / "b" / "notes.pdf")
    touch(tmp_path / "b" / "one.wav")
    clips = read_clips(tmp_path, speaker="anna").clips
    assert sorted(clips.index) == ["a-one", "b-one", "two.name"]
    assert clips.loc["a-one", "text"] == "What a day!"
    assert clips.loc["two.name", "audio"].endswith("two.name.wav")
    assert clips.loc["b-one", "video"].endswith("one.MP4")
    assert clips.loc["b-one", "audio"].endswith("one.wav")
    assert set(clips["speaker"]) == {"anna"}
    assert set(clips["split"]) == {"unlabelled"}


def test_a_csv_mappings_and_a_table_say_more(tmp_path):
    touch(tmp_path / "c.mp4")
    table = "name,emotion,video,text,speaker\nc,happy,c.mp4,Hi,ben\n"
    clips = read_clips(touch(tmp_path / "clips.csv", table)).clips
    assert clips.loc["c", ["text", "speaker"]].tolist() == ["Hi", "ben"]
    assert pd.isna(clips.loc["c", "emotion"])
    rows = [{"text": "Hi", "name": "x"}, {"video": str(tmp_path / "c.mp4")}]
    clips = read_clips(rows, speaker={"x": "carl"}).clips
    assert clips.index.tolist() == ["x", "c"]
    assert clips["speaker"].fillna("").tolist() == ["carl", ""]
    assert read_clips(pd.DataFrame(rows)).clips.index.tolist() == ["x", "c"]
    numbered = pd.DataFrame({"video": [str(tmp_path / "c.mp4")] * 2, "speaker": [1, None]})
    numbered.loc[1, "video"] = str(touch(tmp_path / "d.mp4"))
    clips = read_clips(numbered).clips
    assert clips.index.tolist() == ["c", "d"]
    assert clips["speaker"].fillna("").tolist() == ["1", ""]


def test_a_list_of_speakers_and_an_array_for_a_file_are_refused(tmp_path):
    touch(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="one name for all clips, or a name by clip.*got list"):
        read_clips(tmp_path, speaker=["anna"])
    with pytest.raises(ValueError, match="audio is a file's path; got list"):
        read_clips({"audio": [0.1, 0.2]})


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (["no1.mp4", "no2.mp4"], "no such file or folder: no1.mp4, no2.mp4"),
        ([], "no clips"),
        ([{"video": "no3.mp4"}], "no such file: .*no3.mp4"),
        ([{"speaker": "a"}], "no video, audio or text"),
        ([{"name": "../x", "text": "Hi"}], "is not a clip name"),
        ([{"name": "x", "text": "a"}, {"name": "x", "text": "b"}], "'x' is in clip 1 too"),
    ],
)
def test_what_is_no_clip_is_refused(clips, message):
    with pytest.raises((ValueError, FileNotFoundError, CorpusError), match=message):
        read_clips(clips)


def test_other_files_words_in_another_encoding_and_unknown_speakers_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"clip.pdf: expected a folder"):
        read_clips(touch(tmp_path / "clip.pdf"))
    touch(tmp_path / "d.mp4")
    (tmp_path / "d.txt").write_bytes("é".encode("latin-1"))
    assert read_clips(tmp_path / "d.mp4").clips["text"].tolist() == ["é"]
    (tmp_path / "d.txt").write_bytes("你好".encode("gb18030"))
    with pytest.raises(ValueError, match="d.txt is not UTF-8"):
        read_clips(tmp_path / "d.mp4")
    (tmp_path / "d.txt").unlink()
    with pytest.raises(ValueError, match="clips that are not here: e"):
        read_clips(tmp_path / "d.mp4", speaker={"e": "x"})
