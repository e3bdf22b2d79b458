"""What the other benchmarks run on, in a line: cores, kind of CPU, memory, versions."""

import os
import platform
from pathlib import Path

import psutil
import torch

from agt_lib.workspace.machine import has_bfloat16


def main() -> None:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.is_file() else []
    model = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
    kind = "with AMX" if has_bfloat16(torch.device("cpu")) else "without AMX"
    memory = psutil.virtual_memory().total / 2**30
    print(
        f"{os.cpu_count()} cores of {model or platform.processor()}, {kind}, {memory:.0f} GiB;",
        end=" ",
    )
    print(f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
