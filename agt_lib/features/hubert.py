"""Speech encoders of transformers: HuBERT (Hsu et al. 2021) and its relatives.

B clips, S samples, T frames (20 ms each), D features.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedConfig, PreTrainedModel, Wav2Vec2FeatureExtractor

from agt_lib.corpora.media import MAX_SECONDS, SAMPLE_RATE
from agt_lib.features.checkpoint import Checkpoint, check_layers, mean_layers, padded
from agt_lib.features.encoder import (
    LAST_FOUR,
    CheckpointError,
    in_batches,
    load_waveform,
    track_fingerprint,
)
from agt_lib.workspace.machine import pick_device, pick_precision

TYPES = ("hubert", "wav2vec2", "wavlm", "data2vec-audio")
BATCH_SAMPLES = 60 * SAMPLE_RATE
"""Padded samples in one forward pass: a minute, about 2 GB in a large model's first layers."""


class HubertEncoder:
    """A frozen speech encoder: HuBERT, wav2vec2, WavLM or data2vec-audio.

    The paper's audio feature A (section 2.1) with `TencentGameMate/chinese-hubert-large`.
    A clip's feature is the sum of the hidden states `layers` (the last four by default; 0 is the
    input of the first layer), averaged over the clip's frames.

    `model` is a folder or a name on the hub. Clips of different length share a batch if a mask
    keeps padding out of the numbers (see `sees_padding`); else only clips of equal length do.
    `precision`: auto (bfloat16 on hardware that has it), float32 or bfloat16.

    Raises CheckpointError (missing, damaged or another architecture; the weights are read at the
    first `encode`) and ValueError (layers that the model does not have).
    """

    modality = "audio"

    def __init__(
        self,
        model: str | Path,
        *,
        layers: Sequence[int] = LAST_FOUR,
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
            f"a speech encoder ({', '.join(TYPES)})", lambda config: config.model_type in TYPES
        )
        # An adapter would shorten the last hidden state only, so that it fits no other.
        self._config.add_adapter = False
        self._extractor = self._checkpoint.read(
            Wav2Vec2FeatureExtractor.from_pretrained, "preprocessor (preprocessor_config.json)"
        )
        if self._extractor.sampling_rate != SAMPLE_RATE:
            raise CheckpointError(
                f"{self._checkpoint.name}: made for {self._extractor.sampling_rate} Hz; "
                f"expected {SAMPLE_RATE} Hz"
            )
        self._layers = check_layers(layers, self._config)
        self._equal_length = sees_padding(self._config)
        self.dim = self._config.hidden_size
        self.fingerprint = {
            "encoder": "hubert",
            "model": self._checkpoint.name,
            "revision": self._checkpoint.revision(self._config),
            "layers": list(self._layers),
            "pooling": "mean",
            "normalised": bool(self._extractor.do_normalize),
            "precision": str(self._dtype).removeprefix("torch."),
        } | track_fingerprint(track)

    def load(self, clip: pd.Series) -> np.ndarray:
        """The clip's waveform at 16 kHz, normalised over its own length as the checkpoint asks."""
        waveform = load_waveform(clip, self._max_seconds, self.remarks, self._track)
        return self._extractor(waveform, sampling_rate=SAMPLE_RATE)["input_values"][0]

    def encode(self, items: list[np.ndarray]) -> np.ndarray:
        """Features of each waveform, float32 (B, D)."""
        return in_batches(self._means, items, BATCH_SAMPLES, self._equal_length)

    @cached_property
    def _network(self) -> PreTrainedModel:
        return self._checkpoint.network(self._config, self._dtype).to(self._device)

    @torch.inference_mode()
    def _means(self, waveforms: list[np.ndarray]) -> np.ndarray:
        """The summed layers, averaged over each waveform's frames: float32 (B, D)."""
        values, mask = padded(waveforms)  # (B, S) both
        output = self._network(
            values.to(self._device, self._dtype),
            attention_mask=None if mask.all() else mask.to(self._device),
            output_hidden_states=True,
        )
        n_frames = self._network._get_feat_extract_output_lengths(mask.sum(dim=1))
        return mean_layers(output, self._layers, [slice(n) for n in n_frames.tolist()])


def sees_padding(config: PreTrainedConfig) -> bool:
    """Whether padding changes a clip's features in this architecture, mask or not.

    It does if a norm runs over time before the mask applies ("group" norm of the first
    convolution), or if layers that shift zeros (a norm, a bias) stand between the mask and a
    convolution over time (data2vec's stacked position layers, a batch norm before HuBERT's).
    """
    return (
        getattr(config, "feat_extract_norm", "layer") == "group"
        or config.model_type == "data2vec-audio"
        or getattr(config, "conv_pos_batch_norm", False)
    )
