"""HTTP/1.1, a connection at a time: what may follow an answer, and what servers do that they should not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import h11
import pytest
import trio
import trio.testing
from odd_servers import HOST, BrokenAfterSend, Wrapped
from trio.testing import memory_stream_pair

from triolet.errors import RemoteProtocolError
from triolet.net.http1 import LONGEST_HEAD, READ_SIZE, Connection, Connections, Head, Origin
from triolet.net.network import connect_tcp

ORIGIN = Origin(HOST, 80, secure=False)
HOST_HEADER = (b"Host", HOST.encode())
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@attrs.define(eq=False)
class Script:
    """A server that answers the n-th request that it gets on a connection with the n-th of these pieces of bytes."""

    answers: Sequence[bytes | Sequence[bytes]]
    nursery: trio.Nursery
    wrap: type[Wrapped] = Wrapped
    ends: list[trio.abc.Stream] = attrs.Factory(list)
    seen: list[bytes] = attrs.Factory(list)
    closed: int = 0

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self.ends.append(theirs)
        self.nursery.start_soon(self.serve, theirs)
        await trio.lowlevel.checkpoint()
        return self.wrap(ours)

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            for answer in self.answers:
                data = b""
                while b"\r\n\r\n" not in data:
                    if not (more := bytes(await stream.receive_some())):
                        self.closed += 1
                        return
                    data += more
                self.seen.append(data)
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    await stream.send_all(piece)
                    await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def open_script(
    *answers: bytes | Sequence[bytes], wrap: type[Wrapped] = Wrapped
) -> AsyncIterator[tuple[Script, Connections]]:
    async with trio.open_nursery() as nursery:
        script = Script(answers, nursery, wrap)
        connections = Connections(script.connect)
        yield script, connections
        await connections.aclose()
        nursery.cancel_scope.cancel()


async def ask(
    connections: Connections, method: str = "GET", body: bytes = b"", origin: Origin = ORIGIN
) -> tuple[Head, bytes]:
    connection = await connections.obtain(origin)
    try:
        length = [(b"Content-Length", b"%d" % len(body))] if body else []
        await connection.send(method, "/", [HOST_HEADER, *length], body)
        return await connection.receive_head(), await connection.receive_rest()
    finally:
        await connections.give_back(connection)


# Whether a connection is used again

KEPT: dict[str, tuple[str, bytes, bytes]] = {
    "of a length": ("GET", OK, b"ok"),
    "of no length": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "in chunks": ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    "in chunks that are shouted": ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", b""),
    "in chunks and of a length": (
        "GET",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"ok",
    ),
    "of one length, twice": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "none, to HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b""),
    "none, of 204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "none, of 304": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", b""),
    "after what is no answer yet": (
        "GET",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        b"ok",
    ),
}
CLOSED: dict[str, tuple[str, bytes, bytes]] = {
    "that says so": ("GET", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "that says so among others": (
        "GET",
        b"HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 2\r\n\r\nok",
        b"ok",
    ),
    "of HTTP/1.0": ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "with more behind it": ("GET", OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"ok"),
    "with a blank line behind it": ("GET", OK + b"\r\n", b"ok"),
    "in chunks, with more behind it": (
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"",
    ),
    "of 204 with a body": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", b""),
    "of 304 with a body": ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\nevil", b""),
    "to HEAD with a body": ("HEAD", OK, b""),
}


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("case", KEPT)
async def test_an_answer_after_which_the_connection_is_used_again(
    autojump_clock: trio.testing.MockClock, case: str, at_once: bool
) -> None:
    method, answer, body = KEPT[case]
    sent = answer if at_once else [answer[at : at + 1] for at in range(len(answer))]
    async with open_script(sent, OK) as (script, connections):
        assert (await ask(connections, method))[1] == body
        assert [each.is_reusable for each in connections.idle] == [True]
        assert (await ask(connections))[1] == b"ok"
        assert (len(script.ends), len(script.seen)) == (1, 2)


@pytest.mark.parametrize("case", CLOSED)
async def test_an_answer_after_which_it_is_not(autojump_clock: trio.testing.MockClock, case: str) -> None:
    """What is behind an answer is nobody's answer."""
    method, answer, body = CLOSED[case]
    async with open_script(answer, OK) as (script, connections):
        assert (await ask(connections, method))[1] == body
        assert connections.idle == []
        await trio.sleep(1.0)
        assert (len(script.seen), script.closed) == (1, 1)


