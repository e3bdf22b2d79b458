"""Layer streaming: hidden states of many texts with one layer of weights in memory.

All texts pass layer i before layer i + 1, which a thread reads while layer i computes. So a model
of 13 billion parameters serves a laptop or a GPU of 8 GB, and each weight is read once, however
many texts there are.

B texts of a batch, N of a call, T tokens, D features.
"""

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, PreTrainedConfig

from agt_lib.features.checkpoint import WEIGHTS, Checkpoint, find_weights, padded
from agt_lib.features.encoder import batches
from agt_lib.workspace.progress import bar as progress_bar

ARCHITECTURES = ("baichuan", "llama", "mistral", "qwen2", "qwen3")
"""Models of equal layers between a plain embedding and one norm."""
ROOM = 0.8
"""The share of free memory that weights may take; the rest is for activations."""
EMBEDDING, NORM = "embed_tokens.weight", "norm.weight"


def can_stream(config: PreTrainedConfig) -> bool:
    """Whether the model's layers can be read one by one."""
    kinds = getattr(config, "layer_types", None) or [None]
    return config.model_type in ARCHITECTURES and len(set(kinds)) == 1


def exceeds_memory(config: PreTrainedConfig, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the model's weights, in `dtype`, take more than the memory that is free."""
    free = psutil.virtual_memory().available
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0])  # weights pass through both
    parameters = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    return parameters * dtype.itemsize > ROOM * free


