"""An OpenAI-compatible endpoint: bounded answers, one deadline for each, and a key nobody sees."""

import json
import os
import re
import socket
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from agt_lib.workspace.words import visible

KEY = "OPENAI_API_KEY"
TIMEOUT = 60.0
"""Seconds for a whole answer, from the request to its last byte."""
RETRIES = 5
"""By the openai package: it doubles its pauses and honours a Retry-After of up to two minutes."""
ANSWER_TOKENS, ANSWER_BYTES = 200, 65_536
"""The longest answer asked for, and the longest that is read. A ranking takes 40 and 1000."""
REPLACED = {"temperature": {}, "max_tokens": {"max_completion_tokens": ANSWER_TOKENS}}
"""Options that some models refuse, and what is sent instead."""
SHORT = 8
"""A key of fewer characters is a placeholder ("none"): an answer may hold it by chance."""
BETWEEN = r"\s{0,3}"
"""What may stand between the key's letters where it is echoed."""
ENDLESS = b'{"choices": [{"message": {}, "finish_reason": "length"}]}'
BROKEN = b'{"error": {"message": "what came in time is no chat completion"}}'
"""What an answer of more than `ANSWER_BYTES`, and one that broke off, are read as."""


class RankingError(RuntimeError):
    """Ranking stopped before its end; what was answered is kept."""


class Unranked(RuntimeError):
    """Why one clip has no ranking; its `stage` is absent, service, request, refused or answer."""

    def __init__(self, stage: str, reason: str):
        super().__init__(reason)
        self.stage = stage


class Endpoint:
    """The endpoint at `url`, with the environment's key; safe to use from several threads.

    `pay` is called with each request before it is sent, and may raise RankingError. What it returns
    is called with the answer's tokens in and out, or None if the endpoint may bill tokens that it
    did not count. Raises ValueError if the key is missing or can't be one.
    """

    def __init__(self, url: str, model: str, pay: Callable):
        self._key, self._where = os.environ.get(KEY, "").strip(), f"{url}, model {model}"
        if not (self._key and self._key.isascii() and self._key.isprintable()):
            raise ValueError(
                f"{KEY} is not set, or has letters that no key has. The key belongs into this "
                "environment variable, never into a notebook (any word if none is asked for)"
            )
        self._options = {"model": model, "temperature": 0, "max_tokens": ANSWER_TOKENS}
        # The key goes to this endpoint and to no other that it may name.
        self._said = _forms(self._key)
        # Nothing is unpacked: a few bytes could become more than there is memory.
        plain = {"accept-encoding": "identity"}
        # A connection for each request, which ends with the request's time.
        limits = openai.DEFAULT_CONNECTION_LIMITS.__class__(max_keepalive_connections=0)
        wire = _Wire(timeout=TIMEOUT, follow_redirects=False, headers=plain, limits=limits)
        wire.pay = pay
        options = {"base_url": url, "max_retries": RETRIES, "http_client": wire}
        client = openai.OpenAI(api_key=self._key, **options)
        self._chats, self.close = client.chat.completions.with_raw_response, client.close

    def ask(self, messages: Sequence[Mapping[str, str]]) -> tuple[str, str]:
        """The model's answer, and the problem that left it without one (a refusal) or "".

        Raises Unranked if the endpoint does not answer or refuses this request, RankingError if it
        would refuse all others too.
        """
        while True:
            options = dict(self._options)
            try:
                found = self._chats.create(messages=messages, **options)
                content, problem, _ = _completion(found.content)
                return self._shown(content, SHORT), self._shown(problem)[:200]
            except openai.OpenAIError as error:
                failure = self._failure(error, options)
            # Raised out here, so that no traceback shows the endpoint's words with the key in them.
            if failure is not None:
                raise failure

    def _failure(self, error: openai.OpenAIError, sent: Mapping[str, Any]) -> Exception | None:
        """What to raise; None if the request is to be sent again without an option it names."""
        said, status = self._shown(error)[:300], getattr(error, "status_code", 504)
        if status in (400, 422):
            for name, instead in REPLACED.items():
                if name in sent and name in f"{error.param} {error}":
                    self._options = {k: v for k, v in sent.items() if k != name} | instead
                    return None
            return Unranked("request", f"the endpoint refuses the request: {said}")
        used_up = getattr(error, "code", None) == "insufficient_quota"
        if not used_up and (status >= 500 or status in (408, 409, 429)):
            return Unranked("service", f"no answer from {self._where}: {said}")
        advice = f"Check {KEY}, the URL (it ends in /v1 at most endpoints), the model and the quota"
        return RankingError(f"{self._where}: {said}. {advice}.")

    def _shown(self, said: Any, shortest: int = 1) -> str:
        """What the endpoint said, without a key of `shortest` characters or more.

        What no file can hold is replaced too.
        """
        text = str(said)
        if len(self._key) >= shortest:
            text = self._said.sub("***", text)
        return visible(text.encode(errors="replace").decode())


