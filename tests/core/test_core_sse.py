"""Server-sent events: the rules of `dialects.sse`, however they are fed: whole, byte by byte, in two chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.dialects.sse import ServerSentEvent, SSEDecoder
from triolet.errors import RemoteProtocolError


def message(data: str, name: str = "message") -> ServerSentEvent:
    return ServerSentEvent(name.encode(), data.encode())


def decode(*chunks: bytes, max_size: int = 1000) -> list[ServerSentEvent | str]:
    """The events, and the error's text in the end if there was one; after an error nothing more is fed."""
    decoder = SSEDecoder(max_size=max_size)
    found: list[ServerSentEvent | str] = []
    for chunk in chunks:
        try:
            found += decoder.receive_data(chunk)
        except RemoteProtocolError as error:
            return [*found, str(error)]
    return found


def byte_by_byte(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


CASES: list[tuple[str, bytes, list[ServerSentEvent]]] = [
    ("one event", b"data: a\n\n", [message("a")]),
    ("two events", b"data: a\n\ndata: b\n\n", [message("a"), message("b")]),
    ("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n", [message("a"), message("b")]),
    ("CR", b"data: a\r\rdata: b\r\r", [message("a"), message("b")]),
    ("line ends mixed", b"data: a\r\ndata: b\rdata: c\n\r\n", [message("a\nb\nc")]),
    ("LF CR is two line ends", b"data: a\n\rdata: b\n\n", [message("a"), message("b")]),
    ("CR CRLF is two line ends", b"data: a\r\r\ndata: b\n\n", [message("a"), message("b")]),
    ("no space after the colon", b"data:a\n\n", [message("a")]),
    ("only one space is taken off", b"data:  a \n\n", [message(" a ")]),
    ("colons in the value", b"data: a: b:c\n\n", [message("a: b:c")]),
    ("lines of data are joined", b"data: a\ndata\ndata: b\n\n", [message("a\n\nb")]),
    ("empty data is data", b"data\n\ndata:\n\n", [message(""), message("")]),
    ("no data, no event", b"event: x\n\n\n\ndata: a\n\n", [message("a")]),
    ("a named event", b"event: error\ndata: a\n\ndata: b\n\n", [message("a", "error"), message("b")]),
    ("the last name counts", b"event: x\nevent:y\ndata: a\n\n", [message("a", "y")]),
    ("an empty name is none", b"event: x\nevent\ndata: a\n\n", [message("a")]),
    ("comments are ignored", b": ping\n:\n:data: x\ndata: a\n\n: end\n\n", [message("a")]),
    ("unknown fields are ignored", b"id: 1\nretry: 5\nfoo\nDATA: x\n data: x\ndata : x\ndata: a\n\n", [message("a")]),
    ("an event without its blank line is dropped", b"data: a\n\ndata: b\n", [message("a")]),
    ("a line without its end is dropped", b"data: a\n\ndata: b", [message("a")]),
    ("nothing", b"", []),
    ("a byte order mark at the start", b"\xef\xbb\xbfdata: a\n\n", [message("a")]),
    ("only one, and only there", b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\xef\xbb\xbfdata: y\ndata: a\n\n", [message("a")]),
    ("none behind an empty line", b"\n\xef\xbb\xbfdata: x\n\ndata: a\n\n", [message("a")]),
    ("a byte order mark in a value stays", b"\ndata: \xef\xbb\xbfa\n\n", [message("\ufeffa")]),
    ("characters of every length", "data: aé€😀\n\n".encode(), [message("aé€😀")]),
    ("a name of every length", "event: é€😀\ndata\n\n".encode(), [message("", "é€😀")]),
    ("data may be no UTF-8", b"data: a\xff\xe2\x82\ndata: b\n\n", [ServerSentEvent(b"message", b"a\xff\xe2\x82\nb")]),
    ("so may a name", b"event: a\xff\xe2\x82b\ndata: b\n\n", [ServerSentEvent(b"a\xff\xe2\x82b", b"b")]),
    ("other line ends of Unicode end no line", "data: a\x0b\x85\u2028b\n\n".encode(), [message("a\x0b\x85\u2028b")]),
]
TABLE = pytest.mark.parametrize(("stream", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CASES])


@TABLE
def test_decoding_whole_byte_by_byte_and_in_two_chunks(stream: bytes, expected: list[ServerSentEvent]) -> None:
    assert decode(stream) == expected
    assert decode(*byte_by_byte(stream)) == expected
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], stream[cut:]) == expected, cut
        assert decode(stream[:cut], b"", stream[cut:]) == expected, f"an empty chunk at {cut}"


