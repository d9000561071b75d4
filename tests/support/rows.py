"""Rows for a database's tables, by the columns that a test is about."""

from __future__ import annotations

import sqlite3


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Whatever else has to be there is 0 or an empty list."""
    for _, name, kind, is_needed, default, _ in connection.execute(f"PRAGMA table_info({table})").fetchall():
        if is_needed and default is None:
            values.setdefault(name, "[]" if kind == "TEXT" else 0)
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table}({columns}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
