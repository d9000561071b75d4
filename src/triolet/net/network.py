"""Streams to servers, TCP or what the caller has instead, and TLS over them.

A stream belongs to nobody until `open_stream` has returned: whatever goes wrong in it, a cancel included, it closes
what it has made.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import certifi
import trio

Connect: TypeAlias = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Where the bytes go: TCP in life, streams in memory in tests."""


async def connect_tcp(host: str, port: int) -> trio.abc.Stream:
    """A TCP connection, the fastest of the host's addresses."""
    return await trio.open_tcp_stream(host, port)


async def open_stream(connect: Connect, host: str, port: int, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    """A stream to that host, with TLS where a context is given.

    Raises:
        OSError, trio.BrokenResourceError: there is none to be had; what it says is fit to be shown.
    """
    stream = await connect(host, port)
    if tls is None:
        return stream
    secure = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


def is_readable(stream: trio.abc.Stream) -> bool:
    """Whether an idle connection has something to read, which means that the server has closed it.

    Of a stream that is no socket nobody can tell.
    """
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return isinstance(stream, trio.SocketStream) and stream.socket.is_readable()


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
