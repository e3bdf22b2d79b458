"""Damage small clips in many ways and read each as the library does: nothing may crash or hang.

    python tests/torture/media.py --files 500 --seed 0 [--seconds N]

Files of one seed are the same in every run. A worker process reads them: sound and pictures as the
encoders load and encode them, every tenth file through the whole extraction. The parent watches it
from outside. A file passes if each of its parts is in the ledger with a reason, or has finite
features. Exits with 1 for a crash, a hang, another exception or a feature that is not finite.
"""

import argparse
import json
import os
import queue
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import av
import numpy as np
from PIL import Image

SECONDS_A_FILE = 30
"""Of a machine that does nothing else; where more processes want to run, as many times that."""
WHOLE = 10
"""Of so many files one goes through the whole extraction."""
REAL = Path(__file__).parents[3] / "shared" / "data"
"""Real clips, used where they are."""
EXACT = {"fflags": "+bitexact"}
CLIPS = {
    "mp4": ("libx264", "aac", 16_000),
    "mov": ("mpeg4", "pcm_s16le", 16_000),
    "mkv": ("ffv1", "ac3", 48_000),
    "avi": ("mpeg4", "libmp3lame", 44_100),
    "flv": ("flv1", "libmp3lame", 44_100),
    "webm": ("libvpx", "libopus", 48_000),
    "ts": ("mpeg2video", "mp2", 48_000),
    "wav": (None, "pcm_s16le", 16_000),
    "flac": (None, "flac", 16_000),
    "mp3": (None, "libmp3lame", 16_000),
    "ogg": (None, "libopus", 48_000),
}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
KINDS = {}
OUTCOMES = ("ledger", "partly", "finite", "raised", "not finite", "crash", "hang")
FAULTS = OUTCOMES[3:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=np.inf, help="stop after these")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return work(Path(given.worker))
    began, tried, worst = time.monotonic(), 0, []
    table = defaultdict(lambda: defaultdict(float))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clips = base_clips(folder)
        worker = Worker(folder)
        for number in range(given.files):
            if time.monotonic() - began > given.seconds:
                break
            kind = list(KINDS)[number % len(KINDS)]
            path = KINDS[kind](np.random.default_rng([given.seed, number]), clips, folder)
            found = worker.read(path, whole=number // len(KINDS) % WHOLE == 0)
            tried += 1
            row = table[kind]
            row["files"] += 1
            row[found["outcome"]] += 1
            row["marked"] += found.get("marked", False)
            row["MB"] = max(row["MB"], found.get("mb", 0))
            row["s"] = max(row["s"], found["seconds"])
            if found["outcome"] in FAULTS:
                worst.append(f"file {number} ({kind}, {path.name}): {found}")
            path.unlink()
        worker.end()
    show(table)
    print(*worst, sep="\n")
    took = time.monotonic() - began
    print(f"{tried} of {given.files} files tried in {took:.0f} s, {len(worst)} of them at fault")
    return bool(worst)


def show(table) -> None:
    columns = ("files", *OUTCOMES, "marked", "MB", "s")
    total = defaultdict(float)
    for row in table.values():
        for column, value in row.items():
            largest = column in ("MB", "s")
            total[column] = max(total[column], value) if largest else total[column] + value
    print(f"{'kind':20}" + "".join(f"{column:>11}" for column in columns))
    for kind, row in [*table.items(), ("all", total)]:
        print(f"{kind:20}" + "".join(f"{row[c]:11.{int(c == 's')}f}" for c in columns))


class Worker:
    """The process that reads files; started again when it died or was ended."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, __file__, "--worker", str(self.folder)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.answers = queue.Queue()
        arguments = self.process.stdout, self.answers
        threading.Thread(target=listen, args=arguments, daemon=True).start()
        if self.answers.get() is None:  # no limit: a crowded machine imports for minutes
            raise SystemExit("the worker does not start: run it with --worker FOLDER to see why")

    def read(self, path: Path, whole: bool) -> dict:
        began = time.monotonic()
        self.process.stdin.write(json.dumps([str(path), whole]) + "\n")
        self.process.stdin.flush()
        try:
            crowd = max(1, os.getloadavg()[0] / os.cpu_count())
            answer = self.answers.get(timeout=SECONDS_A_FILE * crowd)
        except queue.Empty:
            answer = "hang"
        took = {"seconds": time.monotonic() - began}
        if answer not in (None, "hang"):
            return json.loads(answer) | took
        self.end()
        code = self.process.returncode
        self.start()
        if answer == "hang":
            return {"outcome": "hang"} | took
        return {"outcome": "crash", "why": [f"exit code {code}"]} | took

    def end(self) -> None:
        try:
            self.process.stdin.close()
            self.process.wait(timeout=2)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def listen(stream, answers: queue.Queue) -> None:
    for line in stream:
        answers.put(line)
    answers.put(None)


def work(folder: Path) -> int:
    """Read the files that standard input names, one a line, and answer in a line each."""
    os.environ["AGT_DATA"] = str(folder / "data")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    import pandas as pd

    from agt_lib.corpora.corpus import build as build_corpus
    from agt_lib.corpora.media import MediaError, duration
    from agt_lib.features.encoder import build
    from agt_lib.features.extraction import extract

    speech = tiny_hubert(folder / "hubert")
    encoders = [build("opensmile"), build(f"hubert:{speech}", device="cpu")]
    encoders += [build("clip", device="cpu"), build("fer")]

    def by_parts(path: str) -> list:
        clip = pd.Series({"audio": path, "video": path, "text": None}, name="clip")
        for encoder in encoders:
            try:
                yield encoder.encode([encoder.load(clip)])
            except MediaError as error:
                yield error.reason
        try:
            yield np.array(duration(path))
        except MediaError as error:
            yield error.reason

    def by_extraction(path: str) -> list:
        table = pd.DataFrame({"name": ["clip"], "split": "train", "audio": path, "video": path})
        corpus = build_corpus("fuzz", table, source="the fuzzer")
        for encoder in encoders:
            features = extract(corpus, encoder, max_failures=1.0, progress=False)
            if not features.present[0] and not features.failures["reason"].all():
                raise AssertionError("absent without a reason")
            yield features.values[:] if features.present[0] else features.failures["reason"][0]

    print("ready", file=out, flush=True)
    for line in sys.stdin:
        path, whole = json.loads(line)
        reset_peak()
        for encoder in encoders:
            encoder.remarks.clear()
        try:
            found = list(by_parts(path))
            said = "".join(text for encoder in encoders for text in encoder.remarks.values())
            marked = "are broken" in said or "are there" in said
            found += by_extraction(path) if whole else []
            reasons = [part for part in found if isinstance(part, str)]
            values = [part for part in found if not isinstance(part, str)]
            outcome = "partly" if reasons and values else "ledger" if reasons else "finite"
            if not all(np.isfinite(part).all() for part in values):
                outcome = "not finite"
            answer = {"outcome": outcome, "marked": marked, "why": reasons}
        except Exception as error:
            answer = {"outcome": "raised", "why": [f"{type(error).__name__}: {error}"[:300]]}
        print(json.dumps(answer | {"mb": peak()}), file=out, flush=True)
    return 0


def tiny_hubert(folder: Path) -> Path:
    import transformers

    if not folder.exists():
        config = transformers.HubertConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16,
            conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        )  # fmt: skip
        transformers.HubertModel(config).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def reset_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Megabytes that the process held at most, on Linux since `reset_peak`."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# The clips, and what is done to them.


def pictures(n: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames that change everywhere, uint8 RGB (n, height, width, 3)."""
    rows, columns = np.mgrid[:height, :width]
    grey = [(rows * 3 + columns * 5 + 17 * t) % 256 for t in range(n)]
    return np.stack(grey)[..., None].repeat(3, -1).astype(np.uint8)


def sound(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """A sweep in noise, float32 (samples, channels)."""
    times = np.arange(round(seconds * rate)) / rate
    noise = 0.02 * np.random.default_rng(0).standard_normal((len(times), channels))
    return (0.3 * np.sin(900 * times * (1 + times))[:, None] + noise).astype(np.float32)


def write(path, frames=None, video=None, waveform=None, audio=None, rate=16_000, cover=False):
    with av.open(str(path), "w", options=EXACT) as container:
        streams = []
        if frames is not None:
            stream = container.add_stream(video, rate=25)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(video, "yuv420p")
            if cover:
                stream.disposition = av.stream.Disposition.attached_pic
            made = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in frames]
            streams.append((stream, made))
        if waveform is not None:
            layout = LAYOUTS[waveform.shape[1]]
            frame = av.AudioFrame.from_ndarray(waveform.reshape(1, -1), "flt", layout)
            frame.sample_rate, frame.pts = rate, 0
            streams.append((container.add_stream(audio, rate=rate, layout=layout), [frame]))
        packets = [p for s, made in streams for x in [*made, None] for p in s.encode(x)]
        packets = [p for p in packets if p.dts is not None]
        container.start_encoding()
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


def base_clips(folder: Path) -> list[Path]:
    made = []
    for suffix, (video, audio, rate) in CLIPS.items():
        frames = None if video is None else pictures(40)
        path = folder / f"base.{suffix}"
        made.append(write(path, frames, video, sound(1.6, rate), audio, rate))
    real = [sorted(REAL.glob(p))[:2] for p in ("crema_d_mini/data/*", "ravdess_wav/*.wav")]
    return made + [path for paths in real for path in paths if path.is_file()]


def kind(make):
    """Register a way to make a file: (rng, clips, folder) gives a path, or a clip's new bytes."""

    def made(rng, clips, folder: Path) -> Path:
        found = make(rng, clips, folder / "case")
        if isinstance(found, tuple):
            path = (folder / "case").with_suffix(found[0])
            path.write_bytes(found[1])
            return path
        if rng.random() < 0.25:
            found.write_bytes(flipped(rng, found.read_bytes(), 0, 1))
        return found

    KINDS[make.__name__] = made
    return make


def flipped(rng, content: bytes, start: float, end: float) -> bytes:
    """The content with 1 to 300 bits turned between two shares of its length."""
    content = bytearray(content)
    low, high = int(start * len(content)), max(int(end * len(content)), 1)
    for place in rng.integers(low, high, int(10 ** rng.uniform(0, 2.5))) if content else ():
        content[place] ^= 1 << rng.integers(8)
    return bytes(content)


def some_clip(rng, clips) -> tuple[str, bytes]:
    path = clips[rng.integers(len(clips))]
    return path.suffix, path.read_bytes()


def choice(rng, *options):
    return options[rng.integers(len(options))]


@kind
def truncated(rng, clips, case):
    suffix, content = some_clip(rng, clips)
    return suffix, content[: int(rng.random() * len(content))]


@kind
def bits_in_header(rng, clips, case):
    suffix, content = some_clip(rng, clips)
    return suffix, flipped(rng, content, 0, min(1, 600 / len(content)))


@kind
def bits_in_middle(rng, clips, case):
    suffix, content = some_clip(rng, clips)
    return suffix, flipped(rng, content, 0.1, 0.9)


@kind
def bits_at_end(rng, clips, case):
    suffix, content = some_clip(rng, clips)
    return suffix, flipped(rng, content, max(0, 1 - 2000 / len(content)), 1)


@kind
def broken_middle(rng, clips, case):
    suffix, content = some_clip(rng, clips)
    start, end = (np.array([0.3, 0.3 + rng.choice([0.1, 0.4, 0.6])]) * len(content)).astype(int)
    noise = rng.integers(0, 256, end - start, dtype=np.uint8).tobytes()
    return suffix, content[:start] + choice(rng, noise, bytes(end - start)) + content[end:]


@kind
def swapped_tracks(rng, clips, case):
    source = choice(rng, *[p for p in clips if p.suffix in (".mp4", ".mkv", ".avi", ".ts")])
    path = case.with_suffix(source.suffix)
    with av.open(str(source)) as old, av.open(str(path), "w", options=EXACT) as new:
        streams = [new.add_stream_from_template(stream) for stream in list(old.streams)[:2]]
        for packet in old.demux(*list(old.streams)[:2]):
            if packet.dts is not None:
                packet.stream = streams[1 - packet.stream.index]
                try:
                    new.mux(packet)
                except av.FFmpegError:
                    continue
    return path


@kind
def wrong_duration(rng, clips, case):
    suffix, content = some_clip(rng, clips)
    content = bytearray(content)
    said = int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1]))
    places = {b"mvhd": 20, b"tkhd": 24, b"mdhd": 20, b"avih": 24, b"strh": 40, b"data": 4}
    for name, offset in places.items():
        place = -1
        while (place := content.find(name, place + 1)) >= 0 and rng.random() < 0.7:
            if place + offset + 4 < len(content):
                struct.pack_into(choice(rng, ">I", "<I"), content, place + offset, said)
    if (place := content.find(b"\x44\x89\x88")) >= 0:  # Matroska's duration
        struct.pack_into(">d", content, place + 3, float(choice(rng, 0, -1, 1e30, np.nan, said)))
    if (place := content.find(b"Xing")) >= 0 or (place := content.find(b"Info")) >= 0:
        struct.pack_into(">I", content, place + 8, said)
    return suffix, bytes(content)


