"""A job runs to its end and its result arrives; ``Cancelled`` means that it never began."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from triolet.core.conversation import ConversationKey, Message
from triolet.core.ports import Executor
from triolet.store import SqliteStore, ThreadExecutor, open_store, run_inline
from triolet.testing import Trial, sweep

KEY = ConversationKey(1)


@pytest.fixture(params=["inline", "thread"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return run_inline if request.param == "inline" else ThreadExecutor()


async def test_the_result_arrives(executor: Executor) -> None:
    with trio.testing.assert_checkpoints():
        assert await executor(lambda: 42) == 42


async def test_an_error_arrives(executor: Executor) -> None:
    with pytest.raises(ZeroDivisionError):
        await executor(lambda: 1 // 0)


async def test_a_cancelled_caller_starts_nothing(executor: Executor) -> None:
    ran: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await executor(lambda: ran.append(1))
    assert scope.cancelled_caught
    assert ran == []


async def test_a_job_that_began_reports_though_its_caller_is_cancelled(executor: Executor) -> None:
    """Otherwise a commit could not be told from no commit."""
    token = trio.lowlevel.current_trio_token()
    results: list[str] = []
    with trio.CancelScope() as scope:

        def job() -> str:
            if threading.current_thread() is threading.main_thread():
                scope.cancel()
            else:
                trio.from_thread.run_sync(scope.cancel, trio_token=token)
            return "committed"

        results.append(await executor(job))
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert results == ["committed"]


async def test_inline_stays_in_the_callers_thread_and_time(autojump_clock: trio.testing.MockClock) -> None:
    """Under a virtual clock no thread may run: the clock would jump while it works."""
    start = trio.current_time()
    with trio.move_on_after(0.001) as scope:
        assert await run_inline(threading.get_ident) == threading.get_ident()
    assert not scope.cancelled_caught
    assert trio.current_time() == start


async def test_threaded_jobs_leave_the_loop_free() -> None:
    """The job waits for something that only the loop can do."""
    executor, go = ThreadExecutor(), threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor, lambda: go.wait(5) or pytest.fail("the loop stood still"))
        await trio.testing.wait_all_tasks_blocked()
        go.set()


async def test_threaded_jobs_do_not_overlap_and_keep_their_order() -> None:
    executor = ThreadExecutor()
    running, order = threading.Lock(), list[int]()

    def job(number: int) -> None:
        assert running.acquire(blocking=False), "two jobs at once"
        order.append(number)
        running.release()

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(executor, _call(job, number))
            await trio.lowlevel.checkpoint()
    assert order == list(range(50))


async def test_waiting_callers_of_a_busy_thread_can_be_cancelled() -> None:
    executor, go, ran = ThreadExecutor(), threading.Event(), list[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor, lambda: go.wait(5))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.01) as scope:
            await executor(lambda: ran.append(1))
        go.set()
    assert scope.cancelled_caught
    assert ran == []


def _call(job: Callable[[int], None], number: int) -> Callable[[], None]:
    return lambda: job(number)


# The store, cancelled at each step of a conversation

STEPS: list[Callable[[SqliteStore], Any]] = [
    lambda store: store.receive([{"update_id": 1}, {"update_id": 2}]),
    lambda store: store.record(KEY, [Message.of("user", "a"), Message.of("assistant", "b")], finished=[1]),
    lambda store: store.put(KEY, "streaming", "off"),
    lambda store: store.clear(KEY, finished=[2]),
    lambda store: store.record(KEY, [Message.of("user", "c")]),
]


async def _talk(path: Path, done: list[int]) -> None:
    async with open_store(path, executor=run_inline, wall_clock=lambda: 0.0) as store:
        for number, step in enumerate(STEPS, start=1):
            await step(store)
            done.append(number)


async def _state(path: Path) -> tuple[Any, ...]:
    async with open_store(path, executor=run_inline, wall_clock=lambda: 0.0) as store:
        return await store.unfinished(), await store.load(KEY), (await store.switched(KEY)).get("streaming")


async def _states(folder: Path) -> list[tuple[Any, ...]]:
    """What the store holds after none, one, … all of the steps."""
    path = folder / "reference.db"
    states = [await _state(path)]
    for step in STEPS:
        async with open_store(path, executor=run_inline, wall_clock=lambda: 0.0) as store:
            await step(store)
        states.append(await _state(path))
    return states


def test_cancelled_anywhere_the_store_holds_what_was_acknowledged(tmp_path: Path) -> None:
    """What was not may be there or not, but whole; what was posted is there even if nobody heard of it."""
    states, paths = trio.run(_states, tmp_path), (tmp_path / f"{number}.db" for number in count())
    assert len({repr(state) for state in states}) == len(states), "each step must show"
    reached: set[int] = set()

    async def talk_until_cancelled(trial: Trial) -> None:
        path, done = next(paths), list[int]()
        with trial.cancels():
            await _talk(path, done)
        assert await _state(path) in states[len(done) : len(done) + 2]
        reached.add(len(done))

    report = sweep(talk_until_cancelled)
    assert report.runs > 20, report
    assert reached == set(range(len(STEPS) + 1)), "the sweep must reach every step and the end"
