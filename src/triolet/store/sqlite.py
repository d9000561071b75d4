"""The store's methods, and below them the transactions they run, one function each.

The methods turn values into rows before they wait, so that a caller may change what it passed in afterwards.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar

import attrs

from triolet.core.conversation import ConversationKey, Ending, Message
from triolet.core.ports import Executor, RawUpdate
from triolet.core.usage import Spent
from triolet.store.database import open_database, transaction, translated_errors
from triolet.store.parts import parse_parts, render_json, render_parts

KEEP_SECONDS: Final = 14 * 24 * 3600.0
"""How long a finished update's id is known; Telegram itself offers an update again for one day at most."""
KEEP_NEWEST: Final = 10_000

P = ParamSpec("P")
T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]


@contextlib.asynccontextmanager
async def open_store(
    path: Path | str, *, executor: Executor, wall_clock: Callable[[], float] = time.time
) -> AsyncIterator[SqliteStore]:
    """The store in the file at ``path``, made if it is missing; ``":memory:"`` keeps nothing.

    ``wall_clock`` gives seconds since 1970. Raises StartError where the file cannot be used. Leave only after
    the tasks that use the store have ended.
    """
    connection = await executor(partial(open_database, str(path)))
    # Closed without the executor: its jobs have all ended, and a cancelled caller could not wait for it.
    with contextlib.closing(connection):
        store = SqliteStore(str(path), connection, executor, wall_clock)
        await store.prune()
        yield store