def parameter_shapes(config: PreTrainedConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of a model without its head; takes no memory."""
    with torch.device("meta"):
        parameters = AutoModel.from_config(config).named_parameters()
    return {name: tuple(parameter.shape) for name, parameter in parameters}


Places = dict[str, tuple[Path, str]]
"""Where a checkpoint's tensors are: by the name in the base model, the file and the name in it."""


def find_tensors(model: str | Path, **where: Any) -> Places:
    """The tensors of a folder or of a model's name on the hub, from safetensors, else `.bin`.

    What the checkpoint of a whole causal language model calls "model.layers..." is "layers..." in
    its base model, and found under that. Raises FileNotFoundError if there are no weights, and
    what `find_weights` raises.
    """
    files = find_weights(model, **where)
    if not files:
        raise FileNotFoundError(f"no weights there; expected {WEIGHTS[0]} or {WEIGHTS[2]}")
    places = {}
    for file in files:
        with _opened(file) as (names, _):
            places |= {name.removeprefix("model."): (file, name) for name in names}
    return places


def read_tensors(places: Places, names: Iterable[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """Copies in memory, in `dtype`, of the tensors called `names`; raises KeyError.

    Raises ValueError for a tensor that says it is larger than what is stored of it.

    A file stays open while it is read and no longer: a page of a mapped file counts as this
    process' memory until it is closed.
    """
    wanted: dict[Path, list[str]] = defaultdict(list)
    for name in names:
        wanted[places[name][0]].append(name)
    tensors = {}
    for path, its_names in wanted.items():
        with _opened(path) as (_, read):
            for name in its_names:
                tensor = read(places[name][1])
                if tensor.nbytes > tensor.untyped_storage().nbytes():  # one number, seen often
                    raise ValueError(f"{name}: {tuple(tensor.shape)} is more than the file holds")
                tensors[name] = tensor.to(dtype, copy=True)
    return tensors


class StreamedModel:
    """A decoder of which one layer at a time is in memory.

    Stage 0 is the embedding, stage i layer i, counted from 1 as hidden states are. The last one
    ends with the final norm. `config` is the checkpoint's, of a model that `can_stream`. Raises
    CheckpointError if weights are missing, damaged or another model's.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: PreTrainedConfig,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self.depth, self.width = config.num_hidden_layers, config.hidden_size
        self._checkpoint, self._dtype, self._device = checkpoint, dtype, device
        self._places = checkpoint.read(find_tensors, "weights")
        self._shapes = parameter_shapes(config)
        there, here = self._places.keys(), self._shapes.keys()
        checkpoint.check_fit(config, here - there, there - here)
        # A model of one layer, whose own code makes masks and positions for the states it is given.
        # Its parameters have no memory yet, its buffers do.
        single = copy.deepcopy(config)
        single.num_hidden_layers = 1
        if getattr(config, "layer_types", None):
            single.layer_types = config.layer_types[:1]
        with init_empty_weights(include_buffers=False):
            network = AutoModel.from_config(single, dtype=dtype)
        self._network = network.eval().requires_grad_(False)
        self._norm = network.norm  # for the last layer's states alone
        for part in self._network.children():
            if next(part.parameters(), None) is None:  # the others have no memory yet
                part.to(device)

    def read(self, stage: int) -> dict[str, Tensor]:
        """The weights of a stage, from disk."""
        first = EMBEDDING if stage == 0 else _layer(stage - 1)
        names = [name for name in self._shapes if name.startswith(first)]
        names += [NORM] * (stage == self.depth)
        with self._checkpoint.reading("weights"):
            tensors = read_tensors(self._places, names, self._dtype)
        shapes = [(name, tensor.shape, self._shapes[name]) for name, tensor in tensors.items()]
        self._checkpoint.check_shapes((name, a, b) for name, a, b in shapes if a != b)
        return tensors

    def install(self, stage: int, tensors: Mapping[str, Tensor]) -> None:
        """Put the weights of a stage in the place of those of the stage before."""
        self._embedding = tensors.get(EMBEDDING)  # and no more once layers come
        if stage:
            old, new = _layer(stage - 1), _layer(0)
            layer = {name.replace(old, new): x.to(self._device) for name, x in tensors.items()}
            self._network.norm = self._norm if stage == self.depth else nn.Identity()
            self._network.load_state_dict(layer, strict=False, assign=True)

    def embed(self, ids: np.ndarray) -> Tensor:
        """The input (T, D) of the first layer, of token ids (T,)."""
        return functional.embedding(torch.from_numpy(ids), self._embedding)

    def forward(self, texts: Sequence[Tensor]) -> list[Tensor]:
        """What the installed layer makes of each text's states (T, D), in the same shapes."""
        inputs, mask = padded(texts)  # (B, T, D) and (B, T)
        output = self._network(
            inputs_embeds=inputs.to(self._device),
            attention_mask=mask.long().to(self._device),
            use_cache=False,
        )
        states = output.last_hidden_state.cpu()
        return [text[own] for text, own in zip(states, mask, strict=True)]


@torch.inference_mode()
def mean_states(
    model: StreamedModel, texts: Sequence[np.ndarray], layers: Sequence[int], skip: int, budget: int
) -> np.ndarray:
    """The sum of the hidden states `layers`, averaged over each text's tokens but the first `skip`.

    `texts` are token ids; batches hold at most `budget` padded tokens. Returns float32 (N, D). All
    tokens' states, T x D numbers in the model's precision, are in memory.
    """
    parts = list(batches([len(text) for text in texts], budget))
    states: dict[int, Tensor] = {}  # of each text (T, D)
    means = np.zeros((len(texts), model.width), np.float32)
    last = max(layers)
    n_tokens = sum(len(text) for text in texts)
    with progress_bar(n_tokens * (last + 1), f"{last} layers", "token") as bar:
        for stage in _installed(model, range(last + 1)):
            for part in parts:
                if stage == 0:
                    made = [model.embed(texts[i]) for i in part]
                else:
                    made = model.forward([states[i] for i in part])
                states |= zip(part, made, strict=True)
                if stage in layers:
                    for i in part:
                        means[i] += states[i][skip:].float().numpy().mean(0, np.float64)
                bar.update(sum(len(texts[i]) for i in part))
    return means


def _layer(number: int) -> str:
    return f"layers.{number}."


def _installed(model: StreamedModel, stages: range) -> Iterator[int]:
    """Each stage in turn when its weights are in place and the next one's are being read."""
    with ThreadPoolExecutor(1) as reader:
        ahead = [reader.submit(model.read, stage) for stage in stages[:1]]
        for stage in stages:
            model.install(stage, ahead.pop().result())
            ahead += [reader.submit(model.read, stage + 1)] if stage + 1 in stages else []
            yield stage


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Iterable[str], Callable[[str], Tensor]]]:
    """The names of a file's tensors, and a function that reads one of them from the mapped file."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            yield file.keys(), file.get_tensor
    else:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        yield tensors.keys(), tensors.__getitem__
