"""A small HTTP/1.1 server over any Trio stream, on h11. It knows nothing of Telegram.

Rule 1: each connection is one task; nothing another client does, or fails to do, can hold it up.
Rule 2: while an application answers, the connection is watched. When the client leaves (an end of file counts, so
        a half-close is leaving), the application is cancelled at once, also while it sleeps between two chunks.
        A failed write is the same event: the application never sees a broken stream, only cancellation.
Rule 3: what is not HTTP gets a 400, a body over the limit a 413, and both end the connection.
Rule 4: cancellation closes the stream at once, without a goodbye.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import h11
import trio

Headers: TypeAlias = tuple[tuple[str, str], ...]
App: TypeAlias = Callable[["Exchange"], Awaitable[None]]

MAX_BODY = 1 << 20
MAX_READ_AHEAD = 1 << 16  # bytes of a next request that are kept while this one is answered
READ_SIZE = 1 << 14
LINGER = 0.5
"""Seconds in which a refused client may finish sending: closing on unread bytes would destroy the refusal."""


@attrs.frozen
class Request:
    """One request; header names are lower case, ``path`` is unquoted and has no query."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name.lower()), None)


@attrs.frozen
class Response:
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: Headers = ()

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Headers = ()) -> Response:
        body = json.dumps(value).encode()
        return cls(status, body, (("Content-Type", "application/json"), *headers))


class Exchange:
    """One request and the ways to answer it: `respond`, or `start`, `send_chunk`, `finish`; or `drop`.

    An application that returns without finishing an answer closes the connection.
    """

    def __init__(self, request: Request, connection: _Connection, scope: trio.CancelScope) -> None:
        self.request = request
        self._connection = connection
        self._scope = scope

    async def respond(self, response: Response) -> None:
        """Answer with everything at once."""
        length = ("Content-Length", str(len(response.body)))
        head = _response_head(response.status, (*response.headers, length))
        events = [head, h11.Data(data=response.body), h11.EndOfMessage()]
        await self._send(*events)

    async def start(self, status: int = 200, headers: Headers = ()) -> None:
        """Begin an answer that arrives in chunks; the client sees this at once."""
        await self._send(_response_head(status, headers))

    async def send_chunk(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def finish(self) -> None:
        """End an answer that arrived in chunks."""
        await self._send(h11.EndOfMessage())

    async def drop(self) -> None:
        """Close the connection as it is, with or without half an answer; then return."""
        self._connection.dropped = True
        await trio.aclose_forcefully(self._connection.stream)

    async def _send(self, *events: h11.Event) -> None:
        head_only = self.request.method == "HEAD"
        wanted = [event for event in events if not (head_only and isinstance(event, h11.Data))]
        data = b"".join(self._connection.protocol.send(event) or b"" for event in wanted)
        try:
            await self._connection.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._connection.dropped = True
            self._scope.cancel(reason="the client left")
            await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class _Connection:
    """A stream and what h11 knows about it."""

    stream: trio.abc.Stream
    protocol: h11.Connection
    max_body: int
    dropped: bool = False


class _Reject(Exception):
    """An answer for a request that nobody could read."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


async def serve_connection(stream: trio.abc.Stream, app: App, max_body: int = MAX_BODY) -> None:
    """Answer requests until the client or the application ends the connection; closes ``stream``."""
    connection = _Connection(stream, h11.Connection(h11.SERVER, max_incomplete_event_size=READ_SIZE * 4), max_body)
    try:
        while await _serve_request(connection, app):
            connection.protocol.start_next_cycle()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client left between requests, or while it was being refused
    finally:
        await trio.aclose_forcefully(stream)


async def _serve_request(connection: _Connection, app: App) -> bool:
    """Read one request and let it be answered; tell whether another may follow."""
    try:
        request = await _read_request(connection)
    except (_Reject, h11.RemoteProtocolError) as error:
        await _refuse(connection, error)
        return False
    if request is None:
        return False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, connection, nursery.cancel_scope)
        await app(Exchange(request, connection, nursery.cancel_scope))
        nursery.cancel_scope.cancel(reason="the request is answered")
    states = connection.protocol.states
    return not connection.dropped and states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}


async def _watch(connection: _Connection, scope: trio.CancelScope) -> None:
    """Cancel the application when the client leaves; keep what it sends early for the next request."""
    ahead = 0
    while ahead < MAX_READ_AHEAD:
        try:
            data = await connection.stream.receive_some(READ_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            connection.dropped = True
            scope.cancel(reason="the client left")
            return
        connection.protocol.receive_data(bytes(data))
        ahead += len(data)


async def _read_request(connection: _Connection) -> Request | None:
    """The next request, or ``None`` if the client has no more."""
    head = await _next_event(connection)
    if not isinstance(head, h11.Request):
        return None
    body = bytearray()
    while isinstance(event := await _next_event(connection), h11.Data):
        body += event.data
        if len(body) > connection.max_body:
            raise _Reject(413, "Request Entity Too Large")
    return _parse_request(head, bytes(body))


def _parse_request(head: h11.Request, body: bytes) -> Request:
    if head.method == b"CONNECT":
        raise _Reject(405, "Method Not Allowed")  # a successful answer would end HTTP on this connection
    try:
        parts = urlsplit(head.target.decode("ascii"))
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as error:
        raise _Reject(400, "Bad Request") from error
    return Request(head.method.decode("ascii"), unquote(parts.path), query, headers, body)


async def _next_event(connection: _Connection) -> h11.Event:
    while True:
        event = connection.protocol.next_event()
        if isinstance(event, h11.Event):
            return event
        if connection.protocol.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            await connection.stream.send_all(connection.protocol.send(go_on) or b"")
        connection.protocol.receive_data(bytes(await connection.stream.receive_some(READ_SIZE)))


async def _refuse(connection: _Connection, error: _Reject | h11.RemoteProtocolError) -> None:
    """Answer a request that could not be read, and let the client read that."""
    if connection.protocol.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    if isinstance(error, _Reject):
        status, text = error.status, error.text
    else:
        status, text = error.error_status_hint, f"Bad Request: {error}"
    body = text.encode()
    headers = (("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Connection", "close"))
    events = [_response_head(status, headers), h11.Data(data=body), h11.EndOfMessage()]
    await connection.stream.send_all(b"".join(connection.protocol.send(event) or b"" for event in events))
    with trio.move_on_after(LINGER):
        while await connection.stream.receive_some(READ_SIZE):
            pass


def _response_head(status: int, headers: Iterable[tuple[str, str]]) -> h11.Response:
    encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    return h11.Response(status_code=status, headers=encoded)
