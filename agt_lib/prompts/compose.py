"""A transcript and its ranked labels as one text (section 2.1, figure 2b)."""

import string
from collections.abc import Sequence

from agt_lib.prompts.wording import TEXT_LIMIT, check_language, clean, words

VERSION = 1  # raised when the same parts compose another text
TEMPLATES = {
    "zh": "{text}\n情感：{labels}",
    "en": "{text}\nEmotions: {labels}",
}
"""Reconstructions: the paper says that text and labels are concatenated, not how. The labels come
last, where a causal model has read the words; short, since each token is computed for each clip."""

_SEPARATOR = {"zh": "、", "en": ", "}


def check_template(template: str, language: str) -> str:
    """`template`, or the language's own where it is empty.

    Raises ValueError unless it has a place for {text} and one for {labels}, and no other.
    """
    if not template:
        return TEMPLATES[check_language(language)]
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        fields = [f"nothing readable ({error})"]
    for field in ("text", "labels"):
        if field not in fields:
            raise ValueError(
                f"the prompt template has no place for the {field}: {template!r} holds "
                f"{', '.join(map(repr, fields)) or 'no place at all'}; write {{{field}}} where "
                "they belong, as in " + repr(TEMPLATES["en"])
            )
    if set(fields) != {"text", "labels"}:
        raise ValueError(
            f"the prompt template {template!r} has places for {', '.join(map(repr, fields))}; "
            "expected {text} and {labels} alone (a literal brace is written twice)"
        )
    return template


def compose(text: str, ranking: Sequence[str], *, template: str = "", language: str = "en") -> str:
    """`text` and the labels of `ranking`, most likely first, in `template`.

    `ranking` holds each label of the label set once; they are said by their words in `language`
    (see `wording.words`). A text of more than `TEXT_LIMIT` characters is cut, since the labels
    behind it must stay within a model's context. Raises ValueError for a template without a place
    for the text or the labels.
    """
    template = check_template(template, language)
    word = words(ranking, language)
    said = _SEPARATOR[language].join(word[label] for label in ranking)
    if len(text) > TEXT_LIMIT:
        text = clean(text)
    return template.format(text=text.strip(), labels=said)
