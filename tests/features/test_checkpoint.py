import copy
import json
import shutil
import struct
import zipfile

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from gguf import GGUFWriter
from safetensors.torch import load_file, save_file

from agt_lib.features import checkpoint, smollm2
from agt_lib.features.encoder import CheckpointError
from agt_lib.features.hubert import HubertEncoder
from agt_lib.features.language_model import CausalLMEncoder
from agt_lib.workspace import paths
from agt_lib.workspace.kept import read_manifest

WEIGHTS = "model.safetensors"
IDS = [np.array([4, 6, 7, 10])]


def unreachable(*_, **__):
    raise ConnectionError("name or service not known")


@pytest.fixture
def offline(monkeypatch):
    """A machine without a network, whatever this one has."""
    monkeypatch.setattr(checkpoint, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_a_model_that_is_not_here_says_what_to_download_and_where_to_put_it(offline):
    with pytest.raises(CheckpointError) as error:
        HubertEncoder("nobody/no-such-hubert")
    place = paths.relative(paths.models() / "nobody--no-such-hubert")
    assert f"hf download nobody/no-such-hubert --local-dir {place}" in str(error.value)
    assert "name or service not known" in str(error.value)


def test_a_model_put_where_the_message_says_is_found_by_its_hub_name(speech_checkpoint, offline):
    paths.models().mkdir(parents=True)
    shutil.move(speech_checkpoint(), paths.models() / "somebody--small-hubert")
    made = HubertEncoder("somebody/small-hubert").fingerprint
    assert made["model"] == "somebody--small-hubert"
    with pytest.raises(CheckpointError):  # another owner's model of that name is another model
        HubertEncoder("nobody/small-hubert")


@pytest.mark.parametrize("model", ["/no/such/folder", "./no-such-folder", "no-such-model.gguf"])
def test_a_path_where_nothing_is_is_refused_without_asking_the_hub(model, monkeypatch):
    monkeypatch.setattr(checkpoint, "model_info", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(CheckpointError, match="no such folder or file"):
        CausalLMEncoder(model)


def test_an_empty_folder_names_what_is_missing(tmp_path):
    with pytest.raises(CheckpointError, match="can't read the configuration"):
        HubertEncoder(tmp_path)


def test_a_missing_preprocessor_is_named(speech_checkpoint):
    folder = speech_checkpoint()
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
        HubertEncoder(folder)


def test_missing_weights_are_named(llama_checkpoint):
    folder = llama_checkpoint()
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="can't read the weights"):
        CausalLMEncoder(folder).encode(IDS)


def test_truncated_weights_are_refused(llama_checkpoint):
    weights = llama_checkpoint() / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="can't read the weights.*Download it again"):
        CausalLMEncoder(weights.parent).encode(IDS)


def test_weights_of_another_architecture_are_refused(speech_checkpoint, llama_checkpoint):
    folder = speech_checkpoint()
    shutil.copy(llama_checkpoint() / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="lack .* parameters of a 'hubert' model"):
        HubertEncoder(folder).encode([np.zeros(1_600, np.float32)])


def test_weights_of_another_width_are_refused(llama_checkpoint):
    folder = llama_checkpoint()
    shutil.copy(llama_checkpoint(name="wide", hidden_size=64) / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="can't read the weights"):
        CausalLMEncoder(folder).encode(IDS)


def test_a_checkpoint_without_one_of_its_parameters_is_refused(llama_checkpoint):
    weights = llama_checkpoint() / WEIGHTS
    tensors = load_file(weights)
    del tensors["model.norm.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lack 1 parameters .*norm.weight"):
        CausalLMEncoder(weights.parent).encode(IDS)


