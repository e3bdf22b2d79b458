"""Train the small CLIP of `agt_lib/features/checkpoints/small_clip`, from rendered faces.

    python benchmarks/train_small_clip.py [--out FOLDER] [--speakers 500] [--epochs 12]

Its captions name everything in the picture but the emotion, one attribute each ("the person has
raised brows"): skin, hair, beard, glasses, background, light, pose, what is in the way, whether the
person speaks, and in coarse words the shape of brows, eyes and mouth. A picture is contrasted with
the captions of each attribute in turn, so every step teaches all of them. Where the eyes look and
most action units stay unnamed: raw features tell something about emotions, as a CLIP's do, and
fine-tuning still has something to do. The speakers are none of the mini corpus'. Prints how often a
caption is found on faces of speakers that training did not see.
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

from agt_lib.corpora.labels import EMOTIONS
from agt_lib.workspace import paths
from mini_corpus import face
from mini_corpus.action_units import FRAME_RATE, express
from mini_corpus.scene import (
    BACKGROUNDS,
    HAIR,
    LIGHTS,
    OCCLUSIONS,
    SKIN_NAMES,
    Identity,
    Scene,
    identity,
    scene,
)

FIRST_SPEAKER = 1_000_000  # far from the seeds of the mini corpus' speakers
FIRST_SCENE = 10_000_000_000
CLIPS_PER_SPEAKER, FRAMES_PER_CLIP = 16, 3
BATCH = 128
LEARNING_RATE = 3e-3
MODEL = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 32},
    "text_cfg": {
        "context_length": 32,
        "vocab_size": 49408,
        "width": 48,
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
BEARDS = {"none": "no beard", "stubble": "stubble", "moustache": "a moustache", "full": "a beard"}
LENGTHS = {"short": "short hair", "long": "long hair", "bald": "no hair"}
ATTRIBUTES: dict[str, list[str]] = {
    "skin": [f"{name} skin" for name in SKIN_NAMES],
    "hair": [f"{name} hair" for name in HAIR],
    "hair length": list(LENGTHS.values()),
    "beard": list(BEARDS.values()),
    "glasses": ["no glasses", "glasses"],
    "background": [f"a {name} behind" for name in BACKGROUNDS],
    "light": ["even light" if light == "even" else f"light {light}" for light in LIGHTS],
    "brightness": ["a bright picture", "a dim picture"],
    "pose": ["the face to the camera", "the face turned left", "the face turned right"],
    "speech": ["a silent mouth", "a speaking mouth"],
    "occlusion": [f"{'nothing' if o == 'none' else o} before the face" for o in OCCLUSIONS],
    "brows": ["level brows", "raised brows", "lowered brows", "knitted brows"],
    "eyes": ["plain eyes", "wide eyes", "narrow eyes"],
    "mouth corners": ["level mouth corners", "mouth corners up", "mouth corners down"],
}
WEIGHT = {"brows": 3.0, "eyes": 3.0, "mouth corners": 3.0}
"""Of an attribute in the loss, 1 for the others: small parts of the picture are learnt last."""


def describe(who: Identity, place: Scene, units: dict[int, float], loudness: float) -> list[int]:
    """The number of the caption that fits, for each of `ATTRIBUTES`.

    `units` are the strengths of the action units in this frame.
    """

    def seen(*numbers: int) -> bool:
        return max(units.get(number, 0.0) for number in numbers) > 0.3

    turned = 0 if abs(place.yaw) <= 0.08 else 2 if place.yaw > 0 else 1
    return [
        SKIN_NAMES.index(who.skin_name),
        list(HAIR).index(who.hair),
        list(LENGTHS).index(who.hair_length),
        list(BEARDS).index(who.beard),
        int(who.glasses),
        BACKGROUNDS.index(place.background),
        LIGHTS.index(place.light),
        int(place.brightness < 0.85),
        turned,
        int(loudness > 0.35),
        OCCLUSIONS.index(place.occlusion),
        seen(1, 2) + 2 * seen(4),
        1 if seen(5) else 2 * seen(6, 7),
        0 if seen(12) == seen(15) else 1 if seen(12) else 2,
    ]


def render(speaker: int) -> tuple[np.ndarray, np.ndarray]:
    """A speaker's pictures (N, 64, 64, 3) uint8 and their captions' numbers (N, attributes)."""
    size = MODEL["vision_cfg"]["image_size"]
    who = identity(FIRST_SPEAKER + speaker)
    pictures, captions = [], []
    for clip in range(CLIPS_PER_SPEAKER):
        seed = FIRST_SCENE + CLIPS_PER_SPEAKER * speaker + clip
        rng = np.random.default_rng([seed, 707])
        speech = rng.uniform(0, 1, FRAMES_PER_CLIP) * (rng.random(FRAMES_PER_CLIP) < 0.7)
        shown, intensity = str(rng.choice(EMOTIONS)), float(rng.beta(2, 2))
        expression = express(shown, intensity, seed, FRAMES_PER_CLIP / FRAME_RATE)
        course = expression.course(FRAMES_PER_CLIP)
        for t, frame in enumerate(face.draw(shown, intensity, who, speech, seed)):
            small = Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC)
            pictures.append(np.asarray(small))
            units = {unit: course[t] * strength for unit, strength in expression.strength.items()}
            captions.append(describe(who, scene(seed), units, speech[t]))
    return np.stack(pictures), np.array(captions)


def render_speakers(speakers: range) -> tuple[np.ndarray, torch.Tensor]:
    """The pictures and captions of all `speakers`, rendered on all cores."""
    parts = Parallel(n_jobs=-1)(delayed(render)(speaker) for speaker in speakers)
    captions = torch.from_numpy(np.concatenate([part[1] for part in parts]))
    return np.concatenate([part[0] for part in parts]), captions


def normalise(pictures: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 to open_clip's (B, 3, H, W) float32."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(PREPROCESS["mean"]), torch.tensor(PREPROCESS["std"])
    return (images - mean[:, None, None]) / std[:, None, None]


def compare(
    model: torch.nn.Module, images: torch.Tensor, tokens: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Scaled cosines of images to the captions of each attribute: (B, captions) for each."""
    image = F.normalize(model.encode_image(images), dim=-1)
    text = F.normalize(model.encode_text(tokens), dim=-1)
    sizes = [len(texts) for texts in ATTRIBUTES.values()]
    return (model.logit_scale.exp() * image @ text.T).split(sizes, dim=1)


