"""Tiny checkpoints with random weights, written as transformers writes them."""

import io
import json
import wave

import numpy as np
import pandas as pd
import pytest
import sentencepiece
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

SPEECH = {
    "hubert": (transformers.HubertConfig, transformers.HubertModel),
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
    "wavlm": (transformers.WavLMConfig, transformers.WavLMModel),
    "data2vec-audio": (transformers.Data2VecAudioConfig, transformers.Data2VecAudioModel),
}
WORDS = ["[BOS]", "[EOS]", "i", "you", "we", "am", "are", "so", "very", "happy", "sad", "today"]
WORDS += [",", ".", "!"]


def randomise(model: torch.nn.Module) -> None:
    """Random biases and norms too: zeros and ones would hide what padding does to them."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.1 * noise)


@pytest.fixture
def speech_checkpoint(tmp_path):
    """A function that writes a tiny speech encoder and returns its folder."""

    def write(kind="hubert", *, name="speech", do_normalize=True, **options):
        config_class, model_class = SPEECH[kind]
        position = {"conv_pos_kernel_size": 5} if kind == "data2vec-audio" else {}
        config = config_class(
            **{
                "hidden_size": 32,
                "num_hidden_layers": 5,
                "num_attention_heads": 4,
                "intermediate_size": 48,
                "conv_dim": (16,) * 7,
                "num_conv_pos_embeddings": 4 if kind == "data2vec-audio" else 16,
                "num_conv_pos_embedding_groups": 2,
                **position,
                **options,
            }
        )
        torch.manual_seed(0)
        model = model_class(config).eval()
        randomise(model)
        folder = tmp_path / name
        model.save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
        return folder

    return write


@pytest.fixture
def whisper_checkpoint(tmp_path):
    """A function that writes a tiny Whisper of eight mel bands and returns its folder."""

    def write():
        config = transformers.WhisperConfig(
            vocab_size=64, d_model=16, num_mel_bins=8, max_target_positions=8,
            encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=24,
            decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=24,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        )  # fmt: skip
        torch.manual_seed(0)
        model = transformers.WhisperForConditionalGeneration(config)
        randomise(model)
        folder = tmp_path / "whisper"
        model.save_pretrained(folder)
        transformers.WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
        return folder

    return write


@pytest.fixture
def llama_checkpoint(tmp_path):
    """A function that writes a tiny Llama with a tokenizer of whole words; returns its folder."""

    def write(*, name="llama", bos="[BOS]", eos="[EOS]", **options):
        config = transformers.LlamaConfig(
            **{
                "vocab_size": len(WORDS),
                "hidden_size": 32,
                "num_hidden_layers": 5,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "intermediate_size": 48,
                "max_position_embeddings": 64,
                **options,
            }
        )
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
        randomise(model)
        folder = tmp_path / name
        model.save_pretrained(folder)
        words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=words, bos_token=bos, eos_token=eos
        )
        tokenizer.save_pretrained(folder)
        return folder

    return write


@pytest.fixture
def spoken(tmp_path):
    """A function that writes a 16 kHz mono wav of noise (silence at 0 loudness): its clip."""

    def write(samples, *, loudness=0.2, seed=0):
        noise = loudness * np.random.default_rng(seed).standard_normal(samples)
        return sounding(tmp_path / f"{samples}-{loudness}-{seed}.wav", noise)

    return write


@pytest.fixture
def sung(tmp_path):
    """A function that writes a 16 kHz mono wav of a waveform in [-1, 1] and returns its clip."""
    return lambda waveform: sounding(tmp_path / f"{len(waveform)}.wav", waveform)


def sounding(path, waveform) -> pd.Series:
    """The clip of a wav file with this waveform."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((waveform.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return pd.Series({"audio": str(path), "video": None, "text": None}, name="clip")


@pytest.fixture(scope="session")
def sentence_pieces():
    """A sentencepiece model of words and bytes, made as Baichuan's: <unk>, <s>, </s> first."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            ["i am so very happy today", "you are sad", "我今天很高兴", "他很生气"] * 5
        ),
        model_writer=model,
        model_type="bpe",
        vocab_size=320,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    return model.getvalue()


@pytest.fixture
def baichuan_checkpoint(tmp_path, sentence_pieces):
    """A function that writes a tiny Baichuan under its published names; returns its folder.

    In two shards that part within a layer, of float32. Six heads: their slopes are those of four,
    and two more.
    """

    def write(*, name="baichuan", suffix="safetensors", **options):
        config = {
            "architectures": ["BaichuanForCausalLM"],
            "auto_map": {
                "AutoConfig": "configuration_baichuan.BaichuanConfig",
                "AutoModelForCausalLM": "modeling_baichuan.BaichuanForCausalLM",
            },
            "tokenizer_class": "BaichuanTokenizer",
            "model_type": "baichuan",
            "vocab_size": 320,
            "hidden_size": 48,
            "intermediate_size": 56,
            "num_hidden_layers": 5,
            "num_attention_heads": 6,
            "model_max_length": 64,
            "rms_norm_eps": 1e-6,
            "hidden_act": "silu",
            "gradient_checkpointing": [False],
            "torch_dtype": "bfloat16",
            **options,
        }
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer.model").write_bytes(sentence_pieces)
        tensors = baichuan_tensors(config)
        names = list(tensors)
        stem = "model" if suffix == "safetensors" else "pytorch_model"
        shards = {f"{stem}-00001-of-00002.{suffix}": names[:10]}
        shards[f"{stem}-00002-of-00002.{suffix}"] = names[10:]
        for shard, its_names in shards.items():
            write_shard(folder / shard, {key: tensors[key] for key in its_names})
        places = {key: shard for shard, its_names in shards.items() for key in its_names}
        index = {"metadata": {}, "weight_map": places}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
        return folder

    return write


def baichuan_tensors(config):
    """Random weights of the shapes that the published model has for this configuration."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    layer = {
        "self_attn.W_pack": (3 * width, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    shapes = {"model.embed_tokens": (config["vocab_size"], width)}
    for i in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{i}.{part}": shape for part, shape in layer.items()}
    shapes |= {"model.norm": (width,), "lm_head": (config["vocab_size"], width)}
    generator = torch.Generator().manual_seed(0)
    return {
        f"{name}.weight": torch.randn(shape, generator=generator) / shape[-1] ** 0.5
        for name, shape in shapes.items()
    }


def write_shard(path, tensors):
    if path.suffix == ".bin":
        torch.save(tensors, path)
    else:
        save_file(tensors, path, metadata={"format": "pt"})
