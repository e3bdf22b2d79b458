import pytest

from agt_lib.clip_tuning import TuneConfig


@pytest.mark.parametrize("template", ["a sad person", "{} and {}", ""])
def test_a_template_without_its_one_place_for_the_label_is_refused(template):
    with pytest.raises(ValueError, match="expected one {}"):
        TuneConfig(template=template)


@pytest.mark.parametrize(
    "wrong",
    [{"loss": "triplet"}, {"epochs": 0}, {"wise_ft": 1.5}, {"n_frames": 0}, {"freeze_blocks": -1}],
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
