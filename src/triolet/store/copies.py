"""Copies of the database: made while the bot writes, and put back while it does not.

1. A copy is whole or not there: it grows under a name of its own, is checked, flushed to the disk, and renamed.
2. A restore loses nothing, whenever it is killed. Before the first file is moved a marker is on the disk, which keeps
   every bot out until a restore has come to its end; -wal and -journal, whose absence SQLite takes for an empty one,
   leave before the file that they belong to, and come to lie beside it again.
3. What waited or was being delivered when the copy was made has most likely been dealt with since; nothing of it is
   answered or sent again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from triolet.errors import StoreError
from triolet.store.database import transaction
from triolet.store.inspection import UNFINISHED_LETTER, check, described, open_to_read, tables
from triolet.store.lock import give_to_owner, hold_lock, lock_file, real_path, restore_marker

STEP: Final = 1000
"""Pages that are copied before Ctrl-C is heard."""
_BESIDE: Final = ("-wal", "-journal", "-shm")
"""What SQLite may have put beside a database, in the order in which it leaves."""
_ALL: Final = (*_BESIDE, "")


@attrs.frozen
class Restored:
    """What a restore did: where the database is that was there, and how much of the copy was dropped."""

    aside: Path | None
    updates: int
    turns: int
    letters: int


def back_up(path: Path | str, to: Path | str, *, overwrite: bool = False) -> int:
    """Copy the database as it is at this moment; returns the copy's size in bytes.

    Raises:
        StoreError: one of the files cannot be used, the database is not sound, or ``to`` is there already and not to
            be overwritten.
    """
    database, target = real_path(path), Path(to).absolute()
    with _told(f"{database} cannot be copied to {target}"):
        _check_target(database, target, overwrite=overwrite)
        with _copied(database, target.parent) as copy:
            _flush(copy)
            _check_target(database, target, overwrite=overwrite)  # somebody else may have made one meanwhile
            copy.replace(target)
            _flush(target.parent)
        return target.stat().st_size


def restore(path: Path | str, source: Path | str) -> Restored:
    """Put a copy in the place of the database, and what is there aside, as ``triolet.db.before-restore-<UTC time>``.

    A copy of an older schema is migrated by the next start.

    Raises:
        StartError: a bot runs.
        StoreError: one of the files cannot be used, or the copy is not sound.
    """
    database, original = real_path(path), real_path(source)
    with _told(f"{original} cannot be restored to {database}"):
        _check_place(database, original)
        with hold_lock(database, restoring=True), _copied(original, database.parent) as copy:
            updates, turns, letters = _settle(copy)
            give_to_owner(copy, of=database if database.exists() else database.parent)
            _flush(copy)
            return Restored(_exchange(database, copy), updates, turns, letters)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.DatabaseError) as error:
        raise StoreError(f"{what}: {described(error)}") from error


def _check_target(database: Path, target: Path, *, overwrite: bool) -> None:
    kept = [real_path(f"{database}{suffix}") for suffix in _ALL]
    if real_path(target) in {*kept, lock_file(database), restore_marker(database)}:
        raise StoreError(f"{target} is the database itself, or a part of it; name another file")
    if target.is_dir():
        raise StoreError(f"{target} is a folder; name the file in it")
    if os.path.lexists(target) and not (overwrite and target.is_file()):
        raise StoreError(f"{target} is there already; name another file{', or --overwrite' * target.is_file()}")


def _check_place(database: Path, original: Path) -> None:
    if database == original or (database.exists() and original.exists() and database.samefile(original)):
        raise StoreError(f"{original} is the database itself; name a copy")
    if os.path.lexists(database) and not database.is_file():
        raise StoreError(f"{database} is not a file; change [store] path")


@contextlib.contextmanager
def _copied(original: Path, folder: Path) -> Iterator[Path]:
    """A sound, private copy in the folder, under a name that nobody knows; it is gone afterwards unless it got one."""
    with closing(open_to_read(original)) as source:
        descriptor, name = tempfile.mkstemp(prefix=".triolet-", suffix=".part", dir=folder)
        os.close(descriptor)
        copy = Path(name)
        try:
            _copy(source, copy)
            if problems := check(copy):
                more = f" (and {len(problems) - 1} more: `triolet db check`)" if len(problems) > 1 else ""
                raise StoreError(f"{original}: {problems[0]}{more}")
            yield copy
        finally:
            for suffix in _ALL:
                Path(f"{copy}{suffix}").unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, copy: Path) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")  # it is flushed when it is whole
        target.execute("PRAGMA journal_mode = OFF")
        source.execute("BEGIN")
        source.execute(
            "SELECT count(*) FROM sqlite_master"
        ).fetchone()  # one moment for all steps: they would begin anew after a write
        source.backup(target, pages=STEP, progress=lambda *_: None)
        # One file, with nothing beside it, that can be read from a disk which cannot be written.
        target.execute("PRAGMA journal_mode = DELETE")


def _settle(copy: Path) -> tuple[int, int, int]:
    """Finish its updates, and drop its open turns and its undelivered letters; how many there were of each."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        with transaction(connection):
            updates = connection.execute("UPDATE inbox SET body = NULL WHERE body IS NOT NULL").rowcount
            if "outbox" not in tables(connection):
                return updates, 0, 0
            # What a Continue needs is in the history; these need what is dropped here.
            connection.execute("DELETE FROM button WHERE kind <> 'continue'")
            connection.execute("DELETE FROM tool_call")
            turns = connection.execute("DELETE FROM turn").rowcount
            letters = connection.execute(f"DELETE FROM outbox WHERE {UNFINISHED_LETTER}").rowcount  # noqa: S608  # ours
            return updates, turns, letters


def _exchange(database: Path, copy: Path) -> Path | None:
    """The copy becomes the database; returns where the one before is, if there was one."""
    marker, folder = restore_marker(database), database.parent
    aside = _noted(database, marker)
    if aside is None:
        aside = _fresh(database)
        marker.write_text(aside.name, encoding="utf-8", errors="surrogateescape")
        _flush(marker)
        _flush(folder)
    for suffix in _ALL:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{database}{suffix}").rename(f"{aside}{suffix}")
            _flush(folder)
    copy.replace(database)
    _flush(folder)
    marker.unlink()
    _flush(folder)
    return aside if aside.exists() else None


def _noted(database: Path, marker: Path) -> Path | None:
    """The name that an interrupted restore was giving to what was there, unless something would be overwritten."""
    try:
        name = marker.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    aside = database.parent / name
    both = [s for s in _ALL if os.path.lexists(f"{aside}{s}") and os.path.lexists(f"{database}{s}")]
    return aside if aside.name == name and name.startswith(_prefix(database)) and not both else None


def _fresh(database: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for count in itertools.count(1):
        aside = database.with_name(f"{_prefix(database)}{stamp}{f'-{count}' * (count > 1)}")
        if not any(os.path.lexists(f"{aside}{suffix}") for suffix in _ALL):
            return aside
    raise AssertionError  # numbers do not end


def _prefix(database: Path) -> str:
    return f"{database.name}.before-restore-"


def _flush(path: Path) -> None:
    """Wait until the file, or what a folder says of its files, is on the disk."""
    if sys.platform == "win32" and stat.S_ISDIR(path.stat().st_mode):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
