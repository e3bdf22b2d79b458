"""Causal language models as sentence encoders: transformers' own, and Baichuan-13B.

B clips, T tokens, D features.
"""

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from agt_lib.corpora.media import MediaError
from agt_lib.features import baichuan, layerwise
from agt_lib.features.checkpoint import Checkpoint, check_layers, sum_layers
from agt_lib.features.encoder import LAST_FOUR, CheckpointError, in_batches, mean_rows
from agt_lib.workspace.machine import pick_device, pick_precision

STREAMED_TEXTS, STREAMED_TOKENS = 2_000, 100_000
"""At most, in one pass over a streamed model's weights: 26 GB are read in less time than 13 billion
parameters compute on so many texts, and their states take 1 GB. What is done is kept after it."""
BATCH_TOKENS = 1024
"""Padded tokens in one forward pass: larger ones leave a CPU's caches and are padded more."""


class CausalLMEncoder:
    """A frozen causal language model: the sum of hidden states, averaged over a clip's own tokens.

    The paper's text feature T (section 2.1) with Baichuan-13B. `layers`: which hidden states are
    summed (the last four by default; 0 is the embedding; the last is after the final norm).

    A causal model's first token gathers attention whatever it is, and its hidden state dwarfs the
    others. With `sink` the BOS token (else EOS) stands in front and is left out of the mean;
    without it the sentence stands alone and its first token is in the mean, as in MERTools.

    `model` is a folder, a GGUF file, or a name on the hub. Texts longer than the model's context
    are cut with a warning and counted in `cut`. `precision`: auto (bfloat16 where it is native),
    float32 or bfloat16.

    `stream`: whether layers are read one by one, each for all texts of a call of `encode` (see
    `layerwise`); by default where the weights don't fit into the memory that is free. The features
    are the same to rounding. Give `encode` as many texts as `shard_size` says then.

    Raises CheckpointError (missing, damaged or another architecture; the weights are read at the
    first `encode`) and ValueError (layers that the model does not have, or can't be streamed).
    """

    modality = "text"

    def __init__(
        self,
        model: str | Path,
        *,
        layers: Sequence[int] = LAST_FOUR,
        sink: bool = True,
        device: str = "auto",
        precision: str = "auto",
        stream: bool | None = None,
    ):
        self._device = pick_device(device)
        self._dtype = pick_precision(precision, self._device)
        self._checkpoint = Checkpoint.find(model)
        self._config = self._checkpoint.config("a causal language model", is_causal_lm)
        self._tokenizer = self._read_tokenizer()
        self._sink = [self._sink_token()] if sink else []
        text = self._config.get_text_config()
        self._layers = check_layers(layers, text)
        self._context = getattr(text, "max_position_embeddings", None)
        self.streams = self._streams(stream)
        self.shard_size = STREAMED_TEXTS if self.streams else None
        self.cut = 0
        self.dim = text.hidden_size
        self.fingerprint = {
            "encoder": "causal_lm",
            "model": self._checkpoint.name,
            "revision": self._checkpoint.revision(self._config),
            "layers": list(self._layers),
            "sink": self._sink,
            "pooling": "mean",
            "precision": str(self._dtype).removeprefix("torch."),
        }

    def load(self, clip: pd.Series) -> np.ndarray:
        """The token ids of the clip's text, int64 (T,), without special tokens.

        Raises MediaError where the clip has no words.
        """
        text = "" if pd.isna(clip["text"]) else clip["text"].strip()
        ids = self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
        if not ids:
            raise MediaError("absent", "the clip has no words")
        room = len(ids) if self._context is None else self._context - len(self._sink)
        if len(ids) > room:
            self.cut += 1
            warnings.warn(
                f"{clip.name}: {len(ids)} tokens of text, cut to the {room} that "
                f"{self._checkpoint.name} takes",
                stacklevel=2,
            )
        return np.array(ids[:room], dtype=np.int64)

    def encode(self, items: list[np.ndarray]) -> np.ndarray:
        """Features of each text, float32 (B, D)."""
        texts = [np.array([*self._sink, *item]) for item in items]
        if not self.streams:
            return in_batches(self._means, texts, BATCH_TOKENS)
        model = layerwise.StreamedModel(self._checkpoint, self._config, self._dtype, self._device)

        def means(part: list[np.ndarray]) -> np.ndarray:
            skip = len(self._sink)
            return layerwise.mean_states(model, part, self._layers, skip, BATCH_TOKENS)

        return in_batches(means, texts, STREAMED_TOKENS)

    def _read_tokenizer(self) -> Any:
        if self._config.model_type != baichuan.MODEL_TYPE:
            return self._checkpoint.read(AutoTokenizer.from_pretrained, "tokenizer")
        read = baichuan.BaichuanTokenizer.from_pretrained
        tokenizer = self._checkpoint.read(read, "tokenizer")
        baichuan.check(self._config, tokenizer, self._checkpoint.name)
        return tokenizer

    def _streams(self, wanted: bool | None) -> bool:
        possible = layerwise.can_stream(self._config) and self._checkpoint.gguf_file is None
        if wanted and not possible:
            raise ValueError(
                f"stream=True: {self._checkpoint.name} is of type {self._config.model_type!r}; "
                f"layers are streamed of {', '.join(layerwise.ARCHITECTURES)}, all of one kind, "
                f"from safetensors or .bin files"
            )
        if wanted is None and possible:
            return layerwise.must_stream(self._config, self._dtype, self._device)
        return bool(wanted)

    def _sink_token(self) -> int:
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return token
        raise CheckpointError(
            f"{self._checkpoint.name}: its tokenizer has no BOS and no EOS token to use as a sink; "
            f"use sink=False"
        )

    @cached_property
    def _network(self) -> PreTrainedModel:
        return self._checkpoint.network(self._config, self._dtype).to(self._device)

    @torch.inference_mode()
    def _means(self, texts: list[np.ndarray]) -> np.ndarray:
        """The summed layers, averaged over each text's own tokens without sink: float32 (B, D)."""
        lengths = torch.tensor([len(text) for text in texts])
        # Padded on the right, where no earlier token of a causal model can see it.
        padded = pad_sequence(
            [torch.from_numpy(text) for text in texts], batch_first=True
        )  # (B, T)
        mask = torch.arange(padded.shape[1]) < lengths[:, None]  # (B, T)
        output = self._network(
            input_ids=padded.to(self._device),
            attention_mask=mask.long().to(self._device),
            output_hidden_states=True,
            use_cache=False,
        )
        states = sum_layers(output, self._layers).cpu().numpy()  # (B, T, D)
        start = len(self._sink)
        return mean_rows([row[start:n] for row, n in zip(states, lengths.tolist(), strict=True)])


def is_causal_lm(config: PreTrainedConfig) -> bool:
    """Whether the configuration is of a decoder; BERT and its kind see both sides."""
    kind = config.model_type
    known = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or kind == baichuan.MODEL_TYPE
    return (
        known
        and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        and not getattr(config, "is_encoder_decoder", False)
    )
