"""Observers see all of a turn, and a turn never feels them: in virtual time, with exact times."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from structlog.typing import EventDict
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from triolet.core.conversation import ConversationKey, Ending
from triolet.core.sights import Delta, FirstDelta, SegmentEnded, Sentence, Sight, TurnBegan, TurnEnded
from triolet.observe.turns import MOST_WAITING, Observer, Sill, View, log_latency

KEY = ConversationKey(1001)
Log = list[EventDict]


@attrs.define(eq=False)
class Notebook:
    """An observer that notes what it sees and when, and takes ``pause`` seconds over each sight."""

    pause: float = 0.0
    seen: list[tuple[float, Sight]] = attrs.Factory(list)
    cancelled_at: float | None = None

    async def __call__(self, view: View) -> None:
        try:
            async for sight in view:
                self.seen.append((trio.current_time(), sight))
                await trio.sleep(self.pause)
        finally:
            self.cancelled_at = trio.current_time()

    @property
    def sights(self) -> list[Sight]:
        return [sight for _, sight in self.seen]


@asynccontextmanager
async def open_sill(**observers: Observer) -> AsyncIterator[Sill]:
    """A sill and its watchers, as the bot runs them."""
    sill = Sill(observers)
    async with trio.open_nursery() as nursery:
        for watcher in sill.watchers():
            nursery.start_soon(watcher)
        yield sill
        nursery.cancel_scope.cancel()


async def play_turn(sill: Sill, words: Sequence[str] = ("Hello ", "there. ", "You"), *, every: float = 0.5) -> float:
    """A turn whose model speaks a word at a time; returns how many seconds it took."""
    began, text = trio.current_time(), ""
    watch = sill.watch(KEY)
    for word in words:
        await trio.sleep(every)
        text += word
        watch.grew((), text, trio.current_time())
    watch.ended(Ending.COMPLETE, (), text, trio.current_time())
    return trio.current_time() - began


def turn_of_three(turn: int, at: float) -> list[Sight]:
    """The sights of `play_turn`, begun at that time."""
    return [
        TurnBegan(turn, KEY, at),
        FirstDelta(turn, at + 0.5),
        Delta(turn, "Hello ", at + 0.5),
        Delta(turn, "there. ", at + 1.0),
        Sentence(turn, "Hello there.", at + 1.0),
        Delta(turn, "You", at + 1.5),
        Sentence(turn, "You", at + 1.5),
        SegmentEnded(turn, "Hello there. You", at + 1.5),
        TurnEnded(turn, Ending.COMPLETE, "Hello there. You", at + 1.5),
    ]


async def test_everybody_sees_all_of_a_turn_as_it_happens(autojump_clock: MockClock) -> None:
    one, other = Notebook(), Notebook()
    async with open_sill(one=one, other=other) as sill:
        assert await play_turn(sill) == 1.5
        await wait_all_tasks_blocked()
    assert one.seen == other.seen == [(sight.at, sight) for sight in turn_of_three(1, 0.0)]


async def test_turns_are_told_apart(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    async with open_sill(notebook=notebook) as sill, trio.open_nursery() as nursery:
        nursery.start_soon(play_turn, sill)
        await trio.sleep(0.25)
        nursery.start_soon(play_turn, sill)
        await trio.sleep(5)
    assert [sight for sight in notebook.sights if sight.turn == 1] == turn_of_three(1, 0.0)
    assert [sight for sight in notebook.sights if sight.turn == 2] == turn_of_three(2, 0.25)


async def test_what_was_posted_before_an_observer_runs_is_seen(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    sill = Sill({"notebook": notebook})
    await play_turn(sill)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sill.watchers()[0])
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [sight for sight in notebook.sights if not isinstance(sight, Delta)] == [
        sight for sight in turn_of_three(1, 0.0) if not isinstance(sight, Delta)
    ]


# Slow ones


async def test_deltas_that_wait_become_one(autojump_clock: MockClock) -> None:
    """For each turn, and as new as the newest of them; but not across anything else of their turn."""
    notebook = Notebook()
    sill = Sill({"notebook": notebook})
    for sight in (
        *(Delta(1, "a", 1.0), Delta(2, "A", 2.0), Delta(1, "b", 3.0), Sentence(1, "ab", 3.0), Delta(2, "B", 4.0)),
        *(Delta(1, "c", 5.0), Sentence(2, "AB", 5.0), Delta(1, "d", 6.0)),
    ):
        sill.post(sight)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sill.watchers()[0])
        await wait_all_tasks_blocked()
        sill.post(Delta(1, "e", 7.0))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert notebook.sights == [
        *(
            Delta(1, "ab", 3.0),
            Delta(2, "AB", 4.0),
            Sentence(1, "ab", 3.0),
            Delta(1, "cd", 6.0),
            Sentence(2, "AB", 5.0),
        ),
        Delta(1, "e", 7.0),
    ]


async def test_a_slow_observer_hears_all_the_text_and_holds_up_nothing(
    autojump_clock: MockClock, captured_log: Log
) -> None:
    words = [f"word {number}, " for number in range(2_000)]
    slow, quick = Notebook(pause=7.0), Notebook()
    async with open_sill(slow=slow, quick=quick) as sill:
        assert await play_turn(sill, words, every=0.25) == 500.0
        await trio.sleep(600)
    assert "".join(sight.text for sight in slow.sights if isinstance(sight, Delta)) == "".join(words)
    assert len([sight for sight in quick.sights if isinstance(sight, Delta)]) == 2_000
    assert len([sight for sight in slow.sights if isinstance(sight, Delta)]) < 80
    assert slow.sights[-1] == quick.sights[-1] == TurnEnded(1, Ending.COMPLETE, "".join(words), 500.0)
    assert captured_log == []


async def test_one_that_stands_still_is_dropped_when_too_much_waits(
    autojump_clock: MockClock, captured_log: Log
) -> None:
    still, other = Notebook(pause=math.inf), Notebook()
    async with open_sill(still=still, other=other) as sill:
        sill.post(SegmentEnded(1, "taken", 0.0))
        await wait_all_tasks_blocked()
        for number in range(MOST_WAITING - 1):
            sill.post(SegmentEnded(1, str(number), 0.0))
        for _ in range(10):
            sill.post(Delta(2, "more", 0.0))
        await wait_all_tasks_blocked()
        assert (still.cancelled_at, captured_log) == (None, [])
        sill.post(SegmentEnded(3, "too much", 0.0))
        sill.post(SegmentEnded(3, "and more", 0.0))
        await trio.sleep(1)
        assert still.cancelled_at == 0.0
        assert other.cancelled_at is None
        assert len(other.sights) == MOST_WAITING + 3
        assert sill.is_watched
    assert captured_log == [dropped("still", f"it left {MOST_WAITING} sights waiting")]


# Failing ones


def dropped(name: str, reason: str) -> EventDict:
    return {"event": "observer.dropped", "log_level": "warning", "name": name, "reason": reason}


def here(text: str) -> str:
    """The line of this file that begins so."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [number] = [number for number, line in enumerate(lines, start=1) if line.strip().startswith(text)]
    return f"test_observe_turns.py:{number}"