def test_code_inside_a_checkpoint_is_never_run(llama_checkpoint, tmp_path):
    folder = llama_checkpoint()
    trace = tmp_path / "trace"
    (folder / "own.py").write_text(f"open({str(trace)!r}, 'w')\nclass OwnConfig: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="never run"):
        CausalLMEncoder(folder)
    assert not trace.exists()


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_a_pickle_that_runs_code_is_refused(llama_checkpoint, tmp_path, stream, as_zip):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "trace"), "w"))

    folder = llama_checkpoint()
    (folder / WEIGHTS).unlink()
    path = folder / "pytorch_model.bin"
    torch.save({"model.norm.weight": Attack()}, path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(CheckpointError, match="can't read the weights") as error:
        CausalLMEncoder(folder, stream=stream).encode(IDS)
    assert not (tmp_path / "trace").exists()
    assert "\x1b" not in str(error.value)  # torch colours its own message


def lying(shape=(32,), offsets=(0, 128), more=None, length=None):
    """A safetensors file of one tensor, or `more`, whose header is not true."""
    header = {"model.norm.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}
    text = json.dumps(header | (more or {})).encode()
    return struct.pack("<Q", length or len(text)) + text + bytes(128)


LIES = {
    "beyond the file": lying(offsets=(0, 2**40)),
    "backwards": lying(offsets=(128, 0)),
    "overlapping": lying(more={"a": {"dtype": "F32", "shape": [32], "data_offsets": [0, 128]}}),
    "a longer header": lying(length=2**62),
    "a larger shape": lying(shape=(2**40,)),
    "a shape that overflows": lying(shape=(2**33, 2**33)),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_a_header_that_lies_is_refused(llama_checkpoint, content, stream):
    folder = llama_checkpoint()
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(CheckpointError, match="can't read the weights"):
        CausalLMEncoder(folder, stream=stream).encode(IDS)


@pytest.mark.parametrize("stream", [True, False])
def test_weights_that_would_be_unpacked_are_refused(llama_checkpoint, monkeypatch, stream):
    folder = llama_checkpoint()
    torch.save(load_file(folder / WEIGHTS), folder / "weights")
    with (
        zipfile.ZipFile(folder / "weights") as stored,
        zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in stored.infolist():
            packed.writestr(member.filename, stored.read(member))
    (folder / WEIGHTS).unlink()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(CheckpointError, match="is compressed, as torch's files never are"):
        CausalLMEncoder(folder, stream=stream).encode(IDS)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/0", bytes(2**16))
        for number in range(1, 4):  # each is listed where the first lies
            member = copy.copy(archive.infolist()[0])
            member.filename = f"data/{number}"
            archive.filelist.append(member)
        archive._didModify = True
    with pytest.raises(ValueError, match="is compressed, as torch's files never are"):
        checkpoint.check_weights(path)


@pytest.mark.parametrize("stream", [True, False])
def test_a_tensor_that_is_one_number_seen_often_is_refused(llama_checkpoint, stream):
    folder = llama_checkpoint()
    tensors = load_file(folder / WEIGHTS)
    tensors["model.norm.weight"] = torch.zeros(1).expand(2**20, 2**20)  # 4 TB
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="more than the file holds|other shapes"):
        CausalLMEncoder(folder, stream=stream).encode(IDS)


def test_an_index_that_names_a_file_elsewhere_is_refused(llama_checkpoint):
    folder = llama_checkpoint()
    names = list(load_file(folder / WEIGHTS))
    (folder / WEIGHTS).rename(folder.parent / "outside.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../outside.safetensors")}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="names a file elsewhere: ../outside.safetensors"):
        CausalLMEncoder(folder)


def test_a_checkpoint_that_names_another_repository_is_refused_or_alone_read(llama_checkpoint):
    folder = llama_checkpoint()
    expected = CausalLMEncoder(folder, precision="float32").encode(IDS)
    plain = json.loads((folder / "config.json").read_text())
    other = {"_name_or_path": "other/repo", "auto_map": {"AutoModel": "other/repo--own.Own"}}
    (folder / "config.json").write_text(json.dumps(plain | other))
    found = CausalLMEncoder(folder, precision="float32").encode(IDS)
    np.testing.assert_array_equal(found, expected)
    (folder / "config.json").write_text(json.dumps(plain | {"attn_implementation": "other/kernel"}))
    with pytest.raises(CheckpointError, match="asks for the code of other/kernel"):
        CausalLMEncoder(folder)
    (folder / "config.json").write_text(json.dumps(plain))
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "other/repo"}')
    with pytest.raises(CheckpointError, match="adapter_config.json names another one"):
        CausalLMEncoder(folder)


