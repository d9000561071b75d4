"""The inbox's SQL: what Telegram handed over, and how far each of it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from triolet.core.ports import Unfinished

KEEP_SECONDS: Final = 14 * 24 * 3600.0
"""How long a finished update's id is known, and an offered one waits; Telegram itself keeps updates for one day."""
KEEP_NEWEST: Final = 10_000

_OFFERED, _WANTED = 1, 2


def receive(connection: sqlite3.Connection, rows: Sequence[tuple[int, float, str]]) -> list[bool]:
    """Keep the updates, of which there are ids, times and bodies; returns which of them were never seen before."""
    insert = "INSERT INTO inbox(update_id, received_at, body) VALUES (?, ?, ?) ON CONFLICT(update_id) DO NOTHING"
    return [connection.execute(insert, row).rowcount == 1 for row in rows]


def load_unfinished(connection: sqlite3.Connection) -> list[Unfinished]:
    query = "SELECT body, received_at, offered FROM inbox WHERE body IS NOT NULL AND offered <> ? ORDER BY seq"
    rows = connection.execute(query, (_OFFERED,))
    return [Unfinished(json.loads(body), received_at, offered == _WANTED) for body, received_at, offered in rows]


def finish(connection: sqlite3.Connection, update_ids: Sequence[int]) -> None:
    connection.executemany("UPDATE inbox SET body = NULL WHERE update_id = ?", [(i,) for i in update_ids])


def offer(connection: sqlite3.Connection, update_ids: Sequence[int]) -> None:
    connection.executemany("UPDATE inbox SET offered = ? WHERE update_id = ?", [(_OFFERED, i) for i in update_ids])


def want(connection: sqlite3.Connection, update_ids: Sequence[int]) -> list[Unfinished]:
    """What of it was offered, which is wanted from now on."""
    query = "SELECT seq, body, received_at FROM inbox WHERE update_id = ? AND offered = ? AND body IS NOT NULL"
    rows = sorted(row for i in {*update_ids} for row in connection.execute(query, (i, _OFFERED)))
    connection.executemany("UPDATE inbox SET offered = ? WHERE seq = ?", [(_WANTED, seq) for seq, _, _ in rows])
    return [Unfinished(json.loads(body), received_at, is_wanted=True) for _, body, received_at in rows]


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Finish what nobody wants any more, and forget the ids of what was finished long ago, but never the newest."""
    before = now - KEEP_SECONDS
    connection.execute("UPDATE inbox SET body = NULL WHERE offered = ? AND received_at < ?", (_OFFERED, before))
    old = "body IS NULL AND received_at < ? AND seq <= (SELECT max(seq) FROM inbox) - ?"
    connection.execute(f"DELETE FROM inbox WHERE {old}", (before, KEEP_NEWEST))  # noqa: S608  # no foreign text
