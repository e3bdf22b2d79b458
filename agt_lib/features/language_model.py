"""Causal language models as sentence encoders: transformers' own, and Baichuan-13B.

B clips, T tokens, D features.
"""

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from agt_lib.corpora.media import MediaError
from agt_lib.features import baichuan, layerwise
from agt_lib.features.checkpoint import Checkpoint, check_layers, mean_layers, padded
from agt_lib.features.encoder import LAST_FOUR, CheckpointError, in_batches
from agt_lib.workspace.machine import pick_device, pick_precision

STREAMED_TEXTS, STREAMED_TOKENS = 2_000, 100_000
"""The most texts and tokens in one pass over a streamed model's weights. Reading 26 GB takes less
time than 13 billion parameters compute on so many texts, and their states take 1 GB. `extract`
keeps the features after each pass."""
BATCH_TOKENS = 1024
"""Padded tokens in one forward pass: larger ones leave a CPU's caches and are padded more."""


class CausalLMEncoder:
    """A frozen causal language model: the sum of hidden states, averaged over a clip's own tokens.

    The paper's text feature T (section 2.1) with Baichuan-13B. `layers`: which hidden states are
    summed (the last four by default; 0 is the embedding; the last is after the final norm).

    The first token of a causal model gathers attention, whichever it is: its hidden state is far
    larger than the others. With `sink` the BOS token (else EOS) stands in front and is left out of
    the mean. Without it the sentence stands alone and its first token is in the mean, as in
    MERTools.

    `model` is a folder, a GGUF file, or a name on the hub. Texts longer than the model's context
    are cut with a warning. `precision`: auto (bfloat16 on hardware that has it), float32 or
    bfloat16.

    `stream`: whether layers are read one by one, each for all texts of a call of `encode` (see
    `layerwise`). By default they are if the weights don't fit into the free memory. The features
    are the same to rounding. `shard_size` says how many texts to give `encode` then.

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
        is_baichuan = self._config.model_type == baichuan.MODEL_TYPE
        tokenizer = baichuan.BaichuanTokenizer if is_baichuan else AutoTokenizer
        self._tokenizer = self._checkpoint.read(tokenizer.from_pretrained, "tokenizer")
        if is_baichuan:
            baichuan.check(self._config, self._tokenizer, self._checkpoint.name)
        self._sink = [self._sink_token()] if sink else []
        text = self._config.get_text_config()
        self._layers = check_layers(layers, text)
        self._context = getattr(text, "max_position_embeddings", None)
        self.streams = self._streams(stream)
        self.shard_size = STREAMED_TEXTS if self.streams else None
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

        Raises MediaError if the clip has no words.
        """
        text = "" if pd.isna(clip["text"]) else clip["text"].strip()
        ids = self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
        if not ids:
            raise MediaError("absent", "the clip has no words")
        room = len(ids) if self._context is None else self._context - len(self._sink)
        if len(ids) > room:
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
            return layerwise.mean_states(model, part, self._layers, len(self._sink), BATCH_TOKENS)

        return in_batches(means, texts, STREAMED_TOKENS)

    def _streams(self, wanted: bool | None) -> bool:
        possible = layerwise.can_stream(self._config) and self._checkpoint.gguf_file is None
        if wanted and not possible:
            raise ValueError(
                f"stream=True: {self._checkpoint.name} is of type {self._config.model_type!r}; "
                f"layers are streamed of {', '.join(layerwise.ARCHITECTURES)}, all of one kind, "
                f"from safetensors or .bin files"
            )
        if wanted is None:
            sizes = self._config, self._dtype, self._device
            return possible and layerwise.exceeds_memory(*sizes)
        return wanted

    def _sink_token(self) -> int:
        bos, eos = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        if bos is None and eos is None:
            raise CheckpointError(
                f"{self._checkpoint.name}: its tokenizer has no BOS and no EOS token to use as a "
                f"sink; use sink=False"
            )
        return eos if bos is None else bos

    @cached_property
    def _network(self) -> PreTrainedModel:
        return self._checkpoint.network(self._config, self._dtype).to(self._device)

    @torch.inference_mode()
    def _means(self, texts: list[np.ndarray]) -> np.ndarray:
        """The summed layers, averaged over each text's own tokens without sink: float32 (B, D)."""
        # Padded on the right: a causal model's earlier tokens do not see it.
        ids, mask = padded(texts)  # (B, T) both
        output = self._network(
            input_ids=ids.to(self._device),
            attention_mask=mask.long().to(self._device),
            output_hidden_states=True,
            use_cache=False,
        )
        own = [slice(len(self._sink), len(text)) for text in texts]
        return mean_layers(output, self._layers, own)


def is_causal_lm(config: PreTrainedConfig) -> bool:
    """Whether the configuration is of a decoder; BERT and its kind see both sides."""
    kind = config.model_type
    causal = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or kind == baichuan.MODEL_TYPE
    sees_both = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return causal and not sees_both and not getattr(config, "is_encoder_decoder", False)
