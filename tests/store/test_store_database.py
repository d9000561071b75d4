"""The file: who may read it, what is refused, in which words, and that a refused file stays as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
import trio
from unprivileged import unprivileged_folder

from triolet.core.conversation import ConversationKey, Message
from triolet.core.ports import RawUpdate, Store
from triolet.errors import StoreError
from triolet.store import open_store, run_inline
from triolet.store.database import CHECKED_BYTES, _create_private, open_database, transaction
from triolet.store.schema import MIGRATIONS

KEY = ConversationKey(1)
Log = list[structlog.typing.EventDict]


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_database(str(path))
    assert caught.value.exit_code == 6
    text = str(caught.value)
    assert "\n" not in text
    beginning = f"{path}: the store cannot be used: "
    assert text.startswith(beginning)
    return text.removeprefix(beginning)


def make(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Permissions


@pytest.fixture
def loose_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("loose_umask")
def test_all_files_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "triolet.db"
    with closing(open_database(str(path))) as connection:
        with transaction(connection):
            connection.execute("INSERT INTO preference VALUES (1, 0, 'a', 'b')")
        assert {file.name: mode(file) for file in tmp_path.iterdir()} == {
            "triolet.db": 0o600,
            "triolet.db-wal": 0o600,
            "triolet.db-shm": 0o600,
        }


@pytest.mark.usefixtures("loose_umask")
def test_a_new_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    """Made open and closed to others later, it could have been opened in between."""
    path = tmp_path / "triolet.db"
    _create_private(str(path))
    assert mode(path) == 0o600


@pytest.mark.usefixtures("loose_umask")
def test_files_left_open_to_others_are_closed_to_them(tmp_path: Path) -> None:
    """A copy put back with ``cp``, beside the -wal of a crash."""
    path = tmp_path / "triolet.db"
    with closing(open_database(str(path))), closing(open_database(str(path))):
        for file in tmp_path.iterdir():
            file.chmod(0o644)
        with closing(open_database(str(path))):
            assert {mode(file) for file in tmp_path.iterdir()} == {0o600}


# Settings


def test_what_is_written_is_written_through(tmp_path: Path) -> None:
    with closing(open_database(str(tmp_path / "triolet.db"))) as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete", "busy_timeout", "foreign_keys", "user_version")
        ]
    assert found == ["wal", 2, 1, 1000, 1, len(MIGRATIONS)]


async def test_memory_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_store(":memory:", executor=run_inline) as store:
        await store.put(KEY, "a", "b")
        assert (await store.switched(KEY)).get("a") == "b"
    assert list(tmp_path.iterdir()) == []


# Beginnings that a crash may leave behind


@pytest.mark.parametrize("statements", [(), ("PRAGMA journal_mode = WAL",)], ids=["empty", "WAL only"])
def test_an_unfinished_first_start_is_completed(tmp_path: Path, statements: tuple[str, ...]) -> None:
    path = tmp_path / "triolet.db"
    path.touch()
    make(path, *statements)
    with closing(open_database(str(path))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def migrate_halfway(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("CREATE TABLE later(id)")
        connection.execute("PRAGMA user_version = 99")
        connection.execute("no SQL")


def test_a_failing_transaction_leaves_no_table(tmp_path: Path) -> None:
    """What makes a migration whole: SQLite's DDL and user_version are part of the transaction."""
    with closing(open_database(str(tmp_path / "triolet.db"))) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate_halfway(connection)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'later'").fetchone() == (0,)


# Refusals


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "it is not a file; change [store] path"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent" / "triolet.db") == (
        "its folder does not exist; create it, or change [store] path"
    )


def test_a_file_as_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "triolet.db") == ("its folder is a file; change [store] path")


def test_a_name_too_long_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("x" * 300)) == "File name too long"


@pytest.mark.parametrize("content", [b"x", b"[telegram]\n" * 200], ids=["short", "long"])
def test_what_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "triolet.toml"
    path.write_bytes(content)
    path.chmod(0o644)
    assert refusal(path) == "file is not a database; change [store] path"
    assert (path.read_bytes(), mode(path)) == (content, 0o644)


def test_another_programs_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    make(path, "CREATE TABLE places(url)")
    path.chmod(0o644)
    content = path.read_bytes()
    assert refusal(path) == "it belongs to another program; change [store] path"
    assert (path.read_bytes(), mode(path)) == (content, 0o644)
    assert [file.name for file in tmp_path.iterdir()] == ["places.sqlite"]


def test_a_newer_schema_is_refused_and_kept(tmp_path: Path) -> None:
    path, known = tmp_path / "triolet.db", len(MIGRATIONS)
    open_database(str(path)).close()
    make(path, f"PRAGMA user_version = {known + 1}")
    content = path.read_bytes()
    assert refusal(path) == (
        f"it has schema {known + 1}, made by a newer Triolet; this one knows {known}: upgrade, or change [store] path"
    )
    assert path.read_bytes() == content


TORN = "run `triolet db check`, or `triolet db restore BACKUP`"


