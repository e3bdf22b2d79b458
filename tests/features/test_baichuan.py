import itertools
import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import sentencepiece
import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from agt_lib.features import baichuan
from agt_lib.features.encoder import CheckpointError, build
from agt_lib.workspace import paths

TEXTS = ["i am so very happy today", "sad", "我今天很高兴", "他 are you, so so so so so so so so"]


def said(text, name="clip"):
    return pd.Series({"text": text, "audio": None, "video": None}, name=name)


def encode(encoder, texts=TEXTS):
    return encoder.encode([encoder.load(said(text)) for text in texts])


def network(folder):
    return AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()


def assert_close(actual, expected, relative=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * np.abs(expected).max())


def slow_hidden_states(folder, ids):
    """Hidden states (layers + 1, T, D) in float64, one head and one query at a time."""
    config = json.loads((folder / "config.json").read_text())
    shards = [load_file(shard) for shard in folder.glob("*.safetensors")]
    weight = {k: v.double().numpy() for shard in shards for k, v in shard.items()}
    n_heads, size = 6, config["hidden_size"] // 6
    slopes = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]

    def norm(x, name):
        scale = np.sqrt((x**2).mean(-1, keepdims=True) + config["rms_norm_eps"])
        return x / scale * weight[f"model.{name}.weight"]

    x = weight["model.embed_tokens.weight"][ids]
    states = [x]
    for number in range(config["num_hidden_layers"]):
        layer = f"layers.{number}"
        w = {
            key.removeprefix(f"model.{layer}.").removesuffix(".weight"): value
            for key, value in weight.items()
            if key.startswith(f"model.{layer}.")
        }
        packed = norm(x, f"{layer}.input_layernorm") @ w["self_attn.W_pack"].T
        q, k, v = np.split(packed, 3, axis=1)
        mixed = np.zeros_like(x)
        for head, i in itertools.product(range(n_heads), range(len(ids))):
            part = slice(head * size, (head + 1) * size)
            score = np.array(
                [
                    q[i, part] @ k[j, part] / math.sqrt(size) - slopes[head] * (i - j)
                    for j in range(i + 1)
                ]
            )
            share = np.exp(score - score.max())
            mixed[i, part] = share / share.sum() @ v[: i + 1, part]
        x = x + mixed @ w["self_attn.o_proj"].T
        y = norm(x, f"{layer}.post_attention_layernorm")
        gate = y @ w["mlp.gate_proj"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w["mlp.up_proj"].T)) @ w["mlp.down_proj"].T
        states.append(x)
    return np.stack([*states[:-1], norm(x, "norm")])


