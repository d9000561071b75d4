"""What the dialects share: a question put through an official SDK, and an answer's bytes watched by a clock.

The SDK makes the request (address, key, headers, error types); the streamed bytes are decoded by `core`, because
the SDKs' own event loops cost two to eight times more per event (`benchmarks/decoding.py`). Rules:

1. The SDK retries nothing: a retry must know whether text is on screen already.
2. Whoever reads the response leaves its socket alone while nobody could see more: to wake up costs more than to
   decode ten events. `async with` closes the connection.
3. A stream is silent when nothing of an answer comes, whatever keep-alive bytes, empty events and counts of tokens
   do: `idle_timeout` counts from the last event. No other time-out watches the reads, or the shorter of the two
   would win.
4. Once the model has finished, the answer is whole: nothing that goes wrong afterwards is a failure.
5. The key is taken out of what a server says, before it is shortened: some repeat it. Our errors are raised when
   the SDK's are gone, since those hold the request, and they would hang on ours as their context.
6. A server that cannot stream answers in one piece; which of the two it is, its first byte tells. One that refuses
   to stream is asked again at once, this time only: the next model behind the same address may.
7. Nothing of the SDK's own environment variables counts: they were set for other servers than that of the settings.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

import attrs
import httpx2
import trio

from triolet.config import ModelSettings
from triolet.core.dialects.wire import WireDecoder
from triolet.core.events import Batch, Finished, UsageReported, joined
from triolet.core.ports import ModelRequest
from triolet.errors import ContextTooLong, ProviderError, ProviderUnavailable, RemoteProtocolError
from triolet.net.network import Connect
from triolet.net.redact import Redactor
from triolet.net.transport import BODY, ResponseBody, open_transport
from triolet.providers.refusals import Refusal, is_too_long, no_stream

ANTHROPIC = "https://api.anthropic.com"
OPENAI = "https://api.openai.com/v1"

DRAIN_SECONDS = 0.1
"""How long a server may take to end the body after its last event; a connection read to its end can be used again."""

TAIL_SECONDS = 2.0
"""How long a finished answer waits for its usage and for the end of the stream, which some servers never send."""

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
"""A connection to it costs nothing, and llama.cpp closes its own after an answer, without saying so: none is kept."""

KEPT = 20
"""Idle connections to the model's server."""

GRAIN = 0.001
"""The part of its length by which a silence is moved at least: to move it costs as much as half an event."""

LONGEST_TEXT = 200
LONGEST_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer in one piece."""


class Client(Protocol):
    """What both SDKs' clients have."""

    @property
    def base_url(self) -> httpx2.URL: ...

    async def close(self) -> None: ...


class Response(Protocol):
    """What both SDKs give for a request whose response is to be streamed."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> httpx2.Headers: ...

    @property
    def http_response(self) -> httpx2.Response: ...


Asked: TypeAlias = AbstractAsyncContextManager[Response]


@attrs.frozen
class Dialect:
    """How a dialect's bytes are read, and the base of the errors of the SDK that speaks it."""

    decoder: Callable[[], WireDecoder]
    decode_answer: Callable[[bytes], Batch]
    sdk_error: type[Exception]


class SDKProvider(trio.abc.AsyncResource):
    """A model behind an SDK; a dialect's subclass says what a request holds, and which call makes it."""

    prefills = False

    def __init__(self, settings: ModelSettings, client: Client, dialect: Dialect) -> None:
        self._settings = settings
        self._client = client
        self._dialect = dialect
        self._redact = Redactor([settings.api_key.reveal()])

    @abstractmethod
    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        """What a request for a stream holds, ``stream`` included."""

    @abstractmethod
    def _ask(self, parameters: Mapping[str, Any]) -> Asked:
        """The SDK's call, which is made when the block is entered."""

    async def aclose(self) -> None:
        await self._client.close()

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        """As `core.ports.Provider.stream`."""
        answer = _Answer(self._dialect, self._settings, emit)
        total = trio.CancelScope(deadline=trio.current_time() + self._settings.total_timeout)
        problem: ProviderError | None = None
        with total, answer.silence:
            problem = await self._answer(self._parameters(request), answer, request.rest)
        if total.cancelled_caught:
            problem = ProviderUnavailable(f"no end after {self._settings.total_timeout:g} s")
        elif answer.silence.cancelled_caught:
            problem = ProviderUnavailable("the provider fell silent")
        if problem is not None and not answer.is_complete:
            raise problem

    async def _answer(
        self, parameters: Mapping[str, Any], answer: _Answer, rest: Callable[[], float]
    ) -> ProviderError | None:
        while True:
            answer.expect(streamed=parameters["stream"])
            outcome = await self._read(parameters, answer, rest)
            if not isinstance(outcome, Refusal):
                return outcome
            conceded = outcome.conceded(parameters)
            if conceded is None:
                return outcome.error(self._shown)
            parameters = conceded

    async def _read(
        self, parameters: Mapping[str, Any], answer: _Answer, rest: Callable[[], float]
    ) -> Refusal | ProviderError | None:
        """Emit the answer; what went wrong is returned, so that it is raised outside of its causes (rule 5)."""
        try:
            async with self._ask(parameters) as response:
                await _receive(response.http_response, answer, rest)
                answer.receive_end()
                return None if answer.began else no_stream(response.status_code, response.headers)
        except self._dialect.sdk_error as error:
            refused = getattr(error, "response", None)
            if isinstance(refused, httpx2.Response):
                return Refusal.of(refused)
            return self._no_connection(error.__cause__ or error)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            return self._no_connection(error)
        except (ProviderUnavailable, RemoteProtocolError) as error:
            return self._broken_off(str(error), answer)

    def _no_connection(self, cause: BaseException) -> ProviderError:
        host = self._client.base_url.host
        return ProviderUnavailable(f"no connection to the provider at {host} ({type(cause).__name__})")

    def _broken_off(self, text: str, answer: _Answer) -> ProviderError:
        if is_too_long(text) and not answer.spoken:
            return ContextTooLong(self._shown(text), status=400)
        return ProviderUnavailable(self._shown(text))

    def _shown(self, text: str) -> str:
        """What a server said, fit for a chat and a log: one line, of bounded length, without the key."""
        line = next(iter(self._redact(text).strip().splitlines()), "")
        return "".join(filter(str.isprintable, line))[:LONGEST_TEXT].strip()