def filled(path: Path, size: int) -> bytes:
    """The content of a store that holds a text of that size."""
    with closing(open_database(str(path))) as connection, transaction(connection):
        insert = "INSERT INTO history VALUES (1, 1, 0, 'user', ?, 'complete', 0)"
        connection.execute(insert, ("secret " * (size // 7),))
    return path.read_bytes()


@pytest.mark.parametrize("size", [100_000, CHECKED_BYTES + 2**20], ids=["small", "too big to be checked"])
def test_a_file_without_its_end_is_refused_and_kept(tmp_path: Path, size: int) -> None:
    path = tmp_path / "triolet.db"
    content = filled(path, size)[:-4096]
    path.write_bytes(content)
    assert refusal(path) == f"database disk image is malformed; {TORN}"
    assert path.read_bytes() == content


def test_a_damaged_page_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "triolet.db"
    content = filled(path, 100_000)
    page = 4096 * 5
    content = content[:page] + bytes(4096) + content[page + 4096 :]
    path.write_bytes(content)
    text = refusal(path)
    assert text.startswith("it is damaged (")
    assert text.endswith(f"); {TORN}")
    assert "secret" not in text
    assert path.read_bytes() == content


def test_a_torn_log_is_none(tmp_path: Path) -> None:
    """What a crash leaves of the -wal is read up to its last commit."""
    path, copy = tmp_path / "triolet.db", tmp_path / "copy.db"
    with closing(open_database(str(path))) as connection:
        with transaction(connection):
            connection.execute("INSERT INTO preference VALUES (1, 0, 'a', 'whole')")
        with transaction(connection):
            connection.execute("INSERT INTO preference VALUES (1, 0, 'b', 'torn')")
        shutil.copy(path, copy)
        log = Path(f"{path}-wal").read_bytes()
        Path(f"{copy}-wal").write_bytes(log[:-100])
    with closing(open_database(str(copy))) as connection:
        assert connection.execute("SELECT value FROM preference").fetchall() == [("whole",)]


def read_only_file(path: Path) -> None:
    open_database(str(path)).close()
    path.chmod(0o400)


def read_only_folder(path: Path) -> None:
    path.parent.chmod(0o500)


def read_only_folder_with_a_store(path: Path) -> None:
    open_database(str(path)).close()
    path.parent.chmod(0o500)


def unreadable_file(path: Path) -> None:
    open_database(str(path)).close()
    path.chmod(0)


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (read_only_file, "attempt to write a readonly database"),
        (read_only_folder, "no permission"),
        (read_only_folder_with_a_store, "attempt to write a readonly database"),
        (unreadable_file, "unable to open database file"),
    ],
)
def test_what_may_not_be_written_is_refused(prepare: Callable[[Path], None], text: str) -> None:
    with unprivileged_folder() as folder:
        prepare(folder / "triolet.db")
        assert refusal(folder / "triolet.db") == f"{text}; let the bot's user write it and its folder"


# A disk that fails later


async def left(store: Store) -> list[RawUpdate]:
    return [each.update for each in await store.unfinished()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triolet.db"


async def test_a_full_disk_is_one_line_and_changes_nothing(path: Path) -> None:
    async with open_store(path, executor=run_inline) as store:
        await store.receive([{"update_id": 1}])
        store._writer._connection.execute("PRAGMA max_page_count = 1")  # as many as there are now
        with pytest.raises(StoreError, match=r"triolet.db: the store cannot be used: .* full; free some space$"):
            await store.receive([{"update_id": 2, "text": "x" * 100_000}])
        assert await left(store) == [{"update_id": 1}]
        await store.receive([{"update_id": 3}])
        assert await left(store) == [{"update_id": 1}, {"update_id": 3}]


@pytest.mark.case("RR15")
async def test_what_a_full_disk_refuses_is_written_later(path: Path, captured_log: Log, autojump_clock: object) -> None:
    said = [Message.of("user", "x" * 100_000), Message.of("assistant", "y")]
    async with open_store(path, executor=run_inline) as store:
        await store.receive([{"update_id": 1}])
        store._writer._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="free some space"):
            await store.record(KEY, said, finished=[1])
        store.finish([2])
        assert "free some space" in store.trouble
        assert await store.load(KEY) == []
        store._writer._connection.execute("PRAGMA max_page_count = 100000")
        await trio.sleep(2.0)
        assert await store.load(KEY) == said
        assert await left(store) == []
    assert [event["event"] for event in captured_log] == ["store.failing", "store.works_again"]


async def test_what_was_never_taken_is_counted_at_the_end(path: Path, captured_log: Log) -> None:
    async with open_store(path, executor=run_inline) as store:
        store._writer._connection.execute("PRAGMA max_page_count = 1")
        store.record(KEY, [Message.of("user", "x" * 100_000)])
    assert [event["event"] for event in captured_log] == ["store.failing", "store.lost"]


async def test_a_second_writer_is_waited_for_and_then_named(path: Path) -> None:
    async with open_store(path, executor=run_inline) as store:
        store._writer._connection.execute("PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"locked; another process holds it; is a second bot"):
                await store.put(KEY, "a", "b")
            assert (await store.switched(KEY)).get("a") is None, "reading needs no lock"


async def test_a_mistake_of_ours_is_not_taken_for_the_disks(path: Path) -> None:
    async with open_store(path, executor=run_inline) as store:
        pass
    with pytest.raises(StoreError, match=r"makes no sense .ProgrammingError"):
        await store.unfinished()


async def open_and_fail(path: Path) -> None:
    async with open_store(path, executor=run_inline) as store:
        await store.put(KEY, "a", "b")
        raise KeyError


async def test_the_file_is_closed_whatever_happens(path: Path) -> None:
    """The last connection to close takes the -wal with it."""
    with pytest.raises(KeyError):
        await open_and_fail(path)
    assert not await trio.Path(f"{path}-wal").exists()
