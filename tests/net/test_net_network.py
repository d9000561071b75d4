"""Requests through our transport: what goes wrong has the client library's own names, what is idle is reused."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import trio
import trio.testing
from odd_servers import (
    HOST,
    Certificates,
    Connect,
    Unreadable,
    Unwritable,
    Wrapped,
    hang_up,
    hang_up_halfway,
    make_certificates,
    never,
    open_odd_server,
    refuse,
    say_half,
    say_nothing,
    say_ok,
    write,
)

from triolet.emulator import App, Exchange
from triolet.net.network import connect_tcp, open_transport

LIBRARIES = [pytest.param(httpx, httpcore, id="httpx"), pytest.param(httpx2, httpcore2, id="httpx2")]
TIMES = {"connect": 1.0, "read": 2.0, "write": 4.0, "pool": 8.0}


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return make_certificates()


async def broken(host: str, port: int) -> trio.abc.Stream:
    raise trio.BrokenResourceError("no route")


async def late(host: str, port: int) -> trio.abc.Stream:
    raise trio.TooSlowError


class Closed(Wrapped):
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        raise trio.ClosedResourceError


CONNECTS: dict[str, tuple[Connect, str, float]] = {
    "nobody listens": (refuse, "ConnectError", 0.0),
    "no answer": (never, "ConnectTimeout", 1.0),
    "a broken stream": (broken, "ConnectError", 0.0),
    "a time-out of its own": (late, "ConnectTimeout", 0.0),
}


async def get(client: ModuleType, transport: Any, url: str) -> None:
    async with client.AsyncClient(transport=transport, timeout=client.Timeout(**TIMES)) as http:
        await http.get(url)


@pytest.mark.parametrize("case", CONNECTS)
@pytest.mark.parametrize(("client", "pool"), LIBRARIES)
async def test_a_connect_that_fails(autojump_clock: Any, client: ModuleType, pool: ModuleType, case: str) -> None:
    connect, name, seconds = CONNECTS[case]
    transport = open_transport(client, pool, connect, tls=False)
    with pytest.raises(getattr(client, name)) as caught:
        await get(client, transport, f"http://{HOST}/")
    assert (type(caught.value).__name__, trio.current_time()) == (name, seconds)
    assert transport.connections.connections == []


REQUESTS: dict[str, tuple[App, Callable[[trio.abc.Stream], trio.abc.Stream], str, float]] = {
    "silence": (say_nothing, Wrapped, "ReadTimeout", 2.0),
    "half an answer": (say_half, Wrapped, "ReadTimeout", 2.0),
    "the end for an answer": (hang_up, Wrapped, "RemoteProtocolError", 0.0),
    "the end in the middle": (hang_up_halfway, Wrapped, "RemoteProtocolError", 0.0),
    "no HTTP": (write(b"220 mail.test ESMTP\r\n"), Wrapped, "RemoteProtocolError", 0.0),
    "a reset": (say_ok, Unreadable, "ReadError", 0.0),
    "closed by ourselves": (say_ok, Closed, "ReadError", 0.0),
    "no room to write": (say_ok, Unwritable, "WriteTimeout", 4.0),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize(("client", "pool"), LIBRARIES)
async def test_a_request_that_fails(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, pool: ModuleType, case: str, tls: bool
) -> None:
    """With TLS, what is wrong with the stream is wrong in the handshake already."""
    app, wrap, name, seconds = REQUESTS[case]
    if tls and wrap is not Wrapped:
        name, seconds = ("ConnectTimeout", 1.0) if wrap is Unwritable else ("ConnectError", 0.0)
    async with open_odd_server(app, tls=certificates.server if tls else None, wrap=wrap) as server:
        transport = open_transport(client, pool, server.connect, tls=certificates.client)
        with pytest.raises(client.TransportError) as caught:
            await get(client, transport, f"{'https' if tls else 'http'}://{HOST}/")
        await trio.testing.wait_all_tasks_blocked()
        assert (type(caught.value), trio.current_time()) == (getattr(client, name), seconds)
        assert (transport.connections.connections, server.open) == ([], 0)


@pytest.mark.parametrize(("client", "pool"), LIBRARIES)
async def test_a_full_pool(autojump_clock: Any, client: ModuleType, pool: ModuleType) -> None:
    async with open_odd_server(say_nothing) as server, trio.open_nursery() as nursery:
        transport = open_transport(client, pool, server.connect, tls=False, max_connections=1)
        async with client.AsyncClient(transport=transport, timeout=None) as http:
            nursery.start_soon(http.get, f"http://{HOST}/")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(client.PoolTimeout):
                await http.get(f"http://{HOST}/", timeout=client.Timeout(None, pool=3.0))
            assert trio.current_time() == 3.0
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("client", "pool"), LIBRARIES)
async def test_an_address_that_is_no_web(client: ModuleType, pool: ModuleType) -> None:
    with pytest.raises(client.UnsupportedProtocol):
        await get(client, open_transport(client, pool, never, tls=False), "ftp://server.test/")


async def test_a_refused_certificate_says_so(autojump_clock: Any, certificates: Certificates) -> None:
    """Trio's own error has no words; its cause has."""
    async with open_odd_server(say_ok, tls=certificates.server) as server:
        transport = open_transport(httpx, httpcore, server.connect, tls=True)
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await get(httpx, transport, f"https://{HOST}/")


