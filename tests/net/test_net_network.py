"""Requests through our transport: what goes wrong has the client library's own names, what is idle is reused."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

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
from triolet.net.network import connect_tcp
from triolet.net.transport import BODY, open_transport

LIBRARIES = [pytest.param(httpx, id="httpx"), pytest.param(httpx2, id="httpx2")]
TIMES = {"connect": 1.0, "read": 2.0, "write": 4.0, "pool": None}


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return make_certificates()


async def broken(host: str, port: int) -> trio.abc.Stream:
    raise trio.BrokenResourceError("no route")


async def late(host: str, port: int) -> trio.abc.Stream:
    raise trio.TooSlowError


async def nameless(host: str, port: int) -> trio.abc.Stream:
    raise UnicodeError("label too long")


class Closed(Wrapped):
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        raise trio.ClosedResourceError


class ClosedForSending(Wrapped):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise trio.ClosedResourceError


async def dribble_head(exchange: Exchange) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" * 10:
        await exchange._connection.stream.send_all(bytes([byte]))
        await trio.sleep(0.5)


CONNECTS: dict[str, tuple[Connect, str, float]] = {
    "nobody listens": (refuse, "ConnectError", 0.0),
    "no answer": (never, "ConnectTimeout", 1.0),
    "a broken stream": (broken, "ConnectError", 0.0),
    "a time-out of its own": (late, "ConnectTimeout", 0.0),
    "a name that nothing has": (nameless, "ConnectError", 0.0),
}


async def get(client: ModuleType, transport: Any, url: str) -> None:
    async with client.AsyncClient(transport=transport, timeout=client.Timeout(**TIMES)) as http:
        await http.get(url)


@pytest.mark.parametrize("case", CONNECTS)
@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_connect_that_fails(autojump_clock: Any, client: ModuleType, case: str) -> None:
    connect, name, seconds = CONNECTS[case]
    transport = open_transport(client, connect)
    with pytest.raises(getattr(client, name)) as caught:
        await get(client, transport, f"http://{HOST}/")
    assert (type(caught.value).__name__, trio.current_time()) == (name, seconds)
    assert transport.connections.idle == []


REQUESTS: dict[str, tuple[App, Callable[[trio.abc.Stream], trio.abc.Stream], str, float]] = {
    "silence": (say_nothing, Wrapped, "ReadTimeout", 2.0),
    "half an answer": (say_half, Wrapped, "ReadTimeout", 2.0),
    "the end for an answer": (hang_up, Wrapped, "RemoteProtocolError", 0.0),
    "the end in the middle": (hang_up_halfway, Wrapped, "RemoteProtocolError", 0.0),
    "no HTTP": (write(b"220 mail.test ESMTP\r\n"), Wrapped, "RemoteProtocolError", 0.0),
    "a reset": (say_ok, Unreadable, "ReadError", 0.0),
    "closed by ourselves": (say_ok, Closed, "ReadError", 0.0),
    "closed before it is sent": (say_ok, ClosedForSending, "WriteError", 0.0),
    "a dribble": (dribble_head, Wrapped, "ReadTimeout", 2.0),
    "no room to write": (say_ok, Unwritable, "WriteTimeout", 4.0),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_request_that_fails(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, case: str, tls: bool
) -> None:
    """With TLS, what is wrong with the stream is wrong in the handshake already."""
    app, wrap, name, seconds = REQUESTS[case]
    if tls and wrap is not Wrapped:
        name, seconds = ("ConnectTimeout", 1.0) if wrap is Unwritable else ("ConnectError", 0.0)
    async with open_odd_server(app, tls=certificates.server if tls else None, wrap=wrap) as server:
        transport = open_transport(client, server.connect, tls=certificates.client)
        with pytest.raises(client.TransportError) as caught:
            await get(client, transport, f"{'https' if tls else 'http'}://{HOST}/")
        await trio.testing.wait_all_tasks_blocked()
        assert (type(caught.value), trio.current_time()) == (getattr(client, name), seconds)
        assert (transport.connections.idle, server.open) == ([], 0)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_name_that_tls_does_not_take(
    autojump_clock: Any, certificates: Certificates, client: ModuleType, tls: bool
) -> None:
    """It is found out when there is a connection already, which is closed."""
    async with open_odd_server(say_ok, tls=certificates.server if tls else None) as server:
        transport = open_transport(client, server.connect, tls=certificates.client)
        if tls:
            with pytest.raises(client.ConnectError):
                await get(client, transport, "https://.server.test/")
        else:
            await get(client, transport, "http://.server.test/")
        await trio.testing.wait_all_tasks_blocked()
        assert (server.opened, server.open) == (1, 0)


@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_header_that_would_be_two_is_not_sent(autojump_clock: Any, client: ModuleType) -> None:
    async with open_odd_server(say_ok) as server:
        transport = open_transport(client, server.connect)
        for value in ("a\r\nEvil: yes", "a\nEvil: yes", "a\x00"):
            async with client.AsyncClient(transport=open_transport(client, server.connect)) as http:
                with pytest.raises(client.LocalProtocolError):
                    await http.get(f"http://{HOST}/", headers={"X": value})
        await trio.testing.wait_all_tasks_blocked()
        assert (server.requests, transport.connections.idle, server.open) == ([], [], 0)


@pytest.mark.parametrize("client", LIBRARIES)
async def test_what_a_response_is(autojump_clock: Any, client: ModuleType) -> None:
    """Status, headers, reason and version; and the body as it comes, by the extension that providers read."""
    app = write(b"HTTP/1.1 404 Nothing Here\r\nA: 1\r\nA: 2\r\nContent-Length: 4\r\n\r\ngone")
    async with open_odd_server(app) as server:
        async with client.AsyncClient(transport=open_transport(client, server.connect)) as http:
            async with http.stream("GET", f"http://{HOST}/x?y=%20") as response:
                assert await response.extensions[BODY].receive_some() == b"gone"
                assert await response.extensions[BODY].receive_some() == b""
            assert (response.status_code, response.reason_phrase) == (404, "Nothing Here")
            assert (response.http_version, response.headers["a"]) == ("HTTP/1.1", "1, 2")
        (request,) = server.requests
        assert request.header("host") == HOST


@pytest.mark.parametrize("client", LIBRARIES)
async def test_an_address_that_is_no_web(client: ModuleType) -> None:
    with pytest.raises(client.UnsupportedProtocol):
        await get(client, open_transport(client, never), "ftp://server.test/")


async def test_a_refused_certificate_says_so(autojump_clock: Any, certificates: Certificates) -> None:
    """Trio's own error has no words; its cause has."""
    async with open_odd_server(say_ok, tls=certificates.server) as server:
        transport = open_transport(httpx, server.connect)
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await get(httpx, transport, f"https://{HOST}/")


