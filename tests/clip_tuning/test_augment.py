from dataclasses import replace

import numpy as np
import torch
from open_clip.transform import PreprocessCfg

from agt_lib.clip_tuning import TuneConfig
from agt_lib.clip_tuning.augment import drawn, frame_numbers, normalised

CONFIG = TuneConfig(n_frames=4, frames_per_segment=3, crop=0.25)
TAKES = PreprocessCfg(size=8, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
PLAIN = replace(CONFIG, flip=False, colour=0.0)


def pictures(n_clips=3, n_frames=4, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (n_clips, n_frames, 10, 10, 3))
    return torch.from_numpy(values.astype(np.uint8))


def draws(n_clips=3, config=CONFIG):
    return drawn(n_clips, config, np.random.default_rng(1))


def test_one_frame_comes_from_each_segment_and_any_of_it_may():
    numbers = frame_numbers(draws(500), CONFIG)
    assert numbers.shape == (500, 4)
    assert [set(column) for column in numbers.T] == [
        {0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11},
    ]  # fmt: skip


def test_without_flip_and_colour_a_picture_is_a_normalised_crop():
    frames = pictures(1)
    found = normalised(frames, draws(1), PLAIN, TAKES)
    assert found.shape == (1, 4, 3, 8, 8)
    whole = (frames[0].numpy() / 255 - TAKES.mean) / TAKES.std  # (T, 10, 10, 3)
    crops = [whole[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    matches = [np.allclose(found[0].permute(0, 2, 3, 1), crop, atol=1e-5) for crop in crops]
    assert sum(matches) == 1


def test_frames_of_a_clip_are_cropped_flipped_and_coloured_alike():
    frames = pictures(5, 1).expand(-1, 4, -1, -1, -1)
    found = normalised(frames, draws(5), CONFIG, TAKES)
    assert torch.equal(found[:, :1].expand_as(found), found)
    assert not torch.allclose(found, normalised(frames, draws(5), PLAIN, TAKES))


def test_half_of_the_clips_are_flipped():
    one = pictures(1).expand(400, -1, -1, -1, -1)
    same = draws(400)
    same[:, :2] = 0.0
    found = normalised(one, same, replace(CONFIG, colour=0.0), TAKES)
    plain = normalised(one[:1], same[:1], PLAIN, TAKES)[0]
    flipped = sum(torch.equal(clip, plain.flip(-1)) for clip in found)
    assert flipped + sum(torch.equal(clip, plain) for clip in found) == 400
    assert 160 < flipped < 240


def test_a_clips_augmentation_does_not_depend_on_the_others():
    frames, numbers = pictures(6), draws(6)
    part = normalised(frames[2:4], numbers[2:4], CONFIG, TAKES)
    assert torch.equal(part, normalised(frames, numbers, CONFIG, TAKES)[2:4])