async def test_a_server_without_tls_is_an_error_of_the_connect(autojump_clock: Any, certificates: Certificates) -> None:
    async with open_odd_server(say_ok) as server:
        transport = open_transport(httpx, httpcore, server.connect, tls=certificates.client)
        with pytest.raises(httpx.ConnectError):
            await get(httpx, transport, f"https://{HOST}/")


# Connections that are kept


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("client", "pool"), LIBRARIES)
async def test_an_idle_connection_is_used_again(
    certificates: Certificates, client: ModuleType, pool: ModuleType, tls: bool
) -> None:
    """Over TCP, and with TLS by a handshake that httpcore asks for the protocol."""
    with trio.fail_after(10):
        async with open_odd_server(say_ok, tls=certificates.server if tls else None) as server:
            url = f"{'https' if tls else 'http'}://127.0.0.1:{await server.listen()}/"
            transport = open_transport(client, pool, connect_tcp, tls=certificates.client)
            async with client.AsyncClient(transport=transport) as http:
                responses = [await http.get(url) for _ in range(3)]
                assert [response.text for response in responses] == ["ok"] * 3
                assert (server.opened, len(server.requests)) == (1, 3)
                secure = responses[0].extensions["network_stream"].get_extra_info("ssl_object")
                assert (secure.selected_alpn_protocol() if tls else secure) == ("http/1.1" if tls else None)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("client", "pool"), LIBRARIES)
async def test_a_connection_that_the_server_closed_is_not_used_again(
    certificates: Certificates, client: ModuleType, pool: ModuleType, tls: bool
) -> None:
    """A send must not fail for a reason that was there to see."""
    sockets: list[trio.SocketStream] = []
    gates = [trio.Event() for _ in range(3)]

    async def say_ok_and_hang_up_later(exchange: Exchange) -> None:
        await say_ok(exchange)
        await gates[len(sockets) - 1].wait()
        await exchange.drop()

    async def connect(host: str, port: int) -> trio.abc.Stream:
        sockets.append(await trio.open_tcp_stream(host, port))
        return sockets[-1]

    with trio.fail_after(10):
        async with open_odd_server(say_ok_and_hang_up_later, tls=certificates.server if tls else None) as server:
            url = f"{'https' if tls else 'http'}://127.0.0.1:{await server.listen()}/"
            transport = open_transport(client, pool, connect, tls=certificates.client)
            async with client.AsyncClient(transport=transport) as http:
                for number, gate in enumerate(gates, start=1):
                    assert (await http.get(url)).text == "ok"
                    gate.set()
                    await trio.lowlevel.wait_readable(sockets[-1].socket)
                    assert (server.opened, len(transport.connections.connections)) == (number, 1)


async def test_a_backend_that_is_asked_for_more_knows_nothing(autojump_clock: Any) -> None:
    async with open_odd_server(say_ok) as server:
        transport = open_transport(httpx, httpcore, server.connect, tls=False)
        async with httpx.AsyncClient(transport=transport) as http:
            stream = (await http.get(f"http://{HOST}/")).extensions["network_stream"]
            assert [stream.get_extra_info(name) for name in ("socket", "ssl_object")] == [None, None]
            assert stream.get_extra_info("is_readable") is False, "nobody can tell, in memory"
