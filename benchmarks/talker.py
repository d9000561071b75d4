"""The model's server: it says its first words a while after it has the question, and tells when it did.

Three dialects, as `canned_server` writes them. The head of the answer and the events that come before any text are
there as soon as the request is, as official servers do; the first word comes ``wait`` seconds later, the others
`EVERY` seconds apart, and the answer ends when it has been told to. With a wait of 0, the head and all up to the first
word are sent at once. Whoever asks is known by the question, ``Question 1234``: the number is the chat's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, Literal, TypeAlias

import attrs
from canned_server import STREAMS
from lean_http import Connection, Loop, Request, response

Dialect: TypeAlias = Literal["openai-chat", "openai-responses", "anthropic"]

PATHS: Final[Mapping[Dialect, str]] = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
}

EVERY: Final = 0.02
"""Seconds from one word to the next."""

MOST_WORDS: Final = 250
"""An answer that nobody ends, ends here."""

WORD: Final = b"word0"
"""What is looked for on screen."""

_QUESTION: Final = re.compile(rb"Question (\d+)")
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def question(chat_id: int) -> str:
    """What the person of that chat asks."""
    return f"Question {abs(chat_id)}"


@attrs.frozen
class Speech:
    """An answer in chunks of HTTP: all that comes before the first word, each word, and all that comes after."""

    opening: bytes
    words: tuple[bytes, ...]
    closing: bytes


@cache
def speech(path: str, count: int) -> Speech:
    events = list(STREAMS[path](count))
    first = next(place for place, event in enumerate(events) if WORD in event)
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    words, closing = chunks[first : first + count], chunks[first + count :]
    return Speech(b"".join(chunks[:first]), tuple(words), b"".join(closing) + b"0\r\n\r\n")


@attrs.define(eq=False)
class Asked:
    """A question: when it was there whole, and when its answer's first word was sent; 0.0 while that is to come."""

    path: str
    connection: Connection
    at: float
    wait: float
    every: float
    spoken_at: float = 0.0
    said: int = 0
    is_enough: bool = False
    """The answer ends with the next word."""
    is_over: bool = False


class Talker:
    """``asked`` holds the questions by the chat's number; ``wait`` and ``every`` are for those that are to come."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.asked: dict[int, Asked] = {}
        self.wait = 0.06
        self.every = EVERY
        for path in STREAMS:
            speech(path, MOST_WORDS)

    def answer(self, request: Request, connection: Connection) -> None:
        """An `lean_http.App`."""
        found = _QUESTION.findall(request.body)
        path = request.path.partition("?")[0]
        if path not in STREAMS or not found:
            connection.send(response(b"{}", status="404 Not Found"))
            return
        asked = Asked(path, connection, request.at, self.wait, self.every)
        self.asked[int(found[-1])] = asked
        if asked.wait:
            connection.send(_HEAD + speech(path, MOST_WORDS).opening)
            self._later(request.at + asked.wait, asked)
        else:
            self._say(asked, _HEAD + speech(path, MOST_WORDS).opening)

    def _later(self, due: float, asked: Asked) -> None:
        act: Callable[[], None] = lambda: self._say(asked)  # noqa: E731  # typed, and of one line
        self._loop.call_at(due, act)

    def _say(self, asked: Asked, before: bytes = b"") -> None:
        if not asked.connection.is_open:
            asked.is_over = True
        elif asked.said and (asked.is_enough or asked.said == MOST_WORDS):
            asked.connection.send(speech(asked.path, asked.said).closing)
            asked.is_over = True
        else:
            now = time.monotonic()
            asked.connection.send(before + speech(asked.path, MOST_WORDS).words[asked.said])
            asked.spoken_at = asked.spoken_at or now
            asked.said += 1
            self._later(now + asked.every, asked)