@kind
def no_timestamps(rng, clips, case):
    if rng.random() < 0.4:
        suffix, codec = choice(rng, ("aac", "aac"), ("ac3", "ac3"), ("mp2", "mp2"))
        path = case.with_suffix(f".{suffix}")
        return write(path, waveform=sound(1, 48_000), audio=codec, rate=48_000)
    suffix, codec = choice(rng, ("h264", "libx264"), ("m4v", "mpeg4"), ("mjpeg", "mjpeg"))
    return write(case.with_suffix(f".{suffix}"), pictures(int(rng.integers(1, 30))), codec)


@kind
def sound_longer(rng, clips, case):
    suffix = choice(rng, "mp4", "mkv", "avi", "webm", "flv")
    video, audio, rate = CLIPS[suffix]
    seconds = rng.uniform(2, 8)
    return write(
        case.with_suffix(f".{suffix}"), pictures(3), video, sound(seconds, rate), audio, rate
    )


@kind
def no_frame(rng, clips, case):
    suffix = choice(rng, "mp4", "mkv", "avi", "flv")
    video, audio, rate = CLIPS[suffix]
    heard = sound(float(choice(rng, 0.01, 1)), rate)
    return write(case.with_suffix(f".{suffix}"), pictures(1)[:0], video, heard, audio, rate)


