"""A model provider's HTTP server for tests: strict about what it is asked, free in how it answers.

It speaks the three dialects of `model_dialects`, in memory and over TCP, on the emulator's little HTTP server::

    async with open_model_server() as server:
        server.answer(*reply("Hel", "lo"))                       # the next request gets this, the one after it the next
        server.script = lambda body: reply("And now?")           # what requests get when nothing is queued
        async with open_provider(settings, connect=server.connect) as provider: ...
        assert server.requests[0].how == "completed"

An answer is a list of steps, played in order; the body ends when they run out. For Chat Completions, `reply` makes a
whole good answer; `say`, `finish`, `usage`, `done` and `stream_error` make its single writes. `comment` is for any,
`in_pieces` splits writes, `cut_after` breaks the connection off at a byte. `Respond` and `refuse` answer without
streaming. A request that is not what its dialect allows gets a 400 (`Received.problem` tells why), one without the
key a 401 that repeats it, as some servers do. Times are Trio's, so a virtual clock makes them exact.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Literal, NoReturn, TypeAlias

import attrs
import trio
from model_dialects import DIALECTS, sse
from trio.testing import memory_stream_pair

from triolet.emulator.http import Exchange, Headers, Response, serve_connection

KEY = "sk-canary-0123456789abcdef"
"""The key that the server asks for: no other text in a test may contain it."""


@attrs.frozen
class Write:
    """These bytes of the body, in one HTTP chunk, whatever they are."""

    data: bytes


@attrs.frozen
class Head:
    """Status and headers alone; without this step they come with the first byte of the body."""

    status: int = 200
    headers: Headers = (("Content-Type", "text/event-stream"),)


@attrs.frozen
class Pause:
    seconds: float


@attrs.frozen
class Until:
    """Say nothing more before the event."""

    event: trio.Event


@attrs.frozen
class Hang:
    """Keep the connection open and say nothing any more: before everything, in mid-stream, or after `done`."""

    seconds = float("inf")


@attrs.frozen
class Reset:
    """Break the connection: before everything, in mid-stream, or after `done`. Over TCP with a real reset."""


@attrs.frozen
class Respond:
    """A whole answer that is no stream; a ``body`` of dicts and lists is sent as JSON."""

    status: int
    body: Any = b""
    headers: Headers = ()

    def response(self) -> Response:
        if isinstance(self.body, bytes):
            return Response(self.status, self.body, self.headers)
        return Response.json(self.body, self.status, self.headers)


Step: TypeAlias = Write | Head | Pause | Until | Hang | Reset | Respond


def data(payload: Any) -> Write:
    """One server-sent event; text goes out as it is, anything else as JSON."""
    return Write(sse(payload))


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> Write:
    """One ``chat.completion.chunk`` with one choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test"}
    return data({**head, "choices": [choice], **more})


def say(text: str) -> Write:
    return chunk({"content": text})


def finish(reason: str = "stop") -> Write:
    return chunk({}, reason)


def usage(prompt: int = 5, completion: int = 2) -> Write:
    """The chunk after the finish that counts tokens: its choices are empty."""
    tokens = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return data({"object": "chat.completion.chunk", "choices": [], "usage": tokens})


def done() -> Write:
    return data("[DONE]")


def comment(text: str = "keep-alive") -> Write:
    """What keeps proxies from closing a silent connection; no event."""
    return Write(f": {text}\n\n".encode())


def stream_error(message: str, **more: Any) -> Write:
    """An error inside a stream that began well."""
    return data({"error": {"message": message, **more}})


def reply(*texts: str, pause: float = 0.0, reason: str = "stop") -> list[Step]:
    """A whole good answer: the role, a chunk for each text (with a pause before it), finish, usage, done."""
    waits: list[Step] = [Pause(pause)] if pause else []
    said = [step for text in texts for step in (*waits, say(text))]
    return [chunk({"role": "assistant", "content": ""}), *said, finish(reason), usage(), done()]


def in_pieces(steps: Iterable[Step], size: int = 1) -> list[Step]:
    """The same, with every write split into writes of at most ``size`` bytes."""
    pieces: list[Step] = []
    for step in steps:
        if isinstance(step, Write):
            pieces += [Write(step.data[start : start + size]) for start in range(0, len(step.data), size)]
        else:
            pieces.append(step)
    return pieces


def body_of(steps: Iterable[Step]) -> bytes:
    """All bytes that the steps write."""
    return b"".join(step.data for step in steps if isinstance(step, Write))


def cut_after(steps: Iterable[Step], offset: int) -> list[Step]:
    """The same bytes as far as ``offset``, in one write, and then a broken connection."""
    return [Head(), Write(body_of(steps)[:offset]), Reset()]


def refuse(
    status: int, message: str, *, code: str | None = None, param: str | None = None, headers: Headers = ()
) -> Respond:
    """An error as OpenAI words it."""
    return Respond(status, {"error": {"message": message, "type": "error", "param": param, "code": code}}, headers)


How: TypeAlias = Literal["open", "completed", "client_left", "reset", "server_closed"]


@attrs.define(eq=False)
class Received:
    """One request and what became of it; the key is not kept."""

    connection: int
    """Which connection it came on, counted from 1: the same number means that one was used again."""
    body: Any
    headers: dict[str, str]
    with_key: bool
    received: float
    first_byte: float | None = None
    ended: float | None = None
    how: How = "open"
    problem: str = ""
    """Why it was refused, if it was."""


