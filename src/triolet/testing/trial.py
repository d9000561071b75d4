"""One run of a scenario, and the point of it at which something is done to it.

A task runs from one checkpoint to the next: that is a step, and nothing else runs meanwhile. So whatever comes from
elsewhere, a cancel say, comes between two steps, and there are two kinds of places to come:

- behind a step: its task has just begun to wait, and is woken by the cancel (so is every other one that waits);
- ahead of the first step of a batch: tasks have been woken, since what they waited for is there, and find the cancel at
  their next checkpoint. (Ahead of the others of a batch is behind the one before.)

These are the points; they are counted from 1, in the order of the run.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, TypeAlias

import trio
import trio.testing
from trio.lowlevel import Task

from triolet.testing.patience import Patience
from triolet.testing.scheduler import raise_in, seeded
from triolet.testing.tasks import Descent, below, every_task, task_name, tree, where

Scenario: TypeAlias = Callable[["Trial"], Awaitable[object]]
Label: TypeAlias = Callable[[Task], str]
Watch: TypeAlias = Callable[[Task], bool]

LIMIT: Final = 3600.0
"""Seconds of virtual time after which a run is taken to hang."""


class Kept:
    """Keeps the first error of its blocks, and lets none through."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.error = self.error or error
        return True


class Trial(trio.abc.Instrument):
    """What a scenario is given: it says with a ``with`` block what is to be struck; see `cancels`. It runs once.

    Attributes:
        seed: what the order of tasks follows.
        point: where to strike, from 1; None for a run in which points are only counted.
        points: how many there have been so far.
        course: the name of the task that each of them was at.
        labels, places: what each is called, and where its task waited; in a run that only counts.
        label, struck: the same of the point that was struck; empty as long as there was none.
        hit: whether the strike met anything; a scenario that knows better may set it.
    """

    def __init__(
        self,
        seed: int = 0,
        point: int | None = None,
        *,
        label: Label = task_name,
        limit: float = LIMIT,
        replayed_by: Callable[[str], str] | None = None,
    ) -> None:
        """The arguments are those of `sweep`."""
        if not 0 < limit < math.inf:
            raise ValueError("the limit is a number of seconds, and not infinite")
        self.seed = seed
        self.point = point
        self.points = 0
        self.course: list[str] = []
        self.labels: list[str] = []
        self.places: list[str] = []
        self.label = ""
        self.struck = ""
        self.hit = False
        self.blocks = 0
        self._label_of = label
        self._limit = limit
        self._replayed_by = replayed_by
        self._strike: Callable[[Task], object] | None = None
        self._watched: Watch = every_task
        self._program: Descent | None = None
        self._batch_begins = True
        self._mistake = Kept()
        """Of a hook: Trio would log it, and go on without the instrument."""
        self._clock = trio.testing.MockClock(autojump_threshold=0)
        self._patience = Patience(limit)
        self._hanging = ""

    def __repr__(self) -> str:
        return f"<Trial {self.seed}:{self.point or 'counting'}>"

    # What a scenario says

    @contextmanager
    def cancels(self, *, watch: Watch | None = None) -> Iterator[trio.CancelScope]:
        """A cancel scope that is cancelled at this trial's point; it is a hit if the scope has caught that.

        The points are those of the tasks in the block: the one that entered it, and all that are started below it.
        With ``watch``, a predicate, they are those of the tasks of the program that it holds for.
        """
        scope, is_struck = trio.CancelScope(), False

        def strike(task: Task) -> None:
            nonlocal is_struck
            is_struck = True
            scope.cancel()

        try:
            with scope, self._armed(strike, watch):
                yield scope
        finally:
            if is_struck:
                self.hit = scope.cancelled_caught

    @contextmanager
    def raises(self, error: BaseException, *, watch: Watch | None = None) -> Iterator[None]:
        """At this trial's point, what the task there waits for fails with the error; ``watch`` is as for `cancels`.

        A task that does not wait, or does not give up waiting, is left alone: that is no hit.
        """

        def met() -> None:
            self.hit = True

        with self._armed(lambda task: raise_in(task, error, met), watch):
            yield

    @contextmanager
    def strikes(self, action: Callable[[], object], *, watch: Watch | None = None) -> Iterator[None]:
        """The action, a plain function, is called at this trial's point; ``watch`` is as for `cancels`."""

        def strike(task: Task) -> None:
            self.hit = True
            result = action()
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("a strike is called between two steps: it cannot be an async function")

        with self._armed(strike, watch):
            yield

    @contextmanager
    def _armed(self, strike: Callable[[Task], object], watch: Watch | None) -> Iterator[None]:
        if self._strike is not None:
            raise RuntimeError("a trial has one strike: leave its block before you enter another")
        self._watched = watch or Descent(trio.lowlevel.current_task()).__contains__
        self._strike = strike
        self.blocks += 1
        try:
            yield
        finally:
            self._strike = None

    # What Trio tells

    def before_io_wait(self, timeout: float) -> None:
        self._batch_begins = True

    def after_io_wait(self, timeout: float) -> None:
        with self._mistake:
            self._look_at_the_clock()

    def before_task_step(self, task: Task) -> None:
        with self._mistake:
            if self._batch_begins and self._counts(task):
                self._batch_begins = False
                self._reach_point(task)

    def after_task_step(self, task: Task) -> None:
        with self._mistake:
            if self._counts(task):
                self._reach_point(task)

    def _counts(self, task: Task) -> bool:
        if self._strike is None or self._program is None:
            return False
        return task in self._program and self._watched(task)

    def _reach_point(self, task: Task) -> None:
        self.points += 1
        if not self.struck:
            self.course.append(task.name)
        if self.point is None:
            self.labels.append(self._label_of(task))
            self.places.append(where(task))
        elif self.point == self.points and self._strike is not None:
            self.label, self.struck = self._label_of(task), where(task)
            self._strike(task)

    def _look_at_the_clock(self) -> None:
        verdict = self._patience.judge(trio.current_time(), _nothing_comes)
        if verdict != "fine" and not self._hanging:
            self._hanging = "\n".join(line for task in self._tasks()[:1] for line in tree(task))
        if verdict == "stuck":
            for task in self._tasks():
                raise_in(task, trio.TooSlowError("it did not end, though it was cancelled"))
        if verdict == "hopeless":
            self._break_off()

    def _tasks(self) -> list[Task]:
        """Those of the program, the first one first."""
        return [] if self._program is None else [*below(self._program.task)]

    def _break_off(self) -> None:
        """Nobody listens any more: let the scheduler itself fail, at its next look at the clock."""

        def fail() -> float:
            raise trio.TooSlowError("it did not end, whatever it was told")

        setattr(self._clock, "current_time", fail)  # noqa: B010  # its class may not be derived from

    # The run

    def run(self, scenario: Scenario) -> None:
        """Run the scenario in virtual time; raises what it raises, with a note that tells the point.

        Raises:
            TooSlowError: it was not over after ``limit`` seconds; a note tells what every task waited for.
        """
        if self._program is not None:
            raise RuntimeError("a trial runs once")
        try:
            with seeded(self.seed):
                trio.run(self._play, scenario, clock=self._clock, instruments=[self])
        except BaseException as error:
            self._annotate(error, scenario)
            raise
        if self._mistake.error is not None:
            self._annotate(self._mistake.error, scenario)
            raise self._mistake.error

    async def _play(self, scenario: Scenario) -> None:
        main = trio.lowlevel.current_task()
        main.name = getattr(scenario, "__name__", "scenario")
        self._program = Descent(main)
        with trio.CancelScope(deadline=trio.current_time() + self._limit) as patience:
            await scenario(self)
        if patience.cancelled_caught:
            raise trio.TooSlowError(f"no end after {self._limit:g} seconds of virtual time")

    def _annotate(self, error: BaseException, scenario: Scenario) -> None:
        name = getattr(scenario, "__name__", "scenario")
        if self.struck:
            told_by = self._replayed_by or _replay_of(name, self._limit)
            error.add_note(f"struck {self.struck}; {told_by(f'{self.seed}:{self.point}')}")
        else:
            error.add_note(f"seed {self.seed}: nothing was struck")
        if self._hanging:
            error.add_note(f"What all waited for when nothing came any more:\n{self._hanging}")
        mistake = self._mistake.error
        if mistake is not None and mistake is not error:
            error.add_note(f"A mistake in a strike, or in what it watches, came before: {mistake!r}")


def _nothing_comes() -> bool:
    """Whether no task can run, and none waits for a time."""
    statistics = trio.lowlevel.current_statistics()
    return not statistics.tasks_runnable and statistics.seconds_to_next_deadline == math.inf


def _replay_of(name: str, limit: float) -> Callable[[str], str]:
    options = "" if limit == LIMIT else f", limit={limit:g}"
    return lambda point: f"replay({name}, {point!r}{options})"
