import pytest

from agt_lib.clip_tuning import TuneConfig, clip_to_tune, is_clip, tune


@pytest.mark.parametrize("template", ["a sad person", "{} and {}", ""])
def test_a_template_without_its_one_place_for_the_label_is_refused(template):
    with pytest.raises(ValueError, match="expected one {}"):
        TuneConfig(template=template)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "triplet"},
        {"epochs": 0},
        {"colour": 1.5},
        {"n_frames": 0},
        {"accumulate": 0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1},
        {"text_rate": "x"},
    ],
    ids=str,
)
def test_what_can_not_be_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TuneConfig(**wrong)


def test_prompts_are_the_papers():
    assert TuneConfig().prompts(("happy", "sad")) == ["the person is happy", "the person is sad"]


@pytest.mark.parametrize("template", ["{{}} {them}", "{0} {}"])
def test_other_braces_of_a_template_are_letters(template):
    expected = template.replace("{}", "sad")
    assert TuneConfig(template=template).prompts(("sad",)) == [expected]


def test_the_defaults_are_the_papers_and_vifi_clips():
    default = TuneConfig()
    assert (default.weight_decay, default.n_frames, default.loss) == (1e-3, 16, "prompts")
    assert tune.BETAS == (0.9, 0.98)


def test_a_specification_names_what_is_tuned_and_how():
    assert is_clip("clip") and is_clip("clip:ViT-B-32/openai") and not is_clip("opensmile")
    assert clip_to_tune("clip:ViT-L-14/openai") == ("ViT-L-14/openai", TuneConfig())
    model, config = clip_to_tune("clip", max_epochs=2)
    assert model.startswith("local-dir:")
    assert config == TuneConfig.small(epochs=2)