async def test_an_answer_that_ends_with_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    async with open_script([b"HTTP/1.1 200 OK\r\n\r\n", b"all ", b"of it"]) as (_, connections):
        assert (await ask(connections))[1] == b"all of it"
        assert connections.idle == []


async def test_an_answer_that_nobody_reads_to_its_end(autojump_clock: trio.testing.MockClock) -> None:
    async with open_script([OK[:-1], OK[-1:]]) as (_, connections):
        connection = await connections.obtain(ORIGIN)
        await connection.send("GET", "/", [HOST_HEADER], b"")
        await connection.receive_head()
        await connection.receive_some()
        assert not connection.is_reusable
        await connections.give_back(connection)
        assert connections.idle == []


async def test_a_refusal_that_did_not_wait_for_the_request(autojump_clock: trio.testing.MockClock) -> None:
    """It is heard, and the connection is not used again: nobody knows how much of the request was read."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    async with open_script(refusal, wrap=BrokenAfterSend) as (_, connections):
        head, _ = await ask(connections, "POST", b"x" * 100_000)
        assert (head.status, connections.idle) == (413, [])


# What is no answer

NONE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the server closed the connection without an answer"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "the server closed the connection without an answer"),
    "another protocol": (b"SSH-2.0-x\r\n\r\n", "illegal status line"),
    "HTTP/2": (b"HTTP/2 200 OK\r\n\r\n", "illegal status line"),
    "no such protocol was asked for": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "without a pending proposal"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "illegal status line"),
    "a status below all": (b"HTTP/1.1 000 OK\r\n\r\n", "status_code"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "Content-Length"),
    "two lengths in a line": (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok", "Content-Length"),
    "a length below zero": (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "Content-Length"),
    "a length with a sign": (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "Content-Length"),
    "a length in other digits": ("HTTP/1.1 200 OK\r\nContent-Length: ٢\r\n\r\nok".encode(), "Content-Length"),
    "a length of thousands of digits": (b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n" % (b"9" * 5000), "Length"),
    "packed chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding"),
    "chunks, twice": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding",
    ),
    "a space before the colon": (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "illegal header line"),
    "a null in a header": (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "illegal header line"),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * LONGEST_HEAD, "Receive buffer too long"),
    "no head without end": (b"x" * 2 * LONGEST_HEAD, "Receive buffer too long"),
}
BROKEN: dict[str, tuple[bytes, bytes]] = {
    "less than its length": (b"Content-Length: 9\r\n\r\nhalf", b"half"),
    "chunks without end": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"half"),
    "a chunk's size with a sign": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n+1\r\na\r\n", b"half"),
    "a chunk's size behind a space": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n 1\r\na\r\n", b"half"),
    "a chunk's size in other digits": ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n١\r\na\r\n".encode(), b"half"),
    "no chunk's size": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n\r\n", b"half"),
    "a chunk that is longer": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf more\r\n0\r\n\r\n", b"half"),
}


@pytest.mark.parametrize("case", NONE)
async def test_what_is_no_answer(autojump_clock: trio.testing.MockClock, case: str) -> None:
    data, words = NONE[case]
    async with open_script(data) as (_, connections):
        with pytest.raises(RemoteProtocolError) as caught:
            await ask(connections)
        assert words in str(caught.value)
        assert (caught.value.__cause__, connections.idle) == (None, [])


@pytest.mark.parametrize("case", BROKEN)
async def test_what_came_of_a_broken_answer_is_read_first(autojump_clock: trio.testing.MockClock, case: str) -> None:
    rest, found = BROKEN[case]
    async with open_script(b"HTTP/1.1 200 OK\r\n" + rest) as (_, connections):
        connection = await connections.obtain(ORIGIN)
        await connection.send("GET", "/", [HOST_HEADER], b"")
        await connection.receive_head()
        assert await connection.receive_some() == found
        for _ in range(2):
            with pytest.raises(RemoteProtocolError):
                await connection.receive_some()
        assert not connection.is_reusable
        await connections.give_back(connection)
        assert connections.idle == []


async def test_a_long_head_is_read(autojump_clock: trio.testing.MockClock) -> None:
    """Policies and cookies take tens of kilobytes, in many reads."""
    long = b"A: " + b"b" * (LONGEST_HEAD - 1000)
    head = b"HTTP/1.1 200 OK\r\n" + long + b"\r\nContent-Length: 2\r\n\r\nok"
    pieces = [head[at : at + 1000] for at in range(0, len(head), 1000)]
    async with open_script(pieces) as (_, connections):
        answer, body = await ask(connections)
        assert (len(dict(answer.headers)[b"a"]), body) == (len(long) - 3, b"ok")


async def test_a_header_that_would_be_two_is_not_sent(autojump_clock: trio.testing.MockClock) -> None:
    async with open_script(OK) as (script, connections):
        connection = await connections.obtain(ORIGIN)
        for name, value in ((b"A", b"b\r\nC: d"), (b"A", b"b\nC: d"), (b"A\r\nC", b"d"), (b"A", b"\x00")):
            with pytest.raises(h11.LocalProtocolError):
                await connection.send("GET", "/", [HOST_HEADER, (name, value)], b"")
        with pytest.raises(h11.LocalProtocolError):
            await connection.send("GET", "/ HTTP/1.1\r\nA: b\r\n\r\nGET /", [HOST_HEADER], b"")
        assert not connection.is_reusable
        await connections.give_back(connection)
        await trio.testing.wait_all_tasks_blocked()
        assert (script.seen, connections.idle) == ([], [])


async def test_a_request_is_one_piece(autojump_clock: trio.testing.MockClock) -> None:
    sent: list[bytes] = []

    class Noting(Wrapped):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            sent.append(bytes(data))
            await super().send_all(data)

    async with open_script(OK, wrap=Noting) as (_, connections):
        await ask(connections, "POST", b"body")
    assert sent == [b"POST / HTTP/1.1\r\nHost: server.test\r\nContent-Length: 4\r\n\r\nbody"]


# Which are kept, and for how long


async def take(connections: Connections, number: int, origin: Origin = ORIGIN) -> list[Connection]:
    return [await connections.obtain(origin) for _ in range(number)]


async def test_so_many_are_kept_the_newest(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        script = Script([OK] * 9, nursery)
        connections = Connections(script.connect, keep=2)
        taken = await take(connections, 3)
        for connection in taken:
            await connections.give_back(connection)
        assert connections.idle == taken[1:]
        assert await take(connections, 2) == [taken[2], taken[1]], "the warmest first"
        nursery.cancel_scope.cancel()


async def test_they_are_kept_for_so_long(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        script = Script([OK] * 9, nursery)
        connections = Connections(script.connect, keep_seconds=10.0)
        old, young = await take(connections, 2)
        await connections.give_back(old)
        await trio.sleep(6.0)
        await connections.give_back(young)
        await trio.sleep(4.0)
        assert await take(connections, 1, Origin("elsewhere.test", 80, secure=False)) != [old]
        assert connections.idle == [old, young], "at its time it is kept yet"
        await trio.sleep(0.1)
        assert await take(connections, 1) == [young]
        await trio.testing.wait_all_tasks_blocked()
        assert (connections.idle, script.closed) == ([], 1)
        nursery.cancel_scope.cancel()


async def test_none_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        script = Script([OK] * 9, nursery)
        connections = Connections(script.connect, keep=0)
        await ask(connections)
        assert connections.idle == []
        nursery.cancel_scope.cancel()


async def test_each_server_has_its_own(autojump_clock: trio.testing.MockClock) -> None:
    async with open_script(OK, OK) as (script, connections):
        others = [Origin("other.test", 80, secure=False), Origin(HOST, 81, secure=False)]
        for origin in (ORIGIN, *others, ORIGIN):
            await ask(connections, origin=origin)
        assert (len(script.ends), len(connections.idle)) == (3, 3)


# Over TCP: what an idle connection has to say


@asynccontextmanager
async def open_tcp(*, host: str = "127.0.0.1") -> AsyncIterator[tuple[list[trio.SocketStream], Origin, Connections]]:
    """A server that answers each request with `OK`, and the streams that it has."""
    streams: list[trio.SocketStream] = []

    async def serve(stream: trio.SocketStream) -> None:
        streams.append(stream)
        try:
            while await stream.receive_some():
                await stream.send_all(OK)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass  # by the test, or since what was said was not read

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host=host)
            nursery.start_soon(trio.serve_listeners, serve, listeners)
            connections = Connections(connect_tcp)
            yield streams, Origin(host, listeners[0].socket.getsockname()[1], secure=False), connections
            await connections.aclose()
            nursery.cancel_scope.cancel()


async def wait_readable(connection: Connection) -> None:
    await trio.lowlevel.wait_readable(connection._paced.stream.socket)  # type: ignore[union-attr]  # a TCP stream


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"x"], ids=repr)
async def test_an_idle_connection_that_speaks_or_ends_is_not_used(said: bytes) -> None:
    """An answer that nobody asked for is no answer to the next request."""
    async with open_tcp() as (streams, origin, connections):
        assert (await ask(connections, origin=origin))[1] == b"ok"
        await trio.testing.wait_all_tasks_blocked()
        if said:
            await streams[0].send_all(said)
        else:
            await streams[0].aclose()
        await wait_readable(connections.idle[0])
        head, body = await ask(connections, origin=origin)
        assert (head.status, body, len(streams), len(connections.idle)) == (200, b"ok", 2, 1)
        assert (await ask(connections, origin=origin))[1] == b"ok"
        assert len(streams) == 2


async def test_an_address_of_version_6() -> None:
    try:
        async with open_tcp(host="::1") as (streams, origin, connections):
            assert (await ask(connections, origin=origin))[1] == b"ok"
            assert len(streams) == 1
    except OSError:
        pytest.skip("this machine has no such address")


# Rests


class Noted(Wrapped):
    """Knows when it was read, and gives at most so much at once."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self.times: list[float] = []

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self.times.append(trio.current_time())
        return await super().receive_some(max_bytes)


async def test_a_rest_ends_with_its_exchange(autojump_clock: trio.testing.MockClock) -> None:
    async with open_script(OK, OK, wrap=Noted) as (_, connections):
        connection = await connections.obtain(ORIGIN)
        await connection.send("GET", "/", [HOST_HEADER], b"")
        connection.rest(0.5)
        await connection.receive_head()
        assert (await connection.receive_rest(), trio.current_time()) == (b"ok", 0.5)
        connection.rest(10.0)
        await connections.give_back(connection)
        assert ((await ask(connections))[1], trio.current_time()) == (b"ok", 0.5)


async def test_what_a_full_read_left_is_read_at_once(autojump_clock: trio.testing.MockClock) -> None:
    body = b"x" * 2 * READ_SIZE
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with open_script(answer, wrap=Noted) as (_, connections):
        connection = await connections.obtain(ORIGIN)
        await connection.send("GET", "/", [HOST_HEADER], b"")
        await connection.receive_head()
        found = 0
        while piece := await connection.receive_some():
            found += len(piece)
            connection.rest(1.0)
        assert (found, trio.current_time()) == (len(body), 0.0)