@pytest.mark.parametrize("stream", [row[1] for row in CASES if row[1].endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))])
def test_decoding_with_a_tail(stream: bytes) -> None:
    """An event that has begun changes none that is complete, and comes when it is completed itself."""
    decoder = SSEDecoder()
    complete = decoder.receive_data(stream + b"event: tail\ndata: t")
    assert complete == decode(stream)
    assert decoder.receive_data(b"ail\n\n") == [message("tail", "tail")]


def test_an_event_comes_with_the_byte_that_completes_it() -> None:
    decoder = SSEDecoder()
    rows = [(b"data: a\r\n", []), (b"\r", [message("a")]), (b"\n", []), (b"data: b\n", []), (b"\n", [message("b")])]
    for chunk, expected in rows:
        assert decoder.receive_data(chunk) == expected


LINE_TOO_LONG = "a server-sent line is longer than 10 bytes"
EVENT_TOO_LONG = "a server-sent event is longer than 10 bytes"
LIMITS: list[tuple[str, bytes, list[ServerSentEvent | str]]] = [
    ("a line of the size", b"data: 3456\n\n", [message("3456")]),
    ("a line one longer", b"data: 34567\n\n", [LINE_TOO_LONG]),
    ("a comment one longer", b":1234567890\n\n", [LINE_TOO_LONG]),
    ("a line that never ends", b"12345678901", [LINE_TOO_LONG]),
    ("a line that may yet end", b"1234567890", []),
    ("bytes count, not characters", "data:€é\n\ndata:€é1\n\n".encode(), [message("€é"), LINE_TOO_LONG]),
    ("an event of the size", b"data:123\ndata:4567\ndata\n\n", [message("123\n4567\n")]),
    ("an event one longer", b"data:123\ndata:4567\ndata:8\n\n", [EVENT_TOO_LONG]),
    ("each event anew", b"data:123\ndata:4567\ndata\n\n" * 2, [message("123\n4567\n")] * 2),
    ("a second one longer", b"data:1\n\ndata:123\ndata:4567\ndata:8\n\n", [message("1"), EVENT_TOO_LONG]),
    ("an event without data anew", b"event:1234\n\ndata:12345\n\n", [message("12345")]),
]


@pytest.mark.parametrize(("stream", "expected"), [pytest.param(*row[1:], id=row[0]) for row in LIMITS])
def test_limits_hold_whatever_the_chunks(stream: bytes, expected: list[ServerSentEvent | str]) -> None:
    assert decode(*byte_by_byte(stream), max_size=10) == expected
    assert decode(stream, max_size=10)[-1:] == expected[-1:]


def test_empty_lines_of_data_are_bounded() -> None:
    """They add no text to the event, but an entry each."""
    decoder = SSEDecoder(max_size=100)
    assert decoder.receive_data(b"data\n" * 100) == []
    with pytest.raises(RemoteProtocolError, match="event is longer than 100 bytes"):
        decoder.receive_data(b"data\n")


def test_the_default_limit_is_four_mebibytes() -> None:
    size = 4 * 1024 * 1024
    assert SSEDecoder().receive_data(b"x" * size) == []
    with pytest.raises(RemoteProtocolError, match=f"line is longer than {size} bytes"):
        SSEDecoder().receive_data(b"x" * (size + 1))


# Bytes that matter here come often, and so meet each other.
STREAMS = st.lists(
    st.one_of(
        st.sampled_from([b"data", b"event", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\xe2\x82"]),
        st.binary(max_size=4),
    )
).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 80)))
@example(b"data: a\r\n\r\n", [8, 10])
def test_no_chunking_changes_what_comes_out(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(places)]
    assert decode(*chunks) == decode(stream) == decode(*byte_by_byte(stream))


@given(STREAMS, st.integers(1, 12))
def test_no_chunking_changes_whether_a_limit_is_broken(stream: bytes, max_size: int) -> None:
    """A whole chunk loses the events before an error; byte by byte they come first."""
    whole, bytewise = decode(stream, max_size=max_size), decode(*byte_by_byte(stream), max_size=max_size)
    assert whole == bytewise or whole == bytewise[-1:]


@given(st.binary(max_size=60))
@example(b"\xef\xbb\xbf\n\r\r\n")
def test_lines_end_as_the_standard_says(stream: bytes) -> None:
    """A second opinion: Python's own splitting of bytes knows the same three ends of a line."""
    block = b"".join(b"data:" + line + b"\n" for line in stream.splitlines())
    values = [line.removeprefix(b" ") for line in stream.splitlines()]
    assert decode(block + b"\n") == ([ServerSentEvent(b"message", b"\n".join(values))] if values else [])
