"""Over TLS, too, what a server says behind an answer is no answer to the next request."""

from __future__ import annotations

import trio
from odd_servers import Wrapped, make_certificates

from triolet.net.http1 import Connections, Origin
from triolet.net.network import connect_tcp

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class Corked(Wrapped):
    """Sends all that it was given so far when it is flushed."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self.held, self.is_corked = b"", False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.held += bytes(data)
        if not self.is_corked:
            held, self.held = self.held, b""
            await self.stream.send_all(held)


async def test_an_answer_that_nobody_asked_for() -> None:
    """Two records in one segment: the second is taken off the socket together with the first."""
    certificates = make_certificates()
    asked = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal asked
        cork = Corked(stream)
        async with trio.SSLStream(cork, certificates.server, server_side=True, https_compatible=True) as server:
            while await server.receive_some():
                asked += 1
                cork.is_corked = True
                await server.send_all(OK + b"mine")
                cork.is_corked = asked != 1
                if asked == 1:
                    await server.send_all(OK + b"evil")
                cork.is_corked = False
                await cork.send_all(b"")

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port = listener.socket.getsockname()[1]
        connections = Connections(connect_tcp, tls=certificates.client)
        bodies = []
        for _ in range(2):
            connection = await connections.obtain(Origin("127.0.0.1", port, secure=True))
            await connection.send("GET", "/", [(b"Host", b"x")], b"")
            await connection.receive_head()
            bodies.append(await connection.receive_rest())
            await connections.give_back(connection)
        await connections.aclose()
        nursery.cancel_scope.cancel()
    assert bodies == [b"mine", b"mine"]