@kind
def one_frame(rng, clips, case):
    suffix = choice(rng, "mp4", "mkv", "avi", "webm", "ts")
    return write(case.with_suffix(f".{suffix}"), pictures(1), CLIPS[suffix][0])


@kind
def frame_8k(rng, clips, case):
    size = choice(rng, (7680, 4320), (8000, 8000), (30_000, 30_000), (9000, 5000), (60_000, 2))
    path = case.with_suffix(choice(rng, ".png", ".jpg", ".gif"))
    Image.new("L", size, 90).save(path)
    return path


@kind
def pixel_1x1(rng, clips, case):
    suffix, codec = choice(rng, ("mkv", "mpeg4"), ("png", "png"), ("mkv", "ffv1"), ("avi", "png"))
    size = choice(rng, (1, 1), (1, 1), (1, 3000), (3000, 1))
    return write(
        case.with_suffix(f".{suffix}"), pictures(3, *size)[: 1 if suffix == "png" else 3], codec
    )


@kind
def rate_192k(rng, clips, case):
    suffix, codec = choice(rng, ("wav", "pcm_s24le"), ("flac", "flac"), ("mkv", "pcm_f32le"))
    heard = sound(rng.uniform(0.05, 2), 192_000, choice(rng, 1, 2, 8))
    return write(case.with_suffix(f".{suffix}"), waveform=heard, audio=codec, rate=192_000)


