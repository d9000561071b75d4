"""Looking on at turns: a screen, a voice, a measurement; several at once, and no answer waits for them.

An observer is an async function that loops over the sights of all turns (`core.sights`) for the life of the bot::

    async def greet(view: View) -> None:
        async for sight in view:
            if isinstance(sight, TurnBegan):
                print("a question")

Rules:

1. Whoever posts never waits, and nothing that an observer does comes back to it. Without observers there is nothing
   to do.
2. What an observer has not looked at yet waits in its `View`, the deltas of one turn as one delta, unless something
   else of that turn stands between them. So one that is slow still gets all the text, in the order of each turn.
3. One that lets `MOST_WAITING` sights wait, raises, or returns, is dropped for good, and the log says so once. It says
   nothing of what was seen, and so not what the exception said.
"""

from __future__ import annotations

import itertools
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import structlog
import trio

from triolet.core.conversation import ConversationKey, Ending
from triolet.core.sights import Delta, FirstDelta, Sight, TurnBegan, TurnEnded, TurnSights

log = structlog.get_logger()

MOST_WAITING: Final = 1_000
"""Sights that one observer may leave waiting."""


class View(AsyncIterator[Sight]):
    """What one observer sees; it ends with the observer's task."""

    def __init__(self) -> None:
        self._waiting: deque[list[Sight]] = deque()
        """Each is one sight, or the deltas of one turn that are to be one."""
        self._growing: dict[int, list[Sight]] = {}
        """The deltas among them, by turn, that nothing of their turn stands behind."""
        self._arrived = trio.Event()

    def put(self, sight: Sight) -> bool:
        """Whether there was room for it."""
        if isinstance(sight, Delta) and sight.turn in self._growing:
            self._growing[sight.turn].append(sight)
            return True
        if len(self._waiting) == MOST_WAITING:
            return False
        letter = [sight]
        if isinstance(sight, Delta):
            self._growing[sight.turn] = letter
        else:
            self._growing.pop(sight.turn, None)
        self._waiting.append(letter)
        self._arrived.set()
        return True

    async def __anext__(self) -> Sight:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._arrived.is_set():
                self._arrived = trio.Event()
            await self._arrived.wait()
        letter = self._waiting.popleft()
        if self._growing.get(letter[0].turn) is letter:
            del self._growing[letter[0].turn]
        return _melted(letter)


def _melted(letter: list[Sight]) -> Sight:
    """The deltas as one, which came when the last of them did."""
    if len(letter) == 1:
        return letter[0]
    text = "".join(delta.text for delta in letter if isinstance(delta, Delta))
    return Delta(letter[0].turn, text, letter[-1].at)


Observer: TypeAlias = Callable[[View], Awaitable[None]]


@attrs.define(eq=False)
class _Seat:
    """An observer's place."""

    name: str
    observer: Observer
    view: View = attrs.Factory(View)
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)


class Sill:
    """The observers, by name; their owner runs the `watchers`, each as a task for the life of the bot."""

    def __init__(self, observers: Mapping[str, Observer]) -> None:
        self._seats = tuple(_Seat(name, observer) for name, observer in observers.items())
        self._turns = itertools.count(1)

    @property
    def is_watched(self) -> bool:
        """Whether there is anybody left who looks on."""
        return bool(self._seats)

    def watchers(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """One for each observer: runs it, and returns when it is dropped. Cancelling ends it."""
        return [partial(self._attend, seat) for seat in self._seats]

    def watch(self, key: ConversationKey) -> TurnWatch:
        """A turn begins."""
        turn = next(self._turns)
        self.post(TurnBegan(turn, key, trio.current_time()))
        return TurnWatch(self, turn)

    def post(self, sight: Sight) -> None:
        """Let everybody see it."""
        for seat in self._seats:
            if not seat.view.put(sight):
                self._drop(seat, f"it left {MOST_WAITING} sights waiting")

    async def _attend(self, seat: _Seat) -> None:
        try:
            with seat.scope:
                await seat.observer(seat.view)
        except* Exception as problem:  # noqa: BLE001  # whatever it is, it is no reason to trouble a turn
            self._drop(seat, f"it raised {_told(problem)}")
        else:
            self._drop(seat, "it returned")

    def _drop(self, seat: _Seat, reason: str) -> None:
        if seat in self._seats:
            self._seats = tuple(each for each in self._seats if each is not seat)
            seat.scope.cancel(reason=reason)
            log.warning("observer.dropped", name=seat.name, reason=reason)


def _told(problem: BaseException) -> str:
    """What the first exception of a group is, and where it was raised; not what it says, which may be from a chat."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    trace = traceback.walk_tb(problem.__traceback__)
    places = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in trace]
    return " at ".join([type(problem).__name__, *places[-1:]])


class TurnWatch:
    """One turn, as it is told to the sill by the task that owns the answer's text. The arguments are `TurnSights`'."""

    def __init__(self, sill: Sill, turn: int) -> None:
        self._sill = sill
        self._sights = TurnSights(turn)

    @property
    def is_watched(self) -> bool:
        """Whether it is any use to tell it anything."""
        return self._sill.is_watched

    def grew(self, before: tuple[str, ...], text: str, now: float) -> None:
        if self.is_watched:
            for sight in self._sights.grow(before, text, now):
                self._sill.post(sight)

    def ended(self, ending: Ending, before: tuple[str, ...], text: str, now: float) -> None:
        if self.is_watched:
            for sight in self._sights.end(ending, before, text, now):
                self._sill.post(sight)


async def log_latency(view: View) -> None:
    """An observer that logs a line for each turn: the seconds to its first text, if it had any, and to its end."""
    began: dict[int, float] = {}
    first: dict[int, float] = {}
    async for sight in view:
        if isinstance(sight, TurnBegan):
            began[sight.turn] = sight.at
        elif isinstance(sight, FirstDelta):
            first[sight.turn] = round(sight.at - began[sight.turn], 3)
        elif isinstance(sight, TurnEnded):
            total = round(sight.at - began.pop(sight.turn), 3)
            delay = first.pop(sight.turn, None)
            log.info("turn.measured", first_delta=delay, total=total, characters=len(sight.text))
