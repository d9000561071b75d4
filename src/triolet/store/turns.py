"""The SQL of answers that are being written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import attrs

from triolet.core.conversation import Ending, Message
from triolet.core.markup.layout import Unsealed
from triolet.core.recovery import OpenTurn
from triolet.store.history import key_columns, parse_key
from triolet.store.parts import (
    parse_ids,
    parse_messages,
    parse_questions,
    parse_unsealed,
    render_json,
    render_messages,
    render_questions,
    render_unsealed,
)


@attrs.frozen
class TurnRow:
    """A turn, with what may change after it was given to the store rendered already."""

    turn: OpenTurn
    asked: str

    @classmethod
    def of(cls, turn: OpenTurn) -> TurnRow:
        return cls(turn, render_questions(turn.asked))


def begin(connection: sqlite3.Connection, row: TurnRow, instead_of: int | None) -> None:
    end(connection, instead_of)
    turn = row.turn
    values = (
        turn.number,
        *key_columns(turn.key),
        row.asked,
        render_json(turn.update_ids),
        turn.began_at,
        turn.attempt,
        render_messages(turn.said),
        render_unsealed(turn.live),
        None if turn.ending is None else turn.ending.value,
        turn.has_effects,
    )
    connection.execute("INSERT INTO turn VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def checkpoint(
    connection: sqlite3.Connection, number: int, said: Sequence[Message], live: Unsealed | None, update_ids: list[int]
) -> None:
    update = "UPDATE turn SET said = ?, live = ?, update_ids = ? WHERE number = ?"
    connection.execute(update, (render_messages(said), render_unsealed(live), render_json(update_ids), number))


def end(connection: sqlite3.Connection, number: int | None) -> None:
    """The turn is open no more; its tool calls go with it. None is no turn."""
    connection.execute("DELETE FROM turn WHERE number = ?", (number,))


def stop(connection: sqlite3.Connection, number: int, ending: Ending) -> None:
    connection.execute("UPDATE turn SET ending = ? WHERE number = ?", (ending.value, number))


def begin_call(connection: sqlite3.Connection, number: int, call_id: str, name: str, *, has_effects: bool) -> None:
    insert = "INSERT OR REPLACE INTO tool_call SELECT number, ?, ?, 'running' FROM turn WHERE number = ?"
    connection.execute(insert, (render_json(call_id), render_json(name), number))
    if has_effects:
        connection.execute("UPDATE turn SET has_effects = 1 WHERE number = ?", (number,))


def end_call(connection: sqlite3.Connection, number: int, call_id: str, *, failed: bool) -> None:
    update = "UPDATE tool_call SET state = ? WHERE turn = ? AND call_id = ?"
    connection.execute(update, ("failed" if failed else "done", number, render_json(call_id)))


def load_open(connection: sqlite3.Connection) -> list[OpenTurn]:
    query = """
        SELECT number, chat_id, thread_id, asked, update_ids, began_at, attempt, said, live, has_effects, ending
        FROM turn ORDER BY number
    """
    return [
        OpenTurn(
            number,
            parse_key(chat_id, thread_id),
            parse_questions(asked),
            parse_ids(update_ids),
            began_at,
            attempt,
            parse_messages(said),
            parse_unsealed(live),
            bool(has_effects),
            None if ending is None else Ending(ending),
        )
        for (
            *(number, chat_id, thread_id, asked, update_ids, began_at, attempt, said, live, has_effects, ending),
        ) in connection.execute(query)
    ]
