"""A poller with the real store, on the emulator or on any server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import attrs
import trio
import trio.testing

from triolet.config import Secret
from triolet.core.ports import Posted, RawUpdate, Unfinished
from triolet.emulator import (
    EmulatedTelegram,
    TelegramServer,
    open_telegram_server,
)
from triolet.errors import StoreError
from triolet.store import SqliteStore, open_store, run_inline
from triolet.telegram.client import BotApi, open_bot_api
from triolet.telegram.poller import poll_updates

Clock = trio.testing.MockClock
TOKEN = "42:emulator"
ADA = 1001
FIRST = 1000
"""The emulator's first update id."""


@attrs.define(eq=False)
class Post:
    """A store, a poller's client, and what was dispatched with its time."""

    api: BotApi
    store: SqliteStore
    seen: list[tuple[float, int]] = attrs.Factory(list)
    finished: Callable[[int], Iterable[int]] = lambda number: [number]

    def dispatch(self, update: RawUpdate) -> Iterable[int]:
        self.seen.append((trio.current_time(), update["update_id"]))
        return self.finished(update["update_id"])

    @property
    def ids(self) -> list[int]:
        return [number for _, number in self.seen]

    async def waiting(self) -> list[int]:
        """The ids of what nobody has finished."""
        return [each.update["update_id"] for each in await self.store.unfinished()]

    async def poll(self, seconds: float) -> None:
        """Poll for so long."""
        with trio.move_on_after(seconds):
            await poll_updates(self.api, self.store, self.dispatch)


@asynccontextmanager
async def open_post(connect: Any) -> AsyncIterator[Post]:
    async with (
        open_store(":memory:", executor=run_inline) as store,
        open_bot_api("http://telegram", Secret(TOKEN), connect=connect) as api,
    ):
        yield Post(api, store)


@asynccontextmanager
async def open_emulated() -> AsyncIterator[tuple[TelegramServer, Post]]:
    telegram = EmulatedTelegram(token=TOKEN)
    telegram.add_private_chat(ADA)
    async with open_telegram_server(telegram) as server, open_post(server.connect) as post:
        yield server, post


def polls(server: TelegramServer) -> list[tuple[float, int | None]]:
    """When, and with which offset."""
    return [(call.received, call.params.get("offset")) for call in server.telegram.calls("getUpdates")]


@attrs.define(eq=False)
class SlowInbox:
    """The store, ten seconds late: what happens meanwhile is what it would be on a slow disk, or on a full one."""

    store: SqliteStore
    fails: bool = False

    async def receive(self, updates: Sequence[RawUpdate]) -> list[RawUpdate]:
        await trio.sleep(10)
        if self.fails:
            raise StoreError("disk full")
        return await self.store.receive(updates)

    async def unfinished(self) -> list[Unfinished]:
        return await self.store.unfinished()

    def unit(self) -> AbstractContextManager[Posted]:
        return self.store.unit()

    def finish(self, update_ids: Sequence[int]) -> Posted:
        return self.store.finish(update_ids)

    def offer(self, update_ids: Sequence[int]) -> Posted:
        return self.store.offer(update_ids)

    async def want(self, update_ids: Sequence[int]) -> list[Unfinished]:
        return await self.store.want(update_ids)
