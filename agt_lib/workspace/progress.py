"""Progress bars: fluent on a screen, a line every 20 seconds in a log."""

import os
import sys
import warnings

from tqdm import tqdm

# Libraries that ask for widgets get text as well; nobody has to install anything for that.
warnings.filterwarnings("ignore", message="IProgress not found")

SECONDS_IN_A_LOG = 20


def bar(total: int, what: str, unit: str, *, shown: bool = True, done: int = 0) -> tqdm:
    """A bar over `total` units, of which `done` were there before, with speed and time left."""
    # A notebook's kernel has no terminal; JupyterLab names its session, papermill does not.
    watched = sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        disable=not shown,
        mininterval=0.2 if watched else SECONDS_IN_A_LOG,
        maxinterval=10 if watched else 2 * SECONDS_IN_A_LOG,
    )
