"""MERTools' features, imported: all files of a folder against a plain loop of np.load; one table.

    python benchmarks/import_speed.py [--files 18000] [--width 1024]

The files are made first, in a folder that is deleted at the end, and have just been written, so
they are in the page cache. The second import finds the kept array.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=18_000)
    parser.add_argument("--width", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["AGT_DATA"] = f"{place}/data"
        from agt_lib.features.mertools import read_features

        folder = Path(place) / "features" / "voice-UTT"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        names = [f"clip{k:06d}" for k in range(options.files)]
        for name in names:
            np.save(folder / f"{name}.npy", rng.standard_normal(options.width, dtype=np.float32))
        started = time.perf_counter()
        plain = np.stack([np.load(folder / f"{name}.npy") for name in names])
        seconds = {"a plain loop of np.load": time.perf_counter() - started}
        for what in ("import", "the same again"):
            started = time.perf_counter()
            found = read_features(place, "voice-UTT", "audio", names)
            seconds[what] = time.perf_counter() - started
            if not np.array_equal(found.values, plain):
                raise ValueError("what was imported is not what lies there")
    print(f"{options.files} files of {options.width} numbers, {os.cpu_count()} cores")
    for what, took in seconds.items():
        print(f"{what:<26}{took:7.2f} s   {took / seconds['a plain loop of np.load']:5.2f} times")


if __name__ == "__main__":
    main()
