"""Baichuan-13B: network and tokenizer of its own, since no code of a checkpoint is ever run.

Reads the published weights of Baichuan-13B-Base (the paper's text model, section 2.1),
Baichuan-13B-Chat and Baichuan2-13B. Importing this module makes the architecture known to
transformers' auto classes. The head is left out: features don't need it.

B texts, T tokens, D features, H heads, V vocabulary.
"""

import math
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm
from transformers.utils import cached_file

from agt_lib.features.encoder import CheckpointError

MODEL_TYPE = "baichuan"
ROTARY_WIDTH = 4096
"""The hidden size of the 7B models, which go by the same type but have rotary positions."""


class BaichuanConfig(PreTrainedConfig):
    """The published `config.json`; defaults are Baichuan-13B-Base's."""

    model_type = MODEL_TYPE
    attribute_map = {"max_position_embeddings": "model_max_length"}
    vocab_size: int = 64_000
    hidden_size: int = 5120
    intermediate_size: int = 13_696
    num_hidden_layers: int = 40
    num_attention_heads: int = 40
    model_max_length: int = 4096
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    hidden_act: str = "silu"
    mlp_bias: bool = False


class BaichuanModel(PreTrainedModel):
    """The decoder: attention with linear biases (ALiBi) and no other sense of position.

    The biases are relative to the query, m (j - i). The published code has them absolute, m j. The
    softmax is the same, but in bfloat16 the absolute form rounds large numbers and is wrong by up
    to .45 at 128 tokens. The relative form rounds only the biases of tokens far away.
    """

    config_class = BaichuanConfig
    base_model_prefix = "model"

    def __init__(self, config: BaichuanConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **_: Any,
    ) -> BaseModelOutput:
        """Hidden states (B, T, D) of `input_ids` (B, T), or of `inputs_embeds` (B, T, D).

        `attention_mask` (B, T) is 1 on a text's own tokens; padding on either side changes
        nothing. `hidden_states` are the embedding and what each layer gives, the last after the
        final norm.
        """
        states = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if attention_mask is None:
            attention_mask = torch.ones(states.shape[:2], device=states.device)
        bias = alibi_bias(attention_mask.bool(), self.config.num_attention_heads)
        bias = bias.to(states.dtype)  # (B, H, T, T)
        every = [states]
        for layer in self.layers:
            states = layer(states, bias)
            every.append(states)
        every[-1] = self.norm(states)
        return BaseModelOutput(every[-1], tuple(every))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward, each with a skip: (B, T, D) -> (B, T, D).

    Norm and feed-forward are Llama's: down(silu(gate(x)) up(x)).
    """

    def __init__(self, config: BaichuanConfig):
        super().__init__()
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config.hidden_size, config.num_attention_heads)
        self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = LlamaMLP(config)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        states = states + self.self_attn(self.input_layernorm(states), bias)
        return states + self.mlp(self.post_attention_layernorm(states))


class Attention(nn.Module):
    """Multi-head attention with query, key and value in one matrix, and no biases in any."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.W_pack = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        packed = self.W_pack(states).unflatten(-1, (3, self.n_heads, -1))  # (B, T, 3, H, D / H)
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))  # (B, H, T, D / H) -> (B, T, D)


def alibi_slopes(n_heads: int) -> Tensor:
    """The slope of each head's bias, float32 (H,): 2^(-8k / H) for k = 1 ... H.

    That is for a power of two. For others: the slopes of the power p below, then the first,
    third, fifth ... of 2p heads (Press et al., "Train Short, Test Long", and its code).
    """
    power = 2 ** math.floor(math.log2(n_heads))
    exponents = [-8 * k / power for k in range(1, power + 1)]
    exponents += [-4 * k / power for k in range(1, 2 * (n_heads - power), 2)]
    return 2.0 ** torch.tensor(exponents)


def alibi_bias(mask: Tensor, n_heads: int) -> Tensor:
    """What is added to each head's attention scores, float32 (B, H, T, T), query before key.

    `mask` is bool (B, T), True on a text's own tokens. The bias is minus infinity if the key comes
    after the query or is padding. Each token sees itself: a row without any key would be NaN.
    """
    position = torch.arange(mask.shape[1], device=mask.device)
    distance = position - position[:, None]  # (T, T), key minus query
    bias = alibi_slopes(n_heads).to(mask.device)[:, None, None] * distance  # (H, T, T)
    seen = (distance <= 0) & mask[:, None, None, :] | (distance == 0)  # (B, 1, T, T)
    return torch.where(seen, bias, -math.inf)


class BaichuanTokenizer:
    """The sentencepiece model of a checkpoint, read by sentencepiece itself.

    The published tokenizer does the same in remote code, which breaks on current transformers.
    """

    def __init__(self, file: str | Path):
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(file))
        self.bos_token_id = _known(self._pieces.bos_id())
        self.eos_token_id = _known(self._pieces.eos_id())

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, local_files_only: bool = False, **_: Any
    ) -> "BaichuanTokenizer":
        """The tokenizer of a folder or a model's name on the hub; raises OSError without one."""
        return cls(cached_file(model, "tokenizer.model", local_files_only=local_files_only))

    def __len__(self) -> int:
        return len(self._pieces)

    def encode(self, text: str, **_: Any) -> list[int]:
        """The ids of `text`, no special tokens among them: "</s>" in a transcript is four letters.

        Characters out of the vocabulary, control characters too, become bytes.
        """
        return self._pieces.encode(text)


def check(config: BaichuanConfig, tokenizer: BaichuanTokenizer, name: str) -> None:
    """Raises CheckpointError for a 7B model, and for another model's tokenizer."""
    if config.hidden_size == ROTARY_WIDTH:
        raise CheckpointError(
            f"{name}: a Baichuan of hidden size {ROTARY_WIDTH} is a 7B model with rotary "
            f"positions; those of 13B with ALiBi are read here (hidden size 5120)"
        )
    if len(tokenizer) > config.vocab_size:
        raise CheckpointError(
            f"{name}: tokenizer.model has {len(tokenizer)} pieces, config.json a vocabulary of "
            f"{config.vocab_size}: one of them is another model's"
        )


def _known(token: int) -> int | None:
    return token if token >= 0 else None  # sentencepiece's sign for none


AutoConfig.register(MODEL_TYPE, BaichuanConfig, exist_ok=True)
AutoModel.register(BaichuanConfig, BaichuanModel, exist_ok=True)
