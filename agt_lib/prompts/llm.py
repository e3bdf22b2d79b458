"""A ranker that asks a language model: the paper's GPT-4, or any OpenAI-compatible endpoint."""

import json
import math
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.prompts import VERSION, wording
from agt_lib.prompts.endpoint import ANSWER_TOKENS, KEY, SHORT, Endpoint, RankingError, Unranked
from agt_lib.prompts.rankings import NO_WORDS, Rankings
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest
from agt_lib.workspace.numbers import PARAMETERS, check_numbers
from agt_lib.workspace.progress import bar
from agt_lib.workspace.shards import ABSENT, Shards

URL, MODEL = "OPENAI_BASE_URL", "OPENAI_MODEL"
DEFAULT_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-4"  # section 2.1 of the paper
PRICES = {"gpt-4": (30.0, 60.0)}
"""US dollars for a million tokens in and out, as listed when this was written; the ranker's
`prices` replace them."""
EXPECTED_TOKENS = 40
"""Of an answer: a ranking of six labels."""
TRIES = 3
"""Answers asked for until one is a ranking, each time with what was wrong with the last."""
WORKERS = 8
"""Chats at once."""
PATIENCE = 10
"""Texts in a row without an answer after which the endpoint counts as out of order."""


@dataclass(frozen=True)
class LLMRanker:
    """Ranks labels by asking a language model, one chat a transcript.

    Endpoint and key come from the environment (OPENAI_BASE_URL, OPENAI_API_KEY) and stand in no
    field. `model`: empty for OPENAI_MODEL of the environment, else GPT-4. `language` of the prompt:
    zh or en. `budget`: US dollars that one call of `rank` may spend (None: no limit), at `prices`
    per million tokens in and out (known for GPT-4).

    Every answer is kept under `data/derived/`, so that nothing is paid for twice, by whatever
    process; refusals and answers that are no ranking are kept as well. Raises ValueError for a
    budget without known prices.
    """

    model: str = ""
    language: str = "zh"
    budget: float | None = None
    prices: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        wording.check_language(self.language)
        model = self.model or os.environ.get(MODEL, "").strip() or DEFAULT_MODEL
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "prices", self.prices or PRICES.get(model))
        dollars = dict(zip(("price_in", "price_out"), self.prices or (), strict=bool(self.prices)))
        check_numbers({"budget": self.budget, **dollars}, PARAMETERS)
        if self.budget is not None and self.prices is None:
            raise ValueError(
                f"a budget of ${self.budget:g} needs the prices of {model}: give prices=(IN, OUT) "
                "in dollars per million tokens, (0, 0) for a model of your own; or budget=None "
                "(0 in notebook 03) for no limit"
            )

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the rankings beside the corpus, JSON-able."""
        asked = {"endpoint": base_url(), "model": self.model, "language": self.language}
        return {"ranker": "llm", "version": VERSION, "tries": TRIES} | asked

    def estimate(self, corpus: Corpus) -> dict[str, float]:
        """What `rank` would send and cost; asks nobody.

        `prompts` to send, those `answered` before, `tokens_in` and `tokens_out`, and `dollars`, NaN
        if the model's prices are not known.
        """
        texts = {wording.clean(text) for text in corpus.clips["text"].dropna()}
        chats = [wording.messages(text, corpus.labels, self.language) for text in texts]
        answered = _answers().keys()
        new = [chat for chat in chats if self._key(chat) not in answered]
        tokens_in = sum(count_tokens("".join(m["content"] for m in chat)) for chat in new)
        tokens_out = EXPECTED_TOKENS * len(new)
        return {
            "prompts": len(new),
            "answered": len(chats) - len(new),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "dollars": _Spending(self.prices, None).cost(tokens_in, tokens_out),
        }

    def rank(self, corpus: Corpus, folds: pd.Series | None = None) -> Rankings:
        """Rank the clips of `corpus`, after saying what that may cost; `folds` play no part.

        Equal texts are asked for once. A clip whose ranking failed for good is in the failures:
        stage "answer" (no usable one in `TRIES`), "refused" (by the model), "request" (by the
        endpoint) or "service" (no answer; asked again at the next call). Raises RankingError if the
        endpoint is out of order or the budget is used up: what was answered is kept, the same call
        goes on from there.
        """
        texts = corpus.clips["text"].dropna().map(wording.clean)
        known = ", ".join(f"{what} {x:g}" for what, x in self.estimate(corpus).items())
        print(f"{self.model}: {known}", file=sys.stderr)
        outcomes = self._ask_all(list(dict.fromkeys(texts)), corpus.labels)
        ranked, failures = {}, []
        for name in corpus.clips.index:
            outcome = outcomes[texts[name]] if name in texts else Unranked(ABSENT, NO_WORDS)
            ranked[name] = outcome if isinstance(outcome, tuple) else None
            if ranked[name] is None:
                failures.append((name, outcome.stage, str(outcome)))
        made_by = self.fingerprint | {"labels": list(corpus.labels)}
        return Rankings.build(ranked, corpus.labels, made_by, failures)

    def _ask_all(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> dict[str, tuple[str, ...] | Unranked]:
        spending, answers = _Spending(self.prices, self.budget), _answers()
        endpoint = Endpoint(base_url(), self.model, spending.reserve)
        outcomes: dict[str, tuple[str, ...] | Unranked] = {}
        pool, in_a_row, stopped = ThreadPoolExecutor(WORKERS), 0, ""
        shown = bar(len(texts), f"rankings by {self.model}", "text")
        with answers.locked(), closing(endpoint), shown:
            kept = answers.read(sorted(answers.keys()))
            writing = threading.Lock()

            def ask(messages: list[dict[str, str]]) -> tuple[str, str]:
                key = self._key(messages)
                with suppress(KeyError, ValueError):  # none is kept, or a damaged one
                    return json.loads(kept[key].tobytes())
                answer = json.dumps(endpoint.ask(messages)).encode()
                with writing:
                    answers.append({key: np.frombuffer(answer, np.uint8)})
                return json.loads(answer)

            try:
                futures = {pool.submit(self._converse, text, labels, ask): text for text in texts}
                for future in as_completed(futures):
                    outcome = outcomes[futures[future]] = future.result()
                    shown.update()
                    lost = isinstance(outcome, Unranked) and outcome.stage in ("service", "request")
                    in_a_row = in_a_row + 1 if lost else 0
                    if in_a_row == PATIENCE:
                        stopped = f"no answer to {PATIENCE} texts in a row; {outcome}"
                        break
            except RankingError as error:
                stopped = str(error)
            finally:
                spending.stop()
                pool.shutdown(cancel_futures=True)
        if stopped:
            whole = [f for f in futures if not f.cancelled() and f.exception() is None]
            ranked = sum(isinstance(future.result(), tuple) for future in whole)
            raise RankingError(
                f"{stopped}\n{ranked} of {len(texts)} different texts are ranked and kept "
                f"(${spending.dollars:.4f} in this run). Mend this (or raise the budget) and run "
                "the same again: it goes on from there and pays for nothing twice."
            )
        return outcomes

    def _converse(
        self, text: str, labels: Sequence[str], ask: Callable
    ) -> tuple[str, ...] | Unranked:
        """The ranking of one text, or why there is none; RankingError if nothing is answered."""
        messages, problem = wording.messages(text, labels, self.language), ""
        for _ in range(TRIES):
            try:
                content, refused = ask(messages)
            except Unranked as error:
                return error
            if refused:
                return Unranked("refused", refused)
            try:
                return read_ranking(content, wording.words(labels, self.language))
            except ValueError as error:
                problem = str(error)
            messages = messages + wording.repair(content, problem, labels, self.language)
        return Unranked("answer", f"no ranking in {TRIES} answers; the last: {problem}")

    def _key(self, messages: list[dict[str, str]]) -> str:
        """What identifies a chat; another endpoint may mean another model by the same name."""
        return digest([base_url(), self.model, messages], length=32)


def base_url() -> str:
    """The endpoint that OPENAI_BASE_URL names, OpenAI's own by default.

    Raises ValueError, without showing it, if it is no URL, or has a user name, password, query or
    fragment, which would end up in logs.
    """
    url, parts = os.environ.get(URL, "").strip() or DEFAULT_URL, urlsplit("")
    with suppress(ValueError):  # which would show the URL
        parts = urlsplit(url)
    more = "@" in parts.netloc or parts.query or parts.fragment
    key = os.environ.get(KEY, "").strip()
    more = more or (len(key) >= SHORT and key in url)
    signs = re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w.~%:/-]*)?", url)
    if not signs or not parts.hostname or more:
        raise ValueError(
            f"{URL} is no URL of scheme, host and path alone, such as {DEFAULT_URL}: "
            f"logs would show a user name or a query; the key belongs into {KEY}"
        )
    return url.rstrip("/")


def count_tokens(text: str) -> int:
    """About how many tokens a text has: a quarter of one for an ASCII character, 1.3 for others.

    An estimate that needs no model's tokenizer; what is paid is what the endpoint counts.
    """
    ascii_characters = sum(map(str.isascii, text))
    return round(ascii_characters / 4 + 1.3 * (len(text) - ascii_characters)) + 8


class _Spending:
    """Dollars spent by all threads, never above `budget` (None: no limit).

    `prices` are dollars per million tokens in and out; unknown ones make every cost NaN.
    """

    def __init__(self, prices: tuple[float, float] | None, budget: float | None):
        self._prices, self._budget = prices or (math.nan, math.nan), budget
        self._change, self._stopped = threading.Lock(), False
        self.dollars = self._promised = 0.0

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        """Dollars for so many tokens."""
        return (tokens_in * self._prices[0] + tokens_out * self._prices[1]) / 1e6

    def stop(self) -> None:
        """Let no more requests be sent."""
        self._stopped = True

    def reserve(self, request: str) -> Callable[[tuple[int, int] | None], None]:
        """Set aside the most that `request` can cost; returns what books its tokens in and out.

        None for tokens that nobody counted books all of it. Raises RankingError if the budget does
        not hold it.
        """
        most = self.cost(count_tokens(request), ANSWER_TOKENS)
        with self._change:
            held = self._budget is None or self.dollars + self._promised + most <= self._budget
            if self._stopped or not held:
                raise RankingError(
                    f"${self.dollars:.4f} of the budget of ${self._budget or 0:g} are spent, "
                    f"requests under way may cost ${self._promised:.4f}, the next one ${most:.4f}"
                )
            self._promised += most

        def settle(tokens: tuple[int, int] | None) -> None:
            with self._change:
                self._promised -= most
                self.dollars += most if tokens is None else self.cost(*tokens)

        return settle


def _answers() -> Shards:
    """Each answer (its content, or the problem with it) as the bytes of a JSON list."""
    return Shards(paths.derived() / "answers")


def read_ranking(content: str, words: Mapping[str, str]) -> tuple[str, ...]:
    """The labels of an answer, most likely first, from `words` (by label) or labels in any case.

    Text around the JSON object (a code fence) is passed over. Raises ValueError, in words fit for a
    repair request, unless it holds each label exactly once.
    """
    try:
        answer = json.loads(content[content.find("{") : content.rfind("}") + 1])
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ValueError("no JSON object")
    if not isinstance(answer.get("ranking"), list):
        raise ValueError('no list "ranking"')
    label = {name.casefold(): name for name in words}
    label |= {word.casefold(): name for name, word in words.items()}
    # JSON may spell half a character, which could be sent to nobody and written to no file.
    given = [str(item).strip().encode(errors="replace").decode() for item in answer["ranking"]]
    if unknown := [item[:30] for item in given if item.casefold() not in label]:
        raise ValueError(f"unknown: {', '.join(unknown[:3])}")
    order = [label[item.casefold()] for item in given]
    if twice := [words[name] for name in words if order.count(name) > 1]:
        raise ValueError(f"more than once: {', '.join(twice)}")
    if missing := [words[name] for name in words if name not in order]:
        raise ValueError(f"missing: {', '.join(missing)}")
    return tuple(order)
