"""An HTTP/1.1 client over Trio streams: connections that are used again, and that a cancel leaves whole.

h11 writes and reads the heads, and holds them to the standard; bodies are read in `bodies`. Rules:

1. A connection has one owner: `Connections.obtain` gives it, and whoever has it calls `Connections.give_back` when it
   may be used again, or closes it. A cancel, or an error, in the middle of an exchange closes it at once: that is how
   a model's server learns that nobody listens.
2. What is idle is used again, the warmest first, unless the server has closed it meanwhile, or said that it will.
3. A request is one piece of bytes, head and body. HTTP/1.1 only: in HTTP/2 a stopped stream would have to be reset.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

import attrs
import h11
import trio

from triolet.errors import RemoteProtocolError
from triolet.net.bodies import Body, Sized, UntilClosed, body_of
from triolet.net.network import Connect, is_readable, open_stream, paced, tls_context

READ_SIZE: Final = 1 << 16
"""Bytes that are read at once, at most."""

LONGEST_HEAD: Final = 100 * 1024
"""Bytes of a head that has not come to its end: what browsers take, and more than any server needs."""


@attrs.frozen
class Head:
    """The beginning of a response; names of headers are lower case."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    reason: bytes = b""
    version: bytes = b"HTTP/1.1"


@attrs.frozen
class Origin:
    """Whom a connection is to."""

    host: str
    port: int
    secure: bool


class Connection:
    """One exchange at a time: `send`, `receive_head`, then `receive_some` until it gives nothing more.

    The methods raise what the stream raises: `trio.BrokenResourceError`, `trio.ClosedResourceError`; and
    `RemoteProtocolError` for what is no HTTP.
    """

    def __init__(self, stream: trio.abc.Stream, origin: Origin) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.stream = stream
        self._paced = paced(stream)
        self._protocol = h11.Connection(h11.CLIENT)
        self._body: Body = Sized(0)
        self._early = b""
        self._method = ""
        self._stays_open = True
        self._is_sent = True

    async def send(self, method: str, target: str | bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a request; ``headers`` name the host, and the length of the body if there is one.

        A server that refuses a long request may have said so before it hung up: whether it has, reading tells.

        Raises:
            h11.LocalProtocolError: a header has characters that none may have.
        """
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._method, self._body, self._is_sent = method, UntilClosed(), False
        self.rest(0.0)
        events: list[h11.Event] = [h11.Request(method=method, target=target, headers=list(headers))]
        events += [h11.Data(data=body)] if body else []
        data = b"".join(self._protocol.send(event) or b"" for event in [*events, h11.EndOfMessage()])
        with suppress(trio.BrokenResourceError):
            await self.stream.send_all(data)
            self._is_sent = True

    async def receive_head(self) -> Head:
        try:
            while not isinstance(event := self._protocol.next_event(), h11.Response):
                if event is h11.NEED_DATA:
                    self._protocol.receive_data(await self._receive_more())
            self._body = body_of(self._method, event.status_code, event.headers)
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError(f"the server speaks no HTTP: {error}") from None
        headers = [*event.headers]
        self._stays_open = event.http_version >= b"1.1" and not _says_close(headers)
        self._early = self._protocol.trailing_data[0]
        return Head(event.status_code, headers, event.reason, b"HTTP/" + event.http_version)

    async def _receive_more(self) -> bytes:
        data = await self._receive()
        if not data:
            raise RemoteProtocolError("the server closed the connection without an answer")
        return data

    async def receive_some(self) -> bytes:
        """More of the body; empty at its end."""
        while not self._body.done:
            if self._body.broken:
                raise RemoteProtocolError(self._body.broken)
            data, self._early = self._early, b""
            data = data or await self._receive()
            if not data:
                self._stays_open = False
                self._body.receive_end()
            elif piece := self._body.receive_data(data):
                return piece
        return b""

    async def receive_rest(self) -> bytes:
        """All that is left of the body."""
        pieces = []
        while piece := await self.receive_some():
            pieces.append(piece)
        return b"".join(pieces)

    async def _receive(self) -> bytes:
        return bytes(await self.stream.receive_some(READ_SIZE))

    def rest(self, seconds: float) -> None:
        """Leave the socket alone for so long, in this exchange, unless the last read of it was a full one."""
        if self._paced is not None:
            self._paced.read_at = trio.current_time() + seconds

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow."""
        return self._is_sent and self._body.done and self._stays_open and not (self._early or self._body.rest)

    async def aclose(self) -> None:
        """Close it at once, without a goodbye."""
        await trio.aclose_forcefully(self.stream)


def _says_close(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"connection" and b"close" in value.lower() for name, value in headers)


class Connections:
    """Connections to any number of servers, of which so many are kept when they are idle, for so many seconds.

    ``tls`` is a context of the caller's own.
    """

    def __init__(
        self, connect: Connect, *, tls: ssl.SSLContext | None = None, keep: int = 64, keep_seconds: float = 60.0
    ) -> None:
        self._connect = connect
        self._tls = tls
        self._keep = keep
        self._keep_seconds = keep_seconds
        self.idle: list[Connection] = []
        """The newest last."""

    async def obtain(self, origin: Origin) -> Connection:
        """A connection to whoever that is.

        Raises:
            OSError, ValueError, trio.BrokenResourceError: there is none to be had.
        """
        await self._close_old()
        while (connection := self._warmest(origin)) is not None:
            self.idle.remove(connection)
            if self._is_fresh(connection):
                return connection
            await connection.aclose()
        return await self._open(origin)

    def obtain_nowait(self, origin: Origin) -> Connection | None:
        """The warmest of the idle connections, if it can be used."""
        connection = self._warmest(origin)
        if connection is None or not self._is_fresh(connection):
            return None
        self.idle.remove(connection)
        return connection

    def _warmest(self, origin: Origin) -> Connection | None:
        return next((each for each in reversed(self.idle) if each.origin == origin), None)

    def _is_fresh(self, connection: Connection) -> bool:
        """Whether a request may go out on it: what there is to read before one can only be the end."""
        return connection.idle_since >= self._oldest and not is_readable(connection.stream)

    @property
    def _oldest(self) -> float:
        return trio.current_time() - self._keep_seconds

    async def _open(self, origin: Origin) -> Connection:
        tls = (self._tls or tls_context()) if origin.secure else None
        return Connection(await open_stream(self._connect, origin.host, origin.port, tls), origin)

    async def give_back(self, connection: Connection) -> None:
        """Nobody wants more of its response, which may be all there or not."""
        with trio.CancelScope(shield=True):  # what is there, its owner must hear of; closing takes no time
            if connection.is_reusable and self._keep:
                connection.idle_since = trio.current_time()
                self.idle.append(connection)
                await self._close_old()
            else:
                await connection.aclose()

    async def _close_old(self) -> None:
        while self.idle and (len(self.idle) > self._keep or self.idle[0].idle_since < self._oldest):
            await self.idle.pop(0).aclose()

    async def aclose(self) -> None:
        """Close what is idle; what is given back from now on is closed, too."""
        self._keep = 0
        async with AsyncExitStack() as closing:  # goes on to the next when a cancel has come in the first
            while self.idle:
                closing.push_async_callback(self.idle.pop().aclose)
