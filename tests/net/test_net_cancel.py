"""A cancel leaves no connection behind: not among the idle ones, not at the server."""

from __future__ import annotations

import ssl
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
import trio
import trio.testing
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

from triolet.net.http1 import Connections, Origin
from triolet.net.transport import open_transport

LIBRARIES = [pytest.param(httpx, id="httpx"), pytest.param(httpx2, id="httpx2")]
CLIENT_HELLO_AND_FINISHED = 2
"""What a client sends in a TLS handshake; it is done with the second."""


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return make_certificates()


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


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_connect_that_is_cancelled_when_it_is_there(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, tls: bool
) -> None:
    scope = trio.CancelScope()
    async with open_odd_server(say_ok, tls=certificates.server if tls else None) as server:
        connect = cancel_at_the_end(server, scope, tls=tls)
        transport = open_transport(client, connect, tls=certificates.client)
        async with client.AsyncClient(transport=transport) as http:
            with scope:
                await http.get(f"{'https' if tls else 'http'}://{HOST}/")
            assert scope.cancelled_caught
            await trio.testing.wait_all_tasks_blocked()
            assert (transport.connections.idle, server.open) == ([], 0)
            assert (await http.get(f"{'https' if tls else 'http'}://{HOST}/")).text == "ok"
            assert (len(transport.connections.idle), server.open) == (1, 1)


@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_cancel_at_any_send_of_a_tls_request(
    autojump_clock: Any, certificates: Certificates, client: ModuleType
) -> None:
    """The handshake's two and the request's own."""
    for number in range(1, 4):
        scope = trio.CancelScope()
        async with open_odd_server(say_nothing, tls=certificates.server) as server:
            server.wrap = lambda stream, number=number, scope=scope: AfterSend(stream, number, scope.cancel)  # type: ignore[misc]  # bound now
            transport = open_transport(client, server.connect, tls=certificates.client)
            async with transport, client.AsyncClient(transport=transport) as http:
                with scope:
                    await http.post(f"https://{HOST}/", content=b"x")
                await trio.testing.wait_all_tasks_blocked()
                assert scope.cancelled_caught
                assert (transport.connections.idle, server.open) == ([], 0), number


SILENCES = {"before the head": say_nothing, "within the body": say_half}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("moment", SILENCES)
@pytest.mark.parametrize("client", LIBRARIES)
async def test_the_server_sees_a_cancel_at_once(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, moment: str, tls: bool
) -> None:
    """A model must not go on writing, for money, to somebody who has left."""
    async with open_odd_server(SILENCES[moment], tls=certificates.server if tls else None) as server:
        transport = open_transport(client, server.connect, tls=certificates.client)
        async with client.AsyncClient(transport=transport) as http:
            with trio.move_on_after(1):
                await http.get(f"{'https' if tls else 'http'}://{HOST}/", timeout=None)
            await trio.testing.wait_all_tasks_blocked()
            assert (server.closed_at, trio.current_time()) == ([1.0], 1.0)
            assert transport.connections.idle == []


async def test_a_cancelled_connect_ends_at_once(autojump_clock: Any) -> None:
    connections = Connections(never)
    with trio.move_on_after(1):
        await connections.obtain(Origin(HOST, 80, secure=False))
    assert (connections.idle, trio.current_time()) == ([], 1.0)


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
        async with open_transport(httpx, server.connect, tls=untrusting) as transport:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"), trio.fail_after(60):
                await transport.handle_async_request(httpx.Request("GET", f"https://{HOST}/"))
        await trio.testing.wait_all_tasks_blocked()
        assert (server.open, trio.current_time()) == (0, 0.0)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_cancel_that_comes_while_all_is_closed_leaves_nothing_open(
    autojump_clock: Any, certificates: Certificates, tls: bool
) -> None:
    """Each close is told of the cancel; the next one is made all the same."""
    origin = Origin(HOST, 443 if tls else 80, secure=tls)
    async with open_odd_server(say_ok, tls=certificates.server if tls else None) as server:
        connections = Connections(server.connect, tls=certificates.client)
        taken = [await connections.obtain(origin) for _ in range(3)]
        for connection in taken:
            await connections.give_back(connection)
        await trio.testing.wait_all_tasks_blocked()
        assert (len(connections.idle), server.open) == (3, 3)
        with trio.CancelScope() as scope:
            scope.cancel()
            await connections.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert (connections.idle, server.open) == ([], 0)


async def test_what_is_given_back_too_late_is_closed(autojump_clock: Any) -> None:
    async with open_odd_server(say_ok) as server:
        connections = Connections(server.connect)
        connection = await connections.obtain(Origin(HOST, 80, secure=False))
        await connections.aclose()
        await connections.give_back(connection)
        await trio.testing.wait_all_tasks_blocked()
        assert (connections.idle, server.open) == ([], 0)
