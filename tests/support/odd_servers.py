"""HTTP servers that may do anything, on the emulator's little server: in memory, over TCP, plain or with TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import trio
import trustme
from trio.testing import memory_stream_pair

from triolet.emulator import App, Exchange, Request, Response, serve_connection

HOST = "server.test"
Wrap: TypeAlias = Callable[[trio.abc.Stream], trio.abc.Stream]


@attrs.define(eq=False)
class OddServer:
    """Serves ``app``; `open_odd_server` makes it. Times are Trio's."""

    app: App
    nursery: trio.Nursery
    tls: ssl.SSLContext | None = None
    wrap: Wrap = attrs.field(default=lambda stream: stream)
    """What the client gets instead of its end of a connection in memory."""
    requests: list[Request] = attrs.Factory(list)
    opened: int = 0
    closed_at: list[float] = attrs.Factory(list)

    @property
    def open(self) -> int:
        return self.opened - len(self.closed_at)

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        """A connection in memory."""
        client, server = memory_stream_pair()
        self.nursery.start_soon(self._serve, server)
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            await trio.aclose_forcefully(client)
            raise
        return self.wrap(client)

    async def listen(self) -> int:
        """The port of 127.0.0.1 where it can be reached from now on."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.nursery.start_soon(trio.serve_listeners, self._serve, listeners)
        port: int = listeners[0].socket.getsockname()[1]
        return port

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.opened += 1
        server = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True) if self.tls else stream
        try:
            await serve_connection(server, self._answer)
        finally:
            self.closed_at.append(trio.current_time())

    async def _answer(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        await self.app(exchange)


@asynccontextmanager
async def open_odd_server(
    app: App, *, tls: ssl.SSLContext | None = None, wrap: Wrap | None = None
) -> AsyncIterator[OddServer]:
    async with trio.open_nursery() as nursery:
        server = OddServer(app, nursery, tls)
        server.wrap = wrap or server.wrap
        yield server
        nursery.cancel_scope.cancel()


# Applications


async def say_ok(exchange: Exchange) -> None:
    await exchange.respond(Response(200, b"ok"))


async def say_nothing(exchange: Exchange) -> None:
    await trio.sleep_forever()


async def say_half(exchange: Exchange) -> None:
    """The head and a piece of the body, then nothing for ever."""
    await exchange.start(200)
    await exchange.send_chunk(b"half")
    await trio.sleep_forever()


async def hang_up(exchange: Exchange) -> None:
    await exchange.drop()


async def hang_up_halfway(exchange: Exchange) -> None:
    await exchange.start(200)
    await exchange.send_chunk(b"half")
    await exchange.drop()


def respond(response: Response) -> App:
    async def app(exchange: Exchange) -> None:
        await exchange.respond(response)

    return app


def write(data: bytes) -> App:
    """Not HTTP: these bytes, and the end."""

    async def app(exchange: Exchange) -> None:
        await exchange._connection.stream.send_all(data)
        await exchange.drop()

    return app


# Streams


class Wrapped(trio.abc.Stream):
    """A stream around another; what a test needs to go wrong is overridden."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


class Unreadable(Wrapped):
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError("reset by peer")


class Unwritable(Wrapped):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.sleep_forever()


class AfterSend(Wrapped):
    """Calls ``act`` as the last thing of its ``number``-th send."""

    def __init__(self, stream: trio.abc.Stream, number: int, act: Callable[[], Any]) -> None:
        super().__init__(stream)
        self.left = number
        self.act = act

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await super().send_all(data)
        self.left -= 1
        if self.left == 0:
            self.act()


class BrokenAfterSend(Wrapped):
    """The server has read enough of it, and hung up; what it said before can be read."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await super().send_all(data)
        raise trio.BrokenResourceError("broken pipe")


async def refuse(host: str, port: int) -> trio.abc.Stream:
    """A ``connect`` that finds nobody."""
    await trio.lowlevel.checkpoint()
    raise ConnectionRefusedError(111, "Connection refused")


async def never(host: str, port: int) -> trio.abc.Stream:
    """A ``connect`` that takes for ever."""
    await trio.sleep_forever()


Connect: TypeAlias = Callable[[str, int], Awaitable[trio.abc.Stream]]


# Certificates


@attrs.frozen
class Certificates:
    """Contexts of a server for `HOST` and 127.0.0.1, and of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_certificates() -> Certificates:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(server)
    server.set_alpn_protocols(["http/1.1"])
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(server, client)
