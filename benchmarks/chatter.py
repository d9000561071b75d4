"""A model's server that speaks to many at once, evenly, and costs its listeners' machine as little as it can.

Every token names the moment when it was written: ``" b7"`` is `TICK` times 11 * 36 + 7 after a whole `CYCLE`, so
whoever sees a text knows how old its newest word is. A stream has a token each `TICK`, its own phase of it, and as many
tokens as the last number of the question says. Each event is a chunk of HTTP and a TCP segment of its own, as Chat
Completions' servers send them; what it holds beside the word is what the official server puts there.

    python benchmarks/chatter.py      # prints its port, and speaks until its standard input ends
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from typing import Any, Final

import attrs
from canned_server import chat

TICK: Final = 0.02
"""Seconds between two tokens of a stream: 50 a second."""

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
CYCLE: Final = len(DIGITS) ** 2
"""Ticks after which the words begin again: 26 s, and no text on screen is ever so old."""

PHASES: Final = 20
"""A tick is as many moments, and each stream speaks in one of them."""

PARAGRAPH: Final = 60
"""Tokens of a paragraph; of `BOLD` one is bold."""

BOLD: Final = 25

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)
DONE: Final = "done"
"""How the last token ends."""

_FIRST, _WORD, *_LAST = chat(1)


def word(ticks: int, number: int, *, is_last: bool = False) -> str:
    """The token of that number in its stream, written so many ticks after the clock's beginning."""
    name = DIGITS[ticks % CYCLE // len(DIGITS)] + DIGITS[ticks % len(DIGITS)]
    if is_last:
        return f" {name} {DONE}"
    if number % PARAGRAPH == PARAGRAPH - 1:
        return f" {name}\\n\\n"  # as JSON writes it
    return f" **{name}**" if number % BOLD == 0 else f" {name}"


def age(text: str, now: float) -> float | None:
    """Seconds since the newest word in the text was written; None if it has none."""
    found = re.search(rf"([0-9a-z]{{2}})(?: {DONE})?\W*$", text)
    return None if found is None else (now / TICK - int(found[1], len(DIGITS))) % CYCLE * TICK


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


_ENDING: Final = b"".join(map(_chunk, _LAST)) + b"0\r\n\r\n"


@attrs.define(eq=False)
class Listener:
    """A connection, and what it has been told; ``waiting`` is what its buffer would not take yet."""

    connection: socket.socket
    asked: bytes = b""
    left: int = 0
    said: int = 0
    waiting: bytes = b""

    def question(self) -> int | None:
        """How many tokens it asks for, when all of the request is there."""
        head, end, body = self.asked.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not end or length is None or len(body) < int(length[1]):
            return None
        self.asked = body[int(length[1]) :]
        said: Any = json.loads(body[: int(length[1])])["messages"][-1]["content"]
        return int(re.findall(r"\d+", str(said))[-1])

    def send(self, data: bytes) -> None:
        data = self.waiting + data
        try:
            sent = self.connection.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        self.waiting = data[sent:]


class Chatter:
    """All who listen, by their phase."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._selector = selectors.DefaultSelector()
        self._phases: list[dict[Listener, None]] = [{} for _ in range(PHASES)]
        self._count = 0

    def run(self) -> None:
        print(self._server.getsockname()[1], flush=True)
        self._selector.register(self._server, selectors.EVENT_READ, self._accept)
        self._selector.register(sys.stdin, selectors.EVENT_READ, sys.exit)
        moment = TICK / PHASES
        step = int(time.monotonic() / moment)
        while True:
            step += 1
            while (rest := step * moment - time.monotonic()) > 0:
                for key, _ in self._selector.select(rest):
                    key.data()
            for key, _ in self._selector.select(0):
                key.data()
            self._speak(step // PHASES, self._phases[step % PHASES])

    def _accept(self) -> None:
        connection, _ = self._server.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener = Listener(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._receive(listener))

    def _receive(self, listener: Listener) -> None:
        try:
            data = listener.connection.recv(1 << 16)
        except ConnectionError:
            data = b""
        listener.asked += data
        if not data:
            self._forget(listener)
        elif (tokens := listener.question()) is not None:
            listener.left, listener.said = tokens, 0
            listener.send(_HEAD + _chunk(_FIRST))
            self._count += 1
            self._phases[self._count % PHASES][listener] = None

    def _forget(self, listener: Listener) -> None:
        self._selector.unregister(listener.connection)
        listener.connection.close()
        for phase in self._phases:
            phase.pop(listener, None)

    def _speak(self, ticks: int, listeners: dict[Listener, None]) -> None:
        chunks: dict[tuple[int, bool], bytes] = {}
        for listener in list(listeners):
            is_last = listener.said == listener.left - 1
            kind = (listener.said % PARAGRAPH, is_last)
            if (chunk := chunks.get(kind)) is None:
                told = word(ticks, listener.said, is_last=is_last)
                chunk = chunks[kind] = _chunk(_WORD.replace(b" word0", told.encode())) + _ENDING * is_last
            listener.said += 1
            if is_last:
                del listeners[listener]
            try:
                listener.send(chunk)
            except ConnectionError:
                self._forget(listener)


if __name__ == "__main__":
    Chatter().run()
