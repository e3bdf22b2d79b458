"""The frames that tuning trains on: each clip is decoded once, whatever the epochs and folds.

N clips, F frames kept of each, P the side of a kept picture.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from agt_lib.clip_tuning.augment import side
from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.corpora.media import VERSION as MEDIA_VERSION
from agt_lib.corpora.media import MediaError, decode_frames
from agt_lib.features.features import FAILURE_COLUMNS
from agt_lib.workspace import kept, paths
from agt_lib.workspace.progress import bar
from agt_lib.workspace.shards import ABSENT, check_share

VERSION = 1  # raised when the same clip gives other pictures
SHARD = 64


@dataclass(frozen=True)
class KeptFrames:
    """Frames on disk, F of each readable clip at segment centres; see `keep`."""

    shards: tuple[Path, ...]
    names: tuple[str, ...]
    failures: pd.DataFrame

    def take(self, clips: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """uint8 RGB (b, T, P, P, 3): of the clips (b,), by place in `names`, `frames` (b, T)."""
        places = [self._places[clip] for clip in clips]
        pairs = zip(places, frames, strict=True)
        return np.stack([self._arrays[shard][row, which] for (shard, row), which in pairs])

    @cached_property
    def _arrays(self) -> list[np.ndarray]:
        return [np.load(file, mmap_mode="r", allow_pickle=False) for file in self.shards]

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return [(s, row) for s, array in enumerate(self._arrays) for row in range(len(array))]


def keep(
    clips: pd.DataFrame,
    preprocessing: PreprocessCfg,
    config: TuneConfig,
    *,
    max_failures: float = 0.05,
    progress: bool = True,
) -> KeptFrames:
    """Decode each of `clips` (rows of `Corpus.clips`) once, or find what was decoded before.

    `n_frames` x `frames_per_segment` frames, resized as CLIP's preprocessing does but larger by
    `crop`, so that there is something to crop. Clips that can't be read are left out and listed in
    `failures`; raises ExtractionError where they are more than the share `max_failures`. Stopped,
    it goes on at the last whole shard of 64 clips. Takes N F P^2 3 bytes of disk: 190 MB for 504
    clips at 72 pixels, 45 GB for 5030 clips of 48 frames at 252.
    """
    larger = replace(preprocessing, size=round(side(preprocessing) * (1 + config.crop)))
    n_frames = config.n_frames * config.frames_per_segment
    made_from = {
        "version": [VERSION, MEDIA_VERSION],
        "clips": [source(name, video) for name, video in clips["video"].items()],
        "n_frames": n_frames,
        "preprocessing": {key: str(value) for key, value in vars(larger).items()},
    }

    def make(folder: Path) -> dict[str, Any]:
        return _decode(clips, larger, n_frames, folder, progress)

    folder = kept.kept("frames", made_from, make)
    shards, names, failures = [], [], []
    for record in sorted(folder.glob("frames-*.json")):
        content = json.loads(record.read_text(encoding="utf-8"))
        names += content["names"]
        failures += content["failures"]
        shards += [record.with_suffix(".npy")] * bool(content["names"])
    table = pd.DataFrame(failures, columns=list(FAILURE_COLUMNS), dtype="str")
    check_share(table, len(clips), max_failures, "video", paths.relative(folder))
    return KeptFrames(tuple(shards), tuple(names), table)


def source(name: str, video: str | None) -> list[Any]:
    """What identifies a clip's video: name, path, size and time of change."""
    if pd.isna(video):
        return [name]
    path = Path(video)
    status = path.stat() if path.is_file() else None
    return [name, str(path), *((status.st_size, status.st_mtime_ns) if status else ())]


def _decode(
    clips: pd.DataFrame, preprocessing: PreprocessCfg, n_frames: int, folder: Path, progress: bool
) -> dict[str, Any]:
    # Without its last two steps, to a tensor and to mean 0: pictures stay bytes.
    steps = image_transform_v2(preprocessing, is_train=False).transforms[:-2]

    def load(video: str | None) -> np.ndarray | MediaError:
        if pd.isna(video):
            return MediaError(ABSENT, "the clip has no video file")
        try:
            frames = decode_frames(video, n_frames)
        except MediaError as error:
            return error
        pictures = []
        for frame in frames:
            picture = Image.fromarray(frame)
            for step in steps:
                picture = step(picture)
            pictures.append(np.asarray(picture))
        return np.stack(pictures)

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        bar(len(clips), "frames for tuning", "clip", shown=progress) as shown,
    ):
        for number, start in enumerate(range(0, len(clips), SHARD)):
            part = clips.iloc[start : start + SHARD]
            record = folder / f"frames-{number:05d}.json"
            if not record.is_file():
                _write(record, dict(zip(part.index, pool.map(load, part["video"]), strict=True)))
            shown.update(len(part))
    return {"clips": len(clips)}


def _write(record: Path, loaded: dict[str, np.ndarray | MediaError]) -> None:
    """One shard: the pictures of readable clips, then the record of names and failures."""
    pictures = {name: item for name, item in loaded.items() if isinstance(item, np.ndarray)}
    if pictures:
        content = BytesIO()
        np.save(content, np.stack(list(pictures.values())), allow_pickle=False)
        kept.write_atomic(record.with_suffix(".npy"), content.getvalue())
    failures = [
        (name, item.stage, item.reason) for name, item in loaded.items() if name not in pictures
    ]
    text = json.dumps({"names": list(pictures), "failures": failures})
    kept.write_atomic(record, text)
