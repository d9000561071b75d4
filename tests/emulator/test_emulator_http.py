"""The little HTTP server, without Telegram: over memory streams, in virtual time unless it says otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import h11
import pytest
import trio
import trio.testing
from emulator_scenes import Client
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.emulator import App, Exchange, Response, serve_connection

Talk = Callable[[trio.abc.Stream], Awaitable[None]]


async def echo(exchange: Exchange) -> None:
    request = exchange.request
    facts = [request.method, request.path, list(request.query), request.header("X-Mark"), request.body.decode()]
    await exchange.respond(Response.json(facts))


async def with_client(app: App, talk: Talk, max_body: int = 100) -> None:
    """Serve one connection while ``talk`` uses its other end; the server must end when the client has."""
    client, server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_connection, server, app, max_body)
        async with client:
            with trio.fail_after(60):
                await talk(client)
        with trio.fail_after(10):
            while nursery.child_tasks:
                await trio.testing.wait_all_tasks_blocked()
                await trio.sleep(0.1)


async def test_a_connection_serves_one_request_after_another(autojump_clock: trio.testing.MockClock) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        client = Client(stream)
        await client.send("POST", "/a%20b?x=1&x=%3D&y=", b"body")
        assert await client.receive() == (200, b'["POST", "/a b", [["x", "1"], ["x", "="], ["y", ""]], null, "body"]')
        await client.send("GET", "/second")
        assert (await client.receive())[0] == 200
        await client.send("HEAD", "/third")
        head = await client.event()
        assert (head.status_code, dict(head.headers)[b"content-length"]) == (200, b"32")

    await with_client(echo, talk)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_pieces_of_any_size_make_the_same_requests(size: int, autojump_clock: trio.testing.MockClock) -> None:
    wire = (
        b"POST /one HTTP/1.1\r\nHost: e\r\nX-Mark: m\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        b"GET /two HTTP/1.1\r\nHost: e\r\n\r\n"
    )

    async def talk(stream: trio.abc.Stream) -> None:
        for start in range(0, len(wire), size):
            await stream.send_all(wire[start : start + size])
        client = Client(stream, h11.Connection(h11.CLIENT))
        for path, mark, body in (("/one", '"m"', "abcde"), ("/two", "null", "")):
            client.protocol = h11.Connection(h11.CLIENT) if path == "/one" else client.protocol
            method = "POST" if path == "/one" else "GET"
            client.protocol.send(h11.Request(method=method, target=path, headers=[("Host", "e")]))
            client.protocol.send(h11.EndOfMessage())
            expected = f'["{method}", "{path}", [], {mark}, "{body}"]'
            assert await client.receive() == (200, expected.encode())

    await with_client(echo, talk)


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET //[ HTTP/1.1\r\nHost: e\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: e\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 101\r\n\r\n" + b"x" * 101, 413),
        (b"GET / HTTP/1.1\r\nHost: e\r\nX: " + b"x" * 100_000, 431),
    ],
)
async def test_what_cannot_be_served_is_answered_and_ends_the_connection(
    wire: bytes, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        await stream.send_all(wire)
        answer = bytearray()
        while piece := await stream.receive_some(4096):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nConnection: close\r\n" in answer

    await with_client(echo, talk)


@given(st.binary(max_size=200))
@example(b"GET / HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n\r\nab")
@example(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: e\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
def test_any_bytes_and_then_a_goodbye_end_quietly(wire: bytes) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        await stream.send_all(wire)

    trio.run(with_client, echo, talk, clock=trio.testing.MockClock(autojump_threshold=0))


class Ticking:
    """Streams a chunk each second and remembers when it was cut off."""

    def __init__(self, *, forever: bool) -> None:
        self.forever = forever
        self.cut_at: float | None = None

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.start(200, (("Content-Type", "text/event-stream"),))
        try:
            for number in range(3):
                await exchange.send_chunk(b"data: %d\n\n" % number)
                await trio.sleep(1)
            if self.forever:
                await trio.sleep_forever()
        finally:
            self.cut_at = trio.current_time()
        await exchange.finish()


async def test_a_stream_arrives_chunk_by_chunk(autojump_clock: trio.testing.MockClock) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        client = Client(stream)
        await client.send("GET", "/")
        assert (await client.event()).status_code == 200
        seen = []
        while isinstance(event := await client.event(), h11.Data):
            seen.append((trio.current_time(), bytes(event.data)))
        assert seen == [(0.0, b"data: 0\n\n"), (1.0, b"data: 1\n\n"), (2.0, b"data: 2\n\n")]
        client.protocol.start_next_cycle()
        await client.send("GET", "/")  # the connection is still good
        assert (await client.event()).status_code == 200

    await with_client(Ticking(forever=False), talk)


@pytest.mark.parametrize(("leaves_at", "cut_at"), [(0.5, 0.5), (7.25, 7.25)])
async def test_a_disconnect_is_noticed_at_once_even_between_chunks(
    leaves_at: float, cut_at: float, autojump_clock: trio.testing.MockClock
) -> None:
    app = Ticking(forever=True)

    async def talk(stream: trio.abc.Stream) -> None:
        await Client(stream).send("GET", "/")
        await trio.sleep(leaves_at)

    await with_client(app, talk)
    assert app.cut_at == cut_at


async def test_a_request_sent_early_is_answered_in_its_turn(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(exchange: Exchange) -> None:
        await trio.sleep(1)
        await exchange.respond(Response(200, exchange.request.path.encode()))

    async def talk(stream: trio.abc.Stream) -> None:
        for path in (b"/one", b"/two"):
            await stream.send_all(b"GET %b HTTP/1.1\r\nHost: e\r\n\r\n" % path)
            await trio.sleep(0.25)
        for path, at in ((b"/one", 1.0), (b"/two", 2.0)):
            assert (await stream.receive_some(4096)).endswith(b"\r\n\r\n" + path)
            assert trio.current_time() == at

    await with_client(slow, talk)


async def test_bytes_sent_early_wait_for_their_turn_and_do_not_hide_a_disconnect(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = Ticking(forever=True)

    async def talk(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        await trio.sleep(0.5)
        await stream.send_all(b"GET /next HTTP/1.1\r\nHost: e\r\n\r\n")
        await trio.sleep(0.5)

    await with_client(app, talk)
    assert app.cut_at == 1.0


async def test_cancelling_the_server_closes_the_stream_at_once(autojump_clock: trio.testing.MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_connection, server, Ticking(forever=True))
        await Client(client).send("GET", "/")
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 1.5
    while await client.receive_some(4096):
        pass


async def test_a_dropped_exchange_says_nothing_more(autojump_clock: trio.testing.MockClock) -> None:
    async def app(exchange: Exchange) -> None:
        if exchange.request.path == "/half":
            await exchange.start()
            await exchange.send_chunk(b"half")
        await exchange.drop()
        await trio.sleep(5)

    async def nothing(stream: trio.abc.Stream) -> None:
        await Client(stream).send("GET", "/none")
        assert await stream.receive_some(4096) == b""
        assert trio.current_time() == 0.0

    async def half(stream: trio.abc.Stream) -> None:
        client = Client(stream)
        await client.send("GET", "/half")
        assert (await client.event()).status_code == 200
        assert (await client.event()).data == b"half"
        with pytest.raises(h11.RemoteProtocolError):
            await client.event()

    await with_client(app, nothing)
    await with_client(app, half)


async def test_an_application_that_says_nothing_ends_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    async def silent(exchange: Exchange) -> None:
        await trio.sleep(1)

    async def talk(stream: trio.abc.Stream) -> None:
        await Client(stream).send("GET", "/")
        assert await stream.receive_some(4096) == b""
        assert trio.current_time() == 1.0

    await with_client(silent, talk)


async def test_a_client_that_waits_to_be_asked_is_asked(autojump_clock: trio.testing.MockClock) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        head = b"POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        await stream.send_all(head)
        assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"hi")
        assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 200 ")

    await with_client(echo, talk)
