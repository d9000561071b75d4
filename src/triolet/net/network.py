"""A network backend for httpx and httpx2 that a cancelled connect cannot break, over any Trio stream.

Rules:

1. A connection belongs to nobody until `connect_tcp` or `start_tls` has returned. httpcore and httpcore2 lose
   one for ever, slot and socket, when a cancel lands between that return and their first lock; so both functions
   end with a checkpoint that takes the cancel itself, and close what they made when anything goes wrong.
2. Where the bytes go is the caller's: ``connect(host, port)`` opens TCP in life and memory streams in tests.
3. Only public API of the libraries is used: a transport around their connection pool.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeAlias

import attrs
import trio

Connect: TypeAlias = Callable[[str, int], Awaitable[trio.abc.Stream]]


async def connect_tcp(host: str, port: int) -> trio.abc.Stream:
    """A TCP connection, the fastest of the host's addresses."""
    return await trio.open_tcp_stream(host, port)


@contextmanager
def _mapped(table: Mapping[type[BaseException], type[Exception]]) -> Iterator[None]:
    try:
        yield
    except tuple(table) as error:
        for cause, effect in table.items():
            if isinstance(error, cause):
                raise effect(_words(error)) from error
        raise


def _words(error: BaseException) -> str:
    """What it says; Trio's errors often leave that to their cause: a certificate that is refused, say."""
    return str(error) or str(error.__cause__ or "") or type(error).__name__


@attrs.frozen
class _Stream:
    """httpcore's AsyncNetworkStream over a Trio stream."""

    _stream: trio.abc.Stream
    _pool: ModuleType

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # httpcore's signature
        broken = self._errors(self._pool.ReadTimeout, self._pool.ReadError)
        with _mapped(broken), trio.fail_after(_seconds(timeout)):
            return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # httpcore's signature
        broken = self._errors(self._pool.WriteTimeout, self._pool.WriteError)
        with _mapped(broken), trio.fail_after(_seconds(timeout)):
            await self._stream.send_all(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
    ) -> _Stream:
        secure = trio.SSLStream(self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True)
        broken = self._errors(self._pool.ConnectTimeout, self._pool.ConnectError)
        async with _closed_on_failure(self._stream):
            with _mapped(broken), trio.fail_after(_seconds(timeout)):
                await secure.do_handshake()
        return _Stream(secure, self._pool)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object" and isinstance(self._stream, trio.SSLStream):
            return self._stream  # httpcore asks it for the ALPN protocol only
        if info == "is_readable":
            return self._is_readable()
        return None

    def _is_readable(self) -> bool:
        """Whether an idle connection has something to read, which means that the server has closed it."""
        stream: trio.abc.Stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        return isinstance(stream, trio.SocketStream) and stream.socket.is_readable()

    def _errors(self, timeout: type[Exception], broken: type[Exception]) -> dict[type[BaseException], type[Exception]]:
        return {
            trio.TooSlowError: timeout,
            trio.BrokenResourceError: broken,
            trio.ClosedResourceError: broken,
        }


@attrs.frozen
class _Backend:
    """httpcore's AsyncNetworkBackend."""

    _connect: Connect
    _pool: ModuleType

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> _Stream:
        errors: dict[type[BaseException], type[Exception]] = {
            trio.TooSlowError: self._pool.ConnectTimeout,
            trio.BrokenResourceError: self._pool.ConnectError,
            OSError: self._pool.ConnectError,
        }
        with _mapped(errors), trio.fail_after(_seconds(timeout)):
            stream = await self._connect(host, port)
        async with _closed_on_failure(stream):
            pass
        return _Stream(stream, self._pool)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _closed_on_failure:  # noqa: N801  # reads as the statement it is
    """Closes the stream if the body fails, or if a cancel is waiting when it is done (rule 1)."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await trio.lowlevel.checkpoint_if_cancelled()
                return
        except BaseException:
            await trio.aclose_forcefully(self._stream)
            raise
        await trio.aclose_forcefully(self._stream)


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout


def open_transport(
    client: ModuleType, pool: ModuleType, connect: Connect, *, tls: bool | ssl.SSLContext = True, **limits: Any
) -> Any:
    """A transport for ``client.AsyncClient``: httpx with httpcore, or httpx2 with httpcore2.

    ``tls``: a context of the caller's own, or False where no address begins with ``https:``. ``limits`` go to the
    pool (``max_connections``, ``keepalive_expiry`` ...). HTTP/1.1 only: neither library resets an HTTP/2 stream
    when it is cancelled, so a stopped model would go on generating.
    """
    connections = pool.AsyncConnectionPool(
        ssl_context=tls if isinstance(tls, ssl.SSLContext) else _tls_context(client) if tls else None,
        network_backend=_Backend(connect, pool),
        **limits,
    )
    return _transport_class(client, pool)(connections)


@functools.cache
def _tls_context(client: ModuleType) -> ssl.SSLContext:
    """One for the process: making it reads the system's certificates, which takes tens of milliseconds."""
    context: ssl.SSLContext = client.create_ssl_context()
    return context


@functools.cache
def _transport_class(client: ModuleType, pool: ModuleType) -> Any:
    errors: dict[type[BaseException], type[Exception]] = {
        kind: getattr(client, kind.__name__)
        for kind in vars(pool).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and hasattr(client, kind.__name__)
    }
    # The most special first: `_mapped` takes the first that fits.
    table = dict(sorted(errors.items(), key=lambda pair: -len(pair[0].__mro__)))

    class Body(client.AsyncByteStream):  # type: ignore[name-defined,misc]  # a base that is chosen at run time
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with _mapped(table):
                async for part in self._stream:
                    yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    class Transport(client.AsyncBaseTransport):  # type: ignore[name-defined,misc]  # a base that is chosen at run time
        def __init__(self, connections: Any) -> None:
            self.connections = connections

        async def handle_async_request(self, request: Any) -> Any:
            with _mapped(table):
                response = await self.connections.handle_async_request(_pool_request(pool, request))
            return client.Response(
                status_code=response.status,
                headers=response.headers,
                stream=Body(response.stream),
                extensions=response.extensions,
            )

        async def aclose(self) -> None:
            await self.connections.aclose()

    return Transport


def _pool_request(pool: ModuleType, request: Any) -> Any:
    url = request.url
    return pool.Request(
        method=request.method,
        url=pool.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )
