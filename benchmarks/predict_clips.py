"""How long a new clip takes: one in a ready process, and many at the rate of extraction; one table.

    python benchmarks/predict_clips.py RUN CLIP [CLIP ...] [--many 200]

RUN is a run of notebook 04 (`agt models`), the CLIPs are media files; the first is predicted alone.
Torch runs on one thread. `many` predictions are of that many copies of the clips, in memory;
beside them stands the time that their extraction alone takes.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import torch

from agt_lib import prediction
from agt_lib.prediction.calls import features_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--many", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bundle = prediction.Bundle.load(prediction.find_bundle(options.run))
    one = {"video": str(options.clips[0]), "text": "Well, that is how it is."}
    prediction.predict(one, bundle)  # loads the encoders
    started = time.perf_counter()
    for _ in range(5):
        prediction.predict(one, bundle)
    print(f"one clip, ready process: {(time.perf_counter() - started) / 5:.2f} s")
    with tempfile.TemporaryDirectory() as place:
        for k in range(options.many):
            clip = options.clips[k % len(options.clips)]
            shutil.copy(clip, f"{place}/{k:04d}{clip.suffix}")
        corpus = prediction.read_clips(place)
        started = time.perf_counter()
        features_of(bundle, corpus)
        extracted = time.perf_counter() - started
        started = time.perf_counter()
        prediction.predict(corpus, bundle)
        predicted = time.perf_counter() - started
    print(f"{options.many} clips: extraction {extracted:.1f} s, in all {predicted:.1f} s")


if __name__ == "__main__":
    main()