async def _receive(response: httpx2.Response, answer: _Answer, rest: Callable[[], float]) -> None:
    """The body. What is packed goes through what unpacks it; nothing else does."""
    if "content-encoding" in response.headers:
        async for chunk in response.aiter_bytes():
            answer.receive_data(chunk)
        return
    body: ResponseBody = response.extensions[BODY]
    while chunk := await body.receive_some():
        answer.receive_data(chunk)
        body.rest(answer.rest(rest()))


class _Answer:
    """The answer to one question, as it comes; ``silence`` is the scope that ends the wait for more of it."""

    def __init__(self, dialect: Dialect, settings: ModelSettings, emit: Callable[[Batch], None]) -> None:
        self._decoder = dialect.decoder()
        self._decode_answer = dialect.decode_answer
        self._settings = settings
        self._emit = emit
        self._body = bytearray()
        self._in_one_piece: bool | None = None
        self._finished = False
        self.silence = trio.CancelScope()
        self.spoken = False
        """Something was emitted that is more than a count of tokens."""

    @property
    def is_complete(self) -> bool:
        return self._finished or self._decoder.done

    @property
    def began(self) -> bool:
        """It is an answer, whole or not, and nothing else."""
        return self._decoder.began or self._finished

    def rest(self, seconds: float) -> float:
        """For how many of so many seconds its socket can be left alone: not until it would count as silent."""
        return 0.0 if self.is_complete else min(seconds, (self.silence.deadline - trio.current_time()) / 2)

    def expect(self, *, streamed: bool) -> None:
        """The request is made now. An answer in one piece shows no life until it is there."""
        limit = self._settings.first_byte_timeout if streamed else self._settings.total_timeout
        self.silence.deadline = trio.current_time() + limit

    def receive_data(self, chunk: bytes) -> None:
        """Emit what the chunk says; raises as `WireDecoder.receive_data` does, when what came before is emitted."""
        if self._in_one_piece is None and (start := chunk.lstrip()):
            self._in_one_piece = start.startswith(b"{")  # as no line of a stream of events does
        if self._in_one_piece:
            self._collect(chunk)
            return
        try:
            self._take(self._decoder.receive_data(chunk))
        except (ProviderUnavailable, RemoteProtocolError):
            self._take(self._decoder.before_error)
            raise

    def receive_end(self) -> None:
        """The body is complete; raises as `receive_data`."""
        if self._in_one_piece:
            self._take(self._decode_answer(bytes(self._body)))

    def _collect(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > LONGEST_ANSWER:
            raise RemoteProtocolError(f"the provider's answer is longer than {LONGEST_ANSWER} bytes")
        if chunk.strip():
            self._live_on()

    def _take(self, batch: Batch) -> None:
        alive = False
        for event in batch:
            alive = alive or not isinstance(event, UsageReported)
            self._finished = self._finished or isinstance(event, Finished)
        self.spoken = self.spoken or alive
        if self._decoder.done:
            self._hurry(DRAIN_SECONDS)
        elif self._finished:
            self._hurry(TAIL_SECONDS)
        elif alive:
            self._live_on()
        if batch:
            self._emit(joined(batch))

    def _live_on(self) -> None:
        limit = self._settings.idle_timeout
        deadline = trio.current_time() + limit
        if abs(deadline - self.silence.deadline) >= limit * GRAIN:
            self.silence.deadline = deadline

    def _hurry(self, seconds: float) -> None:
        self.silence.deadline = min(self.silence.deadline, trio.current_time() + seconds)


def open_http(settings: ModelSettings, base_url: str, connect: Connect) -> httpx2.AsyncClient:
    """The SDK's HTTP client, over connections that a cancel leaves whole (`net.network`)."""
    keep = 0 if urlsplit(base_url).hostname in _THIS_MACHINE else KEPT
    transport = open_transport(httpx2, connect, keep=keep)
    return httpx2.AsyncClient(transport=transport, trust_env=False, timeout=time_limits(settings))


def time_limits(settings: ModelSettings) -> httpx2.Timeout:
    """For the connection alone (rule 3)."""
    return httpx2.Timeout(None, connect=settings.connect_timeout)
