"""The least program on Triolet's libraries: it polls, asks the model, and shows the first text; and nothing else.

httpx polls and shows, the SDK asks, and of its answer the raw bytes are looked at: a piece with the first word in it
is the first text. Nothing is formatted, limited, remembered or told of an error, there is no "Thinking…", and nothing
is shown but the first text, though the answer is read to its end. With a database, each question is in it first, as
safe as in Triolet's (WAL, ``synchronous=FULL``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import attrs
import httpx
import trio
from given import WORD, Given, given

Ask: TypeAlias = Callable[[str], AbstractAsyncContextManager[Any]]
"""Makes the SDK's call, whose response is streamed."""


def open_openai_chat(base_url: str) -> Ask:
    from openai import AsyncOpenAI  # noqa: PLC0415  # only the SDK that is needed

    create = AsyncOpenAI(api_key="none", base_url=f"{base_url}/v1").chat.completions.with_streaming_response.create
    return lambda text: create(
        model="canned", messages=[{"role": "user", "content": text}], max_tokens=4096, stream=True
    )


def open_openai_responses(base_url: str) -> Ask:
    from openai import AsyncOpenAI  # noqa: PLC0415

    create = AsyncOpenAI(api_key="none", base_url=f"{base_url}/v1").responses.with_streaming_response.create
    return lambda text: create(model="canned", input=text, max_output_tokens=4096, stream=True)


def open_anthropic(base_url: str) -> Ask:
    from anthropic import AsyncAnthropic  # noqa: PLC0415

    create = AsyncAnthropic(api_key="none", base_url=base_url).messages.with_streaming_response.create
    return lambda text: create(
        model="canned", messages=[{"role": "user", "content": text}], max_tokens=4096, stream=True
    )


OPEN: dict[str, Callable[[str], Ask]] = {
    "openai-chat": open_openai_chat,
    "openai-responses": open_openai_responses,
    "anthropic": open_anthropic,
}


@attrs.frozen
class Floor:
    """A group has no drafts."""

    given: Given
    client: httpx.AsyncClient
    ask: Ask
    inbox: sqlite3.Connection | None

    async def run(self) -> None:
        offset = 0
        async with trio.open_nursery() as nursery:
            while True:
                for update in await self.call("getUpdates", offset=offset, timeout=50):
                    if self.inbox is not None:
                        await trio.to_thread.run_sync(keep, self.inbox, update)
                    offset = update["update_id"] + 1
                    nursery.start_soon(self.answer, update["message"]["chat"]["id"], update["message"]["text"])

    async def answer(self, chat_id: int, text: str) -> None:
        async with self.ask(text) as response:
            shown = False
            async for piece in response.http_response.aiter_raw():
                if not shown and WORD.encode() in piece:
                    shown = True
                    await self.show(chat_id, WORD)

    async def show(self, chat_id: int, text: str) -> None:
        if self.given.edits or chat_id < 0:
            await self.call("sendMessage", chat_id=chat_id, text=text)
        else:
            await self.call("sendMessageDraft", chat_id=chat_id, draft_id=1, text=text)

    async def call(self, method: str, **params: Any) -> Any:
        response = await self.client.post(f"{self.given.api}/bot{self.given.token}/{method}", json=params)
        return response.json()["result"]


def keep(inbox: sqlite3.Connection, update: dict[str, Any]) -> None:
    with inbox:
        inbox.execute("INSERT INTO inbox VALUES (?, ?)", (update["update_id"], json.dumps(update)))


def open_inbox(path: str) -> sqlite3.Connection:
    inbox = sqlite3.connect(path, check_same_thread=False)
    inbox.execute("PRAGMA journal_mode=WAL")
    inbox.execute("PRAGMA synchronous=FULL")
    inbox.execute("CREATE TABLE inbox (update_id INTEGER PRIMARY KEY, body TEXT) STRICT")
    return inbox


async def main(told: Given) -> None:
    inbox = open_inbox(told.database) if told.database else None
    async with httpx.AsyncClient(timeout=60) as client:
        await Floor(told, client, OPEN[told.dialect](told.model), inbox).run()


if __name__ == "__main__":
    trio.run(main, given())
