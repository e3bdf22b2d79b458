"""One chat with an OpenAI-compatible endpoint: bounded, patient, and silent about its key."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import openai
import tenacity

from agt_lib.prompts.budget import ANSWER_TOKENS, Spending
from agt_lib.prompts.cache import Answer
from agt_lib.prompts.endpoint import KEY_VARIABLE, URL_VARIABLE, Endpoint

ANSWER_BYTES = 65_536
"""A ranking takes 1000 bytes; what is longer than this is not read to its end."""
MAX_WAIT = 300.0
"""Seconds. An endpoint that asks for a longer pause is given up for now."""
REPLACED = {"response_format": None, "temperature": None, "max_tokens": "max_completion_tokens"}
"""Options that some models refuse (GPT-4 knows no schema), and what is said instead."""
NAMES = {"response_format": "json_schema"}
"""What endpoints call an option beside its own name."""


class ServiceError(RuntimeError):
    """No answer, for a reason that says nothing about the text.

    `fatal`: it would be the same for every other text (a wrong key, an unknown model).
    """

    def __init__(self, message: str, *, fatal: bool = False):
        super().__init__(message)
        self.fatal = fatal


class RequestError(RuntimeError):
    """The endpoint refuses this very request, as it will again."""


class _BrokenAnswer(Exception):
    """The connection closed, or what came is no chat completion: worth another try."""


class Chat:
    """Asks `endpoint` for `model`'s answers; safe to use from several threads.

    `timeout`: seconds for a whole answer. `attempts`: how often a request is sent before it is
    given up, after pauses that double from `backoff` seconds on, or as long as Retry-After says.
    Setting `stop` ends all pauses.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        response_format: Mapping[str, Any],
        spending: Spending,
        *,
        timeout: float,
        attempts: int,
        backoff: float,
    ):
        self._endpoint, self._model, self._timeout = endpoint, model, timeout
        self._spending = spending
        self.stop = threading.Event()
        self._options: dict[str, Any] = {
            "response_format": dict(response_format),
            "temperature": 0,
            "max_tokens": ANSWER_TOKENS,
        }
        self._client = openai.OpenAI(
            base_url=endpoint.url,
            api_key=endpoint.key.reveal(),
            timeout=timeout,
            max_retries=0,  # tenacity's, below, honour a Retry-After of any length
            # The key goes to this endpoint and to no other that it may name.
            http_client=_Client(timeout=timeout, follow_redirects=False),
        )
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=_Pause(backoff),
            stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_when_event_set(self.stop),
            sleep=tenacity.sleep_using_event(self.stop),
            reraise=True,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        """The model's answer to `messages`, or why it has none (a refusal, one without end).

        Raises ServiceError where none came in all attempts, RequestError where the endpoint
        refuses this request, and BudgetError before a request that the budget does not hold.
        """
        while True:
            options = dict(self._options)
            try:
                return self._retrying(self._once, messages, options)
            except (openai.OpenAIError, _BrokenAnswer) as error:
                failure = self._failure(error, options)
            # Raised out here, so that no traceback shows the endpoint's own words, or the key that
            # they may hold.
            if failure is not None:
                raise failure

    def _once(self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]) -> Answer:
        reserved, cost = self._spending.reserve(messages), None
        try:
            answer = self._read(self._body(messages, options))
            if answer.tokens_in is not None and answer.tokens_out is not None:
                cost = self._spending.cost(answer.tokens_in, answer.tokens_out)
            return answer
        except openai.APITimeoutError:
            raise  # it may be billed, as an answer that breaks off
        except openai.APIError:
            cost = 0.0
            raise
        finally:
            self._spending.settle(reserved, cost)

    def _body(self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]) -> bytes:
        """The answer's bytes, at most one chunk more than `ANSWER_BYTES` of them."""
        started, body = time.monotonic(), bytearray()
        create = self._client.chat.completions.with_streaming_response.create
        with create(model=self._model, messages=list(messages), **options) as response:
            chunks = response.iter_bytes()
            while len(body) <= ANSWER_BYTES:
                try:
                    chunk = next(chunks, None)
                except Exception as error:  # of whichever HTTP library openai uses
                    raise _BrokenAnswer(f"the answer broke off ({type(error).__name__})") from None
                if chunk is None:
                    break
                body += chunk
                if time.monotonic() - started > self._timeout:
                    raise _BrokenAnswer(f"the answer took more than {self._timeout:g} s")
        return bytes(body)

    def _read(self, body: bytes) -> Answer:
        if len(body) > ANSWER_BYTES:
            return Answer(problem=f"an answer of more than {ANSWER_BYTES} bytes")
        try:
            completion = json.loads(body)
            choice = completion["choices"][0]
            message = choice["message"]
            content, refusal = message.get("content"), message.get("refusal")
            usage = completion.get("usage") or {}
            tokens = [_count(usage.get(f"{kind}_tokens")) for kind in ("prompt", "completion")]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise _BrokenAnswer("what came is no chat completion") from None
        ended = choice.get("finish_reason")
        if refusal:
            problem = f"the model refuses: {self._shown(refusal)[:200]}"
        elif ended == "content_filter":
            problem = "the endpoint's content filter refuses"
        elif ended == "length":
            problem = f"the answer is not done after {ANSWER_TOKENS} tokens"
        else:
            said = self._shown(content) if isinstance(content, str) else ""
            return Answer(said, "", *tokens)
        return Answer("", problem, *tokens)

    def _failure(self, error: Exception, sent: Mapping[str, Any]) -> Exception | None:
        """What to raise for `error`; None where the request is to be sent again without an option
        that the endpoint named as not its own."""
        where = f"{self._endpoint.url}, model {self._model}"
        said = self._shown(error)[:300]
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            named = f"{error.param} {error}"
            for option in sent:
                is_named = option in named or NAMES.get(option, option) in named
                if option in REPLACED and is_named:
                    self._replace(option)
                    return None
            return RequestError(f"the endpoint refuses the request: {said}")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            advice = f"check {KEY_VARIABLE} and {URL_VARIABLE}"
        elif isinstance(error, openai.NotFoundError):
            advice = f"check {URL_VARIABLE} (it ends in /v1 at most endpoints) and the model's name"
        elif isinstance(error, openai.APIError) and error.code == "insufficient_quota":
            advice = "the account's quota is used up; what was answered is kept"
        elif isinstance(error, openai.APIStatusError) and not _passes(error) and not _pause(error):
            advice = "the endpoint does not take such requests"
        else:
            return ServiceError(f"no answer from {where}: {said}")
        return ServiceError(f"{where}: {said}. {advice[0].upper()}{advice[1:]}.", fatal=True)

    def _shown(self, said: Any) -> str:
        """What the endpoint said, without the key and without what no file can hold."""
        return self._endpoint.key.hide(str(said)).encode(errors="replace").decode()

    def _replace(self, option: str) -> None:
        """Send `option` no more, from any thread."""
        options = dict(self._options)
        value = options.pop(option, None)
        if REPLACED[option] and value is not None:
            options[REPLACED[option]] = value
        self._options = options


