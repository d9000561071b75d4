"""Where a response's body ends, and what of the bytes on the wire is body: pure, a batch of bytes at a time.

Source: RFC 9112, section 6.3, and 7.1 for chunks. A server that streams sends a chunk for each event; h11 makes an
event of each, at ten times the cost, which is why bodies are read here and heads are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

from triolet.errors import RemoteProtocolError

Headers = Iterable[tuple[bytes, bytes]]

LONGEST_LINE: Final = 16 * 1024
"""Bytes of a chunk's first line, and of all trailers: as h11 has it for heads."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(;.*)?")


class Body(Protocol):
    """``done`` when all of it has been received; ``rest`` is what was received behind it.

    ``broken`` says why there will be no more of it: what came before is given first.
    """

    done: bool
    rest: bytes
    broken: str

    def receive_data(self, data: bytes) -> bytes:
        """What of the body these bytes hold."""

    def receive_end(self) -> None:
        """The server has closed the connection: it is done now, or broken."""


class Sized:
    """A body of so many bytes."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.done = not size
        self.rest = b""
        self.broken = ""

    def receive_data(self, data: bytes) -> bytes:
        body, self.rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        self.done = not self._left
        return body

    def receive_end(self) -> None:
        if self._left:
            self.broken = f"the connection was closed {self._left} bytes before the end of the body"


class UntilClosed:
    """A body that ends with the connection."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.broken = ""

    def receive_data(self, data: bytes) -> bytes:
        return data

    def receive_end(self) -> None:
        self.done = True


class Chunked:
    """A body in chunks; extensions and trailers are passed over."""

    def __init__(self) -> None:
        self._held = b""
        """The beginning of a line, or of what ends a chunk."""
        self._left = 0
        """Bytes of the chunk that are not there yet."""
        self._in_chunk = False
        self._in_trailers = False
        self._trailers = 0
        self.done = False
        self.rest = b""
        self.broken = ""

    def receive_data(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        try:
            self._take(self._held + data, pieces)
        except RemoteProtocolError as error:
            self.broken = str(error)
        return b"".join(pieces)

    def _take(self, data: bytes, pieces: list[bytes]) -> None:
        place = 0
        while not self.done and place < len(data):
            if self._in_chunk:
                pieces.append(data[place : place + self._left])
                place += len(pieces[-1])
                self._left -= len(pieces[-1])
                ended = None if self._left else self._chunk_end(data, place)
            else:
                ended = self._line(data, place)
            if ended is None:
                break
            place = ended
        self._held, self.rest = (b"", data[place:]) if self.done else (data[place:], b"")

    def _chunk_end(self, data: bytes, place: int) -> int | None:
        """Where the line end behind a chunk ends; None if it is not all there."""
        found = data[place : place + 2]
        if found == b"\r\n":
            self._in_chunk = False
            return place + 2
        if found not in {b"", b"\r"}:
            raise RemoteProtocolError(f"a chunk is longer than was announced: {found!r} behind it")
        return None

    def _line(self, data: bytes, place: int) -> int | None:
        """Take the line that begins there; returns where the next one does, None if it is not all there."""
        # Of trailers, as of heads, a lone line feed may be the end.
        line_end = b"\n" if self._in_trailers else b"\r\n"
        end = data.find(line_end, place)
        if (len(data) if end < 0 else end) - place > LONGEST_LINE:
            raise RemoteProtocolError("a line between chunks is too long")
        if end < 0:
            return None
        if self._in_trailers:
            self._take_trailer(data[place:end].removesuffix(b"\r"))
        else:
            self._begin_chunk(data[place:end])
        return end + len(line_end)

    def _begin_chunk(self, line: bytes) -> None:
        size = _SIZE.fullmatch(line)
        if size is None:
            raise RemoteProtocolError(f"no size of a chunk: {line[:40]!r}")
        self._left = int(size[1], 16)
        self._in_chunk, self._in_trailers = bool(self._left), not self._left

    def _take_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > LONGEST_LINE:
            raise RemoteProtocolError("the trailers are too long")
        self.done = not line

    def receive_end(self) -> None:
        if not self.done:
            self.broken = "the connection was closed in the middle of a body in chunks"


def body_of(method: str, status: int, headers: Headers) -> Body:
    """The body that a response with these headers has; names are lower case, values are those that h11 lets pass."""
    if method == "HEAD" or status in {204, 304}:
        return Sized(0)
    fields = dict(headers)
    if b"transfer-encoding" in fields:  # h11 knows no other than chunked
        return Chunked()
    return Sized(int(fields[b"content-length"])) if b"content-length" in fields else UntilClosed()
