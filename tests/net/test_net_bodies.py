"""Where a body ends: h11 is asked for a second opinion, of all that any server might send, however it is cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.net.bodies import LONGEST_LINE, Body, Chunked, Sized, UntilClosed, body_of

REFUSED = "refused"
UNFINISHED = "unfinished"


def ours(body: Body, pieces: Sequence[bytes], *, closed: bool) -> tuple[bytes, bytes | str]:
    """The body, and what came behind it or why there is no end."""
    found = b""
    for number, piece in enumerate(pieces):
        found += body.receive_data(piece)
        if body.broken:
            return found, REFUSED
        if body.done:
            return found, body.rest + b"".join(pieces[number + 1 :])
    if closed:
        body.receive_end()
        return found, REFUSED if body.broken else b""
    return found, UNFINISHED


def theirs(head: bytes, wire: bytes, *, closed: bool) -> tuple[bytes, bytes | str]:
    """What h11 makes of the same."""
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    protocol.send(h11.Request(method="GET", target="/", headers=[("Host", "server.test")]))
    protocol.send(h11.EndOfMessage())
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + wire)
    found = b""
    try:
        while True:
            event = protocol.next_event()
            if isinstance(event, h11.EndOfMessage):
                return found, protocol.trailing_data[0]
            if isinstance(event, h11.Data):
                found += event.data
            elif event is h11.NEED_DATA and closed:
                protocol.receive_data(b"")
            elif event is h11.NEED_DATA:
                return found, UNFINISHED
    except h11.RemoteProtocolError:
        return found, REFUSED


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 200), max_size=12)

# Well-formed: a body, its chunks with extensions, trailers, and what follows

EXTENSION = st.from_regex(rb"(;[ -~]{0,9})?[ \t]{0,2}", fullmatch=True)
SIZES = st.sampled_from([b"%x", b"%X", b"000%x", b"%020x"])
TRAILER = st.from_regex(rb"[a-zA-Z-]{1,9}: ?([a-z]{0,9})\r?\n", fullmatch=True)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body, and the same in chunks."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
    lines = [draw(SIZES) % len(chunk) + draw(EXTENSION) + b"\r\n" + chunk + b"\r\n" for chunk in chunks]
    last = b"0" + draw(EXTENSION) + b"\r\n" + b"".join(draw(st.lists(TRAILER, max_size=3))) + b"\r\n"
    return b"".join(chunks), b"".join(lines) + last


@given(chunked(), st.binary(max_size=20), CUTS)
def test_chunks_however_they_are_cut(body: tuple[bytes, bytes], behind: bytes, places: list[int]) -> None:
    content, wire = body
    pieces = cut(wire + behind, places)
    assert ours(Chunked(), pieces, closed=False) == (content, behind)
    assert theirs(b"Transfer-Encoding: chunked\r\n", wire + behind, closed=False) == (content, behind)


@given(chunked(), st.integers(0, 400), CUTS)
def test_chunks_that_end_too_early(body: tuple[bytes, bytes], place: int, places: list[int]) -> None:
    content, wire = body
    wire = wire[: place % len(wire)]
    for closed, end in ((False, UNFINISHED), (True, REFUSED)):
        found, told = ours(Chunked(), cut(wire, places), closed=closed)
        assert content.startswith(found)
        assert (found, told) == (theirs(b"Transfer-Encoding: chunked\r\n", wire, closed=closed)[0], end)


# Anything


NOISE = st.lists(
    st.sampled_from(
        [b"0", b"1", b"5", b"a", b"A", b"g", b" ", b"\t", b";", b"=x", b"\r\n", b"\r", b"\n", b"-", b"+", b"0x"]
    )
    | st.binary(max_size=3),
    max_size=14,
).map(b"".join)
SPACED = re.compile(rb"[0-9A-Fa-f][ \t]+;")
"""RFC 9112, 7.1.1, has space before an extension; h11 does not."""


@given(chunked().map(lambda body: body[1]), NOISE, st.integers(0, 400), CUTS)
@example(b"0\r\n\r\n", b"5 ;x\r\nhello\r\n", 0, [])
@example(b"0\r\n\r\n", b"1\r\nab", 0, [7])
@example(b"0\r\n\r\n", b"+1\r\na\r\n", 0, [])
@example(b"0\r\n\r\n", b"0x1\r\na\r\n", 0, [])
@example(b"0\r\n\r\n", "٣\r\nabc\r\n".encode(), 0, [])
@example(b"0\r\n\r\n", b"1\na\n", 0, [])
@example(b"0\r\n\r\n", b"000000000000000000001\r\na\r\n", 0, [])
def test_what_h11_refuses_is_refused_and_what_it_takes_is_taken(
    wire: bytes, noise: bytes, place: int, places: list[int]
) -> None:
    """But for space before an extension, and for trailers that are no headers, which nobody reads."""
    place %= len(wire) + 1
    wire = wire[:place] + noise + wire[place:]
    mine = ours(Chunked(), cut(wire, places), closed=True)
    other = theirs(b"Transfer-Encoding: chunked\r\n", wire, closed=True)
    if mine != other:
        assert other[1] == REFUSED
        assert mine[0].startswith(other[0])
        assert SPACED.search(wire) or (mine[0] == other[0] and mine[1] != REFUSED)
    assert mine == ours(Chunked(), [wire], closed=True), "wherever it is cut"


# Bodies of a known length, and of none


@given(st.binary(max_size=60), st.integers(0, 70), CUTS, st.booleans())
def test_a_length_is_kept_to(data: bytes, size: int, places: list[int], closed: bool) -> None:
    found = ours(Sized(size), cut(data, places), closed=closed)
    assert found == theirs(b"Content-Length: %d\r\n" % size, data, closed=closed)


@given(st.binary(max_size=60), CUTS, st.booleans())
def test_without_a_length_the_end_is_the_end(data: bytes, places: list[int], closed: bool) -> None:
    found = ours(UntilClosed(), cut(data, places), closed=closed)
    assert found == theirs(b"", data, closed=closed)


CHUNKS, LENGTH = (b"transfer-encoding", b"chunked"), (b"content-length", b"5")
KINDS: list[tuple[str, int, list[tuple[bytes, bytes]], type[Body], bool]] = [
    ("GET", 200, [CHUNKS], Chunked, False),
    ("GET", 200, [LENGTH], Sized, False),
    ("GET", 200, [(b"content-length", b"0")], Sized, True),
    ("GET", 200, [], UntilClosed, False),
    ("GET", 200, [LENGTH, CHUNKS], Chunked, False),
    ("GET", 404, [LENGTH], Sized, False),
    ("GET", 204, [CHUNKS], Sized, True),
    ("GET", 204, [], Sized, True),
    ("GET", 304, [LENGTH], Sized, True),
    ("HEAD", 200, [CHUNKS], Sized, True),
    ("HEAD", 200, [LENGTH], Sized, True),
    ("HEAD", 200, [], Sized, True),
]


@pytest.mark.parametrize(("method", "status", "headers", "kind", "done"), KINDS)
def test_which_body_a_response_has(
    method: str, status: int, headers: list[tuple[bytes, bytes]], kind: type[Body], done: bool
) -> None:
    body = body_of(method, status, headers)
    assert (type(body), body.done, body.rest, body.broken) == (kind, done, b"", "")


# What came before a mistake is not lost


BROKEN: dict[str, tuple[bytes, bytes, str]] = {
    "no size": (b"2\r\nab\r\nx\r\n", b"ab", "no size of a chunk: b'x'"),
    "a chunk that goes on": (b"2\r\nabc\r\n", b"ab", "a chunk is longer than was announced: b'c\\r' behind it"),
    "a size that is too long": (b"2\r\nab\r\n%021x\r\n" % 1, b"ab", "no size of a chunk: b'000000000000000000001'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_told_behind_what_is_right(case: str) -> None:
    wire, found, problem = BROKEN[case]
    body = Chunked()
    assert (body.receive_data(wire), body.broken, body.done) == (found, problem, False)


ENDLESS: dict[str, tuple[Callable[[], Body], bytes, bytes]] = {
    "an extension": (Chunked, b"5;", b"x"),
    "zeros": (Chunked, b"", b"0"),
    "a trailer": (Chunked, b"0\r\n", b"x"),
    "trailers": (Chunked, b"0\r\n", b"x: y\r\n"),
}


@pytest.mark.parametrize("case", ENDLESS)
@pytest.mark.parametrize("at_once", [1, 1000, 3 * LONGEST_LINE], ids=str)
def test_what_has_no_end_has_a_limit(case: str, at_once: int) -> None:
    make, start, more = ENDLESS[case]
    body = make()
    body.receive_data(start)
    fed = 0
    while not body.broken:
        body.receive_data(more * at_once)
        fed += len(more) * at_once
        assert fed <= 2 * LONGEST_LINE + len(more) * at_once
    assert "too long" in body.broken
    assert not body.done


def test_a_close_within_a_body_is_told() -> None:
    sized, in_chunks = Sized(5), Chunked()
    assert sized.receive_data(b"ab") == b"ab"
    sized.receive_end()
    assert sized.broken == "the connection was closed 3 bytes before the end of the body"
    in_chunks.receive_end()
    assert in_chunks.broken == "the connection was closed in the middle of a body in chunks"
