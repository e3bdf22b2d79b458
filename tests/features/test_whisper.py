"""Whisper's encoder against transformers called directly, on a tiny model with random weights."""

import numpy as np
import pytest
import torch
import transformers

from agt_lib.corpora.media import decode_audio
from agt_lib.features.encoder import CheckpointError, build
from agt_lib.features.whisper import WhisperEncoder

SECOND = 16_000
STATES = 50  # a second


@pytest.fixture
def folder(whisper_checkpoint):
    return whisper_checkpoint()


def states_of(folder, waveform):
    """transformers' own preprocessing and encoder on at most 30 s: all 1500 states (1500, D)."""
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    model = transformers.WhisperModel.from_pretrained(folder).eval()
    inputs = extractor(waveform, sampling_rate=SECOND, return_tensors="pt")
    with torch.no_grad():
        return model.encoder(inputs["input_features"]).last_hidden_state[0].numpy()


def moments(states):
    return np.concatenate([states.mean(0, dtype=float), states.std(0, dtype=float)])


def feature(folder, clip):
    encoder = WhisperEncoder(folder, precision="float32")
    (values,) = encoder.encode([encoder.load(clip)])
    assert values.dtype == np.float32 and values.shape == (encoder.dim,) == (32,)
    return values


def assert_close(actual, expected, relative=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * np.abs(expected).max())


@pytest.mark.parametrize(
    ("samples", "own"),
    [(SECOND // 10, 5), (2 * SECOND, 100), (2 * SECOND + 1, 101), (30 * SECOND, 1500)],
)
def test_a_feature_is_mean_and_deviation_of_the_clips_own_states(folder, spoken, samples, own):
    clip = spoken(samples)
    states = states_of(folder, decode_audio(clip["audio"]))
    assert_close(feature(folder, clip), moments(states[:own]))


def test_the_padding_to_thirty_seconds_is_left_out(folder, spoken):
    clip = spoken(2 * SECOND)
    padded = moments(states_of(folder, decode_audio(clip["audio"])))
    assert np.abs(feature(folder, clip) - padded).max() > 0.05 * np.abs(padded).max()


def test_a_longer_clip_is_encoded_in_windows_and_pooled_over_all_of_them(folder, spoken):
    clip = spoken(40 * SECOND)
    waveform = decode_audio(clip["audio"])
    first, second = (
        states_of(folder, w) for w in (waveform[: 30 * SECOND], waveform[30 * SECOND :])
    )
    expected = moments(np.concatenate([first, second[: 10 * STATES]]))
    assert_close(feature(folder, clip), expected)


def test_silence_gives_finite_features(folder, spoken):
    assert np.isfinite(feature(folder, spoken(SECOND, loudness=0))).all()


def test_a_clip_gives_the_same_alone_and_in_any_batch(folder, spoken):
    encoder = WhisperEncoder(folder, precision="float32")
    samples = [2 * SECOND, 40 * SECOND, SECOND // 10, 100 * SECOND, 5 * SECOND, 3 * SECOND]
    items = [encoder.load(spoken(count, seed=i)) for i, count in enumerate(samples)]
    together = encoder.encode(items)
    for values, item in zip(together, items, strict=True):
        assert_close(values, encoder.encode([item])[0])


def test_bfloat16_stays_close_to_float32(folder, spoken):
    encoder = build(f"whisper:{folder}", precision="bfloat16")
    clip = spoken(3 * SECOND)
    (low,) = encoder.encode([encoder.load(clip)])
    full = feature(folder, clip)
    assert_close(low, full, relative=0.05)
    assert np.abs(low - full).max() > 0
    assert encoder.fingerprint["precision"] == "bfloat16"


def test_the_decoder_is_not_kept(folder, spoken):
    encoder = WhisperEncoder(folder)
    encoder.encode([encoder.load(spoken(SECOND))])
    assert not any("decoder" in name for name, _ in encoder._network.named_parameters())


def test_a_preprocessor_of_another_model_is_refused(folder):
    transformers.WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"\(16000, 128, 3000\); expected \(16000, 8, 3000\)"):
        WhisperEncoder(folder)


def test_a_hubert_is_no_whisper(speech_checkpoint):
    with pytest.raises(CheckpointError, match="of type 'hubert'; expected a Whisper model"):
        WhisperEncoder(speech_checkpoint())


def test_weights_that_are_pickled_are_not_read(folder, spoken):
    model = transformers.WhisperModel.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    encoder = WhisperEncoder(folder)
    with pytest.raises(CheckpointError, match=r"can't read the weights.*model\.safetensors"):
        encoder.encode([encoder.load(spoken(SECOND))])
