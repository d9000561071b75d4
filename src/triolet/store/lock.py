"""One bot for each database: a lock that goes with the process that holds it, however that dies.

It is a ``flock`` on a file beside the database, never on the database itself: to close that file, even once, would drop
SQLite's own locks on it. The file stays when the lock goes, since to delete it would let two processes hold a lock
each; who holds it is written in it. Whoever reads, or writes as little as `triolet tools` does, takes none.

Where there is no ``flock``, on Windows, nothing is locked: there Telegram alone sees that a second bot runs.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from triolet.errors import ExitCode, StartError, StoreError
from triolet.store.database import MEMORY, OWNER_ONLY, translated_errors

if sys.platform != "win32":
    import fcntl

PATIENCE: Final = 0.2
"""Seconds in which somebody who only asks, as `lock_holder` does, has let go again."""
STEP: Final = 0.02


@contextlib.contextmanager
def hold_lock(path: Path | str, *, restoring: bool = False) -> Iterator[None]:
    """Be the only one with the database at ``path`` until the block ends; ``":memory:"`` needs no lock.

    Raises:
        StartError: another process has it; `ExitCode.CONFLICT`.
        StoreError: the lock's file cannot be made, or a restore was interrupted: only another one, ``restoring``,
            goes on from there.
    """
    if str(path) == MEMORY:
        yield
        return
    database = real_path(path)
    lock = _acquire(database)
    try:
        if not restoring and (marker := restore_marker(database)).exists():
            raise StoreError(
                f"{database}: `triolet db restore` was interrupted: run it again (its notes: {marker.name})"
            )
        yield
    finally:
        os.close(lock)  # and with it the lock


def lock_holder(path: Path | str) -> int | None:
    """The number of the process that holds the lock now, 0 if it cannot be read; None: nobody does."""
    if sys.platform == "win32" or str(path) == MEMORY:
        return None
    file = lock_file(real_path(path))
    with translated_errors(str(file)):
        try:
            lock = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            return None if _locked(lock, fcntl.LOCK_SH) else _signature(lock)
        finally:
            os.close(lock)


def real_path(path: Path | str) -> Path:
    """The file that a name leads to, as SQLite sees it: two names of one database are one lock."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL in it
        raise StoreError(f"{str(path)!r} is no name of a file; change [store] path") from None


def lock_file(database: Path) -> Path:
    return Path(f"{database}-lock")


def restore_marker(database: Path) -> Path:
    """The file that is there while a restore changes files; it holds the name that what was there gets."""
    return Path(f"{database}-restoring")


def give_to_owner(file: Path, *, of: Path) -> None:
    """What an administrator made belongs to whom that file or folder belongs, or the bot's user could not open it."""
    if sys.platform != "win32" and os.geteuid() == 0:
        owner = of.stat()
        os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _acquire(database: Path) -> int:
    """A descriptor that has the lock."""
    file = lock_file(database)
    with translated_errors(str(file)):
        lock = _open_private(file, database)
        try:
            _lock(lock, database)
        except BaseException:
            os.close(lock)
            raise
        return lock


def _lock(lock: int, database: Path) -> None:
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        raise StoreError(f"{lock_file(database)} is not a file; move it away: the bot's lock has to be there")
    if not _waited_for(lock):
        raise StartError(_conflict(database, _signature(lock)), exit_code=ExitCode.CONFLICT)
    # The number is nothing but a courtesy: a disk that is full says so to the store, in better words.
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())


def _open_private(file: Path, database: Path) -> int:
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW if sys.platform != "win32" else os.O_RDWR
    try:
        lock = os.open(file, flags | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        return os.open(file, flags)
    give_to_owner(file, of=database if database.exists() else database.parent)
    return lock


def _waited_for(lock: int) -> bool:
    if sys.platform == "win32":
        return True
    deadline = time.monotonic() + PATIENCE
    while not (locked := _locked(lock, fcntl.LOCK_EX)) and time.monotonic() < deadline:
        time.sleep(STEP)
    return locked


def _locked(lock: int, kind: int) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _signature(lock: int) -> int:
    os.lseek(lock, 0, os.SEEK_SET)
    text = os.read(lock, 20).strip()
    return int(text) if text.isdigit() else 0


def _conflict(database: Path, holder: int) -> str:
    who = f"another process, pid {holder}," if holder else "another process"
    return f"{database}: {who} serves with {database.name}: stop it first, or change [store] path"
