"""The numbers of this VERSION. Whoever changes them on purpose raises it and writes them anew."""

import numpy as np
import pandas as pd

from agt_lib.clip_tuning import VERSION, clip_to_tune
from agt_lib.clip_tuning.tune import HISTORY, Job, tune
from agt_lib.features.clip import Source
from agt_lib.workspace.shards import Shards

REASON = "the same clips give another tuned CLIP: raise VERSION in agt_lib/clip_tuning"


def test_the_version_is_the_one_these_numbers_are_of():
    assert VERSION == 1


def test_twelve_clips_of_one_colour_each_have_these_losses(tmp_path, alone):
    model, config = clip_to_tune("clip", max_epochs=2)
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (12, 1, 1, 1, 3))
    noise = rng.integers(-20, 20, (12, 6, 72, 72, 3))
    frames = Shards(tmp_path / "frames")
    keys = tuple(f"clip{i}" for i in range(12))
    frames.append(dict(zip(keys, np.clip(colours + noise, 0, 255).astype(np.uint8), strict=True)))
    labels = np.arange(12) % 3
    source = Source.find(model)
    job = Job("all", source, config, frames, keys, labels, ("sad", "happy", "angry"), 0, True, {})
    tune(job, tmp_path, accelerator=alone, progress=False)
    losses = pd.read_csv(tmp_path / HISTORY)["loss"]
    np.testing.assert_allclose(losses, [1.63952, 1.82518], rtol=5e-3, err_msg=REASON)
