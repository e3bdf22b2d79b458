"""The numbers of this VERSION. Whoever changes them on purpose raises it and writes them anew."""

import numpy as np
import opensmile
import torch

from agt_lib.features import VERSION
from agt_lib.features.encoder import build

REASON = "features of the same clip come out otherwise: raise VERSION in agt_lib/features"


def test_the_version_is_the_one_these_numbers_are_of():
    assert VERSION == 1


def test_a_pulse_train_has_these_functionals():
    phase = 150 * np.arange(16_000) % 16_000 / 16_000
    waveform = 0.5 * np.exp(-8 * phase) * np.cos(10 * np.pi * phase)
    encoder = build("opensmile")
    (values,) = encoder.encode([waveform.astype(np.float32)])
    kind = opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals
    columns = opensmile.Smile(*kind).feature_names
    names = ["F0semitoneFrom27.5Hz", "F1frequency", "F2frequency", "F3frequency"]
    found = [values[columns.index(f"{name}_sma3nz_amean")] for name in names]
    expected = [29.38061, 993.1314, 1820.699, 2755.396]
    np.testing.assert_allclose(found, expected, rtol=1e-3, err_msg=REASON)


def test_two_frames_have_this_embedding():
    pixels = torch.linspace(-1.5, 1.5, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
    places = np.array([0, 0, 1])  # the first frame stands for two
    (values,) = build("clip", precision="float32").encode([(pixels, places)])
    expected = [23.25914, 8.13866, 0.56394, 1.28164, -22.36018]
    np.testing.assert_allclose(values[:5], expected, rtol=1e-3, err_msg=REASON)
    np.testing.assert_allclose(np.linalg.norm(values), 129.6678, rtol=1e-4, err_msg=REASON)
