"""An answer in the store: a tool that changes something runs when the disk knows of it, and not before."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
import trio

from triolet.app.book import Book, RestartRules
from triolet.app.turn import Turn
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey, Message, TextPart, ToolCallPart
from triolet.core.events import RoundEnded, RoundStarted, TextDelta, TurnBatch
from triolet.core.mailbox import Question
from triolet.store import SqliteStore, open_store, run_inline
from triolet.transports.console import ConsoleTransport
from triolet.transports.terminal import Terminal

KEY = ConversationKey(3)
QUESTION = Question((1,), Place(KEY, private=True), 3, "Please write it down.", message_id=9)
CALL = ToolCallPart("c1", "write", "{}")
ROUND = Message("assistant", (TextPart("I write."), CALL))
SAID: TurnBatch = (RoundStarted("m"), TextDelta("I write."), RoundEnded(ROUND))

T = TypeVar("T")


@attrs.define
class Disk:
    """The store's executor; the database is its own as soon as it is open."""

    connection: sqlite3.Connection | None = None

    async def __call__(self, job: Callable[[], T], /) -> T:
        result = await run_inline(job)
        if isinstance(result, sqlite3.Connection):
            self.connection = result
        return result

    def refuse(self, value: str) -> None:
        assert self.connection is not None
        self.connection.execute(f"PRAGMA query_only = {value}")


@asynccontextmanager
async def open_book(path: Path, disk: Disk) -> AsyncIterator[tuple[Book, SqliteStore]]:
    async with open_store(path / "bot.db", executor=disk, wall_clock=lambda: 1000.0) as store:
        turn = Turn(ConsoleTransport(Terminal(0, io.StringIO())))
        book = Book(store.draw_number(), KEY, (QUESTION,), turn, store, RestartRules(lambda: 1000.0))
        book.open()
        turn.receive(SAID)
        yield book, store


@pytest.mark.parametrize("has_effects", [True, False])
async def test_tool_runs_if_the_disk_knows_of_it_or_running_it_twice_does_no_harm(
    autojump_clock: object, tmp_path: Path, has_effects: bool
) -> None:
    disk = Disk()
    async with open_book(tmp_path, disk) as (book, store):
        disk.refuse("ON")
        assert await book.begin(CALL, has_effects=has_effects) is not has_effects
        disk.refuse("OFF")
        assert await book.begin(CALL, has_effects=has_effects)
        [turn] = await store.open_turns()
        assert turn.has_effects == has_effects


async def test_what_was_said_is_on_the_disk_before_a_tool_runs(autojump_clock: object, tmp_path: Path) -> None:
    """Also what was emitted and not yet received: the call is part of it."""
    async with open_book(tmp_path, Disk()) as (book, store), trio.open_nursery() as nursery:
        emit = book.turn.emitting(lambda batch: None)
        for batch in (SAID, SAID):
            emit(batch)
        begun = trio.Event()

        async def begin() -> None:
            assert await book.begin(CALL, has_effects=False)
            begun.set()

        nursery.start_soon(begin)
        await trio.sleep(5.0)
        assert not begun.is_set()
        book.turn.receive(SAID)
        await begun.wait()
        [turn] = await store.open_turns()
        assert [message.role for message in turn.said] == ["assistant", "tool"] * 2
        assert (turn.asked, turn.update_ids, turn.began_at) == (turn.asked, (1,), 1000.0)
        assert [each.text for each in turn.asked] == [QUESTION.text]


async def test_answer_that_has_ended_takes_its_place_in_the_history(autojump_clock: object, tmp_path: Path) -> None:
    async with open_book(tmp_path, Disk()) as (book, store):
        await store.receive([{"update_id": 1}])
        book.turn.end(book.turn.coalescer.ending)
        book.close(lambda model, usage: None)
        assert await store.open_turns() == []
        assert await store.unfinished() == []
        assert [message.role for message in await store.load(KEY)] == ["user", "assistant", "tool", "assistant"]
