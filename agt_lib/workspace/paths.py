"""The only place that knows folders.

Everything the project makes lies under `data()`: `data/` of the checkout, or the folder
that the environment variable `AGT_DATA` names.
"""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(__file__).resolve().parents[1]
SMALL_CLIP = LIBRARY / "features" / "checkpoints" / "small_clip"


def data() -> Path:
    """The root of corpora, features, models and runs."""
    return Path(os.environ.get("AGT_DATA") or ROOT / "data").expanduser().resolve()


def check_data() -> None:
    """Make `data()` if it is not there. Raises ValueError, naming AGT_DATA, if it can't be used."""
    place = data()
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        said = "AGT_DATA" if os.environ.get("AGT_DATA") else "the checkout's data folder"
        raise ValueError(
            f"{place} ({said}) can't be written to: {error.strerror}. Name another folder by the "
            "environment variable AGT_DATA"
        ) from error


def features() -> Path:
    """Where extracted features lie, in one folder of shards per encoder."""
    return data() / "features"


def models() -> Path:
    """Where downloaded or converted encoder weights lie."""
    return data() / "models"


def derived() -> Path:
    """Where what is kept lies: rendered corpora, fitted and tuned models, rankings."""
    return data() / "derived"


def runs() -> Path:
    """Where the results of notebooks lie."""
    return data() / "runs"


def relative(path: Path) -> str:
    """`path` as a reader would type it: relative to the checkout where it lies inside."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
