"""The one writer: whoever touches the file waits in its queue, and what waits together is one commit.

Rules:

1. What is *posted* will be written, in the order in which it was posted, whether anybody waits for it or not. If the
   disk refuses it, it goes back to the front of the queue and is tried again, ahead of what was posted later, with the
   next job that comes and after a while by itself.
2. What is *run* is tried once, and its caller is told: reads, and writes that their caller gives up if they fail. It
   waits behind what was posted before it, but not until the disk takes that.
3. All that is queued is written in one transaction. If anything in it fails it is rolled back, and its jobs are run one
   by one, so that a failure is nobody else's.
4. A mistake of ours (a value that no column takes) is logged and dropped: it would fail for ever.
5. Only the writer's task waits for the disk. Others wait to be told, and may give that up at any time.
6. When the writer's task is over, which a cancel may bring about before others end, each job is written where it is
   given: answers commit their last words then.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import structlog
import trio

from triolet.core.ports import Executor, Posted
from triolet.errors import StoreError
from triolet.store.database import is_locked, transaction, translated_errors

RETRY: Final = 1.0
LONGEST_RETRY: Final = 30.0
"""Seconds until what the disk refused is tried again by itself: doubled from the one to the other."""

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], object]

log = structlog.get_logger()


@attrs.define(eq=False)
class _Job:
    """What is written whole or not at all; awaiting it is `Posted`'s, and tells of ``error`` once it was tried.

    ``works`` have keys or None. The ``heir`` is the job that does all of it anew.
    """

    works: list[tuple[Hashable, Work]]
    posted: bool
    writes: bool
    heir: _Job | None = None
    follows: bool = False
    error: Exception | None = None
    tried: trio.Event = attrs.Factory(trio.Event)

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        job = self
        await job.tried.wait()
        while job.heir is not None:
            job = job.heir
            await job.tried.wait()
        if job.error is not None:
            raise job.error


class Writer:
    """``serve`` is the writer's task; ``path`` is what errors call the file."""

    def __init__(self, path: str, connection: sqlite3.Connection, executor: Executor) -> None:
        self._path = path
        self._connection = connection
        self._executor = executor
        self._queue: list[_Job] = []
        self._unit: _Job | None = None
        self._wake = trio.Event()
        self._pause = RETRY
        self._is_over = False
        self.trouble = ""
        """Why the disk takes nothing at present; empty if it does."""

    def post(self, work: Work, *, key: Hashable = None) -> Posted:
        """Have it written. What has the same ``key`` and waits yet is not: this says it anew.

        Work with a key must touch nothing that other work with a key touches.
        """
        if self._unit is not None:
            self._unit.works.append((key, work))
            return self._unit
        return self._enqueue(_Job([(key, work)], posted=True, writes=True))

    async def run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool, follows: bool = False) -> T:
        """What the work gives. Cancelled before it began, it is not done; else it may be, though nobody hears of it.

        One that ``follows`` is refused with what was posted before it: it would be undone when that is written at last.

        Raises:
            StoreError: the disk refuses, or the work makes no sense; nothing was written.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        results: list[T] = []  # the last one counts: a batch may have been tried before
        job = _Job(
            [(None, lambda connection: results.append(work(connection)))], posted=False, writes=writes, follows=follows
        )
        self._enqueue(job)
        try:
            await job
        finally:
            if job in self._queue:
                self._queue.remove(job)
        return results[-1]

    @contextlib.contextmanager
    def unit(self) -> Iterator[Posted]:
        """All that is posted within the block is one job; an exception gives up what the block posted.

        A block within another's is a part of it.
        """
        outer = self._unit
        job = self._unit = _Job([], posted=True, writes=True) if outer is None else outer
        start = len(job.works)
        try:
            yield job
        except BaseException:
            del job.works[start:]
            raise
        finally:
            self._unit = outer
            if outer is None and job.works:
                self._enqueue(job)
            elif outer is None:
                job.tried.set()

    def _enqueue(self, job: _Job) -> _Job:
        self._append(job)
        if self._is_over:
            self._flush()
        else:
            self._wake.set()
        return job

    def _append(self, job: _Job) -> None:
        """Put the job behind all others, of which the last ones lose what it says anew."""
        keys, replaced = {key for key, _ in job.works}, []
        for older in reversed(self._queue):
            if None in {*keys, *(key for key, _ in older.works)}:  # what has no key may be about anything
                break
            older.works = [(key, work) for key, work in older.works if key not in keys]
            if not older.works:
                older.heir = job
                older.tried.set()
                replaced.append(older)
        for older in replaced:
            self._queue.remove(older)
        self._queue.append(job)

    async def serve(self) -> None:
        """Write what is queued, until cancelled; what is queued then is written, too."""
        try:
            while True:
                await self._wait_for_work()
                await self._write_queued()
        finally:
            self._is_over = True
            self._flush()

    async def _wait_for_work(self) -> None:
        # What is in the queue now has been refused.
        with trio.move_on_after(self._pause if self._queue else math.inf) as scope:
            await self._wake.wait()
        self._wake = trio.Event()
        if scope.cancelled_caught:
            self._pause = min(2 * self._pause, LONGEST_RETRY)

    async def _write_queued(self) -> None:
        jobs, self._queue = self._queue, []
        errors: list[Exception | None] = []
        try:
            await self._executor(lambda: errors.extend(self._write(jobs)))
        finally:
            self._settle(jobs, errors)

    def _flush(self) -> None:
        """Write what is queued here and now."""
        jobs, self._queue = self._queue, []
        errors = self._write(jobs)
        if any(error is not None and is_locked(error) for error in errors):
            self._connection.execute("PRAGMA busy_timeout = 0")  # once is enough: nobody has time any more
        self._settle(jobs, errors)

    def tell_lost(self) -> None:
        """Tell the operator how much the disk has not taken; the writer's task must be over."""
        if self._queue:
            log.error("store.lost", writes=len(self._queue), problem=self.trouble)

    def _settle(self, jobs: list[_Job], errors: Sequence[Exception | None]) -> None:
        """Tell how the jobs went, of which all have an error or None, or none has, if they did not begin."""
        again = [] if errors else jobs
        for job, error in zip(jobs, errors, strict=False):
            job.error = error
            if job.posted and isinstance(error, StoreError):
                again.append(job)
            elif error is not None and not isinstance(error, StoreError):
                if job.posted:
                    log.error("store.mistake", exc_info=error)
                kind = type(error).__name__  # what it says may be anybody's
                job.error = StoreError(f"{self._path}: what is there, or is to be, makes no sense ({kind})")
            job.tried.set()
        later, self._queue = self._queue, again
        for job in later:
            self._append(job)
        self._tell([error for job, error in zip(jobs, errors, strict=False) if job.writes])

    def _tell(self, errors: list[Exception | None]) -> None:
        """Tell the operator where the disk begins to refuse what is written, and where it takes it again."""
        problem = next((str(error) for error in errors if isinstance(error, StoreError)), "")
        if problem:
            if not self.trouble:
                log.error("store.failing", problem=problem)
            self.trouble = problem
        elif self.trouble and None in errors:
            log.info("store.works_again")
            self.trouble, self._pause = "", RETRY

    # What follows may run in another thread, and touches nothing but the jobs' works and the connection.

    def _write(self, jobs: Sequence[_Job]) -> list[Exception | None]:
        """What became of each job."""
        problem = self._attempt(jobs)
        if problem is None or len(jobs) == 1:
            return [problem] * len(jobs)
        errors: list[Exception | None] = []
        refusal: StoreError | None = None  # of what was posted: what was posted later must not be written before it
        for job in jobs:
            if job.writes and is_locked(problem):  # whoever writes would wait for the lock once more, in vain
                error: Exception | None = problem
            elif (job.posted or job.follows) and refusal is not None:
                error = refusal
            else:
                error = self._attempt([job])
            if job.posted and isinstance(error, StoreError):
                refusal = error
            errors.append(error)
        return errors

    def _attempt(self, jobs: Sequence[_Job]) -> Exception | None:
        """Why none of the jobs is done, or None for all of them."""
        writes = any(job.writes for job in jobs)
        try:
            with translated_errors(self._path), transaction(self._connection) if writes else contextlib.nullcontext():
                for work in [work for job in jobs for _, work in job.works]:
                    work(self._connection)
        except (StoreError, sqlite3.Error) as error:
            return error
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            return error  # a mistake of ours, of a kind that a wrong value may come to
        return None
