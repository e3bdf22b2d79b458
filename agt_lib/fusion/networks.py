"""The fusion networks by name, and networks of a user's own.

A network is built from plain data, `Network(dims, n_classes, **options)` with `dims` from modality
to feature width, and called as `network(inputs, present)` with standardised inputs (B, D) by
modality and `present` (B, M) in the order audio, video, text. It returns logits (B, C).
Letters: B batch, D feature, M modalities, C classes.
"""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from agt_lib.fusion.agt import AGT
from agt_lib.fusion.baselines import Attention, Unimodal

NETWORKS: dict[str, type[nn.Module]] = {"agt": AGT, "attention": Attention, "unimodal": Unimodal}
SOURCES: dict[str, str] = {}
"""The code of the user's own networks, by name, as it was run."""


def build(name: str, dims: Mapping[str, int], n_classes: int, **options: Any) -> nn.Module:
    """Build the network `name` of `NETWORKS` for features of widths `dims`.

    Raises ValueError for a modality or an option that does not exist.
    """
    check_options(name, options)
    return NETWORKS[name](dims, n_classes, **options)


def skeleton(name: str, dims: Mapping[str, int], n_classes: int, **options: Any) -> nn.Module:
    """The network `name` whose weights are still to come: the library's own draw none."""
    with nullcontext() if name in SOURCES else torch.device("meta"):
        return build(name, dims, n_classes, **options)


def check_options(name: str, options: Iterable[str]) -> None:
    """Raise ValueError for an option that the network `name` does not have."""
    known = list(inspect.signature(NETWORKS[name].__init__).parameters)[3:]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{name} has no option {unknown}; it has {', '.join(known)}")


def add_network(path: str | Path) -> str:
    """Run the Python file `path`, of one's own, and take its network; returns the file's stem.

    That is the network's name for `FusionConfig`. It is the one class that is an `nn.Module` and is
    built from `dims` and `n_classes`. Kept fits are of this file's code; a module that it imports
    is not looked at. Raises FileNotFoundError without the file, and ValueError if the name is taken
    by the library or there is not one such class.
    """
    path = Path(path)
    if path.suffix != ".py" or not path.is_file():
        raise FileNotFoundError(f"{path}: expected a Python file with a network")
    add_source(path.stem, path.read_text(encoding="utf-8"))
    return path.stem


def add_source(name: str, source: str) -> None:
    """Run `source` and take its network as `name`: see `add_network`."""
    if name in NETWORKS and name not in SOURCES:
        raise ValueError(f"{name} is a network of the library: name the file otherwise")
    module = ModuleType(f"own_network_{name}")
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
        and list(inspect.signature(value.__init__).parameters)[1:3] == ["dims", "n_classes"]
    ]
    if len(found) != 1:
        raise ValueError(
            f"{name}.py: expected one nn.Module whose __init__ takes dims and n_classes; found "
            f"{len(found)}"
        )
    NETWORKS[name], SOURCES[name] = found[0], source
