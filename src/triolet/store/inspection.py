"""Looks into a database file and leaves it as it is: beside a running bot, after a crash, or in a copy.

The file is opened read-only, so that nothing is made or migrated; SQLite may put its -wal and -shm beside it. It may be
anybody's and in any state: what is wrong with it is told in lines, and only a sound one is asked what it holds.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from triolet.core.letters import Undelivered
from triolet.errors import StoreError
from triolet.store.database import BUSY_TIMEOUT, SMALLEST_PAGE
from triolet.store.lock import real_path, restore_marker
from triolet.store.pins import load_pinned
from triolet.store.schema import APPLICATION_ID, MIGRATIONS

MOST_PROBLEMS: Final = 20
"""Of SQLite's own check: a damaged file has thousands."""
NEWEST: Final = 10
BEGINNING: Final = 40
"""Characters of a letter that tell which one it is."""

UNFINISHED_LETTER: Final = "(state <> 'sent' OR growing)"
_UNDELIVERED: Final = "state IN ('uncertain', 'dead')"

_NO_ACCESS: Final = "it cannot be opened; let this user read it and write its folder"
_SAID: Final = {
    sqlite3.SQLITE_NOTADB: "it is no database",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_CANTOPEN: _NO_ACCESS,
    sqlite3.SQLITE_READONLY: _NO_ACCESS,  # the -shm that a reader needs
    sqlite3.SQLITE_BUSY: "another process holds it; try again",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
}


@attrs.frozen
class Contents:
    """What an operator asks about first; ``newest`` are the newest of the ``undelivered`` letters.

    ``offered`` updates are answered only if somebody wants it; the ``waiting`` ones will be.
    """

    size: int
    schema: int
    waiting: int
    offered: int = 0
    turns: int = 0
    on_their_way: int = 0
    undelivered: int = 0
    newest: tuple[Undelivered, ...] = ()


def check(path: Path | str) -> list[str]:
    """What is wrong with the database file, a line each; nothing if it is sound, whichever Triolet made it."""
    try:
        with closing(open_to_read(path)) as connection:
            return _problems(connection)
    except StoreError as error:
        return [str(error).removeprefix(f"{path}: ")]
    except sqlite3.DatabaseError as error:
        return [described(error)]


def inspect(path: Path | str) -> Contents:
    """What a sound database holds.

    Raises:
        StoreError: it cannot be read, or is none of ours.
    """
    with closing(open_to_read(path)) as connection:
        try:
            connection.execute("BEGIN")  # all of it as of one moment
            return _contents(connection, Path(path).stat().st_size)
        except (sqlite3.DatabaseError, OSError) as error:
            raise StoreError(f"{path}: {described(error)}") from error


def read_pins(path: Path | str, server: str) -> dict[str, str]:
    """As `core.ports.Pins.pinned`; nothing, where there is no database that can be read."""
    try:
        with closing(open_to_read(path)) as connection:
            return load_pinned(connection, server) if "pin" in tables(connection) else {}
    except (StoreError, sqlite3.DatabaseError):
        return {}


def open_to_read(path: Path | str) -> sqlite3.Connection:
    """A read-only connection in autocommit mode; raises StoreError where there is nothing to read."""
    if obstacle := _obstacle(path):
        raise StoreError(f"{path}: {obstacle}")
    address = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")  # it may be anybody's
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {described(error)}") from error
    return connection


def bars_writing(path: Path | str) -> str:
    """What keeps this user from writing a sound database, or one to come; empty if nothing does."""
    file = real_path(path)
    if not _may(file.parent, os.W_OK | os.X_OK):
        return f"this user may not write its folder, {file.parent}"
    return "this user may not write it" if file.exists() and not _may(file, os.W_OK) else ""


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)  # on Windows they are not


def described(error: sqlite3.DatabaseError | OSError) -> str:
    """What the disk or SQLite says, in one line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return printable(_SAID.get(getattr(error, "sqlite_errorcode", 0) & 0xFF) or str(error))


def printable(text: str) -> str:
    """One line for any terminal: no line ends, escape sequences or halves of characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _obstacle(path: Path | str) -> str:
    try:
        found = Path(path).stat()  # never opened here: to close it would drop this process's SQLite locks
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:
        return described(error)
    if not stat.S_ISREG(found.st_mode):
        return "it is a folder" if stat.S_ISDIR(found.st_mode) else "it is not a file"
    if restore_marker(real_path(path)).exists():
        return "`triolet db restore` was interrupted; run it again"
    if not found.st_size:
        return "it is empty"
    return "it is no database" if found.st_size < SMALLEST_PAGE else ""


