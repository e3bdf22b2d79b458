"""Layer streaming: hidden states of a whole corpus with one layer of weights in memory.

All texts pass layer i before layer i + 1, which a thread reads while layer i computes. So a model
of 13 billion parameters serves a laptop or a GPU of 8 GB, and each weight is read once, however
many texts there are. What the texts have come to stands in a file between layers: the system keeps
it in memory while there is room, and a process that was killed goes on after the last layer.

B texts of a batch, N of a corpus, T tokens, D features.
"""

import copy
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil
import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from agt_lib.features.checkpoint import Checkpoint
from agt_lib.features.encoder import batches
from agt_lib.workspace import paths
from agt_lib.workspace.progress import bar as progress_bar
from agt_lib.workspace.shards import StoreError

ARCHITECTURES = ("baichuan", "llama", "mistral", "qwen2", "qwen3")
"""Models of equal layers between a plain embedding and one norm."""
ROOM = 0.8
"""The share of free memory that weights may take; the rest is for activations."""
EMBEDDING, NORM = "embed_tokens.weight", "norm.weight"


def can_stream(config: PreTrainedConfig) -> bool:
    """Whether the model's layers can be read one by one."""
    kinds = getattr(config, "layer_types", None) or [None]
    return config.model_type in ARCHITECTURES and len(set(kinds)) == 1


