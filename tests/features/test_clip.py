import json
import zipfile
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from agt_lib.corpora.media import MediaError, decode_frames
from agt_lib.features import clip
from agt_lib.features.clip import ClipEncoder
from agt_lib.features.encoder import CheckpointError, build
from agt_lib.workspace import paths

TINY = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 24, "head_width": 12, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}


def write_checkpoint(folder: Path, config: dict = TINY, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config)
    for parameter in model.parameters():  # as large as trained ones, so that layers matter
        torch.nn.init.normal_(parameter, std=0.3)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    content = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_folder_with_code_for_its_tokenizer_is_not_read(checkpoint, name):
    (checkpoint / name).write_text(json.dumps({"auto_map": {"AutoTokenizer": ["own.Own", None]}}))
    with pytest.raises(CheckpointError, match=f"{name}.auto_map names other code"):
        ClipEncoder(f"local-dir:{checkpoint}")


def test_a_folder_that_trusts_its_own_code_is_not_read(checkpoint):
    path = checkpoint / "open_clip_config.json"
    content = json.loads(path.read_text())
    content["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="tokenizer_kwargs.trust_remote_code"):
        ClipEncoder(f"local-dir:{checkpoint}")


def test_packed_weights_are_not_unpacked(checkpoint, clips):
    (checkpoint / "open_clip_model.safetensors").unlink()
    path = checkpoint / "open_clip_pytorch_model.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**20))
    encoder = ClipEncoder(f"local-dir:{checkpoint}")
    with pytest.raises(CheckpointError, match="is compressed, as torch's files never are"):
        encoder.encode([encoder.load(clips[0])])


@pytest.mark.parametrize("part", ["text_cfg.hf_model_name", "vision_cfg.timm_model_name"])
def test_a_folder_that_names_another_model_is_not_read(checkpoint, part):
    group, key = part.split(".")
    path = checkpoint / "open_clip_config.json"
    content = json.loads(path.read_text())
    content["model_cfg"][group][key] = "stranger/model"
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"{part} names other code or another model"):
        ClipEncoder(f"local-dir:{checkpoint}")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "tiny")


