"""The SQL of what was said, switched and spent, by conversation; a key is its two columns, see `key_columns`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from triolet.core.conversation import ConversationKey, Ending, Message
from triolet.core.usage import Spent
from triolet.store.parts import parse_parts, render_json, render_parts

KeyColumns: TypeAlias = tuple[int, int]


def key_columns(key: ConversationKey) -> KeyColumns:
    return key.chat_id, key.thread_id or 0


def parse_key(chat_id: int, thread_id: int) -> ConversationKey:
    return ConversationKey(chat_id, thread_id or None)


def load(connection: sqlite3.Connection, key: KeyColumns) -> list[Message]:
    query = "SELECT role, parts, ending FROM history WHERE chat_id = ? AND thread_id = ? ORDER BY id"
    rows = connection.execute(query, key)
    return [Message(role, parse_parts(parts), Ending(ending)) for role, parts, ending in rows]


def append(connection: sqlite3.Connection, key: KeyColumns, messages: Sequence[Message], now: float) -> None:
    insert = "INSERT INTO history(chat_id, thread_id, role, parts, ending, created_at) VALUES (?, ?, ?, ?, ?, ?)"
    rows = [(*key, each.role, render_parts(each.parts), each.ending.value, now) for each in messages]
    connection.executemany(insert, rows)


def clear(connection: sqlite3.Connection, key: KeyColumns) -> None:
    # Deleted, not marked as an earlier epoch: who says /new wants it gone.
    connection.execute("DELETE FROM history WHERE chat_id = ? AND thread_id = ?", key)


# What was switched


def switched(connection: sqlite3.Connection, key: KeyColumns) -> dict[str, str]:
    query = "SELECT name, value FROM preference WHERE chat_id = ? AND thread_id = ?"
    return {name: json.loads(value) for name, value in connection.execute(query, key)}


def put(connection: sqlite3.Connection, key: KeyColumns, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO preference VALUES (?, ?, ?, ?)", (*key, name, render_json(value)))


# What was spent


def note(connection: sqlite3.Connection, key: KeyColumns, user_id: int, spent: Sequence[Spent], now: float) -> None:
    """Note what one answer cost."""
    (answer,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM usage").fetchone()
    insert = """
        INSERT INTO usage(answer, created_at, chat_id, thread_id, user_id,
          model, input_tokens, output_tokens, cached_tokens, cache_write_tokens, cost)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """
    connection.executemany(insert, [(answer, now, *key, user_id, *attrs.astuple(each)) for each in spent])


def spending(connection: sqlite3.Connection, key: KeyColumns, since: float) -> list[Spent]:
    return _sums(connection, key, "created_at >= ?", since)


def last_spending(connection: sqlite3.Connection, key: KeyColumns) -> list[Spent]:
    return _sums(connection, key, "answer = (SELECT max(answer) FROM usage WHERE chat_id = ? AND thread_id = ?)", *key)


def _sums(connection: sqlite3.Connection, key: KeyColumns, which: str, *parameters: float) -> list[Spent]:
    # What has no price is summed up apart: sum() passes over a NULL, and the rest would look like the whole cost.
    query = f"""
        SELECT model, sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(cache_write_tokens), sum(cost)
        FROM usage WHERE chat_id = ? AND thread_id = ? AND {which}
        GROUP BY model, cost IS NULL ORDER BY min(id)
    """  # noqa: S608  # no foreign text
    return [Spent(*row) for row in connection.execute(query, (*key, *parameters))]


# A chat that becomes another


def move(connection: sqlite3.Connection, chat_id: int, to: int) -> None:
    """Give the new chat all that the old one had, but for the switches that the new one has itself.

    Letters stay where they are: their message ids are the old chat's, and Telegram says where it went.
    """
    for table in ("history", "usage", "turn"):
        connection.execute(f"UPDATE {table} SET chat_id = ? WHERE chat_id = ?", (to, chat_id))  # noqa: S608  # ours
    connection.execute("UPDATE OR IGNORE preference SET chat_id = ? WHERE chat_id = ?", (to, chat_id))
    connection.execute("DELETE FROM preference WHERE chat_id = ?", (chat_id,))
    buttons = "UPDATE button SET place = json_set(place, '$.chat', ?) WHERE json_extract(place, '$.chat') = ?"
    connection.execute(buttons, (to, chat_id))