async def test_a_server_without_tls_is_an_error_of_the_connect(autojump_clock: Any, certificates: Certificates) -> None:
    async with open_odd_server(say_ok) as server:
        transport = open_transport(httpx, server.connect, tls=certificates.client)
        with pytest.raises(httpx.ConnectError):
            await get(httpx, transport, f"https://{HOST}/")


@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_response_that_is_closed_twice_gives_its_connection_back_once(
    autojump_clock: Any, client: ModuleType
) -> None:
    """Or two requests would share it."""
    async with open_odd_server(say_ok) as server:
        transport = open_transport(client, server.connect)
        response = await transport.handle_async_request(client.Request("GET", f"http://{HOST}/"))
        await response.extensions[BODY].receive_some()
        await response.extensions[BODY].receive_some()
        for _ in range(2):
            await response.extensions[BODY].aclose()
        assert len(transport.connections.idle) == 1
        await transport.aclose()


# Connections that are kept


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("client", LIBRARIES)
async def test_an_idle_connection_is_used_again(certificates: Certificates, client: ModuleType, tls: bool) -> None:
    """Over TCP."""
    with trio.fail_after(10):
        async with open_odd_server(say_ok, tls=certificates.server if tls else None) as server:
            url = f"{'https' if tls else 'http'}://127.0.0.1:{await server.listen()}/"
            transport = open_transport(client, connect_tcp, tls=certificates.client)
            async with client.AsyncClient(transport=transport) as http:
                responses = [await http.get(url) for _ in range(3)]
                assert [response.text for response in responses] == ["ok"] * 3
                assert (server.opened, len(server.requests), len(transport.connections.idle)) == (1, 3, 1)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("client", LIBRARIES)
async def test_a_connection_that_the_server_closed_is_not_used_again(
    certificates: Certificates, client: ModuleType, tls: bool
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
            transport = open_transport(client, connect, tls=certificates.client)
            async with client.AsyncClient(transport=transport) as http:
                for number, gate in enumerate(gates, start=1):
                    assert (await http.get(url)).text == "ok"
                    gate.set()
                    await trio.lowlevel.wait_readable(sockets[-1].socket)
                    assert (server.opened, len(transport.connections.idle)) == (number, 1)
