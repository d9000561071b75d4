"""A hard end with a database that somebody else holds: it waits for the lock once, not once for each last word."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import trio

from triolet.core.conversation import ConversationKey, Message
from triolet.store import SqliteStore, open_store, run_inline
from triolet.store.database import BUSY_TIMEOUT


async def converse(store: SqliteStore, chat: int) -> None:
    """As a turn that is cancelled: its commit is shielded, and comes when the writer's task is over."""
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.01)
            store.record(ConversationKey(chat), [Message.of("user", "Hello")])


async def test_last_words_of_many_chats(tmp_path: Path) -> None:
    path, other = tmp_path / "triolet.db", None
    with trio.move_on_after(0.1):
        async with open_store(path, executor=run_inline) as store, trio.open_nursery() as nursery:
            for chat in range(1, 6):
                nursery.start_soon(converse, store, chat)
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            await trio.sleep_forever()
    seconds = time.monotonic() - began
    assert other is not None
    other.execute("ROLLBACK")
    other.close()
    assert seconds < 0.1 + 2.5 * BUSY_TIMEOUT
