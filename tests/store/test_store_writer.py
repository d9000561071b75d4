"""One writer: what waits together is one commit, what the disk refuses is tried again, and a failure is nobody else's.

The database is real, and so are its refusals: `query_only`, a full one, and another connection's lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import structlog
import trio
import trio.testing

from triolet.core.ports import Executor, Posted
from triolet.errors import StoreError
from triolet.store import ThreadExecutor, run_inline
from triolet.store.writer import Work, Writer
from triolet.testing import Trial, every_task, sweep

T = TypeVar("T")
BIG = "x" * 100_000

Log = list[structlog.typing.EventDict]


@attrs.define(eq=False)
class Disk:
    """A table of words, with a note of every statement and when it was run."""

    connection: sqlite3.Connection
    statements: list[str] = attrs.Factory(list)
    begun_at: list[float] = attrs.Factory(list)

    @classmethod
    @contextmanager
    def open(cls, path: str = ":memory:") -> Iterator[Disk]:
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.01)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS word(word NOT NULL)")
            disk = cls(connection)
            connection.set_trace_callback(disk._note)
            yield disk

    def _note(self, statement: str) -> None:
        self.statements.append(statement)
        if statement == "BEGIN IMMEDIATE":
            self.begun_at.append(trio.current_time())

    @property
    def words(self) -> list[Any]:
        return [word for (word,) in self.connection.execute("SELECT word FROM word ORDER BY rowid")]

    def refuse(self) -> None:
        self.connection.execute("PRAGMA query_only = ON")

    def relent(self) -> None:
        self.connection.execute("PRAGMA query_only = OFF")
        self.connection.execute("PRAGMA max_page_count = 1000000")

    def fill(self) -> None:
        """No page more than there are now: SQLITE_FULL for what is big."""
        self.connection.execute("PRAGMA max_page_count = 1")


def add(word: object) -> Work:
    return lambda connection: connection.execute("INSERT INTO word VALUES (?)", (word,))


def read(connection: sqlite3.Connection) -> list[Any]:
    return [word for (word,) in connection.execute("SELECT word FROM word ORDER BY rowid")]


@asynccontextmanager
async def open_writer(disk: Disk, executor: Executor = run_inline) -> AsyncIterator[Writer]:
    writer = Writer("test.db", disk.connection, executor)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.serve)
            yield writer
            nursery.cancel_scope.cancel()
    finally:
        writer.tell_lost()


@attrs.define(eq=False)
class Gate:
    """An executor whose disk takes as long as the test wants."""

    opened: trio.Event = attrs.Factory(trio.Event)
    waiting: int = 0

    async def __call__(self, job: Callable[[], T], /) -> T:
        self.waiting += 1
        await self.opened.wait()
        return job()


async def refused(posted: Posted) -> bool:
    try:
        await posted
    except StoreError:
        return True
    return False


def told(log: Log) -> list[str]:
    return [event["event"] for event in log]


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk.open() as disk:
        yield disk


# Commits


@pytest.mark.parametrize("executor", [run_inline, ThreadExecutor()], ids=["inline", "thread"])
async def test_what_waits_together_is_one_commit(disk: Disk, executor: Executor) -> None:
    async with open_writer(disk, executor) as writer, trio.open_nursery() as nursery:

        async def write(number: int) -> None:
            await writer.post(add(number))

        for number in range(100):
            nursery.start_soon(write, number)
    assert sorted(disk.words) == list(range(100))
    assert disk.statements.count("COMMIT") == 1


async def test_what_comes_while_the_disk_is_busy_is_the_next_commit(disk: Disk) -> None:
    gate = Gate()
    async with open_writer(disk, gate) as writer:
        posted = [writer.post(add(0))]
        await trio.testing.wait_all_tasks_blocked()
        posted += [writer.post(add(number)) for number in range(1, 10)]
        gate.opened.set()
        for each in posted:
            await each
        assert disk.words == list(range(10))
        assert disk.statements.count("COMMIT") == 2


async def test_a_read_sees_what_was_posted_before_it(disk: Disk) -> None:
    async with open_writer(disk) as writer:
        writer.post(add(1))
        assert await writer.run(read, writes=False) == [1]
        writer.post(add(2))
        writer.post(add(3))
        assert await writer.run(read, writes=False) == [1, 2, 3]


async def test_reads_alone_need_no_transaction(disk: Disk) -> None:
    async with open_writer(disk) as writer:
        await writer.run(read, writes=False)
    assert "BEGIN IMMEDIATE" not in disk.statements


# Failures


async def test_a_mistake_is_nobody_elses_and_is_not_made_again(disk: Disk, captured_log: Log) -> None:
    async with open_writer(disk) as writer:
        before, mistake, after = writer.post(add(1)), writer.post(add(None)), writer.post(add(2))
        await before
        await after
        for _ in range(2):
            with pytest.raises(StoreError, match="makes no sense"):
                await mistake
        with pytest.raises(StoreError, match="makes no sense"):
            await writer.run(add(2**64), writes=True)
        assert disk.words == [1, 2]
        assert writer.trouble == ""
    assert told(captured_log) == ["store.mistake"], "who runs something is told alone"
    assert isinstance(captured_log[0]["exc_info"], sqlite3.IntegrityError)
    assert disk.words == [1, 2]


@pytest.mark.case("RR15")
async def test_a_disk_that_refuses_for_a_while_loses_nothing(
    disk: Disk, captured_log: Log, autojump_clock: object
) -> None:
    disk.refuse()
    async with open_writer(disk) as writer:
        posted = [writer.post(add(number)) for number in range(3)]
        assert [await refused(each) for each in posted] == [True] * 3
        assert "test.db: the store cannot be used: attempt to write a readonly database" in writer.trouble
        with pytest.raises(StoreError):
            await writer.run(add("given up"), writes=True)
        assert await writer.run(read, writes=False) == []
        posted.append(writer.post(add(3)))
        await trio.sleep(100.0)
        assert told(captured_log) == ["store.failing"]
        disk.relent()
        assert await refused(posted[0]), "not before it is written"
        await trio.sleep(30.0)
        assert [await refused(each) for each in posted] == [False] * 4
        assert disk.words == [0, 1, 2, 3]
        assert writer.trouble == ""
    assert [(each["event"], each["log_level"]) for each in captured_log] == [
        ("store.failing", "error"),
        ("store.works_again", "info"),
    ]
    assert "readonly database" in captured_log[0]["problem"]


async def test_retries_become_rare(disk: Disk, autojump_clock: object) -> None:
    disk.refuse()
    async with open_writer(disk) as writer:
        writer.post(add(1))
        start = trio.current_time()
        await trio.sleep(100.0)
        disk.relent()
    assert [each - start for each in disk.begun_at[:-1]] == pytest.approx([0, 1, 3, 7, 15, 31, 61, 91])
    assert disk.words == [1], "the last time is at the end"


async def test_after_a_success_retries_are_quick_again(disk: Disk, autojump_clock: object) -> None:
    async with open_writer(disk) as writer:
        disk.refuse()
        writer.post(add(1))
        await trio.sleep(50.0)
        disk.relent()
        await trio.sleep(50.0)
        disk.begun_at.clear()
        start = trio.current_time()
        disk.refuse()
        writer.post(add(1))
        await trio.sleep(2.0)
        assert [each - start for each in disk.begun_at] == pytest.approx([0, 1])


async def test_what_comes_later_waits_for_its_turn_and_asks_the_disk_again(
    disk: Disk, captured_log: Log, autojump_clock: object
) -> None:
    """The small one would have room; but it might build on the big one."""
    disk.fill()
    async with open_writer(disk) as writer:
        assert await refused(writer.post(add(BIG)))
        assert await refused(writer.post(add("small")))
        await writer.run(add("asked"), writes=True)
        assert disk.words == ["asked"]
        disk.relent()
        await writer.post(add("last"))
        assert disk.words == ["asked", BIG, "small", "last"]
    assert told(captured_log) == ["store.failing", "store.works_again"], "that something small fits is no end of it"


async def test_what_fills_the_disk_fails_alone(disk: Disk) -> None:
    """SQLite may roll back a whole transaction by itself then."""
    disk.fill()
    async with open_writer(disk) as writer, trio.open_nursery() as nursery:

        async def run_big() -> None:
            with pytest.raises(StoreError, match="free some space"):
                await writer.run(add(BIG), writes=True)

        before = writer.post(add("before"))
        nursery.start_soon(run_big)
        await trio.testing.wait_all_tasks_blocked()
        await before
    assert disk.words == ["before"]


async def test_a_locked_database_is_asked_for_once(tmp_path: Path, autojump_clock: object) -> None:
    """Each who writes would wait for the lock in vain; who reads needs none."""
    path = str(tmp_path / "test.db")
    with Disk.open(path) as disk, closing(sqlite3.connect(path, isolation_level=None)) as other:
        disk.connection.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        gate, results = Gate(), list[object]()
        async with open_writer(disk, gate) as writer, trio.open_nursery() as nursery:

            async def run(work: Work, *, writes: bool) -> None:
                try:
                    results.append(await writer.run(work, writes=writes))
                except StoreError as error:
                    results.append("another process" in str(error))

            posted = [writer.post(add(number)) for number in range(3)]
            nursery.start_soon(lambda: run(add("asked"), writes=True))
            nursery.start_soon(lambda: run(read, writes=False))
            await trio.testing.wait_all_tasks_blocked()
            gate.opened.set()
            assert [await refused(each) for each in posted] == [True] * 3
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(results, key=repr) == [True, []]
            assert len(disk.begun_at) == 1
            other.execute("ROLLBACK")
            await trio.sleep(2.0)
            assert disk.words == [0, 1, 2]
    disk.connection.close()


async def test_only_what_is_written_shows_that_the_disk_works_again(disk: Disk, captured_log: Log) -> None:
    async with open_writer(disk) as writer:
        disk.refuse()
        with pytest.raises(StoreError):
            await writer.run(add(1), writes=True)
        await writer.run(read, writes=False)
        disk.relent()
        with pytest.raises(StoreError, match="makes no sense"):
            await writer.run(add(None), writes=True)
        await writer.run(read, writes=False)
        assert told(captured_log) == ["store.failing"]
        await writer.run(add(2), writes=True)
        assert told(captured_log) == ["store.failing", "store.works_again"]


async def test_what_a_run_gives_is_of_the_attempt_that_counts(disk: Disk) -> None:
    attempts = list[int]()

    def attempt(connection: sqlite3.Connection) -> int:
        attempts.append(len(attempts) + 1)
        return attempts[-1]

    gate = Gate()
    async with open_writer(disk, gate) as writer, trio.open_nursery() as nursery:

        async def run() -> None:
            assert await writer.run(attempt, writes=True) == 2

        writer.post(add(1))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        writer.post(add(None))
        gate.opened.set()
    assert attempts == [1, 2]


# Units


async def test_a_unit_is_written_whole_or_not_at_all(disk: Disk, autojump_clock: object) -> None:
    disk.fill()
    async with open_writer(disk) as writer:
        other = writer.run(add("other"), writes=True)
        with writer.unit() as unit:
            writer.post(add("small"))
            inner = writer.post(add(BIG))
        await other
        assert await refused(unit)
        assert await refused(inner)
        assert disk.words == ["other"]
        disk.relent()
        await trio.sleep(2.0)
        await unit
        await inner
        assert disk.words == ["other", "small", BIG]


async def test_a_mistake_in_a_unit_drops_all_of_it(disk: Disk, captured_log: Log) -> None:
    async with open_writer(disk) as writer:
        writer.post(add(1))
        with writer.unit() as unit:
            writer.post(add(2))
            writer.post(add(None))
        writer.post(add(3))
        with pytest.raises(StoreError, match="makes no sense"):
            await unit
        assert disk.words == [1, 3]
    assert told(captured_log) == ["store.mistake"]


async def test_units_join(disk: Disk) -> None:
    async with open_writer(disk) as writer:
        with writer.unit() as outer:
            writer.post(add(1))
            with writer.unit() as inner:
                writer.post(add(2))
            writer.post(add(3))
        assert inner is outer
        writer.post(add(4))
        await outer
    assert disk.words == [1, 2, 3, 4]


async def test_an_exception_gives_up_the_block_and_no_more(disk: Disk) -> None:
    async with open_writer(disk) as writer:
        with writer.unit() as outer:
            writer.post(add(1))
            with suppress(KeyError), writer.unit():
                writer.post(add(2))
                raise KeyError
        with suppress(KeyError), writer.unit() as given_up:
            writer.post(add(3))
            raise KeyError
        writer.post(add(4))
        await given_up
        await outer
        assert disk.words == [1, 4]


async def test_an_empty_unit_is_nothing_to_write(disk: Disk) -> None:
    async with open_writer(disk, Gate()) as writer:
        with writer.unit() as unit:
            pass
        await unit


# What is replaced


async def test_only_the_newest_of_a_key_is_written(disk: Disk) -> None:
    async with open_writer(disk) as writer:
        first = writer.post(add("a1"), key="a")
        writer.post(add("b1"), key="b")
        second = writer.post(add("a2"), key="a")
        writer.post(add("between"))
        writer.post(add("a3"), key="a")
        assert await refused(first) is await refused(second) is False
        assert disk.words == ["b1", "a2", "between", "a3"], "what has no key may matter to it"


async def test_what_has_keys_is_replaced_in_units_too(disk: Disk) -> None:
    async with open_writer(disk) as writer:
        with writer.unit():
            writer.post(add("a1"), key="a")
            writer.post(add("b1"), key="b")
        writer.post(add("a2"), key="a")
        with writer.unit() as unit:
            writer.post(add("c1"), key="c")
            writer.post(add("with c1"))
        with writer.unit():
            writer.post(add("b2"), key="b")
            writer.post(add("c2"), key="c")
        await unit
        assert disk.words == ["b1", "a2", "c1", "with c1", "b2", "c2"]


async def test_what_is_being_written_is_not_replaced(disk: Disk) -> None:
    gate = Gate()
    async with open_writer(disk, gate) as writer:
        writer.post(add("first"), key="a")
        await trio.testing.wait_all_tasks_blocked()
        writer.post(add("second"), key="a")
        gate.opened.set()
        await writer.run(read, writes=False)
        assert disk.words == ["first", "second"]


async def test_what_is_refused_is_replaced_by_what_came_meanwhile(disk: Disk) -> None:
    gate = Gate()
    disk.refuse()
    async with open_writer(disk, gate) as writer:
        first = writer.post(add("first"), key="a")
        await trio.testing.wait_all_tasks_blocked()
        second = writer.post(add("second"), key="a")
        gate.opened.set()
        assert await refused(first) is await refused(second) is True
        assert len(writer._queue) == 1
        disk.relent()
        await writer.post(add("last"))
        assert await refused(first) is await refused(second) is False
    assert disk.words == ["second", "last"]


async def test_a_failing_disk_holds_one_of_each_key(disk: Disk, autojump_clock: object) -> None:
    disk.refuse()
    async with open_writer(disk) as writer:
        for number in range(100):
            with writer.unit():
                for key in "ab":
                    writer.post(add(f"{key}{number}"), key=key)
            await trio.sleep(0.5)
        assert len(writer._queue) == 1
        disk.relent()
    assert disk.words == ["a99", "b99"]


# Cancels


async def test_who_gives_up_waiting_is_not_held(disk: Disk) -> None:
    gate = Gate()
    async with open_writer(disk, gate) as writer:
        for wait in (lambda: writer.post(add(1)), lambda: writer.run(read, writes=False)):
            with trio.move_on_after(0.01) as scope:
                await wait()
            assert scope.cancelled_caught
        assert disk.words == []
    assert disk.words == [1]


async def test_what_is_run_is_withdrawn_by_a_cancel_before_it_began(disk: Disk) -> None:
    gate = Gate()
    async with open_writer(disk, gate) as writer:
        first = writer.post(add(1))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.01):
            await writer.run(add("withdrawn"), writes=True)
        gate.opened.set()
        await first
    assert disk.words == [1]


@pytest.mark.parametrize("ending", ["returns", "raises", "is cancelled"])
@pytest.mark.parametrize("executor", [run_inline, Gate(), ThreadExecutor()], ids=["inline", "hanging", "thread"])
async def test_what_is_queued_at_the_end_is_written(disk: Disk, executor: Executor, ending: str) -> None:
    with trio.CancelScope() as scope, pytest.RaisesGroup(KeyError) if ending == "raises" else trio.CancelScope():
        async with open_writer(disk, executor) as writer:
            writer.post(add(1))
            await trio.testing.wait_all_tasks_blocked(0.001)
            writer.post(add(2))
            if ending == "raises":
                raise KeyError
            if ending == "is cancelled":
                scope.cancel()
                await trio.sleep_forever()
    assert disk.words == [1, 2]


async def test_who_commits_behind_a_cancel_is_served(disk: Disk) -> None:
    """The writer's task is cancelled with all others, and some of them have last words."""
    with trio.CancelScope() as scope:
        async with open_writer(disk, Gate()) as writer:
            waited = writer.post(add("first"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True), trio.fail_after(1):
                    await waited  # since before the cancel
                    await writer.post(add("last words"))
                    assert await writer.run(read, writes=False) == ["first", "last words"]
    assert disk.words == ["first", "last words"]


async def test_what_the_disk_refuses_at_the_end_is_counted(disk: Disk, captured_log: Log) -> None:
    disk.refuse()
    async with open_writer(disk) as writer:
        for number in range(3):
            writer.post(add(number))
    assert told(captured_log) == ["store.failing", "store.lost"]
    assert captured_log[-1]["writes"] == 3


def test_struck_anywhere_all_that_was_posted_is_there_once_and_in_order() -> None:
    """By a cancel of everything, and by a disk that fails at that point and works again later."""

    async def is_cancelled(trial: Trial) -> None:
        given = list[int]()
        with Disk.open() as disk:
            with trial.cancels(watch=every_task):
                await _write_words(disk, given)
            assert [word for word in disk.words if isinstance(word, int)] == given

    async def has_a_failing_disk(trial: Trial) -> None:
        given = list[int]()
        with Disk.open() as disk:
            with trial.strikes(disk.refuse, watch=every_task):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_write_words, disk, given)
                    await trio.sleep(10.0)
                    disk.relent()
            assert [word for word in disk.words if isinstance(word, int)] == given == list(range(12))

    for scenario in (is_cancelled, has_a_failing_disk):
        report = sweep(scenario, seeds=range(3))
        assert report.runs > 100, report


async def _write_words(disk: Disk, given: list[int]) -> None:
    async def write(writer: Writer, first: int) -> None:
        for number in range(first, first + 12, 3):
            await trio.sleep(0.1)
            posted = writer.post(add(len(given)))
            given.append(len(given))
            await refused(posted)
            with suppress(StoreError):
                await writer.run(add(f"asked {number}"), writes=True)
                await writer.run(read, writes=False)

    async with open_writer(disk) as writer:
        async with trio.open_nursery() as nursery:
            for first in range(3):
                nursery.start_soon(write, writer, first)
        await trio.sleep(20.0)
