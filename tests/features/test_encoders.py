import pytest

from agt_lib.features.encoder import CheckpointError, build


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("whisper", "unknown encoder 'whisper'; expected one of opensmile, clip"),
        ("hubert", "names no model; expected hubert:"),
        ("causal_lm:", "names no model; expected causal_lm:"),
        ("opensmile:large", "opensmile takes no model"),
    ],
)
def test_a_specification_that_names_nothing_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        build(spec)


def test_options_reach_the_encoder(speech_checkpoint):
    encoder = build(f"hubert:{speech_checkpoint()}", layers=[-1])
    assert encoder.fingerprint["layers"] == [5]


def test_smollm2_missing_names_the_command_that_makes_it():
    with pytest.raises(CheckpointError, match="Run: make model"):
        build("smollm2")
