"""Tiny checkpoints with random weights, written as transformers writes them."""

import wave

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
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
