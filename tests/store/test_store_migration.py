"""A file of the first schema, brought to the newest one: nothing is lost, and a kill in the middle changes nothing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from triolet.core.conversation import ConversationKey, Ending, Message, OpaquePart, TextPart, ToolResultPart
from triolet.core.ports import RawUpdate, Store
from triolet.core.usage import Spent
from triolet.store import open_store, run_inline
from triolet.store.database import open_database
from triolet.store.schema import MIGRATIONS

KEY = ConversationKey(7, 3)
TOOL = Message("tool", (ToolResultPart("id", "found"),))
STORED = [
    Message.of("user", "вопрос"),
    Message("assistant", (OpaquePart("anthropic", {"a": 1}), TextPart("x" * 5000)), Ending.STOPPED),
]
PARTS = ['[{"text":"\\u0432\\u043e\\u043f\\u0440\\u043e\\u0441"}]']
PARTS += ['[{"dialect":"anthropic","data":{"a":1}},{"text":"' + "x" * 5000 + '"}]']

DIE = """
import os, signal, sqlite3, sys
from triolet.store.database import transaction
from triolet.store.schema import MIGRATIONS

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # pages spill to the disk before the commit
with transaction(connection):
    for statement in MIGRATIONS[1][:int(sys.argv[2])]:
        connection.execute(statement)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def schema(path: Path) -> list[Any]:
    return rows(path, "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file as the first schema's program left it, with gaps in its ids."""
    path = tmp_path / "triolet.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        history = "INSERT INTO history VALUES (?, 7, 3, ?, ?, ?, 5.5)"
        connection.execute("BEGIN")
        for first in range(2, 402, 4):
            connection.execute(history, (first, "user", PARTS[0], "complete"))
            connection.execute(history, (first + 1, "assistant", PARTS[1], "stopped"))
        connection.execute("COMMIT")
        connection.execute("INSERT INTO inbox VALUES (9, 4, 5.5, '{\"update_id\":4}')")
        connection.execute("""INSERT INTO preference VALUES (7, 0, 'stream', '"off"')""")
    return path


async def left(store: Store) -> list[RawUpdate]:
    return [each.update for each in await store.unfinished()]


async def assert_whole(path: Path) -> None:
    async with open_store(path, executor=run_inline) as store:
        assert await store.load(KEY) == STORED * 100
        assert await left(store) == [{"update_id": 4}]
        assert await store.get(ConversationKey(7), "stream") == "off"
        await store.record(KEY, [TOOL], spent=[Spent("a", 1, 2)])
        await store.pin("server", "tool", "digest")
        assert await store.load(KEY) == [*STORED * 100, TOOL]


async def test_every_row_is_kept_and_the_new_tables_work(path: Path) -> None:
    before = rows(path, "SELECT * FROM history")
    open_database(str(path)).close()
    assert rows(path, "SELECT * FROM history") == before
    assert rows(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    await assert_whole(path)


def test_an_old_file_becomes_what_a_new_one_is(path: Path, tmp_path: Path) -> None:
    open_database(str(path)).close()
    open_database(str(tmp_path / "new.db")).close()
    assert schema(path) == schema(tmp_path / "new.db")


@pytest.mark.parametrize("steps", range(len(MIGRATIONS[1]) + 1))
async def test_killed_in_the_middle_it_begins_anew(path: Path, steps: int) -> None:
    before = schema(path)
    program = [sys.executable, "-c", DIE, str(path), str(steps)]
    assert subprocess.run(program, check=False).returncode == -signal.SIGKILL  # noqa: ASYNC221  # nothing else runs
    assert schema(path) == before
    await assert_whole(path)
