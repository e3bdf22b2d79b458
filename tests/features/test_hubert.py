import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from agt_lib.corpora.media import MediaError, decode_audio
from agt_lib.features.encoder import CheckpointError, build
from agt_lib.features.hubert import HubertEncoder, sees_padding

SHAPES = {
    "large": {"do_stable_layer_norm": True, "feat_extract_norm": "layer"},
    "base": {"do_stable_layer_norm": False, "feat_extract_norm": "group"},
}
VARIANTS = [
    ("hubert", SHAPES["large"]),
    ("hubert", SHAPES["base"]),
    ("hubert", SHAPES["base"] | {"conv_pos_batch_norm": True, "feat_extract_norm": "layer"}),
    ("wav2vec2", SHAPES["large"]),
    ("wav2vec2", SHAPES["base"]),
    ("wavlm", SHAPES["large"]),
    ("wavlm", SHAPES["base"]),
    ("data2vec-audio", {}),
]


def assert_close(actual, expected, relative=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * np.abs(expected).max())


def forward(folder, clip):
    """transformers' own preprocessing and forward pass over one clip without padding."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    waveform = decode_audio(clip["audio"])
    inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        return model(inputs["input_values"], output_hidden_states=True)


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_a_feature_is_the_mean_of_the_last_four_hidden_states_as_transformers_gives_them(
    speech_checkpoint, spoken, kind, options
):
    folder, clip = speech_checkpoint(kind, **options), spoken(9_000)
    encoder = HubertEncoder(folder, precision="float32")
    output = forward(folder, clip)
    states = [*output.hidden_states[-4:-1], output.last_hidden_state]
    expected = sum(states).mean(dim=1).numpy()
    actual = encoder.encode([encoder.load(clip)])
    assert actual.dtype == np.float32
    assert_close(actual, expected)


def test_the_last_layer_of_a_large_model_is_after_its_final_norm(speech_checkpoint, spoken):
    folder, clip = speech_checkpoint(**SHAPES["large"]), spoken(9_000)
    encoder = HubertEncoder(folder, layers=[-1], precision="float32")
    output = forward(folder, clip)
    actual = encoder.encode([encoder.load(clip)])
    assert_close(actual, output.last_hidden_state.mean(dim=1).numpy())
    before = output.hidden_states[-1].mean(dim=1).numpy()
    assert np.abs(actual - before).max() > 0.1 * np.abs(before).max()


@pytest.mark.parametrize("do_normalize", [True, False])
def test_normalisation_follows_the_checkpoint(speech_checkpoint, spoken, do_normalize):
    folder = speech_checkpoint(do_normalize=do_normalize, **SHAPES["large"])
    clip = spoken(9_000)
    encoder = HubertEncoder(folder, layers=[0], precision="float32")
    expected = forward(folder, clip).hidden_states[0].mean(dim=1).numpy()
    assert_close(encoder.encode([encoder.load(clip)]), expected)
    assert encoder.fingerprint["normalised"] == do_normalize


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_a_clip_gives_the_same_alone_and_in_any_batch(speech_checkpoint, spoken, kind, options):
    encoder = HubertEncoder(speech_checkpoint(kind, **options), precision="float32")
    samples = [9_000, 23_000, 9_000, 1_600, 16_000]
    items = [encoder.load(spoken(count, seed=i)) for i, count in enumerate(samples)]
    together = encoder.encode(items)
    for i, item in enumerate(items):
        assert_close(together[i], encoder.encode([item])[0])


def test_only_architectures_that_see_padding_are_batched_by_equal_length():
    large = transformers.HubertConfig(**SHAPES["large"])
    assert not sees_padding(large)
    assert not sees_padding(transformers.WavLMConfig(**SHAPES["large"]))
    assert sees_padding(transformers.HubertConfig(**SHAPES["base"]))
    assert sees_padding(transformers.HubertConfig(**SHAPES["large"], conv_pos_batch_norm=True))
    assert sees_padding(transformers.Data2VecAudioConfig())


def test_an_adapter_behind_the_encoder_is_left_out(speech_checkpoint, spoken):
    folder = speech_checkpoint("wav2vec2", add_adapter=True, **SHAPES["large"])
    encoder = HubertEncoder(folder, layers=[-1], precision="float32")
    clip = spoken(16_000)
    values = encoder.encode([encoder.load(clip)])
    model = transformers.AutoModel.from_pretrained(folder).eval()
    expected = model.encoder.layer_norm(forward(folder, clip).hidden_states[-1])  # (1, T, D)
    assert_close(values, expected.mean(dim=1).detach().numpy())


def test_bfloat16_stays_close_to_float32(speech_checkpoint, spoken):
    folder = speech_checkpoint(**SHAPES["large"])
    encoder = HubertEncoder(folder, layers=[2], precision="bfloat16")
    exact = HubertEncoder(folder, layers=[2], precision="float32")
    items = [encoder.load(spoken(count)) for count in (9_000, 16_000)]
    low, full = encoder.encode(items), exact.encode(items)
    assert low.dtype == full.dtype == np.float32
    assert_close(low, full, relative=0.05)
    assert np.abs(low - full).max() > 0
    assert encoder.fingerprint["precision"] == "bfloat16"
    assert exact.fingerprint == encoder.fingerprint | {"precision": "float32"}


def test_the_fingerprint_tells_weights_and_layers_apart(speech_checkpoint):
    folder = speech_checkpoint(**SHAPES["large"])
    other = speech_checkpoint(name="other", **SHAPES["base"])
    known = HubertEncoder(folder).fingerprint
    assert known == HubertEncoder(folder).fingerprint
    assert known == HubertEncoder(folder, layers=[2, 3, 4, 5]).fingerprint
    for variant in (
        HubertEncoder(other),
        HubertEncoder(folder, layers=[-1]),
    ):
        assert variant.fingerprint != known


def test_the_sound_track_of_a_video_serves_where_there_is_no_audio_file(speech_checkpoint, spoken):
    encoder = build(f"hubert:{speech_checkpoint()}", precision="float32")
    clip = spoken(9_000)
    video = pd.Series({"audio": None, "video": clip["audio"]}, name="clip")
    np.testing.assert_array_equal(encoder.load(video), encoder.load(clip))


def test_a_clip_without_sound_or_too_short_is_refused(speech_checkpoint, spoken):
    encoder = HubertEncoder(speech_checkpoint())
    with pytest.raises(MediaError) as absent:
        encoder.load(pd.Series({"audio": None, "video": None}, name="clip"))
    assert absent.value.stage == "absent"
    with pytest.raises(MediaError) as short:
        encoder.load(spoken(320))
    assert short.value.stage == "length"


def test_silence_gives_finite_features(speech_checkpoint, spoken):
    encoder = HubertEncoder(speech_checkpoint(**SHAPES["large"]), precision="float32")
    assert np.isfinite(encoder.encode([encoder.load(spoken(8_000, loudness=0))])).all()


@pytest.mark.parametrize("layers", [[6], [-7], []])
def test_layers_the_model_does_not_have_are_refused(speech_checkpoint, layers):
    with pytest.raises(ValueError, match="hidden states 0 to 5"):
        HubertEncoder(speech_checkpoint(), layers=layers)


def test_a_language_model_is_no_speech_encoder(llama_checkpoint):
    with pytest.raises(CheckpointError, match="of type 'llama'; expected a speech encoder"):
        HubertEncoder(llama_checkpoint())


def test_a_checkpoint_of_another_sample_rate_is_refused(speech_checkpoint):
    folder = speech_checkpoint()
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8_000).save_pretrained(folder)
    with pytest.raises(CheckpointError, match="8000 Hz; expected 16000 Hz"):
        HubertEncoder(folder)
