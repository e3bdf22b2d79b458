"""The only place that knows folders.

Everything the project makes lies under `data()`: `data/` of the checkout, or the folder
that the environment variable `AGT_DATA` names.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(__file__).resolve().parents[1]
SMALL_CLIP = LIBRARY / "features" / "checkpoints" / "small_clip"


def data() -> Path:
    """The root of corpora, features, models and runs."""
    return Path(os.environ.get("AGT_DATA") or ROOT / "data").expanduser().resolve()


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
