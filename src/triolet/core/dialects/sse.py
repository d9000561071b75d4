"""Server-sent events, bytes in and events out.

Source: the WHATWG HTML standard, section 9.2 "Server-sent events". Rules:

1. Lines end with LF, CRLF or CR; a CR at the end of a chunk may be half of a CRLF.
2. ``data`` lines of one event are joined by LF; an event without data is not dispatched.
3. A line that begins with a colon is a comment; unknown fields are ignored.
4. Names and data stay bytes, so no chunking can cut a character: who reads them decodes them as UTF-8.
5. An event that is not followed by a blank line when the stream ends is incomplete, and dropped.
6. No chunking changes what comes out, nor whether a limit is broken. Each line of data counts with its end, so
   that empty ones cannot pile up without bound.
"""

from __future__ import annotations

import codecs
import re

import msgspec

from triolet.errors import RemoteProtocolError

_LINE_END = re.compile(rb"\r\n|\n|\r")


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One dispatched event; ``name`` is "message" where the server named none. Both should be UTF-8 (rule 4).

    A Struct, because there is one for each few letters of an answer, and attrs takes five times longer to make it.
    """

    name: bytes
    data: bytes


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
        self._name = b""
        self._data: list[bytes] = []
        self._data_size = 0

    def receive_data(self, chunk: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for line in self._lines(chunk):
            if not line:
                if self._data:
                    events.append(ServerSentEvent(self._name or b"message", b"\n".join(self._data)))
                self._name, self._data, self._data_size = b"", [], 0
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                self._add_data(value.removeprefix(b" "))
            elif field == b"event":
                self._name = value.removeprefix(b" ")
        return events

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        # Only new bytes can end a line: looking at the old ones again would make one long line quadratic.
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            lines = _LINE_END.split(chunk)
        else:
            lines = chunk.split(b"\n")
        size = len(self._tail) + len(chunk)
        rest = lines.pop()
        if lines and self._tail:
            lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
        if rest:
            self._tail += rest
        if size > self._max_size and max(map(len, (*lines, self._tail))) > self._max_size:
            raise RemoteProtocolError(f"a server-sent line is longer than {self._max_size} bytes")
        if lines and self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        return lines

    def _add_data(self, value: bytes) -> None:
        self._data_size += len(value) + 1
        if self._data_size > self._max_size:
            raise RemoteProtocolError(f"a server-sent event is longer than {self._max_size} bytes")
        self._data.append(value)
