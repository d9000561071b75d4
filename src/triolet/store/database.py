"""Opens the file: private to its owner, known to be ours, brought to the newest schema.

A file of another program is left as it was found: it is recognised before the first write. Whatever the disk
or SQLite refuses comes out as one `StoreError` line, from the opening and from every later transaction.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from triolet.errors import StoreError
from triolet.store.schema import APPLICATION_ID, MIGRATIONS

MEMORY: Final = ":memory:"
OPENING_TIMEOUT: Final = 5.0
BUSY_TIMEOUT: Final = 1.0
"""Seconds to wait for another process, an operator's SQLite shell say, to end its transaction: at the opening, and
later, when whoever reads has to wait as well."""

CHECKED_BYTES: Final = 64 * 2**20
"""Up to this size the whole file is checked at the opening, which takes some 0.6 ms for each MB."""

OWNER_ONLY: Final = 0o600
SMALLEST_PAGE: Final = 512

_OS_ADVICE: Final = {
    errno.ENOENT: "its folder does not exist; create it, or change [store] path",
    errno.ENOTDIR: "its folder is a file; change [store] path",
    errno.EACCES: "no permission; let the bot's user write it and its folder",
    errno.EPERM: "no permission; let the bot's user own it",
    errno.EROFS: "the disk is read-only; change [store] path",
}
_TORN_ADVICE: Final = "run `triolet db check`, or `triolet db restore BACKUP`"
_SQLITE_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another process holds it; is a second bot running?",
    sqlite3.SQLITE_CANTOPEN: "let the bot's user write it and its folder",
    sqlite3.SQLITE_CORRUPT: _TORN_ADVICE,
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_IOERR: "look whether the disk is full or broken",
    sqlite3.SQLITE_NOTADB: "change [store] path",
    sqlite3.SQLITE_READONLY: "let the bot's user write it and its folder",
}


def open_database(path: str) -> sqlite3.Connection:
    """A connection in autocommit mode, for one thread at a time; raises StoreError."""
    with translated_errors(path):
        if path != MEMORY:
            _create_private(path)
        connection = sqlite3.connect(path, timeout=OPENING_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block's statements or, when it or the commit raises, none of them."""
    # IMMEDIATE: a lock that cannot be had is refused here, where waiting for it still helps.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


@contextlib.contextmanager
def translated_errors(path: str) -> Iterator[None]:
    """Turn a refusal of the disk or of SQLite into a StoreError; our own mistakes pass unchanged."""
    try:
        yield
    except OSError as error:
        raise _refused(path, _OS_ADVICE.get(error.errno or 0, str(error.strerror))) from error
    except sqlite3.DatabaseError as error:
        # The subclasses tell of wrong statements and values (except OperationalError, which is the disk's).
        if type(error) not in {sqlite3.DatabaseError, sqlite3.OperationalError}:
            raise
        advice = _SQLITE_ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)  # the rest is detail
        raise _refused(path, f"{error}; {advice}" if advice else str(error)) from error


def is_locked(error: Exception) -> bool:
    """Whether another process held the database for too long."""
    code = getattr(error.__cause__, "sqlite_errorcode", 0)
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)


def _refused(path: str, reason: str) -> StoreError:
    return StoreError(f"{path}: the store cannot be used: {reason}")


def _create_private(path: str) -> None:
    # SQLite gives its -wal and -shm files the mode of the file itself, so creating that one first is enough.
    # An existing file is not opened here: closing it again would drop the locks of this process's SQLite.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
    except FileExistsError:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            raise _refused(path, "it is not a file; change [store] path") from None
        # SQLite takes less than its smallest page for an empty database, and would overwrite it.
        if 0 < found.st_size < SMALLEST_PAGE:
            raise _refused(path, "file is not a database; change [store] path") from None


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    _recognise(connection, path)
    if path != MEMORY:
        _close_to_others(path)
        _check(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten, not merely unlisted
    _migrate(connection)
    connection.execute("PRAGMA foreign_keys = ON")  # not before: a migration may drop what others refer to
    # A write that changes nothing: a disk that takes none is to be heard of now, not at the first message.
    with transaction(connection):
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")


def _recognise(connection: sqlite3.Connection, path: str) -> None:
    version = _read(connection, "PRAGMA user_version")
    ours = _read(connection, "PRAGMA application_id") == APPLICATION_ID
    if not ours and (version or _read(connection, "SELECT count(*) FROM sqlite_master")):
        raise _refused(path, "it belongs to another program; change [store] path")
    if version > len(MIGRATIONS):
        newer = f"it has schema {version}, made by a newer Triolet; this one knows {len(MIGRATIONS)}"
        raise _refused(path, f"{newer}: upgrade, or change [store] path")


def _check(connection: sqlite3.Connection, path: str) -> None:
    # A file that lacks its end needs no check: SQLite reads none that is shorter than it says itself.
    if Path(path).stat().st_size <= CHECKED_BYTES:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise _refused(path, f"it is damaged ({' '.join(found.split())}); {_TORN_ADVICE}")


def _close_to_others(path: str) -> None:
    for file in (Path(path), Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mode & 0o077:
                file.chmod(OWNER_ONLY)


def _migrate(connection: sqlite3.Connection) -> None:
    for version, statements in enumerate(MIGRATIONS, start=1):
        with transaction(connection):
            # Asked within the transaction: a second process may have come first.
            if _read(connection, "PRAGMA user_version") < version:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")


def _read(connection: sqlite3.Connection, query: str) -> int:
    number: int = connection.execute(query).fetchone()[0]
    return number