async def raise_at_once(view: View) -> None:
    raise ValueError("SECRET")


def raise_without_waiting(view: View) -> Awaitable[None]:
    raise KeyError("SECRET")


async def raise_what_it_sees(view: View) -> None:
    async for sight in view:
        if sight.turn and isinstance(sight, Delta):
            raise RuntimeError(sight.text)


async def raise_in_a_nursery(view: View) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raise_what_it_sees, view)


async def raise_a_bare_group(view: View) -> None:
    raise ExceptionGroup("SECRET", [ValueError("SECRET")])


async def return_early(view: View) -> None:
    async for sight in view:
        if isinstance(sight, Sentence):
            return


FAILING: Mapping[str, tuple[Observer, str]] = {
    "at once": (raise_at_once, f"it raised ValueError at {here('raise ValueError')}"),
    "before it is awaited": (raise_without_waiting, f"it raised KeyError at {here('raise KeyError')}"),
    "at a sight": (raise_what_it_sees, f"it raised RuntimeError at {here('raise RuntimeError')}"),
    "in a nursery": (raise_in_a_nursery, f"it raised RuntimeError at {here('raise RuntimeError')}"),
    "a bare group": (raise_a_bare_group, "it raised ValueError"),
    "returns": (return_early, "it returned"),
}


