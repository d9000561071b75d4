"""A cancelled connect leaves no connection behind: not in the pool, not at the server.

The first tests show the fault in the libraries' own backends, so that whoever updates them learns when it is gone.
"""

from __future__ import annotations

import ssl
from types import ModuleType
from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import trio
import trio.testing
from httpcore._backends.trio import TrioStream as Stream
from httpcore2._backends.trio import TrioStream as Stream2
from odd_servers import (
    HOST,
    AfterSend,
    Certificates,
    Connect,
    OddServer,
    Wrapped,
    make_certificates,
    never,
    open_odd_server,
    say_half,
    say_nothing,
    say_ok,
)

from triolet.net.network import open_transport

LIBRARIES = [pytest.param(httpx, httpcore, Stream, id="httpx"), pytest.param(httpx2, httpcore2, Stream2, id="httpx2")]
CLIENT_HELLO_AND_FINISHED = 2
"""What a client sends in a TLS handshake; it is done with the second."""


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return make_certificates()


class Stock:
    """The libraries' backend for Trio, over streams of the test's choice."""

    def __init__(self, connect: Connect, stream: type[Any]) -> None:
        self.connect = connect
        self.stream = stream

    async def connect_tcp(self, host: str, port: int, **_: Any) -> Any:
        return self.stream(await self.connect(host, port))

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


def cancel_at_the_end(server: OddServer, scope: trio.CancelScope, *, tls: bool) -> Connect:
    """Connects; cancels the scope in the very last step of that, or of the TLS handshake."""
    first = True

    async def connect(host: str, port: int) -> trio.abc.Stream:
        nonlocal first
        stream = await server.connect(host, port)
        if first and tls:
            stream = AfterSend(stream, CLIENT_HELLO_AND_FINISHED, scope.cancel)
        elif first:
            scope.cancel()
        first = False
        return stream

    return connect


async def ask_twice(connections: Any, scope: trio.CancelScope, url: str) -> list[Any]:
    """What is left of a request that is cancelled, then what comes of another."""
    with scope:
        await connections.request("GET", url)
    assert scope.cancelled_caught
    await trio.testing.wait_all_tasks_blocked()
    left = len(connections.connections)
    try:
        response = await connections.request("GET", url, extensions={"timeout": {"pool": 1.0}})
    except (httpcore.PoolTimeout, httpcore2.PoolTimeout):
        return [left, "PoolTimeout"]
    return [left, response.status]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("client", "pool", "stream"), LIBRARIES)
async def test_the_stock_backend_loses_a_slot(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, pool: ModuleType, stream: Any, tls: bool
) -> None:
    scope = trio.CancelScope()
    async with open_odd_server(say_ok, tls=certificates.server if tls else None) as server:
        connect = cancel_at_the_end(server, scope, tls=tls)
        backend = Stock(connect, stream)
        stock = pool.AsyncConnectionPool(ssl_context=certificates.client, max_connections=1, network_backend=backend)
        found = await ask_twice(stock, scope, f"{'https' if tls else 'http'}://{HOST}/")
        assert (found, server.open) == ([1, "PoolTimeout"], 1)
        for connection in stock.connections:  # nobody else will ever close it
            await connection.aclose()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("client", "pool", "stream"), LIBRARIES)
async def test_ours_loses_none(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, pool: ModuleType, stream: Any, tls: bool
) -> None:
    scope = trio.CancelScope()
    async with open_odd_server(say_ok, tls=certificates.server if tls else None) as server:
        connect = cancel_at_the_end(server, scope, tls=tls)
        transport = open_transport(client, pool, connect, tls=certificates.client, max_connections=1)
        async with transport:
            found = await ask_twice(transport.connections, scope, f"{'https' if tls else 'http'}://{HOST}/")
            assert (found, server.open) == ([0, 200], 1), "the second one's"


@pytest.mark.parametrize(("client", "pool", "stream"), LIBRARIES)
async def test_a_cancel_at_any_send_of_a_tls_request(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, pool: ModuleType, stream: Any
) -> None:
    """The handshake's two and the request's own, head and body."""
    for number in range(1, 5):
        scope = trio.CancelScope()
        async with open_odd_server(say_nothing, tls=certificates.server) as server:
            server.wrap = lambda stream, number=number, scope=scope: AfterSend(stream, number, scope.cancel)  # type: ignore[misc]  # bound now
            transport = open_transport(client, pool, server.connect, tls=certificates.client, max_connections=1)
            async with transport, client.AsyncClient(transport=transport) as http:
                with scope:
                    await http.post(f"https://{HOST}/", content=b"x")
                await trio.testing.wait_all_tasks_blocked()
                assert scope.cancelled_caught
                assert (transport.connections.connections, server.open) == ([], 0), number


SILENCES = {"before the head": say_nothing, "within the body": say_half}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("moment", SILENCES)
@pytest.mark.parametrize(("client", "pool", "stream"), LIBRARIES)
async def test_the_server_sees_a_cancel_at_once(
    autojump_clock: Any,
    certificates: Certificates,
    client: ModuleType,
    pool: ModuleType,
    stream: Any,
    moment: str,
    tls: bool,
) -> None:
    """A model must not go on writing, for money, to somebody who has left."""
    async with open_odd_server(SILENCES[moment], tls=certificates.server if tls else None) as server:
        transport = open_transport(client, pool, server.connect, tls=certificates.client, max_connections=1)
        async with client.AsyncClient(transport=transport) as http:
            with trio.move_on_after(1):
                await http.get(f"{'https' if tls else 'http'}://{HOST}/", timeout=None)
            await trio.testing.wait_all_tasks_blocked()
            assert (server.closed_at, trio.current_time()) == ([1.0], 1.0)
            assert transport.connections.connections == []


async def test_a_cancelled_connect_ends_at_once(autojump_clock: Any) -> None:
    async with open_transport(httpx, httpcore, never, tls=False) as transport:
        with trio.move_on_after(1):
            await transport.connections.request("GET", f"http://{HOST}/")
        assert (transport.connections.connections, trio.current_time()) == ([], 1.0)


class Stubborn(Wrapped):
    """Does not close before a goodbye that never comes."""

    async def aclose(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            await trio.aclose_forcefully(self.stream)


async def test_a_broken_handshake_waits_for_no_goodbye(autojump_clock: Any) -> None:
    """Closing is forceful, so that a peer which answers nothing holds nobody up."""
    untrusting = ssl.create_default_context()
    async with open_odd_server(say_ok, tls=make_certificates().server, wrap=Stubborn) as server:
        async with open_transport(httpx, httpcore, server.connect, tls=untrusting) as transport:
            with pytest.raises(httpcore.ConnectError, match="CERTIFICATE_VERIFY_FAILED"), trio.fail_after(60):
                await transport.connections.request("GET", f"https://{HOST}/")
        await trio.testing.wait_all_tasks_blocked()
        assert (server.open, trio.current_time()) == (0, 0.0)
