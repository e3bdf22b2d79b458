"""Train the small CLIP that ships in `agt_lib/checkpoints/small_clip`, from rendered faces.

    python benchmarks/train_small_clip.py [--out FOLDER] [--clips 3000] [--epochs 10]

Its captions name everything in the picture but the emotion: skin, hair, beard, glasses,
background, light, pose, what is in the way, whether the person speaks, and in coarse words the
shape of brows, eyes and mouth. Where the eyes look and most action units stay unnamed, so raw
features tell something about emotions, as a CLIP's do, and fine-tuning still has something to do.
The speakers are none of the mini corpus'. Prints how often a held-out face finds its own caption,
and what zero-shot prompts tell of single attributes.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from joblib import Parallel, delayed
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional as F

from agt_lib import paths
from agt_lib.corpora.mini import face
from agt_lib.corpora.mini.action_units import FRAME_RATE, express
from agt_lib.corpora.mini.scene import BACKGROUNDS, Scene, scene
from agt_lib.emotions import EMOTIONS

FIRST_SPEAKER = 1_000_000  # far from the seeds of the mini corpus' speakers
FIRST_SCENE = 10_000_000_000
FRAMES_PER_CLIP = 3
BATCH = 128
CHUNK = 250  # clips that one process renders at a time
MODEL = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": 4, "width": 128, "head_width": 32, "patch_size": 16},
    "text_cfg": {
        "context_length": 48,
        "vocab_size": 49408,
        "width": 64,
        "heads": 4,
        "layers": 1,
    },
}
PREPROCESS = {
    "mean": list(open_clip.OPENAI_DATASET_MEAN),
    "std": list(open_clip.OPENAI_DATASET_STD),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
HAIR_LENGTH = {"short": "short {} hair", "long": "long {} hair", "bald": "no hair"}
BEARD = {
    "none": "shaved",
    "stubble": "stubble",
    "moustache": "a moustache",
    "full": "a full beard",
}


def caption(
    who: face.Identity,
    place: Scene,
    units: dict[int, float],
    loudness: float,
    rng: np.random.Generator,
) -> str:
    """One sentence about a picture, naming each attribute with probability .6.

    `units` are the strengths of the action units in this frame.
    """
    turned = "facing the camera"
    if abs(place.yaw) > 0.08:
        turned = "turned to the right" if place.yaw > 0 else "turned to the left"
    parts = [
        f"{who.skin_name} skin",
        HAIR_LENGTH[who.hair_length].format(who.hair),
        BEARD[who.beard],
        "glasses" if who.glasses else "no glasses",
        f"before a {place.background}",
        "even light" if place.light == "even" else f"light {place.light}",
        "a dim picture" if place.brightness < 0.85 else "a bright picture",
        turned,
        "speaking" if loudness > 0.35 else "not speaking",
        *features(units),
    ]
    if place.occlusion != "none":
        parts.append(f"partly hidden by a {place.occlusion}")
    named = [part for part in parts if rng.random() < 0.6]
    rng.shuffle(named)
    return "a person, " + ", ".join(named)


def features(units: dict[int, float]) -> list[str]:
    """The shape of brows, eyes and mouth, as coarsely as a caption on the web might have it."""

    def seen(*numbers: int) -> bool:
        return max(units.get(number, 0.0) for number in numbers) > 0.3

    brows = {(0, 0): "level", (1, 0): "raised", (0, 1): "lowered", (1, 1): "knitted"}
    corners = {(0, 0): "level", (1, 0): "up", (0, 1): "down", (1, 1): "level"}
    eyes = "wide" if seen(5) else "narrow" if seen(6, 7) else "plain"
    return [
        f"{brows[seen(1, 2), seen(4)]} brows",
        f"{eyes} eyes",
        f"mouth corners {corners[seen(12), seen(15)]}",
    ]


def render(n_clips: int, first: int) -> tuple[np.ndarray, list[list[str]], list[tuple]]:
    """Pictures (N, frames, 64, 64, 3) uint8, a caption for each, and (identity, scene) per clip."""
    size = MODEL["vision_cfg"]["image_size"]
    pictures = np.empty((n_clips, FRAMES_PER_CLIP, size, size, 3), dtype=np.uint8)
    captions, truths = [], []
    for i in range(n_clips):
        rng = np.random.default_rng([first + i, 707])
        who = face.identity(FIRST_SPEAKER + first + i)
        seed = FIRST_SCENE + first + i
        place = scene(seed)
        speech = rng.uniform(0, 1, FRAMES_PER_CLIP) * (rng.random(FRAMES_PER_CLIP) < 0.7)
        shown, intensity = str(rng.choice(EMOTIONS)), float(rng.beta(2, 2))
        expression = express(shown, intensity, seed, FRAMES_PER_CLIP / FRAME_RATE)
        clip_captions = []
        for t, frame in enumerate(face.draw(shown, intensity, who, speech, seed)):
            share = expression.course(FRAMES_PER_CLIP)[t]
            units = {unit: share * strength for unit, strength in expression.strength.items()}
            clip_captions.append(caption(who, place, units, speech[t], rng))
            small = Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC)
            pictures[i, t] = np.asarray(small)
        captions.append(clip_captions)
        truths.append((who, place))
    return pictures, captions, truths


def normalise(pictures: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 to open_clip's (B, 3, H, W) float32."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(PREPROCESS["mean"]), torch.tensor(PREPROCESS["std"])
    return (images - mean[:, None, None]) / std[:, None, None]


def train(
    model: torch.nn.Module,
    pictures: np.ndarray,
    tokens: torch.Tensor,
    epochs: int,
    batch: int = 250,
) -> None:
    """Contrastive training, one frame of every clip per step and three passes an epoch."""
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embedding" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim <= 1 or "embedding" in n]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), fused=True)
    steps = epochs * FRAMES_PER_CLIP * (len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps)
    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        started, losses = time.monotonic(), []
        for _ in range(FRAMES_PER_CLIP):
            frame = rng.integers(FRAMES_PER_CLIP, size=len(pictures))
            for rows in np.array_split(rng.permutation(len(pictures)), len(pictures) // BATCH):
                image, text, scale = model(
                    normalise(pictures[rows, frame[rows]]), tokens[rows, frame[rows]]
                )
                logits = scale * image @ text.T
                answer = torch.arange(len(rows))
                loss = (F.cross_entropy(logits, answer) + F.cross_entropy(logits.T, answer)) / 2
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                with torch.no_grad():
                    model.logit_scale.clamp_(0, np.log(100))
                losses.append(loss.item())
        seconds = time.monotonic() - started
        print(
            f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.3f}, {seconds:.0f} s", flush=True
        )


@torch.inference_mode()
def report(model: torch.nn.Module, tokenizer, n_clips: int = 250) -> dict[str, float]:
    """Retrieval and zero-shot accuracy on faces of speakers that training did not see."""
    pictures, captions, truths = render(n_clips, first=500_000)
    image = F.normalize(model.encode_image(normalise(pictures[:, 0])), dim=-1)

    def nearest(texts: list[str]) -> np.ndarray:
        text = F.normalize(model.encode_text(tokenizer(texts)), dim=-1)
        return (image @ text.T).argmax(1).numpy()

    found = nearest([c[0] for c in captions])
    glasses = nearest(["a person, no glasses", "a person, glasses"])
    background = nearest([f"a person, before a {b}" for b in BACKGROUNDS])
    return {
        "own caption among 250": float(np.mean(found == np.arange(n_clips))),
        "glasses": float(np.mean(glasses == [who.glasses for who, _ in truths])),
        "background among 6": float(
            np.mean(background == [BACKGROUNDS.index(place.background) for _, place in truths])
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=paths.SMALL_CLIP)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model = open_clip.CLIP(**MODEL)
    arguments.out.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    text = json.dumps(config, indent=2) + "\n"
    (arguments.out / "open_clip_config.json").write_text(text)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{arguments.out}")

    started = time.monotonic()
    parts = Parallel(n_jobs=-1)(
        delayed(render)(CHUNK, first) for first in range(0, arguments.clips, CHUNK)
    )
    pictures = np.concatenate([part[0] for part in parts])
    captions = [clip for part in parts for clip in part[1]]
    print(
        f"rendered {pictures.shape[:2]} pictures in {time.monotonic() - started:.0f} s", flush=True
    )
    tokens = torch.stack([tokenizer(clip) for clip in captions])  # (clips, frames, 48)
    model.train()
    train(model, pictures, tokens, arguments.epochs)
    model.eval()

    weights = {name: w.half().contiguous() for name, w in model.state_dict().items()}
    weights.pop("attn_mask", None)
    save_file(weights, arguments.out / "open_clip_model.safetensors")
    model.load_state_dict({name: w.float() for name, w in weights.items()}, strict=False)
    for what, share in report(model, tokenizer).items():
        print(f"{what}: {share:.3f}")


if __name__ == "__main__":
    main()
