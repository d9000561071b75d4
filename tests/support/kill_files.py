"""What the processes that died have left in their folder: the database, and what the tools wrote down."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from kill_judges import Letter
from kill_scenarios import DATABASE, RUNS


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def count_effects(folder: Path) -> dict[str, int]:
    """How often the tool that changes something has run."""
    return {name: count for name, count in Counter(read(folder / RUNS).split()).items() if name == "act"}


def rows(folder: Path, query: str) -> Sequence[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return connection.execute(query).fetchall()


def integrity(folder: Path) -> str:
    """``ok``, or what is broken."""
    return str(rows(folder, "PRAGMA integrity_check")[0][0])


def tables(folder: Path) -> set[str]:
    return {name for (name,) in rows(folder, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def read_unfinished(folder: Path) -> list[str]:
    """What the database takes for open."""
    known = tables(folder)
    if "inbox" not in known:
        return ["the database has no tables"]
    offered = "offered <> 1 AND " if "turn" in known else ""
    query = f"SELECT update_id FROM inbox WHERE {offered}body IS NOT NULL"  # noqa: S608  # no foreign text
    found = [f"update {number}" for (number,) in rows(folder, query)]
    if "turn" in known:
        found += [f"turn {number}" for (number,) in rows(folder, "SELECT number FROM turn")]
    return found


def read_letters(folder: Path) -> list[Letter]:
    if "outbox" not in tables(folder):
        return []
    found = rows(folder, "SELECT chat_id, state, growing FROM outbox")
    return [Letter(chat, state, bool(growing)) for chat, state, growing in found]
