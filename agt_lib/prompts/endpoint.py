"""Where to ask, from the environment: an OpenAI-compatible endpoint and its key."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

DEFAULT_URL = "https://api.openai.com/v1"
URL_VARIABLE, KEY_VARIABLE = "OPENAI_BASE_URL", "OPENAI_API_KEY"


class Secret:
    """A key that no print, log or traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str):
        self._value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not written down")

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def hide(self, text: str) -> str:
        """`text` without the key."""
        return text.replace(self._value, "***")


@dataclass(frozen=True)
class Endpoint:
    """Where to ask: a base URL without credentials, and the key."""

    url: str
    key: Secret

    @classmethod
    def from_environment(cls) -> "Endpoint":
        """From OPENAI_BASE_URL (OpenAI's own by default) and OPENAI_API_KEY.

        Raises ValueError, showing neither, where the key is missing or can't be one, or the URL
        has a user name, password, query or fragment, which would end up in logs.
        """
        key = Secret(os.environ.get(KEY_VARIABLE, "").strip())
        if not key.reveal():
            raise ValueError(
                f"{KEY_VARIABLE} is not set. Put your endpoint's key into this environment "
                "variable, never into a notebook; any word will do for an endpoint that asks for "
                "none"
            )
        if not (key.reveal().isascii() and key.reveal().isprintable()):
            raise ValueError(
                f"{KEY_VARIABLE} holds characters that no key has (a line break, or letters "
                "outside ASCII): set it again"
            )
        return cls(base_url(), key)


def base_url() -> str:
    """The URL of the endpoint that the environment names; ValueError as `from_environment`."""
    url = os.environ.get(URL_VARIABLE, "").strip() or DEFAULT_URL
    try:
        parts = urlsplit(url)
    except ValueError:  # which would show the URL
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{URL_VARIABLE} is no URL; expected one like {DEFAULT_URL}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"{URL_VARIABLE} has a user name, a query or a fragment, which logs would show; give "
            f"scheme, host and path alone, and the key as {KEY_VARIABLE}"
        )
    return url.rstrip("/")
