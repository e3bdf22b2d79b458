"""Writing the planned clips as mp4 files: in parallel, resumable, never half.

The work is done by processes started anew (`python -m mini_corpus.render`), one for each
processor: drawing holds Python's lock. A clip is written beside its place and moved there; what is
there is whole.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from agt_lib.workspace.kept import write_atomic
from agt_lib.workspace.progress import bar
from mini_corpus import face, voice
from mini_corpus.action_units import FRAME_RATE
from mini_corpus.plan import ClipPlan
from mini_corpus.scene import identity

PLAN = "plan.json"
CLIPS = "clips"
BLOCK = 80 * 1024
"""Files are filled up to whole blocks of this many bytes, so that size tells nothing: one
block is more than the longest clip takes."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class RenderError(RuntimeError):
    """A rendering process failed."""


def render_all(plan: Sequence[ClipPlan], folder: Path, *, processes: int | None = None) -> None:
    """Render every clip of `plan` that `folder`/clips lacks, on all processors by default.

    Raises RenderError with the failing process' own message.
    """
    (folder / CLIPS).mkdir(parents=True, exist_ok=True)
    for partial in (folder / CLIPS).glob(".*.partial"):  # left by a process that was killed
        partial.unlink()
    missing = [clip for clip in plan if not clip_path(folder, clip.name).is_file()]
    if not missing:
        return
    write_atomic(folder / PLAN, json.dumps([asdict(clip) for clip in missing]))
    count = min(processes or os.cpu_count() or 1, len(missing))
    search = os.pathsep.join(filter(None, sys.path))  # where this process found what it needs
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": search}
    reading, writing = os.pipe()
    with tempfile.TemporaryFile("w+") as complaints:
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, str(folder), str(share), str(count)],
                stdout=writing,
                stderr=complaints,
                env=environment,
            )
            for share in range(count)
        ]
        os.close(writing)
        try:
            _count(reading, f"rendering {folder.name}", len(missing))
            codes = [worker.wait() for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        if any(codes):
            complaints.seek(0)
            raise RenderError(
                f"rendering into {folder} stopped (exit codes {codes}); what is done is kept and "
                f"the next call goes on from there:\n{complaints.read()}"
            )
    (folder / PLAN).unlink()


def _count(reading: int, label: str, n_clips: int) -> None:
    """Show how many clips are done until every worker has closed its end of the pipe."""
    with os.fdopen(reading) as done, bar(n_clips, label, "clip") as shown:
        for _ in done:
            shown.update()


def clip_path(folder: Path, name: str) -> Path:
    """Where the clip `name` lies."""
    return folder / CLIPS / f"{name}.mp4"


def render_clip(clip: ClipPlan) -> tuple[np.ndarray, np.ndarray]:
    """A clip's frames, uint8 RGB (T, 96, 96, 3), and its waveform, float32 at 16 kHz."""
    waveform = voice.render(clip)
    frames = face.draw(
        clip.face,
        clip.face_intensity,
        identity(clip.speaker_seed),
        voice.loudness(waveform, clip.frames),
        clip.seed,
    )
    return frames, waveform


def write_mp4(path: Path, frames: np.ndarray, waveform: np.ndarray) -> None:
    """Write H.264 and AAC, the same settings for every clip, filled up to whole blocks."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with av.open(str(partial), "w", format="mp4") as container:
            _encode(container, frames, waveform)
        with partial.open("ab") as file:
            gap = -(file.tell() + 8) % BLOCK + 8
            file.write(gap.to_bytes(4, "big") + b"free" + bytes(gap - 8))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(
    container: av.container.OutputContainer, frames: np.ndarray, waveform: np.ndarray
) -> None:
    # x264's macroblock tree gives other bits in one clip of some twenty, from run to run
    settings = {"crf": "25", "preset": "veryfast", "x264-params": "no-mbtree=1"}
    video = container.add_stream("libx264", rate=FRAME_RATE, options=settings)
    video.height, video.width = frames.shape[1:3]
    video.pix_fmt = "yuv420p"
    video.codec_context.thread_count = 1
    # FFmpeg's default coder takes four times as long and is no nearer to the waveform
    coder = {"aac_coder": "fast"}
    audio = container.add_stream("aac", rate=voice.SAMPLE_RATE, layout="mono", options=coder)
    audio.bit_rate = 64_000
    colours = VideoReformatter()
    for picture in frames:
        rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
        planes = colours.reformat(rgb, format="yuv420p").to_ndarray()
        # a frame made anew: x264 reads the padding that the conversion leaves unwritten
        container.mux(video.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
    container.mux(video.encode())
    sound = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
    sound.sample_rate = voice.SAMPLE_RATE
    container.mux(audio.encode(sound))
    container.mux(audio.encode())


def _work(folder: Path, share: int, shares: int) -> None:
    """Render every `shares`-th clip of the folder's plan; one line of output for each."""
    plan = [ClipPlan(**row) for row in json.loads((folder / PLAN).read_text())]
    for clip in plan[share::shares]:
        write_mp4(clip_path(folder, clip.name), *render_clip(clip))
        print(clip.name, flush=True)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
