"""The lock: one bot for each database, whatever the database is called and however a bot ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triolet.errors import ExitCode, StartError, StoreError
from triolet.store.database import open_database
from triolet.store.lock import hold_lock, lock_file, lock_holder, restore_marker

HOLDER = """
import sys
from triolet.store.lock import hold_lock

with hold_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triolet.db"


def refusal(path: Path | str) -> StartError:
    with pytest.raises(StartError) as caught, hold_lock(path):
        raise AssertionError("the lock was given")
    assert "\n" not in str(caught.value)
    return caught.value


def test_second_process_is_told_who_was_first(path: Path) -> None:
    with another_process(path) as holder:
        problem = refusal(path)
        assert problem.exit_code == ExitCode.CONFLICT
        assert str(problem) == (
            f"{path}: another process, pid {holder.pid}, serves with triolet.db: stop it first, or change [store] path"
        )
        assert lock_holder(path) == holder.pid


def test_second_holder_in_this_process_is_refused_too(path: Path) -> None:
    with hold_lock(path):
        assert f"pid {os.getpid()}," in str(refusal(path))
        assert lock_holder(path) == os.getpid()
    with hold_lock(path):
        pass


def test_lock_goes_with_a_process_that_is_killed(path: Path) -> None:
    with another_process(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert lock_file(path).read_text(encoding="utf-8") == f"{holder.pid}\n", "what it wrote stays"
        assert lock_holder(path) is None
        with hold_lock(path):
            assert lock_holder(path) == os.getpid()


def test_lock_goes_with_its_block(path: Path) -> None:
    with pytest.raises(KeyError), hold_lock(path):
        raise KeyError
    assert lock_holder(path) is None


def test_two_names_of_one_database_are_one_lock(path: Path) -> None:
    (path.parent / "link.db").symlink_to(path)
    with another_process(path):
        assert refusal(path.parent / "link.db").exit_code == ExitCode.CONFLICT
        assert refusal(path.parent / "absent" / ".." / "triolet.db").exit_code == ExitCode.CONFLICT


def test_two_databases_are_two_locks(path: Path) -> None:
    with another_process(path), hold_lock(path.with_name("other.db")):
        pass


def test_who_only_asks_keeps_nobody_out(path: Path) -> None:
    asking = "import sys, triolet.store.lock as l\nprint(flush=True)\nwhile True: l.lock_holder(sys.argv[1])"
    with hold_lock(path):
        pass
    with subprocess.Popen([sys.executable, "-c", asking, str(path)], stdout=subprocess.PIPE) as asker:
        assert asker.stdout is not None
        asker.stdout.readline()
        try:
            for _ in range(300):
                with hold_lock(path):
                    pass
        finally:
            asker.kill()


def test_database_is_used_without_the_lock_beside_its_holder(path: Path) -> None:
    """As `triolet tools` does; and the holder's own SQLite is not disturbed."""
    with another_process(path):
        open_database(str(path)).close()


def test_lock_is_the_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        with hold_lock(path):
            assert stat.S_IMODE(lock_file(path).stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only an administrator gives files away")
def test_what_an_administrator_locks_stays_the_bots(path: Path) -> None:
    os.chown(path.parent, 65534, 65534)
    with hold_lock(path):
        assert lock_file(path).stat().st_uid == 65534


def test_memory_needs_no_lock() -> None:
    with hold_lock(":memory:"), hold_lock(":memory:"):
        assert lock_holder(":memory:") is None
        assert not lock_file(Path(":memory:")).exists()


def test_asking_makes_no_file(path: Path) -> None:
    assert lock_holder(path) is None
    assert list(path.parent.iterdir()) == []


def test_number_that_is_none_is_not_told(path: Path) -> None:
    with another_process(path):
        lock_file(path).write_bytes(b"\xff" * 100)
        assert "another process serves with triolet.db" in str(refusal(path))
        assert lock_holder(path) == 0


def test_full_disk_costs_the_number_alone(path: Path) -> None:
    """A limit on the size of files is as good as a full disk."""
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n" + HOLDER
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, input=b"", stdout=subprocess.PIPE, check=True).stdout == b"held\n"


def test_interrupted_restore_keeps_everybody_out_but_the_next(path: Path) -> None:
    restore_marker(path).touch()
    problem = refusal(path)
    assert isinstance(problem, StoreError)
    assert "`triolet db restore` was interrupted: run it again" in str(problem)
    with hold_lock(path, restoring=True):
        pass


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("absent/triolet.db", "its folder does not exist"),
        ("file/triolet.db", "its folder is a file"),
        ("folder", "folder-lock: the store cannot be used: Is a directory"),
        ("pipe", "pipe-lock is not a file"),
        ("link", "Too many levels of symbolic links"),
        ("loop", "symbolic links"),
        ("x" * 252, "File name too long"),
        ("\0", "is no name of a file"),
    ],
)
def test_what_cannot_be_locked_is_one_line(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder-lock").mkdir()
    os.mkfifo(tmp_path / "pipe-lock")
    (tmp_path / "link-lock").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "loop-lock").symlink_to(tmp_path / "loop")
    problem = refusal(tmp_path / name)
    assert problem.exit_code == ExitCode.DATABASE
    assert hint in str(problem)
    assert not (tmp_path / "elsewhere").exists()
