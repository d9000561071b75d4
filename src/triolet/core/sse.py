"""Server-sent events, bytes in and events out.

Source: the WHATWG HTML standard, section 9.2 "Server-sent events". Rules:

1. Lines end with LF, CRLF or CR; a CR at the end of a chunk may be half of a CRLF.
2. ``data`` lines of one event are joined by LF; an event without data is not dispatched.
3. A line that begins with a colon is a comment; unknown fields are ignored.
4. Bytes are decoded as UTF-8 only when their line is complete, so no chunking can cut a character.
5. An event that is not followed by a blank line when the stream ends is incomplete, and dropped.
6. No chunking changes what comes out, nor whether a limit is broken. Each line of data counts with its end, so
   that empty ones cannot pile up without bound.
"""

from __future__ import annotations

import codecs
import re

import attrs

from triolet.errors import RemoteProtocolError

_LINE_END = re.compile(rb"\r\n|\n|\r")


@attrs.frozen
class ServerSentEvent:
    """One dispatched event; ``name`` is "message" where the server named none."""

    name: str
    data: str


class SSEDecoder:
    """Feed it chunks of any size; it returns the events that they complete.

    Raises:
        RemoteProtocolError: a line or an event is longer than ``max_size`` bytes.
    """

    def __init__(self, *, max_size: int = 4 * 1024 * 1024) -> None:
        self._max_size = max_size
        self._tail = bytearray()
        self._after_cr = False
        self._at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._data_size = 0

    def receive_data(self, chunk: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for line in self._lines(chunk):
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        searched = len(self._tail)
        self._tail += chunk
        lines: list[bytes] = []
        # Only new bytes can end a line: looking at the old ones again would make one long line quadratic.
        if first := _LINE_END.search(self._tail, searched):
            self._after_cr = self._tail.endswith(b"\r")
            head, rest = bytes(self._tail[: first.start()]), bytes(self._tail[first.end() :])
            *lines, tail = head, *_LINE_END.split(rest)
            self._tail = bytearray(tail)
        if max(map(len, (*lines, self._tail))) > self._max_size:
            raise RemoteProtocolError(f"a server-sent line is longer than {self._max_size} bytes")
        return lines

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._add_data(value)
        elif field == b"event":
            self._name = _text(value)
        return None

    def _add_data(self, value: bytes) -> None:
        self._data_size += len(value) + 1
        if self._data_size > self._max_size:
            raise RemoteProtocolError(f"a server-sent event is longer than {self._max_size} bytes")
        self._data.append(value)

    def _dispatch(self) -> ServerSentEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._data_size = "", [], 0
        return ServerSentEvent(name or "message", _text(b"\n".join(data))) if data else None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
