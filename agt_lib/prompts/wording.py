"""The wording of prompts, in Chinese and English: the ranker's question, and text with labels.

The prompt of the paper's figure 2b is lost. These are reconstructions from section 2.1: six
emotions (0: worry, 1: happiness, 2: neutral, 3: anger, 4: surprise, 5: sadness), ranked by
descending likelihood.
"""

import json
import re
import string
import unicodedata
from collections.abc import Sequence

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.labels import EMOTIONS, PROMPT_ORDER

TEXT_LIMIT = 2000
"""Characters of a transcript that a prompt holds. MER2024's transcripts are far below."""

_ENGLISH = ("worry", "happiness", "neutral", "anger", "surprise", "sadness")
WORDS = {
    "zh": dict(zip(PROMPT_ORDER, ("担忧", "高兴", "中性", "愤怒", "惊讶", "悲伤"), strict=True)),
    "en": dict(zip(PROMPT_ORDER, _ENGLISH, strict=True)),
}

_SYSTEM = {
    "zh": "你是情感识别专家，根据说话人的台词判断其情感。只输出 JSON。",
    "en": "You recognise a speaker's emotion from the words alone. You answer in JSON only.",
}
_QUESTION = {
    "zh": (
        "情感共有 {n} 类（{numbered}）。请把这 {n} 类按说话人具有该情感的可能性从高到低排列。\n"
        "台词：{text}\n"
        '输出格式：{{"ranking": [{form}]}}，每类恰好出现一次。'
    ),
    "en": (
        "There are {n} emotions ({numbered}). Rank all of them by how likely the speaker has them, "
        "most likely first.\nWords: {text}\n"
        'Answer in the form {{"ranking": [{form}]}} with each emotion exactly once.'
    ),
}
_REPAIR = {
    "zh": "上面的回答不能使用（{problem}）。请只输出 JSON，{words} 每个恰好出现一次。",
    "en": "That answer can't be used ({problem}). JSON only, with each of {words} exactly once.",
}


TEMPLATES = {
    "zh": "{text}\n情感：{labels}",
    "en": "{text}\nEmotions: {labels}",
}
"""Reconstructions: the paper says that text and labels are concatenated, not how. The labels come
last, because a causal model has then read the words. Each token costs time for each clip, so they
are short."""

_SEPARATOR = {"zh": "、", "en": ", "}


def check_language(language: str) -> str:
    """`language` itself; raises ValueError unless it is zh or en."""
    if language not in WORDS:
        raise ValueError(f"language is one of {', '.join(WORDS)}; got {language!r}")
    return language


def language_of(corpus: Corpus) -> str:
    """zh if most letters of the transcripts are Chinese characters, else en."""
    letters = re.sub(r"[\W\d_]", "", "".join(corpus.clips["text"].dropna()))
    chinese = len(re.findall(r"[\u3400-\u9fff]", letters))
    return "zh" if 2 * chinese > len(letters) else "en"


def words(labels: Sequence[str], language: str) -> dict[str, str]:
    """Each label's word in a prompt, in the prompt's order.

    The six emotions have the paper's order and words. Other labels stand for themselves. If two
    would have the same word, all labels stand for themselves.
    """
    table = WORDS[check_language(language)]
    if set(labels) == set(EMOTIONS):
        return dict(table)
    found = {label: table.get(label, label) for label in labels}
    return found if len(set(found.values())) == len(found) else {label: label for label in labels}


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """`text` without control characters and lone surrogates, cut to `limit` characters."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[:limit].rstrip() + " …"


def messages(text: str, labels: Sequence[str], language: str) -> list[dict[str, str]]:
    """The chat that asks for the ranking of `labels` for `text`.

    The text stands there as a JSON string, so that a quotation mark in it does not end it.
    """
    word = words(labels, language)
    question = _QUESTION[language].format(
        n=len(word),
        numbered=", ".join(f"{i}: {name}" for i, name in enumerate(word.values())),
        form=", ".join(['"..."'] * len(word)),
        text=json.dumps(clean(text), ensure_ascii=False),
    )
    return [
        {"role": "system", "content": _SYSTEM[language]},
        {"role": "user", "content": question},
    ]


def repair(answer: str, problem: str, labels: Sequence[str], language: str) -> list[dict[str, str]]:
    """What follows in the chat after an `answer` with a `problem`."""
    listed = ", ".join(words(labels, language).values())
    asked = _REPAIR[language].format(problem=problem, words=listed)
    return [
        {"role": "assistant", "content": clean(answer, 500)},
        {"role": "user", "content": asked},
    ]


def check_template(template: str, language: str) -> str:
    """`template`, or the language's own if it is empty.

    Raises ValueError unless it has a place for {text} and one for {labels}, and no other.
    """
    if not template:
        return TEMPLATES[check_language(language)]
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        fields = [f"nothing readable ({error})"]
    places = ", ".join(map(repr, fields)) or "no place at all"
    if missing := [field for field in ("text", "labels") if field not in fields]:
        raise ValueError(
            f"the prompt template has no place for the {missing[0]}: {template!r} holds {places}; "
            f"write {{{missing[0]}}} where they belong, as in {TEMPLATES['en']!r}"
        )
    if len(set(fields)) > 2:
        raise ValueError(
            f"the prompt template {template!r} has places for {places}; "
            "expected {text} and {labels} alone (a literal brace is written twice)"
        )
    return template


def compose(text: str, ranking: Sequence[str], *, template: str = "", language: str = "en") -> str:
    """`text` and the labels of `ranking`, most likely first, in `template`.

    `ranking` holds each label of the label set once; they are said by their words in `language`
    (see `words`). A text of more than `TEXT_LIMIT` characters is cut, since the labels
    behind it must stay within a model's context. Raises ValueError for a template without a place
    for the text or the labels.
    """
    template = check_template(template, language)
    word = words(ranking, language)
    said = _SEPARATOR[language].join(word[label] for label in ranking)
    if len(text) > TEXT_LIMIT:
        text = clean(text)
    return template.format(text=text.strip(), labels=said)