@attrs.frozen(eq=False)
class SqliteStore:
    """`triolet.core.ports.Store` on one connection; raises StartError when the disk fails."""

    _path: str
    _connection: sqlite3.Connection = attrs.field(repr=False)
    _executor: Executor = attrs.field(repr=False)
    _wall_clock: Callable[[], float] = attrs.field(repr=False)

    async def receive(self, updates: Sequence[RawUpdate]) -> list[RawUpdate]:
        now = self._wall_clock()
        rows = [(update["update_id"], now, render_json(update)) for update in updates]
        pairs = list(zip(updates, await self._run(_receive, rows), strict=True))
        return [update for update, is_new in pairs if is_new]

    async def unfinished(self) -> list[RawUpdate]:
        return await self._run(_unfinished)

    async def finish(self, update_ids: Sequence[int]) -> None:
        await self._run(_finish, list(update_ids))

    async def load(self, key: ConversationKey) -> list[Message]:
        return await self._run(_load, _columns(key))

    async def record(
        self,
        key: ConversationKey,
        messages: Sequence[Message],
        *,
        finished: Sequence[int] = (),
        spent: Sequence[Spent] = (),
        user_id: int = 0,
    ) -> None:
        now = self._wall_clock()
        said = [
            (*_columns(key), message.role, render_parts(message.parts), message.ending.value, now)
            for message in messages
        ]
        used = [(now, *_columns(key), user_id, *attrs.astuple(each)) for each in spent]
        await self._run(_record, said, used, list(finished))

    async def clear(self, key: ConversationKey, *, finished: Sequence[int] = ()) -> None:
        await self._run(_clear, _columns(key), list(finished))

    async def get(self, key: ConversationKey, name: str) -> str | None:
        return await self._run(_get, (*_columns(key), name))

    async def put(self, key: ConversationKey, name: str, value: str, *, finished: Sequence[int] = ()) -> None:
        await self._run(_put, (*_columns(key), name, render_json(value)), list(finished))

    async def spending(self, key: ConversationKey, *, since: float) -> list[Spent]:
        return await self._run(_spending, _columns(key), since)

    async def last_spending(self, key: ConversationKey) -> list[Spent]:
        return await self._run(_last_spending, _columns(key))

    async def pinned(self, server: str) -> dict[str, str]:
        return await self._run(_pinned, server)

    async def pin(self, server: str, tool: str, digest: str) -> None:
        await self._run(_pin, (server, render_json(tool), digest))

    async def prune(self) -> None:
        """Forget the ids of updates finished long ago, but never those of the newest ones."""
        await self._run(_prune, self._wall_clock() - KEEP_SECONDS, KEEP_NEWEST)

    async def _run(self, job: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def translated_job() -> T:
            with translated_errors(self._path):
                return job(self._connection, *args, **kwargs)

        return await self._executor(translated_job)


def _columns(key: ConversationKey) -> tuple[int, int]:
    return key.chat_id, key.thread_id or 0


def _receive(connection: sqlite3.Connection, rows: list[Row]) -> list[bool]:
    insert = "INSERT INTO inbox(update_id, received_at, body) VALUES (?, ?, ?) ON CONFLICT(update_id) DO NOTHING"
    with transaction(connection):
        return [connection.execute(insert, row).rowcount == 1 for row in rows]


def _unfinished(connection: sqlite3.Connection) -> list[RawUpdate]:
    rows = connection.execute("SELECT body FROM inbox WHERE body IS NOT NULL ORDER BY seq")
    return [json.loads(body) for (body,) in rows]


def _finish(connection: sqlite3.Connection, update_ids: list[int]) -> None:
    with transaction(connection):
        _finish_within(connection, update_ids)


def _finish_within(connection: sqlite3.Connection, update_ids: list[int]) -> None:
    connection.executemany("UPDATE inbox SET body = NULL WHERE update_id = ?", [(i,) for i in update_ids])


def _load(connection: sqlite3.Connection, key: tuple[int, int]) -> list[Message]:
    query = "SELECT role, parts, ending FROM history WHERE chat_id = ? AND thread_id = ? ORDER BY id"
    rows = connection.execute(query, key)
    return [Message(role, parse_parts(parts), Ending(ending)) for role, parts, ending in rows]


def _record(connection: sqlite3.Connection, said: list[Row], used: list[Row], finished: list[int]) -> None:
    insert = "INSERT INTO history(chat_id, thread_id, role, parts, ending, created_at) VALUES (?, ?, ?, ?, ?, ?)"
    with transaction(connection):
        connection.executemany(insert, said)
        _note_within(connection, used)
        _finish_within(connection, finished)


def _note_within(connection: sqlite3.Connection, used: list[Row]) -> None:
    (answer,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM usage").fetchone()
    insert = """
        INSERT INTO usage(answer, created_at, chat_id, thread_id, user_id,
          model, input_tokens, output_tokens, cached_tokens, cache_write_tokens, cost)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """
    connection.executemany(insert, [(answer, *row) for row in used])


def _spending(connection: sqlite3.Connection, key: tuple[int, int], since: float) -> list[Spent]:
    return _sums(connection, key, "created_at >= ?", since)


def _last_spending(connection: sqlite3.Connection, key: tuple[int, int]) -> list[Spent]:
    return _sums(connection, key, "answer = (SELECT max(answer) FROM usage WHERE chat_id = ? AND thread_id = ?)", *key)


def _sums(connection: sqlite3.Connection, key: tuple[int, int], which: str, *parameters: float) -> list[Spent]:
    # What has no price is summed up apart: sum() passes over a NULL, and the rest would look like the whole cost.
    query = f"""
        SELECT model, sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(cache_write_tokens), sum(cost)
        FROM usage WHERE chat_id = ? AND thread_id = ? AND {which}
        GROUP BY model, cost IS NULL ORDER BY min(id)
    """  # noqa: S608  # no foreign text
    return [Spent(*row) for row in connection.execute(query, (*key, *parameters))]


def _pinned(connection: sqlite3.Connection, server: str) -> dict[str, str]:
    rows = connection.execute("SELECT tool, digest FROM pin WHERE server = ?", (server,))
    return {json.loads(tool): digest for tool, digest in rows}


def _pin(connection: sqlite3.Connection, row: tuple[str, str, str]) -> None:
    with transaction(connection):
        connection.execute("INSERT OR REPLACE INTO pin VALUES (?, ?, ?)", row)


def _clear(connection: sqlite3.Connection, key: tuple[int, int], finished: list[int]) -> None:
    # Deleted, not marked as an earlier epoch: who says /new wants it gone.
    with transaction(connection):
        connection.execute("DELETE FROM history WHERE chat_id = ? AND thread_id = ?", key)
        _finish_within(connection, finished)


def _get(connection: sqlite3.Connection, key: tuple[int, int, str]) -> str | None:
    query = "SELECT value FROM preference WHERE chat_id = ? AND thread_id = ? AND name = ?"
    row = connection.execute(query, key).fetchone()
    return None if row is None else json.loads(row[0])


def _put(connection: sqlite3.Connection, row: tuple[int, int, str, str], finished: list[int]) -> None:
    with transaction(connection):
        connection.execute("INSERT OR REPLACE INTO preference VALUES (?, ?, ?, ?)", row)
        _finish_within(connection, finished)


def _prune(connection: sqlite3.Connection, before: float, keep: int) -> None:
    old = "body IS NULL AND received_at < ? AND seq <= (SELECT max(seq) FROM inbox) - ?"
    with transaction(connection):
        connection.execute(f"DELETE FROM inbox WHERE {old}", (before, keep))  # noqa: S608  # no foreign text
