"""The two programs that are stopped: Triolet as `triolet run` serves it, and the least that can be stopped at all.

The floor polls for updates, asks the model in a cancel scope, shows two drafts so that there is a button to press, and
cancels the scope when somebody does. Its libraries, and the way they connect, are Triolet's.

    python benchmarks/stoppable.py triolet|floor ADDRESSES      # see `Addresses`, as JSON
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import httpx2
import trio

from triolet.app.service import run_service
from triolet.config import (
    AccessSettings,
    ModelSettings,
    Secret,
    Settings,
    StoreSettings,
    TelegramSettings,
    ToolSettings,
)
from triolet.net.network import connect_tcp
from triolet.net.transport import open_transport
from triolet.observe.log import configure
from triolet.tools.functions import tool

TOKEN: Final = "42:bench"
PEOPLE: Final = range(1001, 51_001)
"""Who may ask; everybody asks once, for every chat has a budget of its own."""

LONG: Final = 3600.0
"""Seconds: nothing is to end by itself."""

BUTTON: Final = {"can_stop": True, "keep_on_stop": True}


@attrs.frozen
class Addresses:
    """Where the Bot API, the model and the tool's server are, and the database."""

    api: str
    model: str
    tool: str
    database: str


def open_http(base_url: str) -> httpx2.AsyncClient:
    """As the provider's own (`providers.sdk.open_http`), and without time-outs."""
    transport = open_transport(httpx2, connect_tcp, keep=0)
    return httpx2.AsyncClient(transport=transport, trust_env=False, timeout=None)


async def run_triolet(addresses: Addresses) -> None:
    settings = Settings(
        telegram=TelegramSettings(token=Secret(TOKEN), api_base=addresses.api),
        access=AccessSettings(allow=tuple(PEOPLE)),
        model=ModelSettings(
            provider="openai-chat",
            name="silent",
            base_url=addresses.model,
            connect_timeout=LONG,
            first_byte_timeout=LONG,
            idle_timeout=LONG,
            total_timeout=LONG,
        ),
        tools=ToolSettings(timeout=LONG),
        store=StoreSettings(path=Path(addresses.database)),
    )
    configure(secrets=[TOKEN])
    async with open_http(addresses.tool) as client:

        async def hold() -> str:
            """Ask somebody who does not answer."""
            return (await client.get(addresses.tool)).text

        await run_service(settings, tools=[tool(hold)])


@attrs.define(eq=False)
class Floor:
    """One scope for each chat that is answered."""

    addresses: Addresses
    calls: httpx.AsyncClient
    models: httpx2.AsyncClient
    nursery: trio.Nursery
    scopes: dict[int, trio.CancelScope] = attrs.Factory(dict)

    async def poll(self, polls: httpx.AsyncClient) -> None:
        offset = 0
        while True:
            asked = {"offset": offset, "timeout": 50, "allowed_updates": ["message", "stopped_message_generation"]}
            answer = await polls.post(f"{self.addresses.api}/bot{TOKEN}/getUpdates", json=asked)
            for update in answer.json()["result"]:
                offset = update["update_id"] + 1
                self.take(update)

    def take(self, update: dict[str, Any]) -> None:
        if "message" in update:
            self.nursery.start_soon(self.answer, update["message"]["chat"]["id"], update["message"]["text"])
        else:
            self.scopes[update["stopped_message_generation"]["chat"]["id"]].cancel()

    async def answer(self, chat_id: int, question: str) -> None:
        with trio.CancelScope() as scope:
            self.scopes[chat_id] = scope
            await self.show(chat_id, "")
            if question == "tool":
                await self.models.get(self.addresses.tool)
            else:
                await self.ask(chat_id, question)
        del self.scopes[chat_id]

    async def ask(self, chat_id: int, question: str) -> None:
        body = {"model": "silent", "stream": True, "messages": [{"role": "user", "content": question}]}
        async with self.models.stream("POST", f"{self.addresses.model}/chat/completions", json=body) as response:
            shown = False
            async for _ in response.aiter_raw():
                if not shown:
                    shown = True
                    self.nursery.start_soon(self.show, chat_id, "word")

    async def show(self, chat_id: int, text: str) -> None:
        """A flood is nothing that a stop would wait for."""
        draft = {"chat_id": chat_id, "draft_id": 1, "text": text, **BUTTON}
        await self.calls.post(f"{self.addresses.api}/bot{TOKEN}/sendMessageDraft", json=draft)


async def run_floor(addresses: Addresses) -> None:
    polls, calls = httpx.AsyncClient(timeout=None), httpx.AsyncClient(timeout=None)  # noqa: S113  # nothing is to end
    async with polls, calls, open_http(addresses.model) as models, trio.open_nursery() as nursery:
        await Floor(addresses, calls, models, nursery).poll(polls)


PROGRAMS: Final[dict[str, Callable[[Addresses], Any]]] = {"floor": run_floor, "triolet": run_triolet}


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        trio.run(PROGRAMS[sys.argv[1]], Addresses(**json.loads(sys.argv[2])))
