"""Clips as a user names them: media files, folders of them, a CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_lib.corpora import manifest
from agt_lib.corpora.corpus import COLUMNS, Corpus, build, listed
from agt_lib.corpora.media import duration
from agt_lib.corpora.media_files import SOUND, VIDEO, media_below, rows_of
from agt_lib.corpora.own_labels import OWN

Clip = str | Path | Mapping[str, Any]


def read_clips(
    clips: Clip | Sequence[Clip] | pd.DataFrame,
    speaker: str | Mapping[str, str] | None = None,
) -> Corpus:
    """The clips as an unlabelled corpus, checked whole.

    A clip is a media file, a folder (all media files in it and below), a CSV as the corpus
    `manifest` takes it, or a mapping with `video`, `audio`, `text`, and `name` and `speaker` if
    wanted; or all are a table of such columns. A clip's name is its file's name without ending,
    with its folders' before it where two are alike; a video and a sound file of the same name are
    one clip. Its words are `text`, or those in a file of the same name that ends in .txt. `speaker`
    is one for all, or by clip name.

    Raises FileNotFoundError listing the files that are not there, ValueError if there is no clip, a
    file is no media file or a `speaker` is neither, and CorpusError with all that is wrong with
    names and tables.
    """
    if isinstance(clips, pd.DataFrame):
        named = "name" in clips or isinstance(clips.index, pd.RangeIndex)
        rows = clips if named else clips.rename_axis("name").reset_index()
        found = _rows(rows.to_dict("records"))
    else:
        one = isinstance(clips, str | Path | Mapping)
        found = _rows([clips] if one else clips)
    if not found:
        raise ValueError("no clips: give media files, a folder that holds some, or a CSV")
    table = pd.DataFrame(found).reindex(columns=["name", *COLUMNS])
    table["split"], table["emotion"] = "unlabelled", None
    if not (speaker is None or isinstance(speaker, str | Mapping)):
        raise ValueError(
            "speaker is one name for all clips, or a name by clip, {clip: who}; got "
            f"{type(speaker).__name__}"
        )
    if isinstance(speaker, Mapping):
        if unknown := sorted(set(speaker) - set(table["name"])):
            raise ValueError(f"speakers are given of clips that are not here: {listed(unknown)}")
        table["speaker"] = table["name"].map(speaker).fillna(table["speaker"])
    elif speaker is not None:
        table["speaker"] = str(speaker)
    where = [f"clip {number + 1}" for number in range(len(table))]
    return build("clips", table, source="the clips given", where=where)


def in_windows(corpus: Corpus, seconds: float = 4.0) -> Corpus:
    """The corpus' clips cut into parts of `seconds`, named "CLIP 4-8 s", without words.

    A last part shorter than half of that joins the one before. Raises ValueError for `seconds` that
    are not above zero, and MediaError for a file that can't be opened.
    """
    if not seconds > 0:
        raise ValueError(f"a window lasts more than 0 s; got {seconds}")
    parts = {}
    for name, clip in corpus.clips.iterrows():
        source = clip["video"] if pd.notna(clip["video"]) else clip["audio"]
        length = 0.0 if pd.isna(source) else duration(source)
        ends = [*np.arange(seconds, length - seconds / 2, seconds), length]
        for start, end in zip([0.0, *ends], ends, strict=False):
            part = {"text": None, "start": start, "end": end, "clip": name}
            parts[f"{name} {start:g}-{end:.4g} s"] = clip.to_dict() | part
    clips = pd.DataFrame.from_dict(parts, orient="index").rename_axis("name")
    return replace(corpus, clips=clips)


def _rows(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """A row a clip; folders and CSVs give several. What is no file of its own comes first."""
    missing: list[str] = []
    rows: list[dict[str, Any]] = []
    files: list[Path] = []
    for clip in clips:
        if isinstance(clip, Mapping):
            rows.append(_of_mapping(clip, len(rows) + 1))
            continue
        path = Path(clip).expanduser().absolute()
        if path.is_dir():
            files += media_below(path)
        elif not path.is_file():
            missing.append(str(clip))
        elif path.suffix.lower() in (".csv", ".tsv"):
            table = manifest.load(path, (OWN,)).clips
            table = table.astype(object).where(table.notna(), None)
            rows += table.reset_index().to_dict("records")
        elif path.suffix.lower() in (*SOUND, *VIDEO):
            files.append(path)
        else:
            raise ValueError(
                f"{clip}: expected a folder, a CSV, or a media file ({', '.join(SOUND + VIDEO)}); "
                "another ending can be given in a CSV's column video or audio"
            )
    if missing:
        raise FileNotFoundError(f"no such file or folder: {listed(missing)}")
    return rows + (rows_of(Path(files[0].anchor), files) if files else [])


def _of_mapping(clip: Mapping[str, Any], number: int) -> dict[str, Any]:
    for column in ("video", "audio"):
        if not (pd.api.types.is_scalar(path := clip.get(column)) or isinstance(path, Path)):
            raise ValueError(f"{column} is a file's path; got {type(path).__name__}")
    row = {c: clip[c] for c in ("name", *COLUMNS) if c in clip and not pd.isna(clip[c])}
    if isinstance(who := row.get("speaker"), float) and who.is_integer():
        row["speaker"] = str(int(who))  # a column of numbers with a gap
    for column in ("video", "audio"):
        if column in row:
            row[column] = str(Path(row[column]).expanduser().absolute())
            if not Path(row[column]).is_file():
                raise FileNotFoundError(f"no such file: {row[column]}")
    if not {"video", "audio", "text"} & set(row):
        raise ValueError(f"the clip {dict(clip)} has no video, audio or text")
    file = row.get("video", row.get("audio"))
    return {"name": Path(file).stem if file else f"clip {number}"} | row
