"""Chat Completions through the official SDK: OpenAI itself, and every server that speaks its dialect.

The SDK makes the request (address, key, headers, error types); the streamed bytes are decoded by `core.openai_chat`,
because the SDK's own event loop costs two to five times more per event. Rules:

1. The SDK retries nothing: a retry must know whether text is on screen already.
2. The only task that reads the response never awaits in its loop, and `async with` closes the connection.
3. A stream is silent when no event comes, whatever keep-alive bytes do: `idle_timeout` counts from the last one.
   No other time-out watches the reads, or the shorter of the two would win.
4. Once the model has finished, the answer is whole: nothing that goes wrong afterwards is a failure.
5. The key is taken out of what a server says, before it is shortened: some repeat it. Our errors are raised when
   the SDK's are gone, since those hold the request, and they would hang on ours as their context.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpcore2
import httpx2
import openai
import trio
from openai._base_client import get_platform

from triolet.config import ModelSettings
from triolet.core.events import Batch
from triolet.core.openai_chat import OpenAIChatDecoder, render_messages
from triolet.core.ports import ModelRequest
from triolet.errors import (
    ConfigError,
    ContextTooLong,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    RemoteProtocolError,
)
from triolet.net.network import Connect, connect_tcp, open_transport
from triolet.net.redact import Redactor

DRAIN_SECONDS = 0.1
"""How long a server may take to end the body after its last event; a connection read to its end can be used again."""

TAIL_SECONDS = 2.0
"""How long a finished answer waits for its usage and for the end of the stream, which some servers never send."""

LONGEST_TEXT = 200

_RETRYABLE = frozenset({408, 409, 425, 429})
_TOO_LONG = ("context length", "context size", "context window", "prompt is too long")
_SDK_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError)


class OpenAIChatProvider:
    """Made by `open_openai_chat`."""

    prefills = False
    """OpenAI's own models begin anew after an assistant's text."""

    def __init__(self, client: openai.AsyncOpenAI, settings: ModelSettings) -> None:
        self._client = client
        self._settings = settings
        self._redact = Redactor([settings.api_key.reveal()])

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        """As `core.ports.Provider.stream`."""
        now = trio.current_time()
        total = trio.CancelScope(deadline=now + self._settings.total_timeout)
        silence = trio.CancelScope(deadline=now + self._settings.first_byte_timeout)
        decoder = OpenAIChatDecoder()
        problem: ProviderError | None = None
        with total, silence:
            problem = await self._read(request, decoder, emit, silence)
        if total.cancelled_caught:
            problem = ProviderUnavailable(f"no end after {self._settings.total_timeout:g} s")
        elif silence.cancelled_caught:
            problem = ProviderUnavailable("the provider fell silent")
        if problem is not None and not (decoder.finished or decoder.done):
            raise problem

    async def _read(
        self,
        request: ModelRequest,
        decoder: OpenAIChatDecoder,
        emit: Callable[[Batch], None],
        silence: trio.CancelScope,
    ) -> ProviderError | None:
        """Emit the answer; what went wrong is returned, so that it is raised outside of its causes (rule 5)."""
        try:
            async with self._client.chat.completions.with_streaming_response.create(
                **self._parameters(request)
            ) as response:
                async for chunk in response.iter_bytes():
                    batch = decoder.receive_data(chunk)
                    silence.deadline = self._deadline(decoder, batch, silence.deadline)
                    if batch:
                        emit(batch)
                return None if decoder.began else _no_stream(response.status_code, response.headers)
        except openai.APIStatusError as error:
            return self._refusal(error)
        except _SDK_ERRORS as error:
            return ProviderUnavailable(self._connection_problem(error))
        except (ProviderUnavailable, RemoteProtocolError) as error:
            if decoder.before_error:
                emit(decoder.before_error)
            return ProviderUnavailable(self._shown(str(error)))

    def _deadline(self, decoder: OpenAIChatDecoder, batch: Batch, deadline: float) -> float:
        """When the provider counts as silent, after it sent something."""
        now = trio.current_time()
        if decoder.done:
            return min(deadline, now + DRAIN_SECONDS)
        if decoder.finished:
            return min(deadline, now + TAIL_SECONDS)
        return now + self._settings.idle_timeout if batch else deadline

    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        # OpenAI's newer models refuse max_tokens; most other servers know nothing else.
        limit = "max_tokens" if self._settings.base_url else "max_completion_tokens"
        keyless = {} if self._settings.api_key else {"extra_headers": {"Authorization": openai.Omit()}}
        return {
            **keyless,
            "model": self._settings.name,
            "messages": render_messages(request.system_prompt, request.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            limit: request.max_tokens,
        }

    def _connection_problem(self, error: Exception) -> str:
        cause = error.__cause__ if isinstance(error, openai.OpenAIError) and error.__cause__ else error
        return f"no connection to the provider at {self._client.base_url.host} ({type(cause).__name__})"

    def _refusal(self, error: openai.APIStatusError) -> ProviderError:
        status = error.status_code
        if status in (401, 403):
            return ProviderRejected(f"the provider refuses the API key ({status}): check model.api_key", status=status)
        text = self._shown(_stated(error.body))
        colon = f": {text}" if text else ""
        if status in _RETRYABLE or status >= 500:
            return ProviderUnavailable(f"the provider cannot answer now ({status}){colon}", retry_after=_wait(error))
        if error.code == "context_length_exceeded" or any(phrase in text.lower() for phrase in _TOO_LONG):
            return ContextTooLong(f"the conversation is too long for the model{colon}", status=status)
        if status < 400:
            return ProviderRejected(f"the provider has moved ({status}): check model.base_url", status=status)
        return ProviderRejected(f"the provider refused the request ({status}){colon}", status=status)

    def _shown(self, text: str) -> str:
        """What a server said, fit for a chat and a log: one line, of bounded length, without the key."""
        line = next(iter(self._redact(text).strip().splitlines()), "")
        return "".join(filter(str.isprintable, line))[:LONGEST_TEXT].strip()


def _stated(body: object) -> str:
    """What the body of a refusal says, in the shapes that servers use; nothing if it is a web page."""
    if isinstance(body, list):  # Google's servers
        body = body[0] if body else None
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body.get("detail")
    return body if isinstance(body, str) and not body.lstrip().startswith("<") else ""


def _no_stream(status: int, headers: Mapping[str, str]) -> ProviderError | None:
    """A whole answer that held no event: a web page, say, or JSON from a server that cannot stream."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return None  # cut off before its first event
    text = f"the provider did not stream ({status}, {kind or 'of no type'}): check model.base_url"
    return ProviderRejected(text, status=status)