def _problems(connection: sqlite3.Connection) -> list[str]:
    """In the order in which they explain each other."""
    for look in (_strangeness, _damages, _gaps, _orphans):
        if problems := list(look(connection)):
            return problems
    return []


def _strangeness(connection: sqlite3.Connection) -> Iterator[str]:
    version = _number(connection, "PRAGMA user_version")
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        is_empty = not _number(connection, "SELECT count(*) FROM sqlite_master")
        yield "it is empty" if is_empty else "it belongs to another program"
    elif version > len(MIGRATIONS):
        yield f"it has schema {version}, made by a newer Triolet; this one knows {len(MIGRATIONS)}: upgrade"
    elif version < 1:
        yield f"it says that it has schema {version}, which there never was"


def _damages(connection: sqlite3.Connection) -> Iterator[str]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})").fetchall():
        for line in str(text).splitlines():
            if line != "ok" and not line.startswith("***"):
                yield f"it is damaged: {printable(line)}"


def _gaps(connection: sqlite3.Connection) -> Iterator[str]:
    """What the schema has and the file has not; and what would act in it by itself."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for statements in MIGRATIONS[: _number(connection, "PRAGMA user_version")]:
            for statement in statements:
                model.execute(statement)
        there = _parts(connection)
        for kind, name, column in sorted(_parts(model) - there):
            if not column:
                yield f"its {kind} {name} is missing"
            elif (kind, name, "") in there:
                yield f"its {kind} {name} lacks {column}"
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"):
        yield f"it has a {kind} that is not Triolet's: {printable(name)}"


def _parts(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Every table and index, and again with each of its columns."""
    rows = connection.execute("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'index')").fetchall()
    columns = "SELECT name FROM pragma_table_info(?)"
    return {(kind, name, "") for kind, name in rows} | {
        (kind, name, column)
        for kind, name in rows
        if kind == "table"
        for (column,) in connection.execute(columns, (name,))
    }


def _orphans(connection: sqlite3.Connection) -> Iterator[str]:
    found = Counter((table, parent) for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"))
    for (table, parent), count in found.items():
        yield f"{count} of its {table} rows belong to no {parent}"


def _contents(connection: sqlite3.Connection, size: int) -> Contents:
    schema = _number(connection, "PRAGMA user_version")
    waiting = "SELECT count(*) FROM inbox WHERE body IS NOT NULL"
    if "outbox" not in tables(connection):
        return Contents(size, schema, _number(connection, waiting))
    return Contents(
        size,
        schema,
        waiting=_number(connection, f"{waiting} AND offered <> 1"),
        offered=_number(connection, f"{waiting} AND offered = 1"),
        turns=_number(connection, "SELECT count(*) FROM turn"),
        on_their_way=_number(connection, "SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending')"),
        undelivered=_number(connection, f"SELECT count(*) FROM outbox WHERE {_UNDELIVERED}"),  # noqa: S608  # ours
        newest=tuple(_newest(connection)),
    )


def _newest(connection: sqlite3.Connection) -> Iterator[Undelivered]:
    query = f"""
        SELECT number, chat_id, state, reason, changed_at, content FROM outbox
        WHERE {_UNDELIVERED} ORDER BY number DESC LIMIT {NEWEST}
    """  # noqa: S608  # ours
    for number, chat_id, state, reason, at, content in connection.execute(query):
        yield Undelivered(number, chat_id, state, reason, at, _beginning(content))


def _beginning(content: str | None) -> str:
    """A few words of a text or a rich message, whose source reads better than its HTML."""
    try:
        value = json.loads(content or "null")
    except (ValueError, RecursionError):
        return ""
    found = [value.get(name) for name in ("source", "text", "html")] if isinstance(value, dict) else []
    text = next((text for text in found if isinstance(text, str)), "")
    words = printable(text[: 4 * BEGINNING])
    return words if len(words) <= BEGINNING else f"{words[: BEGINNING - 1]}…"


def _number(connection: sqlite3.Connection, query: str) -> int:
    number: int = connection.execute(query).fetchone()[0]
    return number
