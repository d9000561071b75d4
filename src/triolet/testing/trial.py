"""One run of a scenario, and the point of it at which something is done to it.

A task runs from one checkpoint to the next: that is a step, and nothing else runs meanwhile. So whatever comes from
elsewhere, a cancel say, comes between two steps, and there are two kinds of places to come:

- behind a step: its task has just begun to wait, and is woken by the cancel (so is every other one that waits);
- ahead of the first step of a batch: tasks have been woken, by a socket or a deadline, and find the cancel at
  their next checkpoint, when what they waited for is done already. (Ahead of the others of a batch is behind the one
  before.)

These are the points; they are counted from 1, in the order of the run.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import trio
import trio.testing
from trio.lowlevel import Task

from triolet.testing.scheduler import raise_in, seeded
from triolet.testing.tasks import Descent, below, every_task, task_name, tree, where

Scenario: TypeAlias = Callable[["Trial"], Awaitable[object]]
Label: TypeAlias = Callable[[Task], str]

LIMIT: Final = 100_000.0
"""Seconds of virtual time after which a run is taken to hang."""


class Trial(trio.abc.Instrument):
    """What a scenario is given: it says with one ``with`` block what is to be struck; see `cancels`.

    Attributes:
        seed: what the order of tasks follows.
        point: where to strike, from 1; None for a run in which points are only counted.
        points: how many there have been so far.
        labels: which task each of them was at; in a run that only counts.
        label: which task the strike came at; empty as long as there was none.
        struck: the same for people, with the line at which the task waited.
        hit: whether the strike met anything; a scenario that knows better may set it.
    """

    def __init__(self, seed: int = 0, point: int | None = None, *, label: Label = task_name) -> None:
        self.seed = seed
        self.point = point
        self.points = 0
        self.labels: list[str] = []
        self.label = ""
        self.struck = ""
        self.hit = False
        self._label_of = label
        self._strike: Callable[[Task], object] | None = None
        self._watched: Callable[[Task], bool] = every_task
        self._program: Descent | None = None
        self._batch_begins = True
        self._limit = self._deadline = LIMIT
        self._hanging = ""
        self._mistake: Exception | None = None

    @contextmanager
    def cancels(self, *, watch: Callable[[Task], bool] | None = None) -> Iterator[trio.CancelScope]:
        """A cancel scope that is cancelled at this trial's point.

        The points are those of the tasks in the block: the one that entered it, and all that are started below it.
        With ``watch``, a predicate, they are those of the tasks of the program that it holds for.
        """
        with trio.CancelScope() as scope, self.strikes(scope.cancel, watch=watch):
            yield scope
        self.hit = scope.cancelled_caught

    @contextmanager
    def raises(self, error: BaseException, *, watch: Callable[[Task], bool] | None = None) -> Iterator[None]:
        """At this trial's point, what the task there waits for fails with the error; ``watch`` is as for `cancels`.

        A task that does not wait, or cannot give up waiting, is left alone: that is no hit.
        """

        def strike(task: Task) -> None:
            self.hit = raise_in(task, error)

        with self._armed(strike, watch):
            yield

    @contextmanager
    def strikes(self, action: Callable[[], object], *, watch: Callable[[Task], bool] | None = None) -> Iterator[None]:
        """The action is called at this trial's point; ``watch`` is as for `cancels`."""

        def strike(task: Task) -> None:
            self.hit = True
            action()

        with self._armed(strike, watch):
            yield

    @contextmanager
    def _armed(self, strike: Callable[[Task], object], watch: Callable[[Task], bool] | None) -> Iterator[None]:
        if self._strike is not None:
            raise RuntimeError("a trial has one strike: leave its block before you enter another")
        self._watched = watch or Descent(trio.lowlevel.current_task()).__contains__
        self._strike = strike
        try:
            yield
        finally:
            self._strike = None

    def before_io_wait(self, timeout: float) -> None:
        self._batch_begins = True
        if self._is_stuck():
            for task in self._tasks():
                raise_in(task, trio.TooSlowError("it did not end, though it was cancelled"))

    def after_io_wait(self, timeout: float) -> None:
        """Look around before the deadline ends everything."""
        if not self._hanging and trio.current_time() >= self._deadline:
            self._hanging = "\n".join(line for task in self._tasks()[:1] for line in tree(task))

    def _is_stuck(self) -> bool:
        """Whether the program goes on behind its deadline, with nothing more to come, or for as long again."""
        late = trio.current_time() - self._deadline
        if not self._hanging or late < 0:
            return False
        statistics = trio.lowlevel.current_statistics()
        idle = statistics.tasks_runnable == 0 and statistics.seconds_to_next_deadline == math.inf
        return idle or late > self._limit

    def _tasks(self) -> list[Task]:
        """Those of the program, the first one first."""
        return [] if self._program is None else [*below(self._program.task)]

    def before_task_step(self, task: Task) -> None:
        if self._batch_begins and self._counts(task):
            self._batch_begins = False
            self._reach_point(task)

    def after_task_step(self, task: Task) -> None:
        if self._counts(task):
            self._reach_point(task)

    def _counts(self, task: Task) -> bool:
        return self._strike is not None and self._watched(task) and self._program is not None and task in self._program

    def _reach_point(self, task: Task) -> None:
        self.points += 1
        if self.point is None:
            self.labels.append(self._label_of(task))
        elif self.point == self.points and self._strike is not None:
            self.label, self.struck = self._label_of(task), where(task)
            try:
                self._strike(task)
            except Exception as error:  # noqa: BLE001  # Trio would only log it
                self._mistake = error

    def run(self, scenario: Scenario, *, limit: float = LIMIT) -> None:
        """Run the scenario in virtual time; raises what it raises.

        Raises:
            TooSlowError: it was not over after ``limit`` seconds; a note tells what every task waited for.
        """
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            with seeded(self.seed):
                trio.run(self._play, scenario, limit, clock=clock, instruments=[self])
        except Exception as error:
            if self._hanging:
                error.add_note(f"After {limit:g} virtual seconds:\n{self._hanging}")
            raise
        if self._mistake is not None:
            raise self._mistake

    async def _play(self, scenario: Scenario, limit: float) -> None:
        main = trio.lowlevel.current_task()
        main.name = getattr(scenario, "__name__", "scenario")
        self._program = Descent(main)
        self._limit, self._deadline = limit, trio.current_time() + limit
        with trio.fail_after(limit):
            await scenario(self)
