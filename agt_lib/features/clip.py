"""CLIP's image tower (Radford et al. 2021) over a clip's frames, through open_clip.

B clips, T frames of a clip, U different frames among them, D features.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import torch
from huggingface_hub import model_info, try_to_load_from_cache
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image

from agt_lib.corpora.media import MAX_SECONDS
from agt_lib.features.checkpoint import check_weights
from agt_lib.features.clip_resnet import encode_image
from agt_lib.features.encoder import HUB_SECONDS, CheckpointError, asking_hub, mean_rows, reason
from agt_lib.features.frames import NONE, clip_frames, face_fingerprint, reads
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest, file_digest
from agt_lib.workspace.machine import pick_device, pick_precision

LOCAL = "local-dir:"
CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""In the order in which open_clip itself prefers them."""
NAMES = (
    ("text_cfg", "hf_model_name"), ("vision_cfg", "timm_model_name"),
    ("tokenizer_kwargs", "trust_remote_code"), ("config.json", "auto_map"),
    ("tokenizer_config.json", "auto_map"),
)  # fmt: skip
"""What in a folder's files would have transformers or timm ask for other code, or a hub."""
BATCH_FRAMES = 64
MARGIN = 0.2
"""The share of a face's square that is added on each side, if frames are cropped to it."""
Item = tuple[torch.Tensor, np.ndarray]


