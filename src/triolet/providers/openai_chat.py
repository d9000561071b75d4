"""Chat Completions through the official SDK: OpenAI itself, and every server that speaks its dialect.

The SDK makes the request (address, key, headers, error types); the streamed bytes are decoded by `core.openai_chat`,
because the SDK's own event loop costs two to five times more per event. Rules:

1. The SDK retries nothing: a retry must know whether text is on screen already.
2. The only task that reads the response never awaits in its loop, and `async with` closes the connection.
3. A stream is silent when no event comes, whatever keep-alive bytes do: `idle_timeout` counts from the last one.
4. An error's text never quotes the answer to a refused key: some servers repeat the key in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
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
from triolet.errors import ContextTooLong, ProviderError, ProviderRejected, ProviderUnavailable, RemoteProtocolError
from triolet.net.network import Connect, connect_tcp, open_transport

DRAIN_SECONDS = 0.1
"""How long a server may take to end the body after its last event; a connection read to its end can be used again."""

_RETRYABLE = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


class OpenAIChatProvider:
    """Made by `open_openai_chat`."""

    def __init__(self, client: openai.AsyncOpenAI, settings: ModelSettings) -> None:
        self._client = client
        self._settings = settings

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        """As `core.ports.Provider.stream`."""
        now = trio.current_time()
        total = trio.CancelScope(deadline=now + self._settings.total_timeout)
        silence = trio.CancelScope(deadline=now + self._settings.first_byte_timeout)
        decoder = OpenAIChatDecoder()
        with total, silence:
            await self._read(request, decoder, emit, silence)
        if total.cancelled_caught:
            raise ProviderUnavailable(f"no end after {self._settings.total_timeout:g} s")
        if silence.cancelled_caught and not decoder.done:
            raise ProviderUnavailable("the provider fell silent")

    async def _read(
        self,
        request: ModelRequest,
        decoder: OpenAIChatDecoder,
        emit: Callable[[Batch], None],
        silence: trio.CancelScope,
    ) -> None:
        try:
            async with self._client.chat.completions.with_streaming_response.create(
                **self._parameters(request)
            ) as response:
                async for chunk in response.iter_bytes():
                    if batch := decoder.receive_data(chunk):
                        silence.deadline = trio.current_time() + self._settings.idle_timeout
                        emit(batch)
                    if decoder.done:
                        silence.deadline = trio.current_time() + DRAIN_SECONDS
        except openai.APIStatusError as error:
            raise _refusal(error) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            if not decoder.done:
                raise ProviderUnavailable(self._connection_problem(error)) from None
        except RemoteProtocolError as error:
            raise ProviderUnavailable(str(error)) from None

    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        # OpenAI's newer models refuse max_tokens; most other servers know nothing else.
        limit = "max_tokens" if self._settings.base_url else "max_completion_tokens"
        return {
            "model": self._settings.name,
            "messages": render_messages(request.system_prompt, request.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            limit: request.max_tokens,
        }

    def _connection_problem(self, error: Exception) -> str:
        cause = error.__cause__ or error
        return f"no connection to the provider at {self._client.base_url.host} ({type(cause).__name__})"


def _refusal(error: openai.APIStatusError) -> ProviderError:
    status = error.status_code
    if status in (401, 403):
        return ProviderRejected(f"the provider refuses the API key ({status}): check model.api_key", status=status)
    text = _first_line(error)
    if status in _RETRYABLE:
        return ProviderUnavailable(f"the provider cannot answer now ({status}): {text}", retry_after=_wait(error))
    if error.code == "context_length_exceeded" or "context length" in text.lower():
        return ContextTooLong(f"the conversation is too long for the model: {text}", status=status)
    return ProviderRejected(f"the provider refused the request ({status}): {text}", status=status)


def _first_line(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    text = str(body.get("message") or body.get("error") or error.message).strip()
    return (text.splitlines() or [""])[0][:200]


def _wait(error: openai.APIStatusError) -> float | None:
    try:
        return float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None


@asynccontextmanager
async def open_openai_chat(
    settings: ModelSettings, *, connect: Connect = connect_tcp
) -> AsyncIterator[OpenAIChatProvider]:
    """The provider for ``settings.base_url``, or OpenAI's own address if that is empty."""
    base_url = settings.base_url or "https://api.openai.com/v1"
    transport = open_transport(
        httpx2,
        httpcore2,
        connect,
        tls=base_url.startswith("https:"),
        max_connections=None,
        max_keepalive_connections=20,
        keepalive_expiry=60.0,
    )
    timeout = httpx2.Timeout(settings.idle_timeout, connect=settings.connect_timeout)
    async with openai.AsyncOpenAI(
        api_key=settings.api_key.reveal(),
        base_url=base_url,
        max_retries=0,
        timeout=timeout,
        http_client=httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout),
    ) as client:
        # The first request would ask for the platform in a thread, which no virtual clock can wait for.
        client._platform = get_platform()  # noqa: SLF001
        yield OpenAIChatProvider(client, settings)
