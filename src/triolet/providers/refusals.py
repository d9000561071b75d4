"""What a model's server says when it does not answer: its refusals as errors of ours, and what may be left unasked.

The shapes are those of OpenAI (``{"error": {"message", "param", "code"}}``), Anthropic (``{"error": {"type",
"message"}}``) and of what stands in front of them: gateways, FastAPI, web servers. Rules:

1. What a server says is shown as one line without the key, which some repeat; a web page is not shown.
2. The status decides what to do; only "too long" and "you have no credit" need the words.
3. A request that holds something that its server does not have, though the answer does without, is asked again
   without it: streaming, the count of tokens in a stream, reasoning to be sent back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs
import httpx2
import msgspec

from triolet.errors import ContextTooLong, ProviderError, ProviderRejected, ProviderUnavailable

Shown: TypeAlias = Callable[[str], str]
"""Makes a server's words fit to be shown."""

_RETRYABLE = frozenset({408, 409, 425, 429})
_TOO_LONG = ("context length", "context size", "context window", "prompt is too long")
_NO_STREAM = re.compile(r"\bstream(?:ing|ed)?\b")
_NOT_HERE = re.compile(r"support|verified|not (?:allowed|available|enabled)|disabled")


@attrs.frozen
class Refusal:
    """An answer with a status that is no success: what it says, and about which part of the request."""

    status: int
    text: str = ""
    code: str = ""
    param: str = ""
    retry_after: float | None = None

    @classmethod
    def of(cls, response: httpx2.Response) -> Refusal:
        """The response must have been read."""
        try:
            body = msgspec.json.decode(response.content)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            body = response.text
        error = _inner(body)
        fields: Mapping[str, Any] = error if isinstance(error, dict) else {}
        return cls(
            response.status_code,
            _stated(error),
            _text(fields.get("code")),
            _text(fields.get("param")),
            _seconds(response.headers.get("retry-after", "")),
        )

    def error(self, shown: Shown) -> ProviderError:
        status = self.status
        if status in (401, 403):
            return ProviderRejected(f"the provider refuses the API key ({status}): check model.api_key", status=status)
        text = shown(self.text)
        colon = f": {text}" if text else ""
        if self.code != "insufficient_quota" and (status in _RETRYABLE or status >= 500):
            text = f"the provider cannot answer now ({status}){colon}"
            return ProviderUnavailable(text, retry_after=self.retry_after)
        if self.code == "context_length_exceeded" or is_too_long(self.text):
            return ContextTooLong(f"the conversation is too long for the model{colon}", status=status)
        if status < 400:
            return ProviderRejected(f"the provider has moved ({status}): check model.base_url", status=status)
        return ProviderRejected(f"the provider refused the request ({status}){colon}", status=status)

    def conceded(self, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request without what was refused; None if the refusal is about something that is needed."""
        if self.status not in (400, 422):
            return None
        less = dict(parameters)
        if self._refuses_to_stream():
            less["stream"] = False
            less.pop("stream_options", None)
        elif self.param == "stream_options" or "stream_options" in self.text:
            less.pop("stream_options", None)
        elif self.param == "include" or "encrypted content is not supported" in self.text.lower():
            less.pop("include", None)
        return less if less != parameters else None

    def _refuses_to_stream(self) -> bool:
        said = self.text.lower()
        return self.param == "stream" or bool(_NO_STREAM.search(said) and _NOT_HERE.search(said))


def is_too_long(text: str) -> bool:
    """Whether these are a server's words for a request that holds more than the model takes."""
    return any(phrase in text.lower() for phrase in _TOO_LONG)


def no_stream(status: int, headers: Mapping[str, str]) -> ProviderError | None:
    """The problem with a whole answer that says nothing: a web page, say, or another API's JSON."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return None  # cut off before its first event
    text = f"the provider did not stream ({status}, {kind or 'of no type'}): check model.base_url"
    return ProviderRejected(text, status=status)


def _inner(body: object) -> object:
    if isinstance(body, list):  # Google's servers
        body = body[0] if body else None
    return body["error"] if isinstance(body, dict) and isinstance(body.get("error"), dict) else body


def _stated(error: object) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error.get("error") or error.get("detail")
    return error if isinstance(error, str) and not error.lstrip().startswith("<") else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(header: str) -> float | None:
    """Seconds only: a date would need a clock that agrees with the server's."""
    try:
        seconds = float(header)
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None
