"""Files of every schema there was, brought to the newest one: nothing is lost, whichever statement is the last."""

from __future__ import annotations

import shutil
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
NEWEST = len(MIGRATIONS)
TOOL = Message("tool", (ToolResultPart("id", "found"),))
STORED = [
    Message.of("user", "вопрос"),
    Message("assistant", (OpaquePart("anthropic", {"a": 1}), TextPart("x" * 5000)), Ending.STOPPED),
]
PARTS = ['[{"text":"\\u0432\\u043e\\u043f\\u0440\\u043e\\u0441"}]']
PARTS += ['[{"dialect":"anthropic","data":{"a":1}},{"text":"' + "x" * 5000 + '"}]']

DIE_AT_EACH = """
import os, shutil, signal, sqlite3, sys
from triolet.store.database import open_database

template, copies = sys.argv[1:]
countdown = 0

def count(statement):
    global countdown
    countdown -= 1
    if countdown == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(*arguments, connect=sqlite3.connect, **options):
    connection = connect(*arguments, **options)
    connection.execute("PRAGMA cache_size = 1")  # pages spill to the disk before the commit
    connection.set_trace_callback(count)
    return connection

sqlite3.connect = watched
for number in range(1, 1000):
    path = os.path.join(copies, f"{number}.db")
    if os.path.exists(template):
        shutil.copy(template, path)
    child = os.fork()
    if child == 0:
        countdown = number
        open_database(path).close()
        os._exit(0)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        break
print(number - 1)
"""


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def schema(path: Path) -> list[Any]:
    return rows(path, "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name")


def make(path: Path, version: int) -> None:
    """A file as that schema's program left it, with gaps in its ids; none for 0."""
    if version == 0:
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN")
        for statement in [statement for step in MIGRATIONS[:version] for statement in step]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        history = "INSERT INTO history VALUES (?, 7, 3, ?, ?, ?, 5.5)"
        for first in range(2, 42, 4):
            connection.execute(history, (first, "user", PARTS[0], "complete"))
            connection.execute(history, (first + 1, "assistant", PARTS[1], "stopped"))
        connection.execute(
            "INSERT INTO inbox(seq, update_id, received_at, body) VALUES (9, 4, 5.5, '{\"update_id\":4}')"
        )
        connection.execute("""INSERT INTO preference VALUES (7, 0, 'stream', '"off"')""")
        connection.execute("COMMIT")


async def left(store: Store) -> list[RawUpdate]:
    return [each.update for each in await store.unfinished()]


async def assert_whole(path: Path, version: int) -> None:
    """All that was there is, and the newest tables work."""
    stored = STORED * 10 if version else []
    async with open_store(path, executor=run_inline) as store:
        assert await store.load(KEY) == stored
        assert await left(store) == ([{"update_id": 4}] if version else [])
        assert (await store.switched(ConversationKey(7))).get("stream") == ("off" if version else None)
        assert (await store.open_turns(), await store.letters(), await store.buttons()) == ([], [], [])
        store.record(KEY, [TOOL], spent=[Spent("a", 1, 2)])
        store.offer([4])
        await store.pin("server", "tool", "digest")
        assert await store.load(KEY) == [*stored, TOOL]
        assert await left(store) == []


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
async def test_every_row_is_kept_and_the_new_tables_work(tmp_path: Path, version: int) -> None:
    path = tmp_path / "triolet.db"
    make(path, version)
    before = rows(path, "SELECT * FROM history")
    open_database(str(path)).close()
    assert rows(path, "SELECT * FROM history") == before
    assert rows(path, "PRAGMA user_version") == [(NEWEST,)]
    await assert_whole(path, version)


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_an_old_file_becomes_what_a_new_one_is(tmp_path: Path, version: int) -> None:
    make(tmp_path / "old.db", version)
    for name in ("old.db", "new.db"):
        open_database(str(tmp_path / name)).close()
    assert schema(tmp_path / "old.db") == schema(tmp_path / "new.db")


@pytest.mark.case("RR17")
@pytest.mark.parametrize("version", range(NEWEST + 1))
async def test_killed_at_any_statement_it_begins_anew(tmp_path: Path, version: int) -> None:
    """By SIGKILL, in a process of its own for each statement of the opening, that of a new file included."""
    template, copies = tmp_path / "template.db", tmp_path / "copies"
    copies.mkdir()
    make(template, version)
    before = schema(template) if version else []
    program = [sys.executable, "-c", DIE_AT_EACH, str(template), str(copies)]
    kills = int(subprocess.run(program, check=True, capture_output=True).stdout)  # noqa: ASYNC221  # nothing else runs
    assert kills > sum(len(step) for step in MIGRATIONS[version:])
    found = set[int]()
    for number in range(1, kills + 1):
        (look := tmp_path / str(number)).mkdir()
        for file in copies.glob(f"{number}.db*"):
            shutil.copy(file, look)
        [(now,)] = rows(look / f"{number}.db", "PRAGMA user_version")
        found.add(now)
        if now == version:
            assert schema(look / f"{number}.db") == before, "half a step"
        await assert_whole(copies / f"{number}.db", version)
    assert found == set(range(version, NEWEST + 1)), "the kills must come between all steps"