def must_stream(config: PreTrainedConfig, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the model can be streamed and its weights, in `dtype`, exceed what memory is free."""
    if not can_stream(config):
        return False
    free = psutil.virtual_memory().available
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0])  # weights pass through both
    parameters = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    return parameters * dtype.itemsize > ROOM * free


def parameter_shapes(config: PreTrainedConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter of a model without its head; `config` is of one that `can_stream`."""
    shapes = {}
    for name, parameter in _one_layer(config, torch.float32).named_parameters():
        numbers = range(config.num_hidden_layers) if name.startswith(_layer(0)) else [0]
        for number in numbers:
            shapes[name.replace(_layer(0), _layer(number))] = tuple(parameter.shape)
    return shapes


class StreamedModel:
    """A decoder of which one layer at a time is in memory.

    Stage 0 is the embedding, stage i layer i, counted from 1 as hidden states are; the last brings
    the final norm. `config` is the checkpoint's, of a model that `can_stream`. Raises
    CheckpointError where weights are missing, damaged or another model's.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: PreTrainedConfig,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self.depth, self.width, self.dtype = config.num_hidden_layers, config.hidden_size, dtype
        self._checkpoint, self._device = checkpoint, device
        self._weights, self._shapes = checkpoint.weights(), parameter_shapes(config)
        there, here = self._weights.places.keys(), self._shapes.keys()
        checkpoint.check_fit(config, here - there, there - here)
        # A model of one layer, whose own code makes masks and positions for the states it is given.
        self._network = _one_layer(config, dtype)
        self._norm, self._network.norm = self._network.norm, nn.Identity()
        for part in self._network.children():
            if next(part.parameters(), None) is None:  # the others have no memory yet
                part.to(device)
        self._embedding: Tensor | None = None

    def read(self, stage: int) -> dict[str, Tensor]:
        """The weights of a stage, from disk."""
        first = EMBEDDING if stage == 0 else _layer(stage - 1)
        names = [name for name in self._shapes if name.startswith(first)]
        names += [NORM] * (stage == self.depth)
        with self._checkpoint.reading("weights"):
            tensors = self._weights.read(names, self.dtype)
        shapes = {name: (tensor.shape, self._shapes[name]) for name, tensor in tensors.items()}
        self._checkpoint.check_shapes((n, a, b) for n, (a, b) in shapes.items() if a != b)
        return tensors

    def install(self, stage: int, tensors: Mapping[str, Tensor]) -> None:
        """Put the weights of a stage in the place of those of the stage before."""
        self._embedding = tensors.get(EMBEDDING)
        if stage:
            here = {name: tensor.to(self._device) for name, tensor in tensors.items()}
            if stage == self.depth:
                self._norm.load_state_dict({"weight": here.pop(NORM)}, assign=True)
            layer = {name.replace(_layer(stage - 1), _layer(0)): here[name] for name in here}
            self._network.load_state_dict(layer, strict=False, assign=True)

    def embed(self, ids: np.ndarray) -> Tensor:
        """The input (T, D) of the first layer, of token ids (T,)."""
        return functional.embedding(torch.from_numpy(ids), self._embedding)

    def forward(self, states: Tensor, lengths: Sequence[int]) -> Tensor:
        """What the installed layer makes of texts of these `lengths`, one after another: (T, D)."""
        padded = pad_sequence(states.split(list(lengths)), batch_first=True)  # (B, T, D)
        mask = torch.arange(padded.shape[1]) < torch.tensor(lengths)[:, None]  # (B, T)
        output = self._network(
            inputs_embeds=padded.to(self._device),
            attention_mask=mask.long().to(self._device),
            use_cache=False,
        )
        return output.last_hidden_state.cpu()[mask]

    def normalise(self, states: Tensor) -> Tensor:
        """What the final norm makes of the last layer's states (T, D)."""
        return self._norm(states.to(self._device)).cpu()


@torch.inference_mode()
def sum_layers(
    model: StreamedModel,
    texts: Sequence[np.ndarray],
    layers: Sequence[int],
    *,
    skip: int,
    budget: int,
    folder: Path,
) -> np.ndarray:
    """The sum of the hidden states `layers`, averaged over each text's tokens but the first `skip`.

    `texts` are token ids; batches hold at most `budget` padded tokens. Returns float32 (N, D).
    `folder` keeps the states after each layer, tokens x D numbers in the model's precision, and
    twice that while the next is written; called again on it after a kill, it goes on there. Raises
    StoreError when the disk takes no more.
    """
    order = list(batches([len(text) for text in texts], budget))
    n_tokens = sum(len(text) for text in texts)
    totals = np.zeros((len(texts), model.width), np.float32)
    states_size = n_tokens * model.width * model.dtype.itemsize
    start = _finished(folder) + 1
    if start > min(layers):
        with _file(folder, start - 1).open("rb") as file:
            file.seek(states_size)
            file.readinto(totals.data)
    last = max(layers)
    bar = progress_bar(n_tokens * (last + 1), f"{last} layers", "token", done=n_tokens * start)
    with bar:
        for stage in _installed(model, range(start, last + 1)):
            with _passage(folder, stage) as (source, target):
                for batch in order:
                    lengths = [len(texts[i]) for i in batch]
                    if stage == 0:
                        states = model.embed(np.concatenate([texts[i] for i in batch]))
                    else:
                        states = torch.empty((sum(lengths), model.width), dtype=model.dtype)
                        source.readinto(_bytes(states))
                        states = model.forward(states, lengths)
                    target.write(_bytes(states))
                    if stage in layers:
                        summand = model.normalise(states) if stage == model.depth else states
                        clips = np.split(summand.float().numpy(), np.cumsum(lengths)[:-1])
                        for i, clip in zip(batch, clips, strict=True):
                            totals[i] += clip[skip:].mean(0, np.float64)
                    bar.update(sum(lengths))
                if stage >= min(layers):
                    target.write(totals.data)
    return totals


def clear(folder: Path) -> None:
    """Take away what `sum_layers` keeps in `folder`, when its result is safe."""
    for file in folder.glob("*stage*"):
        file.unlink()


def _one_layer(config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its first layer alone; parameters have no memory yet, buffers do."""
    single = copy.deepcopy(config)
    single.num_hidden_layers = 1
    if getattr(config, "layer_types", None):
        single.layer_types = config.layer_types[:1]
    with init_empty_weights(include_buffers=False):
        return AutoModel.from_config(single, dtype=dtype).eval().requires_grad_(False)


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
def _passage(folder: Path, stage: int) -> Iterator[tuple[BinaryIO | None, BinaryIO]]:
    """The files of the states before and after a stage; the first makes room for the second."""
    done, partial = _file(folder, stage), folder / ".stage.partial"
    before = _file(folder, stage - 1) if stage else None
    with ExitStack() as opened:
        source = opened.enter_context(before.open("rb")) if before else None
        try:
            with partial.open("wb") as target:
                yield source, target
                target.flush()
                os.fsync(target.fileno())
            partial.replace(done)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(
                f"{paths.relative(done)} could not be written: {error.strerror or error}. The "
                f"{stage} stages before are safe. Free some space, or point AGT_DATA to a disk "
                "that has it, and run the same again: it goes on from there."
            ) from error
    if before:
        before.unlink()


def _file(folder: Path, stage: int) -> Path:
    return folder / f"stage-{stage:03d}"


def _finished(folder: Path) -> int:
    """The last stage whose states are whole in `folder`, or -1."""
    return max((int(file.stem.split("-")[1]) for file in folder.glob("stage-*")), default=-1)


def _bytes(states: Tensor) -> memoryview:
    return states.contiguous().view(torch.uint8).numpy().data
