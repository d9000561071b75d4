"""Our HTTP/1.1 as a transport of httpx or httpx2, for what builds its requests with one of them: SDKs, tools.

The client libraries' pools are left out: httpcore and httpcore2 lose a connection for ever when a cancel comes in the
last step of a connect, cost three times as much, and hand a body on chunk by chunk (`bodies`).
"""

from __future__ import annotations

import functools
import math
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeAlias

import h11
import trio

from triolet.errors import RemoteProtocolError
from triolet.net.http1 import Connection, Connections, Head, Origin
from triolet.net.network import Connect, words_of

BODY = "triolet.body"
"""The extension of a response that holds its `ResponseBody`."""

_PORTS = {"http": 80, "https": 443}

_Names: TypeAlias = Mapping[type[BaseException], str]

_CONNECTING: _Names = {
    trio.TooSlowError: "ConnectTimeout",
    trio.BrokenResourceError: "ConnectError",
    trio.ClosedResourceError: "ConnectError",
    OSError: "ConnectError",
    ValueError: "ConnectError",
}
_SENDING: _Names = {
    trio.TooSlowError: "WriteTimeout",
    trio.ClosedResourceError: "WriteError",
    h11.LocalProtocolError: "LocalProtocolError",
}
_RECEIVING: _Names = {
    trio.TooSlowError: "ReadTimeout",
    trio.BrokenResourceError: "ReadError",
    trio.ClosedResourceError: "ReadError",
    RemoteProtocolError: "RemoteProtocolError",
}


@contextmanager
def _named(client: ModuleType, names: _Names, request: Any) -> Iterator[None]:
    """What goes wrong has the client library's own names."""
    try:
        yield
    except (
        trio.TooSlowError,
        trio.BrokenResourceError,
        trio.ClosedResourceError,
        OSError,
        ValueError,
        h11.LocalProtocolError,
        RemoteProtocolError,
    ) as error:
        name = next((name for kind, name in names.items() if isinstance(error, kind)), "")
        if not name:
            raise
        raise getattr(client, name)(words_of(error), request=request) from error


class ResponseBody:
    """A response's body, a read of the socket at a time; ``aclose`` gives the connection back, or ends it."""

    def __init__(self, client: ModuleType, request: Any, connection: Connection, connections: Connections) -> None:
        self._client = client
        self._request = request
        self._connection = connection
        self._connections = connections
        self._read_seconds = _seconds(request, "read")
        self._closed = False

    def rest(self, seconds: float) -> None:
        """As `Connection.rest`."""
        self._connection.rest(seconds)

    async def receive_some(self) -> bytes:
        """More of it, as it is on the wire; empty at its end."""
        with _named(self._client, _RECEIVING, self._request):
            if self._read_seconds == math.inf:  # as a model's are, and a scope for each of them has its price
                return await self._connection.receive_some()
            with trio.fail_after(self._read_seconds):
                return await self._connection.receive_some()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._connections.give_back(self._connection)


@functools.cache
def _stream_class(client: ModuleType) -> Any:
    class Stream(client.AsyncByteStream):  # type: ignore[name-defined,misc]  # a base that is chosen at run time
        def __init__(self, body: ResponseBody) -> None:
            self._body = body

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while piece := await self._body.receive_some():
                yield piece

        async def aclose(self) -> None:
            await self._body.aclose()

    return Stream


@functools.cache
def _transport_class(client: ModuleType) -> Any:
    class Transport(client.AsyncBaseTransport):  # type: ignore[name-defined,misc]  # a base that is chosen at run time
        def __init__(self, connections: Connections) -> None:
            self.connections = connections

        async def handle_async_request(self, request: Any) -> Any:
            origin = _origin_of(client, request)
            content = await request.aread()
            with _named(client, _CONNECTING, request), trio.fail_after(_seconds(request, "connect")):
                connection = await self.connections.obtain(origin)
            try:
                head = await _ask(client, request, connection, content)
            except BaseException:
                await connection.aclose()
                raise
            body = ResponseBody(client, request, connection, self.connections)
            return client.Response(
                head.status,
                headers=head.headers,
                stream=_stream_class(client)(body),
                extensions={BODY: body, "http_version": head.version, "reason_phrase": head.reason},
            )

        async def aclose(self) -> None:
            await self.connections.aclose()

    return Transport


async def _ask(client: ModuleType, request: Any, connection: Connection, content: bytes) -> Head:
    with _named(client, _SENDING, request), trio.fail_after(_seconds(request, "write")):
        await connection.send(request.method, request.url.raw_path, request.headers.raw, content)
    with _named(client, _RECEIVING, request), trio.fail_after(_seconds(request, "read")):
        return await connection.receive_head()


def _seconds(request: Any, kind: str) -> float:
    limit = request.extensions.get("timeout", {}).get(kind)
    return float("inf") if limit is None else float(limit)


def _origin_of(client: ModuleType, request: Any) -> Origin:
    url = request.url
    if url.scheme not in _PORTS or not url.raw_host:
        raise client.UnsupportedProtocol(f"not an address of a web server: {url.scheme!r}", request=request)
    return Origin(url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme], url.scheme == "https")


def open_transport(client: ModuleType, connect: Connect, *, tls: ssl.SSLContext | None = None, **keeping: Any) -> Any:
    """A transport for ``client.AsyncClient``, where ``client`` is httpx or httpx2.

    ``tls`` is a context of the caller's own; ``keeping`` goes to `Connections`.
    """
    return _transport_class(client)(Connections(connect, tls=tls, **keeping))
