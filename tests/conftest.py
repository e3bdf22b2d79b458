"""What all tests share: a data folder of their own, and small clips written with PyAV."""

import errno
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from agt_lib.workspace import paths

RATE = 16_000
GREY_STEP = 20


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "checkout_data: works in the checkout's own data folder, not in a fresh one"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The notebooks follow on one another and take longest: all other tests run beside them.
    items.sort(key=lambda item: "notebooks" not in item.path.parts)


@pytest.fixture(autouse=True)
def data_folder(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Points `paths.data()` to an empty folder, unless the test is marked `checkout_data`."""
    if "checkout_data" not in request.keywords:
        monkeypatch.setenv("AGT_DATA", str(tmp_path / "data"))
    return paths.data()


def write_clip(
    path: Path,
    *,
    frames: np.ndarray | None = None,
    fps: int = 12,
    milliseconds: list[int] | None = None,
    waveform: np.ndarray | None = None,
    rate: int = RATE,
    video_codec: str = "libx264",
    audio_codec: str = "aac",
) -> Path:
    """Write a clip in the container that the path's suffix names.

    `frames` is uint8 RGB (T, H, W, 3), shown at `fps` or from the `milliseconds` given for each;
    `waveform` is float32 (samples,) or (channels, samples), of 1, 2, 6, 8 or 16 channels.
    """
    with av.open(str(path), "w") as container:
        video = audio = None
        if frames is not None:
            video = container.add_stream(video_codec, rate=fps)
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuv420p"
            if milliseconds is not None:
                video.codec_context.time_base = Fraction(1, 1000)
        if waveform is not None:
            waveform = np.atleast_2d(waveform).astype(np.float32)
            layouts = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1", 16: "hexadecagonal"}
            layout = layouts[len(waveform)]
            audio = container.add_stream(audio_codec, rate=rate, layout=layout)
        if video is not None:
            for number, image in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                if milliseconds is not None:
                    frame.pts, frame.time_base = milliseconds[number], Fraction(1, 1000)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None:
            samples = waveform.T.reshape(1, -1)  # one plane: PyAV has at most eight
            sound = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
            sound.sample_rate = rate
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


def tone(hertz: float = 440.0, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """A sine of amplitude 0.3, float32 (samples,)."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def ramp(n_frames: int = 12, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames of one grey each, the i-th of level 20 i: uint8 RGB (n_frames, H, W, 3)."""
    levels = (GREY_STEP * np.arange(n_frames)).astype(np.uint8)[:, None, None, None]
    return np.broadcast_to(levels, (n_frames, height, width, 3)).copy()


@pytest.fixture(scope="session", name="write_clip")
def write_clip_fixture() -> Callable[..., Path]:
    """The function that writes a clip from frames and a waveform."""
    return write_clip


@pytest.fixture(scope="session", name="tone")
def tone_fixture() -> Callable[..., np.ndarray]:
    """The function that makes a sine."""
    return tone


@pytest.fixture(scope="session", name="ramp")
def ramp_fixture() -> Callable[..., np.ndarray]:
    """The function that makes frames of rising grey."""
    return ramp


@pytest.fixture(scope="session")
def clips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of a second, each as `clip_I.mp4` with face-sized frames and as `clip_I.wav`.

    Clip I sounds at 200 + 50 I Hz and shows 12 frames of grey levels 0, 20, ..., 220.
    """
    folder = tmp_path_factory.mktemp("clips")
    for i in range(6):
        waveform = tone(200 + 50 * i)
        write_clip(folder / f"clip_{i}.mp4", frames=ramp(), waveform=waveform)
        write_clip(folder / f"clip_{i}.wav", waveform=waveform, audio_codec="pcm_s16le")
    return folder


class _FullDisk:
    """A file that takes half of what is written to it."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Call it with True: `Path.open` takes half of what is written, then raises ENOSPC."""
    whole = Path.open

    def opened(path: Path, mode: str = "r", *args, **options):
        file = whole(path, mode, *args, **options)
        return _FullDisk(file) if "w" in mode else file

    return lambda full: monkeypatch.setattr(Path, "open", opened if full else whole)