@pytest.mark.parametrize("case", FAILING)
async def test_one_that_fails_is_dropped_and_breaks_nothing(
    case: str, autojump_clock: MockClock, captured_log: Log
) -> None:
    observer, reason = FAILING[case]
    notebook = Notebook()
    async with open_sill(failing=observer, notebook=notebook) as sill:
        assert await play_turn(sill) == 1.5
        assert await play_turn(sill) == 1.5
        await wait_all_tasks_blocked()
    assert notebook.sights == [*turn_of_three(1, 0.0), *turn_of_three(2, 1.5)]
    assert captured_log == [dropped("failing", reason)]


async def test_when_all_are_dropped_nobody_looks_on(autojump_clock: MockClock, captured_log: Log) -> None:
    async with open_sill(one=raise_at_once, other=return_early) as sill:
        watch = sill.watch(KEY)
        at_first = watch.is_watched
        await play_turn(sill)
        await wait_all_tasks_blocked()
        assert (at_first, watch.is_watched, sill.is_watched) == (True, False, False)
    assert [event["name"] for event in captured_log] == ["one", "other"]


# The end


async def test_cancelling_ends_observers_without_a_word(autojump_clock: MockClock, captured_log: Log) -> None:
    idle, busy = Notebook(), Notebook(pause=math.inf)
    async with open_sill(idle=idle, busy=busy) as sill:
        await play_turn(sill)
    assert idle.cancelled_at == busy.cancelled_at == 1.5
    assert captured_log == []


async def fail_when_cancelled(view: View) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anext, view)
        nursery.start_soon(fail_finally)


async def fail_finally() -> None:
    try:
        await trio.Event().wait()
    finally:
        raise OSError("SECRET")


async def test_one_that_fails_at_the_end_does_not_break_it(autojump_clock: MockClock, captured_log: Log) -> None:
    async with open_sill(failing=fail_when_cancelled):
        await wait_all_tasks_blocked()
    assert captured_log == [dropped("failing", f"it raised OSError at {here('raise OSError')}")]


async def interrupt(view: View) -> None:
    raise KeyboardInterrupt


async def test_an_interruption_is_nobody_s_failure(captured_log: Log) -> None:
    with pytest.RaisesGroup(KeyboardInterrupt):
        async with open_sill(interrupted=interrupt):
            await trio.sleep_forever()
    assert captured_log == []


# The view


async def test_a_view_always_checkpoints_and_loses_nothing() -> None:
    view = View()
    view.put(FirstDelta(1, 0.0))
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(view)
    assert scope.cancelled_caught
    with assert_checkpoints():
        assert await anext(view) == FirstDelta(1, 0.0)


async def test_tasks_may_share_a_view(autojump_clock: MockClock) -> None:
    view, seen = View(), list[Sight]()

    async def look() -> None:
        with trio.fail_after(1):
            seen.append(await anext(view))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        nursery.start_soon(look)
        await wait_all_tasks_blocked()
        view.put(FirstDelta(1, 0.0))
        await wait_all_tasks_blocked()
        assert len(seen) == 1
        view.put(FirstDelta(2, 0.0))
    assert seen == [FirstDelta(1, 0.0), FirstDelta(2, 0.0)]


# Nobody


async def test_without_observers_a_turn_is_not_even_looked_at() -> None:
    sill = Sill({})
    watch = sill.watch(KEY)
    assert not watch.is_watched
    watch.grew((), "Hello. ", 0.0)
    watch.ended(Ending.COMPLETE, (), "Hello. ", 0.0)
    assert next(watch._sights.grow((), "Hello. ", 0.0)) == FirstDelta(1, 0.0), "it is new, still"
    assert sill.watchers() == []


# Latency


async def test_latency_is_logged_a_line_for_each_turn(autojump_clock: MockClock, captured_log: Log) -> None:
    async with open_sill(latency=log_latency) as sill, trio.open_nursery() as nursery:
        nursery.start_soon(play_turn, sill)
        await trio.sleep(0.25)
        await play_turn(sill, [])
        await play_turn(sill, ["你好"], every=1.00049)
        await trio.sleep(3)
    assert captured_log == [
        measured(first_delta=None, total=0.0, characters=0),
        measured(first_delta=1.0, total=1.0, characters=2),
        measured(first_delta=0.5, total=1.5, characters=16),
    ]


def measured(*, first_delta: float | None, total: float, characters: int) -> EventDict:
    fields = {"first_delta": first_delta, "total": total, "characters": characters}
    return {"event": "turn.measured", "log_level": "info", **fields}
