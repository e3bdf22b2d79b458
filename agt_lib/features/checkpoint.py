"""Open transformers' checkpoints: from a folder, a GGUF file, or by name from the hub.

No code of a checkpoint is ever run: weights are safetensors, GGUF, or `.bin` files read with
`weights_only` (transformers' default), and an architecture that transformers does not know is
refused. So is whatever would have another repository asked: for code, or for other weights.
"""

import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import model_info
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file, logging

from agt_lib.features.encoder import HUB_SECONDS, CheckpointError, asking_hub, mean_rows, reason
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest, file_digest

# For a repository with `.bin` weights only, transformers would ask the hub for another's conversion
# of them, and take it the next time: other files than those named.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")

HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
PREPROCESSING = (
    "config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer.model",
    "tokenizer_config.json", "vocab.json", "merges.txt",
)  # fmt: skip
WEIGHTS = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)  # fmt: skip
"""In the order in which transformers looks for them."""
ADAPTER = "adapter_config.json"
"""It names another model, whose weights would be loaded in place of those here."""
UNUSED = {"masked_spec_embed"}
"""Parameters that act in training only; many checkpoints lack them."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a model's files are: a `folder` here (or a `gguf_file` in it), or the hub."""

    name: str
    folder: Path | None
    gguf_file: str | None = None

    @classmethod
    def find(cls, model: str | Path) -> "Checkpoint":
        """The checkpoint that `model` names: folder, GGUF file or hub name.

        A name is looked for in `data/models/OWNER--NAME` before the hub is asked.
        Raises CheckpointError for a path that does not exist, and for a folder that is an adapter
        of another model, lacks one of its weight files or has a damaged index of them.
        """
        path = Path(model).expanduser()
        if path.suffix == ".gguf" and path.is_file():
            return cls(path.name, path.parent, path.name)
        for folder in (path, paths.models() / str(model).replace("/", "--")):
            if folder.is_dir():
                found = cls(folder.resolve().name, folder.resolve())
                found.read(find_weights, "weights")
                if (folder / ADAPTER).exists():
                    raise found._unreadable("model", ValueError(f"{ADAPTER} names another one"))
                return found
        if path.suffix == ".gguf" or not HUB_NAME.fullmatch(str(model)):
            raise CheckpointError(
                f"{model}: no such folder or file; expected the folder of a checkpoint "
                f"(config.json and weights), a GGUF file, or a model's name on the hub"
            )
        return cls(str(model), None)

    def read(self, loader: Callable[..., Any], part: str, **arguments: Any) -> Any:
        """What `loader` (a `from_pretrained`) makes of the checkpoint's `part`.

        Looks on disc first and asks the hub only for what is not there. Raises CheckpointError.
        """
        arguments |= {"trust_remote_code": False}
        if self.gguf_file:
            arguments["gguf_file"] = self.gguf_file
        try:
            with _quiet():
                return loader(self.folder or self.name, local_files_only=True, **arguments)
        except Exception as error:  # damaged files raise errors of all kinds
            if self.folder is not None or not isinstance(error, OSError):
                raise self._unreadable(part, error) from error
        with asking_hub(self.name, self._place, self._advice):
            model_info(self.name, timeout=HUB_SECONDS)
        with self.reading(part):
            return loader(self.name, **arguments)

    def config(self, kind: str, fits: Callable[[PreTrainedConfig], bool]) -> PreTrainedConfig:
        """The model's configuration; raises CheckpointError unless it `fits` the `kind` wanted."""
        config = self.read(AutoConfig.from_pretrained, "configuration")
        if not fits(config):
            raise CheckpointError(
                f"{self._where}: the checkpoint is of type {config.model_type!r}; expected {kind}"
            )
        if "/" in str(kernel := config._attn_implementation):
            raise self._unreadable("configuration", ValueError(f"it asks for the code of {kernel}"))
        return config

    def network(
        self, config: PreTrainedConfig, dtype: torch.dtype, **options: Any
    ) -> PreTrainedModel:
        """The model without its head, in evaluation mode, its weights in `dtype`.

        `options` go to `from_pretrained`.

        Weights in bfloat16 are as accurate as autocast over float32 ones (HuBERT-large: features
        differ from float32's by .0074 and .0075 of their norm) and take half the memory.
        Raises CheckpointError if weights are damaged, missing or of another shape.
        """
        model, report = self.read(
            AutoModel.from_pretrained,
            "weights",
            config=config,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to say which, below
            **options,
        )
        self.check_fit(config, report["missing_keys"], report["unexpected_keys"])
        self.check_shapes(report["mismatched_keys"])
        return model.eval().requires_grad_(False)

    def check_fit(
        self, config: PreTrainedConfig, missing: Iterable[str], unexpected: Iterable[str]
    ) -> None:
        """Raises CheckpointError if parameters of the model are `missing` in the checkpoint.

        The message names the `unexpected` ones too: they show which model's weights these are.
        """
        missing = sorted(key for key in missing if key.split(".")[-1] not in UNUSED)
        if missing:
            others = sorted(unexpected)
            instead = f"; instead they hold {_some(others)}" if others else ""
            raise CheckpointError(
                f"{self._where}: the weights lack {len(missing)} parameters of a "
                f"{config.model_type!r} model: {_some(missing)}{instead}. They belong to another "
                f"architecture, or the checkpoint is incomplete. {self._advice}"
            )

    def check_shapes(self, mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> None:
        """Raises CheckpointError for parameters (name, shape there, shape of the model's)."""
        wrong = [f"{name} {tuple(a)} instead of {tuple(b)}" for name, a, b in sorted(mismatched)]
        if wrong:
            raise self._unreadable("weights", ValueError(f"other shapes: {_some(wrong)}"))

    @contextmanager
    def reading(self, part: str) -> Iterator[None]:
        """Whatever goes wrong inside is a CheckpointError that names the checkpoint's `part`."""
        try:
            yield
        except Exception as error:
            raise self._unreadable(part, error) from error

    def revision(self, config: PreTrainedConfig) -> str:
        """What identifies the weights: the hub's commit, or a hash of the files."""
        if self.folder is None:
            return str(config._commit_hash)
        if self.gguf_file:
            return file_digest(self.folder / self.gguf_file)
        files = [*find_weights(self.folder), *(self.folder / name for name in PREPROCESSING)]
        return digest({file.name: file_digest(file) for file in files if file.is_file()})

    def _unreadable(self, part: str, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"{self._where}: can't read the {part}: {reason(error)}. The checkpoint may be "
            f"incomplete or damaged, or need code of its own, which is never run. {self._advice}"
        )

    @property
    def _where(self) -> str:
        if self.folder is None:
            return self.name
        return paths.relative(self.folder / (self.gguf_file or ""))

    @property
    def _place(self) -> str:
        return paths.relative(paths.models() / self.name.replace("/", "--"))

    @property
    def _advice(self) -> str:
        if self.folder is not None:
            return "Download it again, whole."
        return (
            f"Where there is a network, run: hf download {self.name} --local-dir {self._place}; "
            f"or copy its files (config.json, weights, preprocessor or tokenizer) to {self._place}"
        )


def find_weights(model: str | Path, *, local_files_only: bool = False, **_: Any) -> list[Path]:
    """The files of weights of a folder or of a name on the hub: none, one or several.

    Raises ValueError for a damaged index, one that names files elsewhere, and a file that would be
    unpacked (`check_weights`), and FileNotFoundError if a file that it names is missing.
    """

    def find(name: str) -> Path | None:
        missing_is_none = {"_raise_exceptions_for_missing_entries": False}
        found = cached_file(model, name, local_files_only=local_files_only, **missing_is_none)
        return None if found is None else Path(found)

    first = next((found for name in WEIGHTS if (found := find(name))), None)
    if first is None or first.suffix != ".json":
        return [check_weights(first)] if first else []
    try:
        names = sorted(set(dict(json.loads(first.read_bytes())["weight_map"]).values()))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{first.name} is damaged: no weight_map in it can be read") from error
    if elsewhere := [name for name in names if Path(name).name != name or "\\" in name]:
        raise ValueError(f"{first.name} names a file elsewhere: {elsewhere[0]}")
    files = {name: find(name) for name in names}
    if missing := [name for name, file in files.items() if file is None]:
        raise FileNotFoundError(
            f"missing {', '.join(missing)}, of the {len(files)} files that {first.name} names"
        )
    return [check_weights(file) for file in files.values()]


def check_weights(path: Path) -> Path:
    """`path`, a file of weights, if its size is what it holds.

    Torch's files are archives that are not compressed. Raises ValueError for one that is, or whose
    members claim to be larger together than the file, and BadZipFile for a damaged one.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError(f"{path.name} is compressed, as torch's files never are: not unpacked")
    return path


def check_layers(layers: Sequence[int], config: PreTrainedConfig) -> tuple[int, ...]:
    """`layers` counted from the first hidden state (0, the input of layer 1); negatives allowed.

    Raises ValueError for layers that the model does not have, or none.
    """
    states = config.num_hidden_layers + 1
    if not layers or any(not -states <= layer < states for layer in layers):
        raise ValueError(
            f"layers {list(layers)}: this {config.model_type!r} model has hidden states 0 to "
            f"{states - 1} (or -{states} to -1); name at least one"
        )
    return tuple(sorted(layer % states for layer in layers))


def padded(items: Sequence[np.ndarray | torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Items (T, ...) of different length as one (B, T, ...), zeros behind, and a mask (B, T).

    The mask is True on an item's own elements.
    """
    lengths = torch.tensor([len(item) for item in items])
    values = pad_sequence([torch.as_tensor(item) for item in items], batch_first=True)
    return values, torch.arange(values.shape[1]) < lengths[:, None]


def mean_layers(output: Any, layers: Sequence[int], own: Sequence[slice]) -> np.ndarray:
    """The sum of a model's hidden states over `layers`, averaged over each item's `own` part of T.

    States (B, T, D) give float32 (B, D). The last layer is `last_hidden_state`, after the model's
    final normalisation: transformers 5 gives speech models' `hidden_states[-1]` before it,
    transformers 4 and the field's features have it after.
    """
    every = (*output.hidden_states[:-1], output.last_hidden_state)
    states = torch.stack([every[layer].float() for layer in layers]).sum(dim=0).cpu().numpy()
    return mean_rows([item[part] for item, part in zip(states, own, strict=True)])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers' bars and load reports out of the log; `network` checks what they say."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3)
