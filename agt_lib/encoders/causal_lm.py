"""Causal language models of transformers as sentence encoders.

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

from agt_lib.device import pick_device, pick_precision
from agt_lib.encoders.base import LAST_FOUR, CheckpointError, assemble, batches, check_level
from agt_lib.encoders.pretrained import Checkpoint, check_layers, sum_layers
from agt_lib.media import MediaError

VERSION = 1  # raised when the same text gives other numbers
BATCH_TOKENS = 4096
"""Padded tokens in one forward pass; all hidden states of a 13B model are then below 2 GB."""


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

    Raises CheckpointError (missing, damaged or another architecture; the weights are read at the
    first `encode`) and ValueError (layers that the model does not have).
    """

    modality = "text"

    def __init__(
        self,
        model: str | Path,
        *,
        layers: Sequence[int] = LAST_FOUR,
        sink: bool = True,
        level: str = "utterance",
        device: str = "auto",
        precision: str = "auto",
    ):
        self.level = check_level(level)
        self._model, self._device = model, pick_device(device)
        self._dtype = pick_precision(precision, self._device)
        self._checkpoint = Checkpoint.find(model)
        self._config = self._checkpoint.config("a causal language model", is_causal_lm)
        self._tokenizer = self._checkpoint.read(AutoTokenizer.from_pretrained, "tokenizer")
        self._sink = [self._sink_token()] if sink else []
        text = self._config.get_text_config()
        self._layers = check_layers(layers, text)
        self._context = getattr(text, "max_position_embeddings", None)
        self.cut = 0
        self.dim = text.hidden_size
        self.fingerprint = {
            "encoder": "causal_lm",
            "version": VERSION,
            "model": self._checkpoint.name,
            "revision": self._checkpoint.revision(self._config),
            "layers": list(self._layers),
            "sink": self._sink,
            "pooling": "mean" if level == "utterance" else "none",
            "precision": str(self._dtype).removeprefix("torch."),
        }

    def load(self, clip: pd.Series) -> np.ndarray:
        """The token ids of the clip's text, int64 (T,), without special tokens.

        Raises MediaError where the clip has no words.
        """
        text = "" if pd.isna(clip["text"]) else clip["text"].strip()
        ids = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
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

    def encode(self, items: list[np.ndarray]) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Features of each text: (B, D), or (B, T, D) with lengths (B,); see `base.Encoder`."""
        tokens: list[np.ndarray] = [np.empty(0)] * len(items)
        for batch in batches([len(item) + len(self._sink) for item in items], BATCH_TOKENS):
            states = self._hidden_states([items[i] for i in batch])
            for i, clip in zip(batch, states, strict=True):
                tokens[i] = clip
        return assemble(tokens, self.level)

    def reference(self) -> "CausalLMEncoder | None":
        """The same encoder in float32, or None where this one is."""
        if self._dtype == torch.float32:
            return None
        return CausalLMEncoder(
            self._model,
            layers=self._layers,
            sink=bool(self._sink),
            level=self.level,
            device=str(self._device),
            precision="float32",
        )

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
    def _hidden_states(self, items: list[np.ndarray]) -> list[np.ndarray]:
        """The summed layers of each text's own tokens, (T, D) without sink and padding."""
        ids = [torch.tensor([*self._sink, *item]) for item in items]
        lengths = torch.tensor([len(row) for row in ids])
        # Padded on the right, where no earlier token of a causal model can see it.
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)  # (B, T)
        mask = torch.arange(padded.shape[1]) < lengths[:, None]  # (B, T)
        output = self._network(
            input_ids=padded.to(self._device),
            attention_mask=mask.long().to(self._device),
            output_hidden_states=True,
            use_cache=False,
        )
        states = sum_layers(output, self._layers).cpu().numpy()  # (B, T, D)
        start = len(self._sink)
        return [row[start:length] for row, length in zip(states, lengths.tolist(), strict=True)]


def is_causal_lm(config: PreTrainedConfig) -> bool:
    """Whether the configuration is of a decoder; BERT and its kind see both sides."""
    return (
        config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        and not getattr(config, "is_encoder_decoder", False)
    )
