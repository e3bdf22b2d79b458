"""Clips a second through decoding and the shards, without any model.

    python benchmarks/extract_speed.py

Renders the smoke corpus if it is not there (275 clips of 2 to 4 s). The median of three rounds;
the contestants take turns.
"""

import os
import tempfile
import time
from collections import defaultdict

import numpy as np
import pandas as pd

from agt_lib import corpora
from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.media import decode_audio, decode_frames
from agt_lib.features.extraction import extract

ROUNDS = 3


class Decoding:
    """An encoder that costs nothing: what is measured is the way there and back."""

    dim = 1

    def __init__(self, modality: str):
        self.modality = modality
        self.fingerprint = {"model": "none"}

    def load(self, clip: pd.Series) -> float:
        decode = decode_audio if self.modality == "audio" else decode_frames
        return float(decode(clip["video"]).mean())

    def encode(self, items: list[float]) -> np.ndarray:
        return np.array(items, dtype=np.float32)[:, None]


def clips_per_second(corpus: Corpus, modality: str) -> tuple[float, float]:
    """Of a first extraction, and of one that finds everything kept."""
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGT_DATA"] = folder
        for _ in range(2):
            started = time.perf_counter()
            extract(corpus, Decoding(modality), progress=False)
            rates.append(len(corpus.clips) / (time.perf_counter() - started))
    return rates[0], rates[1]


def main() -> None:
    corpus = corpora.load("smoke")
    rates = defaultdict(list)
    for number in range(ROUNDS + 1):
        for modality in ("audio", "video"):
            pair = clips_per_second(corpus, modality)
            if number:  # the first round warms up
                rates[modality].append(pair)
    print(f"{len(corpus.clips)} clips, clips a second (median of {ROUNDS})")
    print("| modality | first time | kept |\n| --- | --- | --- |")
    for modality, pairs in rates.items():
        first, again = np.median(pairs, axis=0)
        print(f"| {modality} | {first:.0f} | {again:.0f} |")


if __name__ == "__main__":
    main()