class _Client(openai.DefaultHttpxClient):
    """Of an error's text reads the start alone, be it endless, slow, damaged or broken off.

    The openai package itself reads all of it, and fails where it can't.
    """

    def send(self, request: Any, **options: Any) -> Any:
        response = super().send(request, **options)
        if response.is_success:
            return response
        started, body = time.monotonic(), bytearray()
        try:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES or time.monotonic() - started > self.timeout.read:
                    break
        except Exception:  # of whichever HTTP library; the status says enough
            pass
        finally:
            response.close()
        names = ("content-type", "retry-after")
        headers = {name: response.headers[name] for name in names if name in response.headers}
        content = bytes(body[:ANSWER_BYTES])
        return type(response)(
            response.status_code, headers=headers, content=content, request=request
        )


class _Pause(tenacity.wait.wait_base):
    """Seconds before the next attempt: as Retry-After says, else doubling with jitter."""

    def __init__(self, backoff: float):
        self._doubling = tenacity.wait_random_exponential(multiplier=backoff, max=60)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        told = _pause(retry_state.outcome.exception())
        return self._doubling(retry_state) if told is None else told


def _passes(error: BaseException) -> bool:
    """Whether another attempt may succeed where this one raised `error`."""
    if isinstance(error, openai.RateLimitError):
        return error.code != "insufficient_quota" and (_pause(error) or 0) <= MAX_WAIT
    if isinstance(error, openai.APIStatusError):
        return (error.status_code >= 500 or error.status_code in (408, 409)) and (
            _pause(error) or 0
        ) <= MAX_WAIT
    return isinstance(error, openai.APIConnectionError | _BrokenAnswer)


def _pause(error: BaseException | None) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), or None."""
    if not isinstance(error, openai.APIStatusError):
        return None
    told = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date; one without a time zone
        return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