def test_weights_in_a_bin_file_give_the_same_as_in_safetensors(llama_checkpoint):
    folder = llama_checkpoint()
    expected = CausalLMEncoder(folder, precision="float32").encode(IDS)
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    np.testing.assert_array_equal(
        CausalLMEncoder(folder, precision="float32").encode(IDS), expected
    )


def test_a_gguf_file_gives_what_the_folder_it_was_made_from_gives(llama_checkpoint, tmp_path):
    folder = llama_checkpoint()
    expected = CausalLMEncoder(folder, precision="float32").encode(IDS)
    config = transformers.AutoConfig.from_pretrained(folder)
    file = tmp_path / "tiny.gguf"
    write_gguf(file, config, load_file(folder / WEIGHTS))
    encoder = CausalLMEncoder(file, precision="float32")
    np.testing.assert_allclose(encoder.encode(IDS), expected, rtol=1e-5, atol=1e-5)
    assert encoder.fingerprint["model"] == "tiny.gguf"


def test_a_converted_gguf_file_is_a_folder_that_gives_the_same(llama_checkpoint, tmp_path):
    folder = llama_checkpoint()
    config = transformers.AutoConfig.from_pretrained(folder)
    write_gguf(tmp_path / "tiny.gguf", config, load_file(folder / WEIGHTS))
    target = tmp_path / "converted"
    target.mkdir()
    (target / "config.json").write_text("{")  # of a conversion that was stopped
    smollm2.convert(tmp_path / "tiny.gguf", target)
    expected = CausalLMEncoder(tmp_path / "tiny.gguf", precision="bfloat16").encode(IDS)
    np.testing.assert_array_equal(
        CausalLMEncoder(target, precision="bfloat16").encode(IDS), expected
    )
    assert "quantization_config" not in json.loads((target / "config.json").read_text())
    assert read_manifest(target)["source"]["file"] == "tiny.gguf"


def test_a_damaged_gguf_file_is_refused(tmp_path):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF, or so it says")
    with pytest.raises(CheckpointError, match="can't read the configuration"):
        CausalLMEncoder(tmp_path / "tiny.gguf")


def test_the_revision_of_a_folder_changes_with_its_weights_and_not_with_other_files(
    llama_checkpoint,
):
    folder = llama_checkpoint()
    known = CausalLMEncoder(folder).fingerprint
    (folder / "manifest.json").write_text("{}")
    assert CausalLMEncoder(folder).fingerprint == known
    tensors = load_file(folder / WEIGHTS)
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    assert CausalLMEncoder(folder).fingerprint["revision"] != known["revision"]


def test_weights_in_a_bin_file_beside_other_tensors_are_part_of_the_revision(llama_checkpoint):
    folder = llama_checkpoint()
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")  # which nobody reads
    torch.save(tensors, folder / "pytorch_model.bin")
    known = CausalLMEncoder(folder).fingerprint
    tensors["model.norm.weight"][0] += 1
    torch.save(tensors, folder / "pytorch_model.bin")
    assert CausalLMEncoder(folder).fingerprint["revision"] != known["revision"]


def write_gguf(path, config, tensors):
    """A tiny Llama in the layout of llama.cpp, whose rotary halves are interleaved."""
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    tokens = ["t", "0", "t0", *(f"t{i}" for i in range(3, config.vocab_size))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(["t 0"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = {
        "embed_tokens": "token_embd",
        "norm": "output_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "lm_head": "output",
    }
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, tensor in tensors.items():
        weight = tensor.float().numpy()
        *prefix, part = key.removeprefix("model.").removesuffix(".weight").split(".", 2)
        if part.split(".")[-1] in heads:
            count = heads[part.split(".")[-1]]
            shape = weight.shape
            weight = weight.reshape(count, 2, -1, shape[1]).swapaxes(1, 2).reshape(shape)
        block = f"blk.{prefix[1]}." if prefix else ""
        writer.add_tensor(f"{block}{names[part]}.weight", np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
