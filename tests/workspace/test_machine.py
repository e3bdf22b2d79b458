import random

import numpy as np
import pytest
import torch

from agt_lib.workspace import machine


@pytest.fixture
def computer(monkeypatch):
    """Lets torch believe in a machine with so many CUDA GPUs and with or without Apple's."""

    def computer(cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return computer


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(0, False, "cpu"), (1, False, "cuda"), (0, True, "mps")]
)
def test_auto_takes_a_gpu_where_there_is_one(computer, cuda, mps, expected):
    computer(cuda, mps)
    assert machine.pick_device("auto").type == expected


def test_the_device_named_is_taken(computer):
    computer(cuda=2, mps=False)
    assert machine.pick_device("cpu") == torch.device("cpu")
    assert machine.pick_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("cuda", "requested", "message"),
    [
        (0, "cuda", "finds 0 CUDA GPUs"),
        (1, "cuda:1", "finds 1 CUDA GPU"),
        (0, "mps", "finds no Apple GPU"),
        (0, "gpu", "device is one of auto, cpu"),
        (0, "", "device is one of auto, cpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused(computer, cuda, requested, message):
    computer(cuda)
    with pytest.raises(ValueError, match=message):
        machine.pick_device(requested)


def test_cuda_means_every_gpu_unless_one_is_named(computer):
    computer(cuda=2)
    both = [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert machine.each_gpu(machine.pick_device("auto")) == both
    assert machine.each_gpu(torch.device("cuda:1")) == both[1:]
    assert machine.each_gpu(torch.device("cpu")) == [torch.device("cpu")]


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_precision_is_bfloat16_where_the_processor_has_it(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: native)
    assert machine.pick_precision("auto", torch.device("cpu")) == expected


def test_the_precision_named_is_taken_wherever_it_runs():
    assert machine.pick_precision("float32", torch.device("cpu")) == torch.float32
    assert machine.pick_precision("bfloat16", torch.device("cpu")) == torch.bfloat16


@pytest.mark.parametrize("requested", ["float16", "bf16", "", "Auto"])
def test_an_unknown_precision_is_refused_with_those_there_are(requested):
    with pytest.raises(ValueError, match="auto, float32, bfloat16"):
        machine.pick_precision(requested, torch.device("cpu"))


def test_this_processors_bfloat16_agrees_with_the_kernels_list():
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            flags = file.read()
    except OSError:
        pytest.skip("no /proc/cpuinfo on this system")
    assert machine.has_bfloat16(torch.device("cpu")) == ("amx_tile" in flags)


def test_a_seed_repeats_the_draws_of_all_three_generators():
    def draws(seed):
        machine.seed_everything(seed)
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    first = draws(3)
    assert draws(3) == first
    assert all(a != b for a, b in zip(draws(4), first, strict=True))


@pytest.mark.parametrize("seed", [0, -1, 2**40])
def test_any_whole_number_is_a_seed(seed):
    machine.seed_everything(seed)
