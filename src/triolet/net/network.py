"""Streams to servers, TCP or what the caller has instead, and TLS over them.

A stream belongs to nobody until `open_stream` has returned: whatever goes wrong in it, a cancel included, it closes
what it has made.
"""

from __future__ import annotations

import functools
import math
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import certifi
import trio

Connect: TypeAlias = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Where the bytes go: TCP in life, streams in memory in tests."""

FULL: Final = 1 << 16
"""Bytes that a read gives at most which names no limit, as those of TLS do not."""


async def connect_tcp(host: str, port: int) -> trio.abc.Stream:
    """A TCP connection, the fastest of the host's addresses."""
    return await trio.open_tcp_stream(host, port)


async def open_stream(connect: Connect, host: str, port: int, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    """A stream to that host, with TLS where a context is given.

    Raises:
        OSError, ValueError, trio.BrokenResourceError: there is none to be had; what it says is fit to be shown.
            ValueError: no host can have that name.
    """
    stream = PacedStream(await connect(host, port))
    if tls is None:
        return stream
    try:
        secure = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


class PacedStream(trio.abc.Stream):
    """A stream whose reads can be put off.

    It lies below TLS, which gives its data a record at a time: to put off those reads would be to read a record for
    each rest, however many have come.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.read_at = -math.inf
        """Nothing is read before that time, unless the last read has left something behind."""
        self._drained = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._drained and self.read_at > trio.current_time():
            await trio.sleep_until(self.read_at)
        data = await self.stream.receive_some(max_bytes or FULL)
        self._drained = len(data) != (max_bytes or FULL)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


def paced(stream: trio.abc.Stream) -> PacedStream | None:
    """What lies below a stream of `open_stream`."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return stream if isinstance(stream, PacedStream) else None


def is_readable(stream: trio.abc.Stream) -> bool:
    """Whether an idle connection has something to read, which means that the server has closed it.

    Of a stream that is no socket nobody can tell.
    """
    if isinstance(stream, trio.SSLStream) and (stream.pending() or stream._incoming.pending):  # noqa: SLF001  # no other way
        return True  # taken off the socket already, with the record before it
    below = paced(stream)
    socket = below.stream if below is not None else stream
    return isinstance(socket, trio.SocketStream) and socket.socket.is_readable()


def words_of(error: BaseException) -> str:
    """What it says; Trio's errors often leave that to their cause: a certificate that is refused, say."""
    return str(error) or str(error.__cause__ or "") or type(error).__name__


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One for the process: making it reads the certificates, which takes tens of milliseconds.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name others than those of `certifi`, as they do for OpenSSL.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    context = ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder)
    context.set_alpn_protocols(["http/1.1"])
    return context
