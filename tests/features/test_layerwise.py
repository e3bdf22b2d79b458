import types
import weakref

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from agt_lib.corpora.corpus import Corpus
from agt_lib.features import language_model, layerwise
from agt_lib.features.encoder import CheckpointError
from agt_lib.features.extraction import extract
from agt_lib.features.language_model import CausalLMEncoder

ITEMS = [
    np.array(ids) for ids in ([2, 5, 7, 8, 9, 11, 14], [3, 6, 7], [10], [3] * 5, [7, 12, 2, 4])
]
LLAMAS = {
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(language_model, "BATCH_TOKENS", 12)


@pytest.fixture
def checkpoint(baichuan_checkpoint, llama_checkpoint):
    """A function that writes a tiny model of an architecture and returns its folder."""

    def write(kind):
        if kind == "baichuan":
            return baichuan_checkpoint()
        folder = llama_checkpoint(name=kind)
        config = transformers.AutoConfig.from_pretrained(folder).to_dict()
        config = {k: v for k, v in config.items() if k not in ("model_type", "architectures")}
        config |= {"sliding_window": 3} if kind == "mistral" else {}
        torch.manual_seed(1)
        model = transformers.AutoModelForCausalLM.from_config(LLAMAS[kind](**config))
        model.save_pretrained(folder)
        return folder

    return write


def encode(folder, items=ITEMS, **options):
    return CausalLMEncoder(folder, **{"precision": "float32"} | options).encode(items)


def assert_close(actual, expected, relative=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * np.abs(expected).max())


@pytest.mark.parametrize("kind", layerwise.ARCHITECTURES)
def test_streamed_features_are_those_of_the_model_in_memory(checkpoint, kind):
    folder = checkpoint(kind)
    expected = encode(folder, stream=False)
    actual = encode(folder, stream=True)
    assert actual.dtype == np.float32
    assert_close(actual, expected)


@pytest.mark.parametrize("options", [{"layers": [0]}, {"layers": [0, 2]}, {"layers": [-1]}])
@pytest.mark.parametrize("sink", [True, False])
def test_any_layers_can_be_summed(baichuan_checkpoint, options, sink):
    folder = baichuan_checkpoint()
    expected = encode(folder, sink=sink, stream=False, **options)
    assert_close(encode(folder, sink=sink, stream=True, **options), expected)


def test_bfloat16_streams_as_it_computes_in_memory(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    expected = encode(folder, precision="bfloat16", stream=False)
    assert_close(encode(folder, precision="bfloat16", stream=True), expected)


def test_bin_shards_stream_too(baichuan_checkpoint):
    expected = encode(baichuan_checkpoint(), stream=False)
    assert_close(encode(baichuan_checkpoint(name="bin", suffix="bin"), stream=True), expected)


def test_each_weight_is_read_once_and_two_layers_are_in_memory_at_most(
    baichuan_checkpoint, monkeypatch
):
    encoder = CausalLMEncoder(baichuan_checkpoint(), stream=True, precision="float32")
    read, alive, names = layerwise.read_tensors, [], []

    def watched(places, wanted, dtype):
        tensors = read(places, wanted, dtype)
        alive.append([weakref.ref(tensor) for tensor in tensors.values()])
        names.extend(tensors)
        in_memory = [stage for stage in alive if any(ref() is not None for ref in stage)]
        assert len(in_memory) <= 2
        return tensors

    monkeypatch.setattr(layerwise, "read_tensors", watched)
    encoder.encode(ITEMS)
    assert len(alive) == 6
    assert len(names) == len(set(names)) == 1 + 5 * 7 + 1  # embedding, layers, norm; no head
    assert sum(any(ref() is not None for ref in stage) for stage in alive) == 0


def test_many_texts_are_streamed_in_several_passes_and_come_back_in_order(
    baichuan_checkpoint, monkeypatch
):
    folder = baichuan_checkpoint()
    monkeypatch.setattr(language_model, "STREAMED_TOKENS", 12)
    passes, mean_states = [], layerwise.mean_states
    monkeypatch.setattr(
        layerwise, "mean_states", lambda *a: passes.append(len(a[1])) or mean_states(*a)
    )
    assert_close(encode(folder, stream=True), encode(folder, stream=False))
    assert len(passes) > 1 and sum(passes) == len(ITEMS)


def test_a_stopped_extraction_goes_on_after_the_last_shard(baichuan_checkpoint, monkeypatch):
    folder = baichuan_checkpoint()
    monkeypatch.setattr(language_model, "STREAMED_TEXTS", 2)
    clips = pd.DataFrame(
        {"split": "unlabelled", "text": ["i", "so sad", "you are", "happy today"]},
        index=pd.Index(list("abcd"), name="name"),
        columns=["split", "emotion", "speaker", "video", "audio", "text"],
    )
    corpus, mean_states, passes = Corpus("spoken", clips), layerwise.mean_states, []

    def stopping(*arguments):
        passes.append(arguments)
        if len(passes) == 2:
            raise KeyboardInterrupt
        return mean_states(*arguments)

    monkeypatch.setattr(layerwise, "mean_states", stopping)
    options = {"precision": "float32", "stream": True}
    with pytest.raises(KeyboardInterrupt):
        extract(corpus, CausalLMEncoder(folder, **options), progress=False)
    values = extract(corpus, CausalLMEncoder(folder, **options), progress=False).values
    assert len(passes) == 3  # the first shard was kept
    plain = CausalLMEncoder(folder, precision="float32", stream=False)
    assert_close(values, plain.encode([plain.load(clip) for _, clip in clips.iterrows()]))


def test_layers_behind_the_last_one_wanted_are_not_read(baichuan_checkpoint, monkeypatch):
    encoder = CausalLMEncoder(baichuan_checkpoint(), stream=True, layers=[2], precision="float32")
    names, read = [], layerwise.read_tensors
    monkeypatch.setattr(
        layerwise, "read_tensors", lambda *a: names.extend(found := read(*a)) or found
    )
    encoder.encode(ITEMS)
    assert {name.split(".")[1] for name in names if name.startswith("layers")} == {"0", "1"}


def test_extraction_keeps_streamed_features_as_those_of_the_model_in_memory(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    texts = ["i am so very happy", "sad", "you are, you", None]
    clips = pd.DataFrame(
        {"split": "unlabelled", "text": texts},
        index=pd.Index(["first", "second", "third", "silent"], name="name"),
        columns=["split", "emotion", "speaker", "video", "audio", "text"],
    )
    corpus = Corpus("spoken", clips)
    streamed = CausalLMEncoder(folder, precision="float32", stream=True)
    first = extract(corpus, streamed, progress=False)
    # The same features, so that nothing is left to do for the model in memory.
    again = extract(corpus, CausalLMEncoder(folder, precision="float32", stream=False))
    assert first.fingerprint == again.fingerprint
    np.testing.assert_array_equal(first.values, again.values)
    assert first.present.tolist() == [True, True, True, False]
    plain = CausalLMEncoder(folder, precision="float32", stream=False)
    items = [plain.load(clip) for _, clip in clips.iloc[:3].iterrows()]
    assert_close(first.values[:3], plain.encode(items))


def free(monkeypatch, n_bytes):
    memory = types.SimpleNamespace(available=n_bytes)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def test_a_model_streams_by_itself_where_its_weights_find_no_room(baichuan_checkpoint, monkeypatch):
    folder = baichuan_checkpoint()
    # Embedding, five layers and the norm, in float32.
    size = 4 * (320 * 48 + 5 * (4 * 48 * 48 + 3 * 48 * 56 + 2 * 48) + 48)
    free(monkeypatch, int(size / layerwise.ROOM) + 10)
    assert not CausalLMEncoder(folder, precision="float32").streams
    assert CausalLMEncoder(folder, precision="float32").shard_size is None
    free(monkeypatch, int(size / layerwise.ROOM) - 10)
    assert CausalLMEncoder(folder, precision="float32").streams
    assert not CausalLMEncoder(folder, precision="bfloat16").streams
    assert not CausalLMEncoder(folder, precision="float32", stream=False).streams


def test_other_architectures_stay_in_memory_and_are_refused_where_streaming_is_asked_for(
    llama_checkpoint, monkeypatch
):
    folder = llama_checkpoint()
    config = transformers.GPT2Config(n_embd=32, n_layer=4, n_head=4, vocab_size=15)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    free(monkeypatch, 0)
    assert not CausalLMEncoder(folder).streams
    with pytest.raises(ValueError, match="of type 'gpt2'; layers are streamed of baichuan, llama"):
        CausalLMEncoder(folder, stream=True)


def test_layers_of_two_kinds_are_not_streamed():
    config = transformers.Qwen2Config(
        num_hidden_layers=2, layer_types=["full_attention", "sliding_attention"]
    )
    assert not layerwise.can_stream(config)
    assert layerwise.can_stream(transformers.Qwen2Config(num_hidden_layers=2))


def test_another_models_weights_are_named(baichuan_checkpoint, llama_checkpoint):
    folder = baichuan_checkpoint()
    for file in folder.glob("model*"):
        file.unlink()
    (llama_checkpoint() / "model.safetensors").rename(folder / "model.safetensors")
    with pytest.raises(CheckpointError) as error:
        encode(folder, stream=True)
    assert "lack 5 parameters of a 'baichuan' model: layers.0.self_attn.W_pack" in str(error.value)
    assert "layers.0.self_attn.k_proj" in str(error.value)


def test_a_weight_of_another_shape_is_named(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    shard = folder / "model-00002-of-00002.safetensors"
    tensors = load_file(shard)
    tensors["model.layers.2.mlp.up_proj.weight"] = torch.zeros(7, 48)
    save_file(tensors, shard)
    message = r"layers.2.mlp.up_proj.weight \(7, 48\) instead of \(56, 48\)"
    with pytest.raises(CheckpointError, match=message):
        encode(folder, stream=True)


def test_a_truncated_shard_is_refused(baichuan_checkpoint):
    folder = baichuan_checkpoint()
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="can't read the weights.*Download it again"):
        encode(folder, stream=True)