@dataclass(frozen=True)
class Source:
    """Where a CLIP comes from: open_clip's name of the architecture and a file of weights."""

    name: str
    architecture: str  # a name open_clip knows, or local-dir:FOLDER
    config: dict[str, Any]
    preprocessing: PreprocessCfg
    weights: Path

    @classmethod
    def find(cls, model: str) -> "Source":
        """The CLIP named by `ClipEncoder`'s `model`; raises CheckpointError or ValueError."""
        if model.startswith(LOCAL):
            return cls._in_folder(Path(model.removeprefix(LOCAL)).expanduser())
        architecture, _, weights = model.partition("/")
        config = open_clip.get_model_config(architecture)
        if config is None:
            raise ValueError(
                f"open_clip knows no architecture {architecture!r}; expected one of "
                f"open_clip.list_models(), as ARCHITECTURE/WEIGHTS, or {LOCAL}FOLDER"
            )
        name, published, file = model, {}, Path(weights).expanduser()
        if file.is_file():
            name = f"{architecture}/{file.name}"
        else:
            published = get_pretrained_cfg(architecture, weights)
            if not published:
                known = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
                raise CheckpointError(
                    f"clip model {model!r}: its weights {weights!r} are neither a file nor a tag "
                    f"that open_clip knows for {architecture}; it knows: {known}"
                )
            folder = paths.models() / f"{architecture}-{weights}"
            if folder.is_dir():
                return cls._in_folder(folder)
            file = _from_hub(name, published, folder)
        # open_clip only warns if weights run with another activation than they were trained with.
        config["quick_gelu"] = config.get("quick_gelu", False) or published.get("quick_gelu", False)
        return cls(name, architecture, config, _preprocessing(config, published), file)

    @classmethod
    def _in_folder(cls, folder: Path) -> "Source":
        where = paths.relative(folder.resolve())
        weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        if weights is None or not (folder / CONFIG).is_file():
            raise CheckpointError(
                f"{where}: no such folder, or it lacks {CONFIG} or weights "
                f"({' or '.join(WEIGHTS)}). {_advice(folder)}"
            )
        try:
            content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            config = content["model_cfg"]
            parts = {part: config.get(part) or {} for part in ("text_cfg", "vision_cfg")}
            parts["tokenizer_kwargs"] = parts["text_cfg"].get("tokenizer_kwargs") or {}
            for name in ("config.json", "tokenizer_config.json"):  # the tokenizer's, for tuning
                if (folder / name).is_file():
                    parts[name] = json.loads((folder / name).read_bytes())
            other = [f"{part}.{key}" for part, key in NAMES if parts.get(part, {}).get(key)]
            preprocessing = _preprocessing(config, content.get("preprocess_cfg", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{where}/{CONFIG}: not a configuration of open_clip ({error!r}). {_advice(folder)}"
            ) from error
        if other:
            raise CheckpointError(
                f"{where}/{CONFIG}: {' and '.join(other)} names other code or another model, "
                "which could be fetched and run: not read. " + _advice(folder)
            )
        return cls(folder.resolve().name, f"{LOCAL}{folder}", config, preprocessing, weights)

    def network(self, dtype: torch.dtype) -> torch.nn.Module:
        """The model in evaluation mode; raises CheckpointError for weights that don't fit."""
        local = self.architecture.startswith(LOCAL)
        try:
            check_weights(self.weights)
            model = open_clip.create_model(
                self.architecture,
                pretrained=None if local else str(self.weights),
                force_quick_gelu=bool(self.config.get("quick_gelu", False)),
                weights_only=True,
                require_pretrained=True,
            )
        except Exception as error:  # open_clip, torch and safetensors raise of all kinds
            raise CheckpointError(
                f"{paths.relative(self.weights.resolve())}: can't be read as weights of "
                f"{self.name} ({reason(error)}): they are damaged or of another architecture. "
                f"{_advice(self.weights)}"
            ) from error
        return model.to(dtype).eval().requires_grad_(False)


class ClipEncoder:
    """A frozen CLIP: its projected image embeddings of `n_frames` frames of a clip.

    The paper's visual feature V (section 2.1) with `ViT-L-14/openai`: 768 wide, averaged over
    frames. As in the field's toolkits embeddings are not scaled to length 1, neither before the
    mean nor after.

    `model` is `ARCHITECTURE/TAG` as in `open_clip.list_pretrained()`, `ARCHITECTURE/FILE` with a
    file of weights, or `local-dir:FOLDER` with `open_clip_config.json` and weights; by default the
    small CLIP that ships here. A tag is looked for in `data/models/ARCHITECTURE-TAG`, then in the
    hub's cache, then on the hub. Weights are safetensors or read by torch with `weights_only`.
    Frames are segment centres, whole or cropped to the `face` (see `frames.clip_frames`), and
    preprocessed as open_clip does for evaluation. `precision`: auto (bfloat16 on hardware that has
    it), float32 or bfloat16.

    Raises CheckpointError (weights missing, unknown, damaged or of another architecture; they are
    read at the first `encode`) and ValueError (unknown architecture).
    """

    modality = "video"

    def __init__(
        self,
        model: str = f"{LOCAL}{paths.SMALL_CLIP}",
        *,
        n_frames: int = 8,
        face: str = NONE,
        device: str = "auto",
        precision: str = "auto",
        max_seconds: float = MAX_SECONDS,
    ):
        self._max_seconds = max_seconds
        self._n_frames, self._device, self._face = n_frames, pick_device(device), face
        self.remarks: dict[str, str] = {}
        self._dtype = pick_precision(precision, self._device)
        self._source = Source.find(model)
        self._preprocess = image_transform_v2(self._source.preprocessing, is_train=False)
        self.dim = self._source.config["embed_dim"]
        self.fingerprint = {
            "encoder": "clip",
            "model": self._source.name,
            "architecture": digest(self._source.config),
            "weights": file_digest(self._source.weights),
            "n_frames": n_frames,
            "pooling": "mean",
            "preprocessing": vars(self._source.preprocessing),
            "precision": str(self._dtype).removeprefix("torch."),
        } | face_fingerprint(face, MARGIN)

    def reads(self, name: str, source: str) -> str:
        """The file that a clip's features come from, where its video is `source`."""
        return reads(self._face, name, source)

    def load(self, clip: pd.Series) -> Item:
        """The clip's different frames, preprocessed, (U, 3, S, S), and which of them each one is.

        A video shorter than `n_frames` repeats frames; each is encoded once.
        """
        frames, remark = clip_frames(clip, self._n_frames, self._max_seconds, self._face, MARGIN)
        if remark:
            self.remarks[clip.name] = remark
        new = [True] + [not np.array_equal(a, b) for a, b in zip(frames, frames[1:], strict=False)]
        different = [frame for frame, is_new in zip(frames, new, strict=True) if is_new]
        pixels = [self._preprocess(Image.fromarray(frame)) for frame in different]
        return torch.stack(pixels), np.cumsum(new) - 1

    def encode(self, items: list[Item]) -> np.ndarray:
        """Features of what `load` returned, float32 (B, D): the mean over each clip's frames."""
        return mean_rows(self.encode_frames(items))

    def encode_frames(self, items: list[Item]) -> list[np.ndarray]:
        """Each frame's feature of what `load` returned: for each clip float32 (T, D)."""
        pixels = torch.cat([frames for frames, _ in items])  # (all U, 3, S, S)
        embeddings = [self._embed(batch) for batch in pixels.split(BATCH_FRAMES)]
        ends = np.cumsum([len(frames) for frames, _ in items])[:-1]
        clips = np.split(np.concatenate(embeddings), ends)  # each (U, D)
        return [clip[place] for clip, (_, place) in zip(clips, items, strict=True)]

    @cached_property
    def _network(self) -> torch.nn.Module:
        return self._source.network(self._dtype).to(self._device)

    @torch.inference_mode()
    def _embed(self, pixels: torch.Tensor) -> np.ndarray:
        """(F, 3, S, S) to float32 (F, D)."""
        embeddings = encode_image(self._network, pixels.to(self._device, self._dtype))
        return embeddings.float().cpu().numpy()


def _preprocessing(config: dict[str, Any], published: dict[str, Any]) -> PreprocessCfg:
    """open_clip's evaluation preprocessing: its defaults, what was published, the tower's size."""
    size = config["vision_cfg"].get("image_size", PreprocessCfg.size)
    return PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), {**published, "size": size}))


def _from_hub(name: str, published: dict[str, Any], folder: Path) -> Path:
    """The file of published weights: the hub's cache, else the hub. Raises CheckpointError."""
    repository, _, file = published["hf_hub"].rpartition("/")
    for candidate in (file,) if file else WEIGHTS:
        if isinstance(cached := try_to_load_from_cache(repository, candidate), str):
            return Path(cached)
    place = paths.relative(folder)
    advice = (
        f"Where there is a network, run: hf download {repository} --include 'open_clip_*' "
        f"--local-dir {place}; or copy {CONFIG} and {WEIGHTS[0]} there"
    )
    with asking_hub(name, place, advice):
        model_info(repository, timeout=HUB_SECONDS)
        return Path(download_pretrained(published))


def _advice(path: Path) -> str:
    if path.resolve().is_relative_to(paths.SMALL_CLIP):
        return f"Restore it: git checkout -- {paths.relative(paths.SMALL_CLIP)}"
    return "Download it again, whole, or name the architecture it belongs to."
