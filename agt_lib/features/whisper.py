"""Whisper's encoder (Radford et al. 2022, https://arxiv.org/abs/2212.04356) as a voice encoder.

B clips, W windows of 30 s, M mel bands, T mel frames of a window (10 ms each), D width of a state.
A state stands for 20 ms.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from transformers import WhisperFeatureExtractor

from agt_lib.corpora.media import MAX_SECONDS, SAMPLE_RATE
from agt_lib.features.checkpoint import Checkpoint
from agt_lib.features.encoder import (
    CheckpointError,
    in_batches,
    load_waveform,
    track_fingerprint,
)
from agt_lib.workspace.machine import pick_device, pick_precision

STATE_SAMPLES = SAMPLE_RATE // 50
BATCH_WINDOWS = 4
"""Windows in one forward pass: some 200 MB in a large model's layers."""

Window = tuple[np.ndarray, int]
"""The log-mel spectrogram (M, T) of up to 30 s, and how many states are the clip's own."""


class WhisperEncoder:
    """A frozen Whisper encoder: mean and standard deviation over time of its last hidden states.

    A clip's feature (2D,) is the states' mean, then their standard deviation (divided by their
    number). Whisper pads sound to 30 s with zeros; the states of the padding are left out. A longer
    clip is cut in windows of 30 s, each encoded alone, and the states of all are pooled.

    `model` is a folder or a name on the hub; its weights are safetensors. `precision`: auto
    (bfloat16 on hardware that has it), float32 or bfloat16.

    Raises CheckpointError (missing, damaged or another architecture; the weights are read at the
    first `encode`).
    """

    modality = "audio"

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        max_seconds: float = MAX_SECONDS,
        track: str = "",
    ):
        self._device = pick_device(device)
        self._max_seconds, self._track = max_seconds, track
        self.remarks: dict[str, str] = {}
        self._dtype = pick_precision(precision, self._device)
        self._checkpoint = Checkpoint.find(model)
        self._config = self._checkpoint.config(
            "a Whisper model", lambda config: config.model_type == "whisper"
        )
        self._extractor = self._checkpoint.read(
            WhisperFeatureExtractor.from_pretrained, "preprocessor (preprocessor_config.json)"
        )
        made = self._extractor
        found = made.sampling_rate, made.feature_size, made.nb_max_frames
        expected = SAMPLE_RATE, self._config.num_mel_bins, 2 * self._config.max_source_positions
        if found != expected:
            raise CheckpointError(
                f"{self._checkpoint.name}: the preprocessor makes spectrograms of (Hz, mel bands, "
                f"frames) {found}; expected {expected}, which the model takes"
            )
        self.dim = 2 * self._config.hidden_size
        self.fingerprint = {
            "encoder": "whisper",
            "model": self._checkpoint.name,
            "revision": self._checkpoint.revision(self._config),
            "pooling": "mean and standard deviation",
            "precision": str(self._dtype).removeprefix("torch."),
        } | track_fingerprint(track)

    def load(self, clip: pd.Series) -> list[Window]:
        """The windows of the clip's waveform at 16 kHz."""
        waveform = load_waveform(clip, self._max_seconds, self.remarks, self._track)
        size = self._extractor.n_samples
        cut = [waveform[start : start + size] for start in range(0, len(waveform), size)]
        mels = self._extractor(cut, sampling_rate=SAMPLE_RATE)["input_features"]  # (W, M, T)
        return [(mel, -(-len(part) // STATE_SAMPLES)) for mel, part in zip(mels, cut, strict=True)]

    def encode(self, items: list[list[Window]]) -> np.ndarray:
        """Features of each clip's windows, float32 (B, 2D)."""
        return in_batches(self._moments, items, BATCH_WINDOWS)

    @cached_property
    def _network(self) -> nn.Module:
        whole = self._checkpoint.network(self._config, self._dtype, use_safetensors=True)
        return whole.encoder.to(self._device)

    @torch.inference_mode()
    def _moments(self, clips: list[list[Window]]) -> np.ndarray:
        """The mean and standard deviation of each clip's own states: float32 (B, 2D)."""
        mels = torch.from_numpy(np.stack([mel for clip in clips for mel, _ in clip]))  # (W, M, T)
        outputs = [
            self._network(part.to(self._device, self._dtype))
            .last_hidden_state.float()
            .cpu()
            .numpy()
            for part in mels.split(BATCH_WINDOWS)
        ]
        states = iter(np.concatenate(outputs))  # W of (T / 2, D)
        rows = []
        for clip in clips:
            own = np.concatenate([next(states)[:n] for _, n in clip]).astype(np.float64)
            rows.append(np.concatenate([own.mean(0), own.std(0)]))
        return np.stack(rows).astype(np.float32)
