"""Killed in the middle of writing, or on a disk that takes no more for a while, the file holds what was promised."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trio

from triolet.core.conversation import ConversationKey
from triolet.store import open_store, run_inline

WRITER = """
import os, sys, trio
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey, Message
from triolet.core.letters import Letter
from triolet.core.text import FormattedText
from triolet.store import ThreadExecutor, open_store

async def talk(store, chat):
    for number in range(1_000_000):
        update_id = number * 10 + chat
        await store.receive([{"update_id": update_id}])
        os.write(1, b"received %d\\n" % update_id)
        messages = [Message.of("user", str(update_id)), Message.of("assistant", "x" * 5000)]
        with store.unit() as unit:
            store.keep(Letter(update_id + 1, Place(ConversationKey(chat), True), content=FormattedText("x" * 5000)))
            store.record(ConversationKey(chat), messages, finished=[update_id])
        await unit
        os.write(1, b"recorded %d\\n" % update_id)

async def main():
    async with open_store(sys.argv[1], executor=ThreadExecutor()) as store, trio.open_nursery() as nursery:
        for chat in range(3):
            nursery.start_soon(talk, store, chat)

trio.run(main)
"""

REFUSED = """
import os, resource, sys, trio
from triolet.core.conversation import ConversationKey, Message
from triolet.errors import StoreError
from triolet.store import ThreadExecutor, open_store

KEY, FREE = ConversationKey(1), resource.RLIM_INFINITY

async def main(path):
    async with open_store(path, executor=ThreadExecutor()) as store:
        await store.record(KEY, [Message.of("user", "0")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(f"{path}-wal").st_size, FREE))
        for number in range(1, 4):
            try:
                await store.record(KEY, [Message.of("user", str(number) * 50_000)])
            except StoreError as error:
                assert "disk" in str(error)
        assert len(await store.load(KEY)) == 1, "the disk took more than the test thinks"
        resource.setrlimit(resource.RLIMIT_FSIZE, (FREE, FREE))
        with trio.fail_after(10):
            while store.trouble:
                await trio.sleep(0.05)

trio.run(main, sys.argv[1])
"""


def write_until_killed(path: Path, lines: int) -> list[str]:
    """Everything that the writer acknowledged, also between our last look and its death."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        seen = b"".join(writer.stdout.readline() for _ in range(lines))
        writer.kill()
        seen += writer.stdout.read()
    return seen.decode().splitlines()


async def texts(path: Path) -> set[str]:
    """What each conversation holds; every record must be there as a pair."""
    found: set[str] = set()
    async with open_store(path, executor=run_inline) as store:
        for chat in range(3):
            messages = await store.load(ConversationKey(chat))
            assert [message.role for message in messages] == ["user", "assistant"] * (len(messages) // 2)
            found |= {message.text for message in messages[::2]}
    return found


async def unfinished(path: Path) -> set[str]:
    async with open_store(path, executor=run_inline) as store:
        return {str(each.update["update_id"]) for each in await store.unfinished()}


async def promised(path: Path) -> set[str]:
    async with open_store(path, executor=run_inline) as store:
        return {str(letter.number - 1) for letter in await store.letters()}


def ids(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {str(number) for (number,) in connection.execute("SELECT update_id FROM inbox")}


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "triolet.db"
    acknowledged = [line.split() for line in write_until_killed(path, 300)]
    received = {number for word, number in acknowledged if word == "received"}
    recorded = {number for word, number in acknowledged if word == "recorded"}
    assert min(len(received), len(recorded)) > 100, "the writer must have been at work"

    assert received <= ids(path)
    stored = trio.run(texts, path)
    assert recorded <= stored
    assert stored.isdisjoint(trio.run(unfinished, path)), "an answer and its finish are one transaction"
    assert stored == trio.run(promised, path), "an answer and its letter are one, too"
    assert len(stored - recorded) <= 3, "at most one unacknowledged commit for each task"


@pytest.mark.case("RR15")
def test_a_disk_that_is_full_for_a_while_gets_all_of_it_later(tmp_path: Path) -> None:
    path = tmp_path / "triolet.db"
    done = subprocess.run([sys.executable, "-c", REFUSED, str(path)], check=True, capture_output=True, text=True)
    assert [done.stdout.count(f"store.{event}") for event in ("failing", "works_again", "lost")] == [1, 1, 0]
    assert trio.run(beginnings, path) == ["0", "1", "2", "3"]


async def beginnings(path: Path) -> list[str]:
    async with open_store(path, executor=run_inline) as store:
        return [message.text[0] for message in await store.load(ConversationKey(1))]
