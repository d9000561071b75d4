"""The store's methods: each turns values into rows at once, and gives the writer what is to be done with them.

A caller may change what it passed in as soon as a method has returned, or has begun to wait. Only what never changes is
rendered later, by the writer.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import attrs
import trio

from triolet.core.buttons import KeptButton
from triolet.core.conversation import ConversationKey, Ending, Message, ToolCallPart
from triolet.core.letters import Letter, Undelivered
from triolet.core.markup.layout import Unsealed
from triolet.core.ports import Executor, Posted, RawUpdate, Recalled, Unfinished
from triolet.core.recovery import OpenTurn
from triolet.core.usage import Spent
from triolet.store import history, inbox, journal, pins, turns
from triolet.store.database import open_database
from triolet.store.history import key_columns
from triolet.store.parts import render_json
from triolet.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.asynccontextmanager
async def open_store(
    path: Path | str, *, executor: Executor, wall_clock: Callable[[], float] = time.time
) -> AsyncIterator[SqliteStore]:
    """The store in the file at ``path``, made if it is missing; ``":memory:"`` keeps nothing.

    ``wall_clock`` gives seconds since 1970. Leave only after the tasks that use the store have ended; what they gave it
    is written then, however the block ends.

    Raises:
        StoreError: the file cannot be used.
    """
    connection = await executor(partial(open_database, str(path)))
    # Closed without the executor: a cancelled caller could not wait for it.
    with contextlib.closing(connection):
        writer = Writer(str(path), connection, executor)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.serve)
                store = SqliteStore(
                    str(path), writer, wall_clock, await writer.run(journal.numbers_above, writes=False)
                )
                await store.prune()
                yield store
                nursery.cancel_scope.cancel(reason="the store closes")
        except BaseExceptionGroup as group:
            # What the block raised comes out as it was: that a nursery runs here is nobody's business.
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from group.exceptions[0].__cause__
            raise
        finally:
            writer.tell_lost()


@attrs.frozen(eq=False)
class SqliteStore:
    """`triolet.core.ports.Store` on one connection; raises StoreError when the disk fails."""

    _path: str
    _writer: Writer = attrs.field(repr=False)
    _wall_clock: Callable[[], float] = attrs.field(repr=False)
    _numbers: Iterator[int] = attrs.field(repr=False)

    def unit(self) -> AbstractContextManager[Posted]:
        return self._writer.unit()

    @property
    def trouble(self) -> str:
        return self._writer.trouble

    async def prune(self) -> None:
        """Forget what was done with long ago; `inbox` and `journal` say how long."""
        now = self._wall_clock()
        await self._write(inbox.prune, now)
        await self._write(journal.prune, now)

    # Inbox

    async def receive(self, updates: Sequence[RawUpdate]) -> list[RawUpdate]:
        now = self._wall_clock()
        rows = [(update["update_id"], now, render_json(update)) for update in updates]
        pairs = list(zip(updates, await self._write(inbox.receive, rows), strict=True))
        return [update for update, is_new in pairs if is_new]

    async def unfinished(self) -> list[Unfinished]:
        return await self._read(inbox.load_unfinished)

    def finish(self, update_ids: Sequence[int]) -> Posted:
        return self._post(inbox.finish, list(update_ids))

    def offer(self, update_ids: Sequence[int]) -> Posted:
        return self._post(inbox.offer, list(update_ids))

    async def want(self, update_ids: Sequence[int]) -> list[Unfinished]:
        return await self._write(inbox.want, list(update_ids))

    # History

    async def recall(self, key: ConversationKey) -> Recalled:
        def recall(connection: sqlite3.Connection) -> Recalled:
            chat = key_columns(ConversationKey(key.chat_id))
            return Recalled(history.switched(connection, chat), history.load(connection, key_columns(key)))

        return await self._read(recall)

    async def load(self, key: ConversationKey) -> list[Message]:
        return await self._read(history.load, key_columns(key))

    def record(
        self,
        key: ConversationKey,
        messages: Sequence[Message],
        *,
        finished: Sequence[int] = (),
        spent: Sequence[Spent] = (),
        user_id: int = 0,
        turn: int | None = None,
    ) -> Posted:
        now, columns = self._wall_clock(), key_columns(key)
        with self.unit() as posted:
            self._post(history.append, columns, tuple(messages), now)
            self._post(history.note, columns, user_id, tuple(spent), now)
            self._post(inbox.finish, list(finished))
            self._post(turns.end, turn)
        return posted

    async def clear(self, key: ConversationKey, *, finished: Sequence[int] = ()) -> None:
        columns, ids = key_columns(key), list(finished)

        def clear(connection: sqlite3.Connection) -> None:
            history.clear(connection, columns)
            inbox.finish(connection, ids)

        await self._writer.run(clear, writes=True, follows=True)

    def move(self, chat_id: int, to: int) -> Posted:
        return self._post(history.move, chat_id, to)

    # Turns

    def begin(self, turn: OpenTurn, *, instead_of: int | None = None) -> Posted:
        return self._post(turns.begin, turns.TurnRow.of(turn), instead_of)

    def checkpoint(
        self, number: int, *, said: Sequence[Message], live: Unsealed | None, update_ids: Sequence[int]
    ) -> Posted:
        # The newest of those that wait says it all.
        said, ids = tuple(said), list(update_ids)
        return self._writer.post(lambda connection: turns.checkpoint(connection, number, said, live, ids), key=number)

    def stop(self, number: int, ending: Ending) -> Posted:
        return self._post(turns.stop, number, ending)

    def begin_call(self, number: int, call: ToolCallPart, *, has_effects: bool) -> Posted:
        return self._post(turns.begin_call, number, call.call_id, call.name, has_effects=has_effects)

    def end_call(self, number: int, call_id: str, *, failed: bool) -> Posted:
        return self._post(turns.end_call, number, call_id, failed=failed)

    async def open_turns(self) -> list[OpenTurn]:
        return await self._read(turns.load_open)

    # Journal

    def draw_number(self) -> int:
        return next(self._numbers)

    def keep(self, letter: Letter) -> Posted:
        return self._post(journal.keep, journal.LetterRow.of(letter, self._wall_clock()))

    def forget(self, number: int) -> Posted:
        return self._post(journal.forget, number)

    async def letters(self) -> list[Letter]:
        return await self._read(journal.load_letters)

    async def message_ids(self) -> dict[int, list[int]]:
        return await self._read(journal.load_message_ids)

    async def undelivered(self, chat_id: int | None = None) -> list[Undelivered]:
        return await self._read(journal.load_undelivered, chat_id)

    # Offers

    def keep_button(self, button: KeptButton) -> Posted:
        return self._post(journal.keep_button, journal.button_row(button))

    def drop_buttons(self, nonces: Sequence[str]) -> Posted:
        return self._post(journal.drop_buttons, list(nonces))

    async def buttons(self) -> list[KeptButton]:
        return await self._read(journal.load_buttons)

    # Preferences

    async def switched(self, key: ConversationKey) -> dict[str, str]:
        return await self._read(history.switched, key_columns(key))

    async def put(self, key: ConversationKey, name: str, value: str, *, finished: Sequence[int] = ()) -> None:
        columns, ids = key_columns(key), list(finished)

        def put(connection: sqlite3.Connection) -> None:
            history.put(connection, columns, name, value)
            inbox.finish(connection, ids)

        await self._writer.run(put, writes=True)

    # Ledger

    async def spending(self, key: ConversationKey, *, since: float) -> list[Spent]:
        return await self._read(history.spending, key_columns(key), since)

    async def last_spending(self, key: ConversationKey) -> list[Spent]:
        return await self._read(history.last_spending, key_columns(key))

    # Pins

    async def pinned(self, server: str) -> dict[str, str]:
        return await self._read(pins.load_pinned, server)

    async def pin(self, server: str, tool: str, digest: str) -> None:
        await self._write(pins.pin, server, tool, digest)

    # The three ways to the file

    def _post(
        self, work: Callable[Concatenate[sqlite3.Connection, P], None], *args: P.args, **kwargs: P.kwargs
    ) -> Posted:
        return self._writer.post(lambda connection: work(connection, *args, **kwargs))

    async def _read(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._writer.run(lambda connection: work(connection, *args, **kwargs), writes=False)

    async def _write(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._writer.run(lambda connection: work(connection, *args, **kwargs), writes=True)
