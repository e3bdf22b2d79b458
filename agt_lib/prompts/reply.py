"""The answer of a language model: the JSON that is asked for, and what is made of what comes."""

import json
from collections.abc import Mapping
from typing import Any


class AnswerError(ValueError):
    """An answer that is no ranking; the message says why, in words fit for a repair request."""


def schema(words: Mapping[str, str]) -> dict[str, Any]:
    """The chat protocol's `response_format` for a ranking of `words` (label -> word)."""
    item = {"type": "string", "enum": list(words.values())}
    ranking = {"type": "array", "items": item, "minItems": len(words), "maxItems": len(words)}
    return {
        "type": "json_schema",
        "json_schema": {
            "name": "ranking",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"ranking": ranking},
                "required": ["ranking"],
                "additionalProperties": False,
            },
        },
    }


def read_ranking(content: str, words: Mapping[str, str]) -> tuple[str, ...]:
    """The labels of an answer, most likely first, from words or labels in any case.

    Text around the JSON object (a code fence) is passed over. Raises AnswerError unless it holds
    each label exactly once.
    """
    try:
        answer = json.loads(content[content.find("{") : content.rfind("}") + 1])
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise AnswerError("no JSON object")
    if not isinstance(answer.get("ranking"), list):
        raise AnswerError('no list "ranking"')
    label = {name.casefold(): name for name in words}
    label |= {word.casefold(): name for name, word in words.items()}
    # JSON may spell half a character, which could be sent to nobody and written to no file.
    given = [str(item).strip().encode(errors="replace").decode() for item in answer["ranking"]]
    if unknown := [item[:30] for item in given if item.casefold() not in label]:
        raise AnswerError(f"unknown: {', '.join(unknown[:3])}")
    order = [label[item.casefold()] for item in given]
    if twice := [words[name] for name in words if order.count(name) > 1]:
        raise AnswerError(f"more than once: {', '.join(twice)}")
    if missing := [words[name] for name in words if name not in order]:
        raise AnswerError(f"missing: {', '.join(missing)}")
    return tuple(order)
