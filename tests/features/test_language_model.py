import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from agt_lib.corpora.media import MediaError
from agt_lib.features.encoder import CheckpointError, build
from agt_lib.features.language_model import CausalLMEncoder, is_causal_lm

TEXTS = ["i am so very happy today !", "sad .", "you , i", "we we we we we we we we we", "you"]


def assert_close(actual, expected, relative=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * np.abs(expected).max())


def said(text, name="clip"):
    return pd.Series({"text": text, "audio": None, "video": None}, name=name)


def items(encoder, texts=TEXTS):
    return [encoder.load(said(text)) for text in texts]


def forward(folder, ids):
    """transformers' own forward pass of the whole model, head included, over one row of ids."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(torch.tensor([ids]), output_hidden_states=True)


def test_a_feature_is_the_mean_of_the_last_four_hidden_states_over_the_texts_own_tokens(
    llama_checkpoint,
):
    folder = llama_checkpoint()
    encoder = build(f"causal_lm:{folder}", precision="float32")
    # "i am so very happy today !" behind [BOS], in the order of the vocabulary.
    output = forward(folder, [0, 2, 5, 7, 8, 9, 11, 14])
    expected = sum(output.hidden_states[-4:])[:, 1:].mean(dim=1).numpy()
    actual = encoder.encode(items(encoder, TEXTS[:1]))
    assert actual.shape == (1, encoder.dim) == (1, 32)
    assert actual.dtype == np.float32
    assert_close(actual, expected)


def test_without_a_sink_the_first_token_is_in_the_mean(llama_checkpoint):
    folder = llama_checkpoint()
    encoder = CausalLMEncoder(folder, sink=False, precision="float32")
    output = forward(folder, [4, 6, 7, 10])
    expected = sum(output.hidden_states[-4:]).mean(dim=1).numpy()
    assert_close(encoder.encode(items(encoder, ["we are so sad"])), expected)


def test_the_last_layer_is_after_the_final_norm(llama_checkpoint):
    folder = llama_checkpoint()
    encoder = CausalLMEncoder(folder, layers=[-1], sink=False, precision="float32")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        output = model(torch.tensor([[4, 6, 7, 10]]), output_hidden_states=True)
    actual = encoder.encode(items(encoder, ["we are so sad"]))
    # What the head, which is linear, turns into logits is the normalised state.
    logits = actual @ model.lm_head.weight.detach().numpy().T
    assert_close(logits, output.logits.mean(dim=1).numpy())


def test_eos_is_the_sink_of_a_tokenizer_without_bos(llama_checkpoint):
    folder = llama_checkpoint(bos=None)
    assert CausalLMEncoder(folder).fingerprint["sink"] == [1]
    assert CausalLMEncoder(folder, sink=False).fingerprint["sink"] == []


def test_a_tokenizer_without_any_special_token_has_no_sink(llama_checkpoint):
    folder = llama_checkpoint(bos=None, eos=None)
    with pytest.raises(CheckpointError, match="sink=False"):
        CausalLMEncoder(folder)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_gives_the_same_alone_and_in_any_batch_whatever_the_padding_side(
    llama_checkpoint, side
):
    folder = llama_checkpoint()
    transformers.AutoTokenizer.from_pretrained(folder, padding_side=side).save_pretrained(folder)
    encoder = CausalLMEncoder(folder, precision="float32")
    together = encoder.encode(items(encoder))
    for i, item in enumerate(items(encoder)):
        assert_close(together[i], encoder.encode([item])[0])


def test_bfloat16_stays_close_to_float32(llama_checkpoint):
    folder = llama_checkpoint()
    encoder, exact = (CausalLMEncoder(folder, precision=p) for p in ("bfloat16", "float32"))
    low, full = encoder.encode(items(encoder)), exact.encode(items(exact))
    assert low.dtype == full.dtype == np.float32
    assert_close(low, full, relative=0.05)
    assert np.abs(low - full).max() > 0
    assert exact.fingerprint == encoder.fingerprint | {"precision": "float32"}


@pytest.mark.parametrize("text", [None, float("nan"), "", "  \n"])
def test_a_clip_without_words_is_absent(llama_checkpoint, text):
    encoder = CausalLMEncoder(llama_checkpoint())
    with pytest.raises(MediaError) as failure:
        encoder.load(said(text))
    assert (failure.value.stage, failure.value.reason) == ("absent", "the clip has no words")


def test_a_text_longer_than_the_context_is_cut_with_a_warning(llama_checkpoint):
    encoder = CausalLMEncoder(llama_checkpoint(max_position_embeddings=8), precision="float32")
    with pytest.warns(UserWarning, match="monologue: 9 tokens of text, cut to the 7"):
        cut = encoder.load(said(" ".join(["so"] * 9), name="monologue"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = encoder.load(said(" ".join(["so"] * 7)))
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("layers", [[6], [-7], []])
def test_layers_the_model_does_not_have_are_refused(llama_checkpoint, layers):
    with pytest.raises(ValueError, match="hidden states 0 to 5"):
        CausalLMEncoder(llama_checkpoint(), layers=layers)


def test_a_speech_encoder_is_no_language_model(speech_checkpoint):
    with pytest.raises(CheckpointError, match="of type 'hubert'; expected a causal language model"):
        CausalLMEncoder(speech_checkpoint())


def test_models_that_see_both_sides_are_no_causal_models():
    assert is_causal_lm(transformers.LlamaConfig())
    assert is_causal_lm(transformers.GPT2Config())
    assert not is_causal_lm(transformers.BertConfig())
    assert not is_causal_lm(transformers.BartConfig())
    assert not is_causal_lm(transformers.CLIPConfig())