def test_features_are_those_of_a_slow_explicit_implementation(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    encoder = build(f"causal_lm:{folder}", precision="float32")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    features = encode(encoder)
    assert features.shape == (4, 48)
    for text, feature in zip(TEXTS, features, strict=True):
        states = slow_hidden_states(folder, [1, *pieces.encode(text)])  # <s> in front
        assert_close(feature, states[-4:].sum(0)[1:].mean(0))


def test_every_hidden_state_is_that_of_a_slow_explicit_implementation(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    ids = [1, 300, 17, 4, 4, 261, 299, 3, 12]
    model = network(folder)
    with torch.no_grad():
        output = model(torch.tensor([ids]), output_hidden_states=True)
    actual = torch.stack(output.hidden_states)[:, 0].numpy()
    expected = slow_hidden_states(folder, ids)
    for ours, theirs in zip(actual, expected, strict=True):
        assert_close(ours, theirs)


def test_the_slopes_of_forty_heads_are_the_published_ones():
    expected = [2 ** (-k / 4) for k in range(1, 33)] + [2 ** (-(2 * i + 1) / 8) for i in range(8)]
    np.testing.assert_allclose(baichuan.alibi_slopes(40), expected, rtol=1e-6)


def test_the_slopes_of_eight_heads_halve_from_head_to_head():
    expected = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    np.testing.assert_allclose(baichuan.alibi_slopes(8), expected, rtol=1e-6)


def test_the_model_of_the_real_size_has_the_published_number_of_parameters():
    config = baichuan.BaichuanConfig()
    with init_empty_weights():
        model = AutoModel.from_config(config)
    head = config.vocab_size * config.hidden_size  # not loaded: features don't need it
    assert sum(p.numel() for p in model.parameters()) + head == 13_264_901_120
    assert (len(model.layers), config.num_attention_heads) == (40, 40)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_does_not_change_a_state(baichuan_checkpoint, side):
    model = network(baichuan_checkpoint())
    ids = torch.tensor([[1, 300, 17, 4, 261]])
    padding = (3, 0) if side == "left" else (0, 3)
    padded = torch.nn.functional.pad(ids, padding, value=7)
    mask = torch.nn.functional.pad(torch.ones_like(ids), padding)
    with torch.no_grad():
        expected = model(ids).last_hidden_state
        actual = model(padded, mask).last_hidden_state
    assert torch.isfinite(actual).all()
    assert_close(actual[mask.bool()].numpy(), expected[0].numpy())


def test_a_text_gives_the_same_alone_and_in_a_batch(baichuan_checkpoint):
    encoder = build(f"causal_lm:{baichuan_checkpoint()}", precision="float32")
    together = encode(encoder)
    for i, text in enumerate(TEXTS):
        assert_close(together[i], encode(encoder, [text])[0])


def test_bias_is_relative_so_that_bfloat16_rounds_it_less_than_the_published_form():
    mask = torch.ones((1, 128), dtype=torch.bool)
    exact = baichuan.alibi_bias(mask, 40)[0].double()
    seen = torch.isfinite(exact)
    near = seen & (exact > -16)  # further down nothing is left after the softmax
    absolute = baichuan.alibi_slopes(40)[:, None, None] * torch.arange(128.0)
    absolute = absolute.expand(40, 128, 128).bfloat16().double()
    absolute -= absolute.diagonal(dim1=1, dim2=2)[:, :, None]  # as seen from each query
    assert (absolute - exact)[seen].abs().max() == pytest.approx(0.45, abs=0.05)
    relative = baichuan.alibi_bias(mask, 40)[0].bfloat16().double()
    assert (relative - exact)[near].abs().max() <= 16 * 2**-9


def test_bin_shards_give_the_same_as_safetensors(baichuan_checkpoint):
    expected = encode(build(f"causal_lm:{baichuan_checkpoint()}", precision="float32"))
    folder = baichuan_checkpoint(name="bin", suffix="bin")
    np.testing.assert_array_equal(
        encode(build(f"causal_lm:{folder}", precision="float32")), expected
    )


def test_the_papers_model_is_found_where_its_download_puts_it(baichuan_checkpoint):
    paths.models().mkdir(parents=True)
    shutil.move(baichuan_checkpoint(), paths.models() / "baichuan-inc--Baichuan-13B-Base")
    encoder = build("causal_lm:baichuan-inc/Baichuan-13B-Base")
    assert encoder.fingerprint["sink"] == [1]
    assert np.isfinite(encode(encoder)).all()


def test_code_in_the_folder_is_not_run(baichuan_checkpoint, tmp_path):
    folder, trace = baichuan_checkpoint(), tmp_path / "trace"
    for kind in ("configuration", "modeling", "tokenization"):
        (folder / f"{kind}_baichuan.py").write_text(f"open({str(trace)!r}, 'w')\n")
    encode(build(f"causal_lm:{folder}"))
    assert not trace.exists()


def test_a_missing_shard_is_named_before_anything_is_read(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"missing model-00002-of-00002\.safetensors, of the 2"
    ):
        build(f"causal_lm:{folder}")


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_index_is_named(baichuan_checkpoint, content):
    folder = baichuan_checkpoint()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json is damaged"):
        build(f"causal_lm:{folder}")


def test_another_models_weights_are_named(baichuan_checkpoint, llama_checkpoint):
    folder = baichuan_checkpoint()
    for file in folder.glob("model*"):
        file.unlink()
    shutil.copy(llama_checkpoint() / "model.safetensors", folder)
    with pytest.raises(CheckpointError) as error:
        encode(build(f"causal_lm:{folder}"))
    assert "lack 5 parameters of a 'baichuan' model: layers.0.self_attn.W_pack" in str(error.value)
    assert "layers.0.self_attn.k_proj" in str(error.value)


def test_weights_of_another_width_are_named_with_both_shapes(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    config = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 64}
    (folder / "config.json").write_text(json.dumps(config))
    message = "layers.0.mlp.down_proj.weight (48, 56) instead of (48, 64)"
    with pytest.raises(CheckpointError, match=re.escape(message)):
        encode(build(f"causal_lm:{folder}"))


def test_a_7b_model_of_the_same_type_is_refused(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    config = json.loads((folder / "config.json").read_text()) | {"hidden_size": 4096}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="7B model with rotary positions"):
        build(f"causal_lm:{folder}")


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(baichuan_checkpoint):
    folder = baichuan_checkpoint(vocab_size=300)
    with pytest.raises(CheckpointError, match="320 pieces, config.json a vocabulary of 300"):
        build(f"causal_lm:{folder}")


@pytest.mark.parametrize("damage", ["missing", "no model"])
def test_a_missing_or_damaged_tokenizer_is_named(baichuan_checkpoint, damage):
    file = baichuan_checkpoint() / "tokenizer.model"
    file.unlink() if damage == "missing" else file.write_bytes(b"no model")
    with pytest.raises(CheckpointError, match=r"can't read the tokenizer: .*tokenizer\.model"):
        build(f"causal_lm:{file.parent}")


def test_control_characters_are_read_as_bytes(baichuan_checkpoint):
    encoder = build(f"causal_lm:{baichuan_checkpoint()}", precision="float32")
    odd = encoder.load(said("so\x00 \x07sad\x1b"))
    plain = encoder.load(said("so sad"))
    assert len(odd) > len(plain)
    assert np.isfinite(encoder.encode([odd])).all()


def test_special_tokens_in_a_transcript_are_letters(baichuan_checkpoint):
    encoder = build(f"causal_lm:{baichuan_checkpoint()}")
    assert not {1, 2} & set(encoder.load(said("</s> so <s>")).tolist())


def test_a_transcript_of_ten_thousand_characters_is_cut_to_the_context(baichuan_checkpoint):
    encoder = build(f"causal_lm:{baichuan_checkpoint()}", precision="float32")
    with pytest.warns(UserWarning, match="speech: .* tokens of text, cut to the 63"):
        items = [encoder.load(said("他很生气 so" * 1429, name="speech"))]
    assert len(items[0]) == 63
    assert np.isfinite(encoder.encode(items)).all()


def test_the_real_configuration_is_read_with_its_context(tmp_path):
    published = {"model_type": "baichuan", "hidden_size": 5120, "model_max_length": 4096}
    (tmp_path / "config.json").write_text(json.dumps(published))
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.max_position_embeddings, config.num_hidden_layers) == (4096, 40)