Script: TypeAlias = Callable[[Any], Iterable[Step]]


class ModelServer:
    """Made by `open_model_server`. ``requests`` is the journal; ``connections`` are those open now."""

    def __init__(self, nursery: trio.Nursery, key: str) -> None:
        self.requests: list[Received] = []
        self.connections: dict[int, trio.abc.Stream] = {}
        self.script: Script = lambda body: reply("Hello.")
        self.reachable = True
        """Off: new connections are refused."""
        self.connect_delay = 0.0
        """How long a connection in memory takes to come about."""
        self.closing = False
        self._answers: deque[Sequence[Step]] = deque()
        self._accepted = 0
        self._nursery = nursery
        self._key = key

    def answer(self, *steps: Step) -> None:
        """Queue the answer to one request."""
        self._answers.append(steps)

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        """A connection in memory, in the place of `trio.open_tcp_stream`."""
        await trio.sleep(self.connect_delay)
        if not self.reachable:
            raise ConnectionRefusedError("the model server is not reachable")
        client, server = memory_stream_pair()
        accepted = trio.Event()
        self._nursery.start_soon(self._serve, server, accepted)
        try:
            # As with TCP, what ends the wait is no checkpoint: a cancel may be pending when the connection is there.
            await accepted.wait()
        except trio.Cancelled:
            await trio.aclose_forcefully(client)
            raise
        return client

    async def serve_tcp(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Accept TCP connections on localhost until cancelled; reports OpenAI's base URL, which ends in ``/v1``."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1")
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, stream: trio.abc.Stream, accepted: trio.Event | None = None) -> None:
        if accepted is not None:
            accepted.set()
        self._accepted += 1
        number = self._accepted
        self.connections[number] = stream
        try:
            await serve_connection(stream, partial(self._answer, stream, number))
        finally:
            del self.connections[number]

    async def hang_up(self) -> None:
        """Close every connection, as servers do with idle ones."""
        for stream in self.connections.values():
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.Stream, number: int, exchange: Exchange) -> None:
        headers = dict(exchange.request.headers)
        with_key = _key_in(exchange) is not None
        headers.pop("authorization", None)
        headers.pop("x-api-key", None)
        body = None
        with suppress(ValueError):
            body = json.loads(exchange.request.body)
        entry = Received(number, body, headers, with_key, trio.current_time())
        self.requests.append(entry)
        try:
            await self._play(self._steps(exchange, entry), stream, exchange, entry)
        finally:
            entry.ended = trio.current_time()
            if entry.how == "open":  # cancelled
                entry.how = "server_closed" if self.closing else "client_left"

    def _steps(self, exchange: Exchange, entry: Received) -> Iterable[Step]:
        key = _key_in(exchange)
        if self._key and key != self._key:
            entry.problem = "the key is missing or wrong"
            return [refuse(401, f"Incorrect API key provided: {key}", code="invalid_api_key")]
        entry.problem = _objection(exchange, entry.body)
        if entry.problem:
            return [refuse(400, f"model server: {entry.problem}", code="invalid_request")]
        return self._answers.popleft() if self._answers else self.script(entry.body)

    async def _play(self, steps: Iterable[Step], stream: trio.abc.Stream, exchange: Exchange, entry: Received) -> None:
        for step in steps:
            if isinstance(step, Pause | Hang):
                await trio.sleep(step.seconds)
            elif isinstance(step, Until):
                await step.event.wait()
            elif isinstance(step, Reset):
                entry.how = "reset"
                if isinstance(stream, trio.SocketStream):
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await exchange.drop()
                return
            elif isinstance(step, Respond):
                entry.first_byte, entry.how = trio.current_time(), "completed"
                await exchange.respond(step.response())
                return
            else:
                await self._send(step, exchange, entry)
        if entry.first_byte is None:
            await self._send(Head(), exchange, entry)
        await exchange.finish()
        entry.how = "completed"

    async def _send(self, step: Head | Write, exchange: Exchange, entry: Received) -> None:
        if entry.first_byte is None:
            entry.first_byte = trio.current_time()
            head = step if isinstance(step, Head) else Head()
            await exchange.start(head.status, head.headers)
        if isinstance(step, Write):
            await exchange.send_chunk(step.data)


def _objection(exchange: Exchange, body: Any) -> str:
    """What is wrong with a request, or nothing."""
    request = exchange.request
    dialect = DIALECTS.get(request.path)
    if dialect is None or request.method != "POST":
        return f"{request.method} {request.path} is not POST {' or '.join(DIALECTS)}"
    return dialect.objection(body, dict(request.headers))


def _key_in(exchange: Exchange) -> str | None:
    """The key as it came: OpenAI's way, or the one of Anthropic's older clients."""
    bearer, bare = exchange.request.header("authorization"), exchange.request.header("x-api-key")
    return bare if bearer is None else bearer.removeprefix("Bearer ")


@asynccontextmanager
async def open_model_server(key: str = KEY) -> AsyncIterator[ModelServer]:
    """The server, reachable in memory; leaving it closes every connection. An empty ``key`` asks for none."""
    async with trio.open_nursery() as nursery:
        server = ModelServer(nursery, key)
        yield server
        server.closing = True
        nursery.cancel_scope.cancel(reason="the model server closes")