class _Wire(openai.DefaultHttpxClient):
    """Reads what comes within its bounds. An answer that breaks off is a 504: it is asked again."""

    pay: Callable

    def send(self, request: Any, **options: Any) -> Any:
        settle, tokens = self.pay(request.content.decode()), None
        ends, body = time.monotonic() + TIMEOUT, b""
        try:
            with _deadline(request, TIMEOUT):
                response = super().send(request, **(options | {"stream": True}))
                with closing(response), suppress(Exception):  # of whichever library: it broke off
                    for chunk in response.iter_raw():
                        body += chunk
                        if len(body) > ANSWER_BYTES:
                            break
            status, body = response.status_code, body[: ANSWER_BYTES + 1]
            if not response.is_success:
                tokens = 0, 0
            elif len(body) > ANSWER_BYTES:
                body = ENDLESS
            else:
                try:
                    tokens = _completion(body)[2]
                except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                    status, body = 504, BROKEN
        except Exception as error:  # no connection; an answer that is late may be billed
            late = "Timeout" in type(error).__name__ or time.monotonic() >= ends
            tokens = None if late else (0, 0)
            raise
        finally:
            settle(tokens)
        headers = _pause(response.headers.get("retry-after", ""))
        if b"insufficient_quota" in body:
            headers["x-should-retry"] = "false"
        return type(response)(status, headers=headers, content=body, request=request)


@contextmanager
def _deadline(request: Any, seconds: float) -> Iterator[None]:
    """Ends the connection of `request` after so many seconds, whatever has come until then.

    The client's own time-outs are of each read: one byte at a time outlives them.
    """
    sockets: list[socket.socket] = []

    def opened(_: str, info: Mapping[str, Any]) -> None:
        if hasattr(stream := info.get("return_value"), "get_extra_info"):
            sockets.append(stream.get_extra_info("socket"))

    def end() -> None:
        for one in sockets:
            with suppress(OSError):  # it is closed, or another's over it is
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    request.extensions = {**request.extensions, "trace": opened}
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _forms(key: str) -> re.Pattern:
    """The key as it may be echoed.

    Plain, in other case, in hexadecimal, and escaped for a URL, JSON, HTML or a program, also in
    part and with space between; turned round; and inside base64.
    """
    if len(key) < SHORT:
        return re.compile(re.escape(key))
    signs = [
        rf"(?:\\{{0,4}}{re.escape(c)}|&\#0{{0,4}}{ord(c)};?"
        rf"|(?:%(?:25){{0,3}}|\\{{1,4}}(?:x|u00)|&\#x0{{0,4}})?{ord(c):02x};?)"
        for c in key
    ]
    forms = [BETWEEN.join(signs), BETWEEN.join(signs[::-1])]
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):  # where it begins in base64's groups of three bytes
            inside = encode(b"x" * before + key.encode()).decode()
            first, last = (0, 2, 3)[before], len(inside) - (4 if (before + len(key)) % 3 else 0)
            forms.append(BETWEEN.join(map(re.escape, inside[first:last])))
    return re.compile("|".join(forms), re.IGNORECASE)


def _pause(header: str) -> dict[str, str]:
    """The header Retry-After if it is one: seconds, or a date that a calendar has."""
    try:
        if not header.isdigit():
            parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return {}
    return {"retry-after": header} if header.isascii() else {}


def _completion(body: bytes) -> tuple[str, str, tuple[int, int] | None]:
    """The answer and the problem with it; the tokens in and out, if they were counted."""
    completion = json.loads(body)
    choice, usage = completion["choices"][0], completion.get("usage") or {}
    message, ended = choice["message"], choice.get("finish_reason")
    problem = f"the model refuses: {message['refusal']}" if message.get("refusal") else ""
    if ended in ("length", "content_filter"):
        problem = f"the answer was cut off: {ended}"
    tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    counted = all(isinstance(count, int) and count >= 0 for count in tokens)
    return str(message.get("content") or ""), problem, tokens if counted else None
