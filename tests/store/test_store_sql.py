"""What is asked while answers are written finds its rows by an index, however much there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey, Message
from triolet.core.letters import Letter
from triolet.core.recovery import OpenTurn
from triolet.core.usage import Spent
from triolet.store import history, inbox, journal, pins, turns
from triolet.store.database import MEMORY, open_database

KEY = (7, 3)
TURN = OpenTurn(1, ConversationKey(*KEY), (), (), 0.0)
LETTER = journal.LetterRow.of(Letter(1, Place(ConversationKey(*KEY), private=False)), now=0.0)

OFTEN: dict[str, Callable[[sqlite3.Connection], object]] = {
    "receive": lambda connection: inbox.receive(connection, [(1, 0.0, "{}")]),
    "load_unfinished": inbox.load_unfinished,
    "finish": lambda connection: inbox.finish(connection, [1]),
    "offer": lambda connection: inbox.offer(connection, [1]),
    "want": lambda connection: inbox.want(connection, [1]),
    "load": lambda connection: history.load(connection, KEY),
    "append": lambda connection: history.append(connection, KEY, [Message.of("user", "x")], 0.0),
    "clear": lambda connection: history.clear(connection, KEY),
    "switched": lambda connection: history.switched(connection, KEY),
    "put": lambda connection: history.put(connection, KEY, "a", "b"),
    "note": lambda connection: history.note(connection, KEY, 1, [Spent("a", 1, 1)], 0.0),
    "spending": lambda connection: history.spending(connection, KEY, 0.0),
    "last_spending": lambda connection: history.last_spending(connection, KEY),
    "begin": lambda connection: turns.begin(connection, turns.TurnRow.of(TURN), 9),
    "checkpoint": lambda connection: turns.checkpoint(connection, 1, [], None, []),
    "begin_call": lambda connection: turns.begin_call(connection, 1, "a", "b", has_effects=True),
    "end_call": lambda connection: turns.end_call(connection, 1, "a", failed=False),
    "end": lambda connection: turns.end(connection, 1),
    "keep": lambda connection: journal.keep(connection, LETTER),
    "forget": lambda connection: journal.forget(connection, 1),
    "drop_buttons": lambda connection: journal.drop_buttons(connection, ["a"]),
    "load_pinned": lambda connection: pins.load_pinned(connection, "a"),
    "pin": lambda connection: pins.pin(connection, "a", "b", "c"),
}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(open_database(MEMORY)) as opened:
        yield opened


@pytest.mark.parametrize("name", OFTEN)
def test_nothing_is_searched_row_by_row(connection: sqlite3.Connection, name: str) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    OFTEN[name](connection)
    connection.set_trace_callback(None)
    assert statements
    for statement in [each for each in statements if not each.startswith("--")]:
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            assert not step.startswith("SCAN") or " INDEX " in step or "CONSTANT ROW" in step, f"{statement}: {step}"