def _wait(error: openai.APIStatusError) -> float | None:
    """Seconds only: a date would need a clock that agrees with the server's."""
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _check_host(base_url: str) -> None:
    """Refuse what passes for a URL and would be an exception of another library with every request."""
    try:
        httpx2.URL(base_url).host.encode("idna")  # as the look-up of its address will
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ConfigError(f"the host of {base_url!r} cannot exist: {error}", key="model.base_url") from None


@asynccontextmanager
async def open_openai_chat(
    settings: ModelSettings, *, connect: Connect = connect_tcp
) -> AsyncIterator[OpenAIChatProvider]:
    """The provider for ``settings.base_url``, or OpenAI's own address if that is empty.

    Raises:
        ConfigError: no host can have that name.
    """
    base_url = settings.base_url or "https://api.openai.com/v1"
    _check_host(base_url)
    transport = open_transport(
        httpx2,
        httpcore2,
        connect,
        tls=base_url.startswith("https:"),
        max_connections=None,
        max_keepalive_connections=20,
        keepalive_expiry=60.0,
    )
    timeout = httpx2.Timeout(None, connect=settings.connect_timeout)
    async with openai.AsyncOpenAI(
        api_key=settings.api_key.reveal() or "none",  # the SDK refuses to begin without one, see _parameters
        base_url=base_url,
        max_retries=0,
        timeout=timeout,
        http_client=httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout),
    ) as client:
        # The first request would ask for the platform in a thread, which no virtual clock can wait for.
        client._platform = get_platform()  # noqa: SLF001
        yield OpenAIChatProvider(client, settings)