@kind
def channels_8(rng, clips, case):
    suffix, codec = choice(rng, ("wav", "pcm_s16le"), ("flac", "flac"), ("mkv", "pcm_f32le"))
    heard = sound(rng.uniform(0.2, 2), 48_000, 8)
    return write(case.with_suffix(f".{suffix}"), waveform=heard, audio=codec, rate=48_000)


@kind
def cover_as_video(rng, clips, case):
    suffix, codec = choice(rng, ("mp3", "png"), ("mp4", "mjpeg"), ("mkv", "mjpeg"))
    audio = "aac" if suffix == "mp4" else "libmp3lame"
    cover = suffix != "mkv" or rng.random() < 0.5
    heard = sound(1, 44_100)
    return write(case.with_suffix(f".{suffix}"), pictures(1), codec, heard, audio, 44_100, cover)


@kind
def playlist(rng, clips, case):
    target = choice(rng, str(clips[0]), clips[0].name, "http://127.0.0.1:9/a.ts", "/etc/passwd")
    texts = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{target}'\n",
        f"file '{target}'\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 9 RTP/AVP 0\na={target}\n",
        f'<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>',
    )
    return choice(rng, ".m3u8", ".mp4", ".wav", ".sdp"), choice(rng, *texts).encode()


@kind
def subtitles(rng, clips, case):
    lines = [f"{i}\n00:00:0{i},000 --> 00:00:0{i},900\nline {i}\n" for i in range(9)]
    webvtt = "WEBVTT\n\n" + "\n".join(lines).replace(",", ".")
    ass = "[Script Info]\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,a,,0,0,0,,x\n"
    return choice(rng, ".srt", ".mkv", ".mp4"), choice(rng, "\n".join(lines), webvtt, ass).encode()


@kind
def other_ending(rng, clips, case):
    _, content = some_clip(rng, clips)
    return choice(rng, ".mp4", ".wav", ".mkv", ".mp3", ".avi"), content


@kind
def two_in_one(rng, clips, case):
    (suffix, first), (_, second) = some_clip(rng, clips), some_clip(rng, clips)
    return suffix, first[: int(rng.uniform(0.3, 1) * len(first))] + second


if __name__ == "__main__":
    sys.exit(main())