def train(
    model: torch.nn.Module,
    pictures: np.ndarray,
    captions: torch.Tensor,
    tokens: torch.Tensor,
    epochs: int,
) -> None:
    """Contrast each picture with the captions of every attribute; pictures shift by 3 pixels."""
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embedding" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim <= 1 or "embedding" in n]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)
    steps = len(pictures) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=epochs * steps, pct_start=0.15
    )
    weight = torch.tensor([WEIGHT.get(name, 1.0) for name in ATTRIBUTES])
    weight /= weight.sum()
    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        started, total = time.monotonic(), 0.0
        for rows in np.array_split(rng.permutation(len(pictures)), steps):
            shift = rng.integers(-3, 4, size=2).tolist()
            images = torch.roll(normalise(pictures[rows]), shift, (-2, -1))
            logits = compare(model, images, tokens)
            losses = [F.cross_entropy(x, captions[rows, k]) for k, x in enumerate(logits)]
            loss = (torch.stack(losses) * weight).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, np.log(100))
            total += loss.item()
        seconds = time.monotonic() - started
        print(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.3f}, {seconds:.0f} s", flush=True)


@torch.inference_mode()
def report(model: torch.nn.Module, tokens: torch.Tensor) -> None:
    """Print how often the right caption is the nearest, and the share of the commonest caption."""
    pictures, captions = render_speakers(range(900_000, 900_040))
    parts = [compare(model, normalise(part), tokens) for part in np.array_split(pictures, 8)]
    for k, name in enumerate(ATTRIBUTES):
        right = torch.cat([part[k].argmax(1) for part in parts]) == captions[:, k]
        common = captions[:, k].bincount().max() / len(captions)
        print(f"{name:14s} {right.float().mean():.3f} (commonest {common:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=paths.SMALL_CLIP)
    parser.add_argument("--speakers", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model = open_clip.CLIP(**MODEL)
    arguments.out.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    text = json.dumps(config, indent=2) + "\n"
    (arguments.out / "open_clip_config.json").write_text(text)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{arguments.out}")
    tokens = tokenizer([f"the person has {a}" for texts in ATTRIBUTES.values() for a in texts])

    started = time.monotonic()
    pictures, captions = render_speakers(range(arguments.speakers))
    print(f"{len(pictures)} pictures in {time.monotonic() - started:.0f} s", flush=True)
    model.train()
    train(model, pictures, captions, tokens, arguments.epochs)
    model.eval()

    weights = {
        name: (w.half() if w.is_floating_point() else w).contiguous()
        for name, w in model.state_dict().items()
        if name != "attn_mask"
    }
    save_file(weights, arguments.out / "open_clip_model.safetensors")
    model.load_state_dict(weights, strict=False)
    report(model, tokens)


if __name__ == "__main__":
    main()
