"""Which processor to use, and how precisely to compute on it; seeds."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import joblib
import numpy as np
import torch
from huggingface_hub import constants, try_to_load_from_cache
from joblib.externals.loky.process_executor import TerminatedWorkerError

from agt_lib.workspace import paths

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(requested: str = "auto") -> torch.device:
    """The device named. "auto" is a GPU (CUDA, then Apple's) if there is one, else the CPU.

    Raises ValueError if the device named is unknown or not there.
    """
    if requested == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise ValueError(
            f"device is one of auto, cpu, cuda, cuda:1, mps; got {requested!r}"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {requested!r} was asked for, but torch finds {torch.cuda.device_count()} CUDA "
            "GPUs here; 'auto' takes what there is"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"device {requested!r} was asked for, but torch finds no Apple GPU here")
    return device


def each_gpu(device: torch.device) -> list[torch.device]:
    """All GPUs if `device` is CUDA and no GPU is named; else `device` alone."""
    if device.type == "cuda" and device.index is None:
        return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    return [device]


def shared(calls: Iterable, workers: int) -> Iterator[Any]:
    """The results of joblib's delayed `calls`, in order, by so many processes.

    Raises MemoryError if one of them was killed, as a system does that has no memory left.
    """
    try:
        yield from joblib.Parallel(n_jobs=workers, return_as="generator")(calls)
    except TerminatedWorkerError as error:
        raise MemoryError(
            f"one of {workers} processes was killed, most likely because memory was short. What "
            "they finished is kept: run the same again, with fewer (workers=1) if it happens again"
        ) from error


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices natively and gains speed by it.

    A CPU with AMX tiles does. With avx512_bf16 alone a CPU has the instruction, but float32 is
    faster (154 against 82 GFLOP/s on one core of a Xeon without AMX).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported())
    return False


def pick_precision(requested: str, device: torch.device) -> torch.dtype:
    """The precision named. "auto" is bfloat16 if the device computes it natively, else float32.

    Raises ValueError for a name other than auto, float32 or bfloat16.
    """
    if requested == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    if requested not in PRECISIONS:
        raise ValueError(f"precision is one of auto, {', '.join(PRECISIONS)}; got {requested!r}")
    return PRECISIONS[requested]


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries draw from the global generator)
    torch.manual_seed(seed)


def is_here(spec: str) -> bool:
    """Whether the model that an encoder's `spec` names lies on this machine, or needs no hub."""
    model = spec.partition(":")[2]
    owner, slash, name = model.partition("/")
    if not slash:
        return True
    places = (paths.models() / f"{owner}{mark}{name}" for mark in ("--", "-"))
    cached = isinstance(try_to_load_from_cache(model, "config.json"), str)
    return cached or any(place.is_dir() for place in places)


def hub_answers(seconds: float = 5.0) -> bool:
    """Whether the hub of models can be reached; never if `HF_HUB_OFFLINE` is set."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return httpx.head(constants.ENDPOINT, timeout=seconds).status_code < 500
    except (httpx.HTTPError, OSError):
        return False