@pytest.fixture
def clips(tmp_path: Path, write_clip) -> list[pd.Series]:
    rng = np.random.default_rng(0)
    rows = []
    for i, (length, height, width) in enumerate([(20, 48, 64), (12, 80, 40), (3, 64, 64)]):
        noise = rng.integers(0, 256, size=(length, height // 8, width // 8, 3), dtype=np.uint8)
        frames = noise.repeat(8, axis=1).repeat(8, axis=2)
        path = write_clip(tmp_path / f"clip{i}.mp4", frames=frames)
        rows.append(pd.Series({"video": str(path)}, name=f"clip{i}"))
    return rows


def by_open_clip(folder: Path, row: pd.Series, n_frames: int) -> np.ndarray:
    """Frame embeddings by open_clip's own model, transform and forward pass."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    frames = decode_frames(row["video"], n_frames=n_frames)
    pixels = torch.stack([transform(Image.fromarray(frame)) for frame in frames])
    with torch.inference_mode():
        return model.eval().encode_image(pixels).numpy()


@pytest.mark.parametrize("shipped", [False, True], ids=["tiny random", "shipped"])
def test_features_are_open_clips_own_embeddings(shipped, checkpoint, clips):
    folder = paths.SMALL_CLIP if shipped else checkpoint
    encoder = ClipEncoder(f"local-dir:{folder}", n_frames=5, precision="float32")
    values = encoder.encode_frames([encoder.load(row) for row in clips])
    assert [value.shape for value in values] == 3 * [(5, encoder.dim)]
    assert values[0].dtype == np.float32
    for row, value in zip(clips, values, strict=True):
        expected = by_open_clip(folder, row, n_frames=5)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_a_clips_feature_is_the_mean_over_its_frames(checkpoint, clips):
    encoder = ClipEncoder(f"local-dir:{checkpoint}", precision="float32")
    items = [encoder.load(row) for row in clips]
    frames = np.stack(encoder.encode_frames(items))
    np.testing.assert_allclose(encoder.encode(items), frames.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_a_clips_features_do_not_depend_on_its_batch(checkpoint, clips, monkeypatch):
    monkeypatch.setattr(clip, "BATCH_FRAMES", 5)  # clips are split over several batches
    encoder = ClipEncoder(f"local-dir:{checkpoint}", precision="float32")
    items = [encoder.load(row) for row in clips]
    together = encoder.encode(items)
    alone = np.concatenate([encoder.encode([item]) for item in items])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(items[::-1])[::-1], together, rtol=1e-5, atol=1e-6)


def test_a_video_shorter_than_the_number_of_frames_encodes_each_frame_once(checkpoint, clips):
    encoder = ClipEncoder(f"local-dir:{checkpoint}", n_frames=8)
    pixels, places = encoder.load(clips[2])  # 3 frames long
    assert len(pixels) == 3
    assert sorted(np.bincount(places).tolist()) == [2, 3, 3]


def test_bfloat16_stays_close_to_float32(checkpoint, clips):
    encoder, exact = (
        ClipEncoder(f"local-dir:{checkpoint}", precision=precision)
        for precision in ("bfloat16", "float32")
    )
    assert encoder.fingerprint["precision"] == "bfloat16"
    items = [encoder.load(row) for row in clips]
    a, b = encoder.encode(items), exact.encode(items)
    assert a.dtype == np.float32
    assert 0 < np.abs(a - b).max() < 0.05 * np.abs(b).max()


def test_the_fingerprint_tells_weights_and_frames_apart(checkpoint, tmp_path):
    other = write_checkpoint(tmp_path / "other" / "tiny", seed=1)
    prints = [
        ClipEncoder(f"local-dir:{folder}", **options).fingerprint
        for folder, options in [
            (checkpoint, {}),
            (other, {}),
            (checkpoint, {"n_frames": 16}),
        ]
    ]
    texts = {json.dumps(p, sort_keys=True) for p in prints}
    assert len(texts) == 3
    again = ClipEncoder(f"local-dir:{checkpoint}").fingerprint
    assert again == prints[0]


def test_clip_alone_names_the_small_clip_that_ships_here():
    encoder = build("clip")
    assert encoder.modality == "video" and encoder.dim == 128
    assert encoder.fingerprint["model"] == "small_clip"


def test_the_shipped_checkpoint_is_at_most_9_mb():
    assert sum(file.stat().st_size for file in paths.SMALL_CLIP.iterdir()) <= 9_000_000


def test_a_clip_without_video_is_absent_not_broken(checkpoint):
    encoder = ClipEncoder(f"local-dir:{checkpoint}")
    with pytest.raises(MediaError) as caught:
        encoder.load(pd.Series({"video": None}, name="a"))
    assert caught.value.stage == "absent"


@pytest.fixture
def tiny_architecture(tmp_path: Path) -> str:
    """A small architecture that open_clip knows by name."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "agt-tiny.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path / "configs" / "agt-tiny.json")
    return "agt-tiny"


def test_weights_can_be_a_file_for_an_architecture_by_name(checkpoint, tiny_architecture, clips):
    file = checkpoint / "open_clip_model.safetensors"
    encoder = build(f"clip:{tiny_architecture}/{file}", precision="float32")
    model, _, transform = open_clip.create_model_and_transforms(tiny_architecture, str(file))
    frames = decode_frames(clips[0]["video"], n_frames=8)
    with torch.inference_mode():
        pixels = torch.stack([transform(Image.fromarray(frame)) for frame in frames])
        expected = model.eval().encode_image(pixels).mean(dim=0).numpy()
    value = encoder.encode([encoder.load(clips[0])])[0]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_published_weights_run_with_the_activation_they_were_trained_with(
    checkpoint, tiny_architecture, clips, monkeypatch
):
    file = checkpoint / "open_clip_model.safetensors"
    published = {"hf_hub": "somebody/tiny/", "quick_gelu": True}
    monkeypatch.setattr(clip, "get_pretrained_cfg", lambda *_: published)
    monkeypatch.setattr(clip, "try_to_load_from_cache", lambda *_: str(file))
    encoder = build(f"clip:{tiny_architecture}/openai", precision="float32")
    model = open_clip.create_model(tiny_architecture, str(file), force_quick_gelu=True).eval()
    item = encoder.load(clips[0])
    with torch.inference_mode():
        expected = model.encode_image(item[0])[item[1]].mean(dim=0).numpy()
    value = encoder.encode([item])[0]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_an_unreachable_hub_is_told_with_what_to_download_and_where_to_put_it(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(clip, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(clip, "model_info", unreachable)
    with pytest.raises(CheckpointError) as caught:
        ClipEncoder("ViT-L-14/openai")
    message = str(caught.value)
    assert "hf download timm/vit_large_patch14_clip_224.openai --include" in message
    assert "--local-dir" in message and "ViT-L-14-openai" in message
    assert "Name or service not known" in message


def test_a_downloaded_folder_of_published_weights_is_used_without_the_hub(monkeypatch, clips):
    monkeypatch.setattr(clip, "model_info", lambda *_, **__: pytest.fail("asked the hub"))
    write_checkpoint(paths.models() / "ViT-L-14-openai")
    encoder = ClipEncoder("ViT-L-14/openai")
    assert encoder.encode([encoder.load(clips[0])]).shape == (1, 12)


def spoil_missing(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()


def spoil_config(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text('{"model_cfg": ')


def spoil_foreign_config(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')


def spoil_truncated(folder: Path) -> None:
    file = folder / "open_clip_model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def spoil_wider(folder: Path) -> None:
    wider = TINY | {"vision_cfg": TINY["vision_cfg"] | {"width": 48}}
    save_file(open_clip.CLIP(**wider).state_dict(), folder / "open_clip_model.safetensors")


def spoil_foreign(folder: Path) -> None:
    save_file({"lm_head.weight": torch.zeros(3, 3)}, folder / "open_clip_model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_missing, "open_clip_model.safetensors"),
        (spoil_config, "open_clip_config.json"),
        (spoil_foreign_config, "model_cfg"),
        (spoil_truncated, "damaged"),
        (spoil_wider, "another architecture"),
        (spoil_foreign, "another architecture"),
    ],
)
def test_a_bad_checkpoint_is_named_with_what_is_wrong(spoil, told, checkpoint, clips):
    spoil(checkpoint)
    with pytest.raises(CheckpointError, match=told) as caught:
        encoder = ClipEncoder(f"local-dir:{checkpoint}")
        encoder.encode([encoder.load(clips[0])])
    assert "tiny" in str(caught.value)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        ClipEncoder(f"local-dir:{tmp_path / 'nowhere'}")


class Payload:
    """Touches a file when unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_code_in_weights_is_not_run(checkpoint, clips, tmp_path):
    (checkpoint / "open_clip_model.safetensors").unlink()
    ran = tmp_path / "ran"
    torch.save({"state_dict": Payload(ran)}, checkpoint / "open_clip_pytorch_model.bin")
    encoder = ClipEncoder(f"local-dir:{checkpoint}")
    with pytest.raises(CheckpointError):
        encoder.encode([encoder.load(clips[0])])
    assert not ran.exists()


def test_an_architecture_that_open_clip_does_not_know_is_refused():
    with pytest.raises(ValueError, match="no architecture"):
        ClipEncoder("ViT-Z-9/openai")


@pytest.mark.parametrize("weights", ["", "/nobody"])
def test_weights_that_are_neither_tag_nor_file_are_refused(weights):
    with pytest.raises(CheckpointError, match="neither a file nor a tag.*openai"):
        ClipEncoder(f"ViT-L-14{weights}")
