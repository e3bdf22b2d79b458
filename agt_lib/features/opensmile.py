"""Acoustic functionals: the extended Geneva set (Eyben et al. 2016), by openSMILE.

openSMILE's licence allows research and private use, not commercial products
(https://github.com/audeering/opensmile-python#license).
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import opensmile
import pandas as pd

from agt_lib.corpora.media import MAX_SECONDS, SAMPLE_RATE
from agt_lib.features.encoder import load_waveform, track_fingerprint

FULL_SCALE = 32767 / 32768
"""opensmile multiplies by 32768 and casts to int16 without clipping: 1.0 would become -1.0."""


class OpenSmileEncoder:
    """eGeMAPSv02 functionals: 88 numbers a clip on pitch, loudness, spectrum, voice and rhythm.

    Computed on 16 kHz mono, quantised to 16 bits by openSMILE. Silence gives finite numbers.
    Runs on as many threads as there are cores: openSMILE releases Python's lock.
    Research use only, see the module's first lines.
    """

    modality = "audio"

    def __init__(self, max_seconds: float = MAX_SECONDS, track: str = ""):
        self._smile = opensmile.Smile(
            opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals
        )
        self._max_seconds, self._track = max_seconds, track
        self.remarks: dict[str, str] = {}
        self.dim = self._smile.num_features
        self.fingerprint = {
            "encoder": "opensmile",
            "model": "eGeMAPSv02",
            "opensmile": opensmile.__version__,
            "pooling": "functionals",
            "sample_rate": SAMPLE_RATE,
        } | track_fingerprint(track)

    def load(self, clip: pd.Series) -> np.ndarray:
        """The clip's waveform, float32 (samples,) at 16 kHz."""
        return load_waveform(clip, self._max_seconds, self.remarks, self._track)

    def encode(self, items: list[np.ndarray]) -> np.ndarray:
        """Functionals of each waveform, float32 (B, 88)."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.stack(list(pool.map(self._functionals, items)))

    def _functionals(self, waveform: np.ndarray) -> np.ndarray:
        # (1, 88, 1) -> (88,)
        return self._smile(waveform.clip(-1, FULL_SCALE), SAMPLE_RATE).reshape(-1)
