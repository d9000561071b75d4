"""The least program of all, on Trio's bare sockets: what remains is Python, the loop and the machine.

HTTP is written by hand, and understood as far as these servers speak it. Every connection is kept, and each request is
one write. It shows the first text of an answer as a draft, and speaks Chat Completions alone.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio
from given import WORD, Given, given

END = b"0\r\n\r\n"
"""Of a body in chunks."""


@attrs.define
class Line:
    """A connection to one of the servers."""

    stream: trio.SocketStream
    host: str
    received: bytes = b""

    @classmethod
    async def open(cls, base: str) -> Line:
        parts = urlsplit(base)
        return cls(await trio.open_tcp_stream(parts.hostname or "", parts.port or 80), parts.netloc)

    async def send(self, path: str, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        await self.stream.send_all(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def more(self) -> None:
        data = await self.stream.receive_some(65536)
        assert data, "the server has left"  # noqa: S101  # which it does not
        self.received += data

    async def result(self) -> Any:
        """Of a Bot API call."""
        while b"\r\n\r\n" not in self.received:
            await self.more()
        head, _, body = self.received.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            await self.more()
            body = self.received.partition(b"\r\n\r\n")[2]
        self.received = body[length:]
        return json.loads(body[:length])["result"]


@attrs.define
class Raw:
    """``calls`` and ``models`` are connections that nobody uses now."""

    given: Given
    calls: list[Line] = attrs.Factory(list)
    models: list[Line] = attrs.Factory(list)

    def path(self, method: str) -> str:
        return f"/bot{self.given.token}/{method}"

    async def run(self) -> None:
        offset, polls = 0, await Line.open(self.given.api)
        async with trio.open_nursery() as nursery:
            while True:
                await polls.send(self.path("getUpdates"), {"offset": offset, "timeout": 50})
                for update in await polls.result():
                    offset = update["update_id"] + 1
                    nursery.start_soon(self.answer, update["message"]["chat"]["id"], update["message"]["text"])

    async def answer(self, chat_id: int, text: str) -> None:
        model = self.models.pop() if self.models else await Line.open(self.given.model)
        asked = {"model": "canned", "stream": True, "messages": [{"role": "user", "content": text}]}
        await model.send("/v1/chat/completions", asked)
        while WORD.encode() not in model.received:
            await model.more()
        call = self.calls.pop() if self.calls else await Line.open(self.given.api)
        await call.send(self.path("sendMessageDraft"), {"chat_id": chat_id, "draft_id": 1, "text": WORD})
        await call.result()
        while not model.received.endswith(END):
            await model.more()
        model.received = b""
        self.calls.append(call)
        self.models.append(model)


if __name__ == "__main__":
    trio.run(Raw(given()).run)
