"""A model that speaks evenly, as a server of Chat Completions over memory streams; it notes when it wrote a token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from trio.testing import memory_stream_pair

from triolet.emulator import Exchange, serve_connection

EVENT_STREAM = (("Content-Type", "text/event-stream"),)


@attrs.frozen
class Speech:
    """What to say: ``tokens`` of one to five ``characters``, one ``every`` so many seconds, the first ``after`` some.

    No character is blank: screens trim blanks, and every character is to be seen.
    """

    tokens: int
    characters: int = 5
    every: float = 0.04
    after: float = 1.0

    @property
    def token(self) -> str:
        return "frame"[: self.characters]

    def written(self, number: int) -> float:
        """When a token is written, from the request on; they are counted from 0."""
        return self.after + number * self.every


@attrs.define(eq=False)
class Spoken:
    """What was said to one request: when each token was written, and when the end was."""

    written: list[float] = attrs.Factory(list)
    ended: float | None = None


class EvenModel:
    """Made by `open_even_model`. Every request is answered with ``speech``; ``spoken`` tells of the answers."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.speech = Speech(1)
        self.spoken: list[Spoken] = []
        self._nursery = nursery

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        """A connection in memory, in the place of `trio.open_tcp_stream`."""
        await trio.lowlevel.checkpoint()
        client, server = memory_stream_pair()
        self._nursery.start_soon(serve_connection, server, self._answer)
        return client

    async def _answer(self, exchange: Exchange) -> None:
        spoken = Spoken()
        self.spoken.append(spoken)
        speech = self.speech
        asked = trio.current_time()
        said = _chunk({"content": speech.token})
        await exchange.start(200, EVENT_STREAM)
        for number in range(speech.tokens):
            await trio.sleep_until(asked + speech.written(number))
            spoken.written.append(trio.current_time())
            await exchange.send_chunk(said)
        spoken.ended = trio.current_time()
        await exchange.send_chunk(_chunk({}, "stop") + b"data: [DONE]\n\n")
        await exchange.finish()


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n".encode()


@asynccontextmanager
async def open_even_model() -> AsyncIterator[EvenModel]:
    """Leaving it closes every connection."""
    async with trio.open_nursery() as nursery:
        yield EvenModel(nursery)
        nursery.cancel_scope.cancel(reason="the model closes")
