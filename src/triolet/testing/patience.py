"""When a run is taken to hang: virtual time cannot show it, where nothing waits for time any more.

Rules:

1. At the ``limit``, in seconds of virtual time, the run is cancelled.
2. It is stuck if it goes on behind that with nothing more to come, or for as long again; or if virtual time has stood
   still for `ROUNDS` rounds of the scheduler: tasks wake each other, or do not take a cancel for an answer.
3. Who is stuck is told so by errors in all that it waits for, `ERRORS` times. After that there is no more patience.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

ROUNDS: Final = 100_000
"""A few seconds."""

ERRORS: Final = 3

Verdict: TypeAlias = Literal["fine", "late", "stuck", "hopeless"]


class Patience:
    """Asked once a round, of a clock that began at 0.

    ``late`` is said once, and ``stuck`` once for each time that the errors did not help.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._moved_at = 0.0
        self._rounds = 0
        self._is_late = False
        self._errors = 0
        self._until = 2 * limit

    def judge(self, now: float, nothing_comes: Callable[[], bool]) -> Verdict:
        """Of a round that begins now; ``nothing_comes`` is asked only where it matters."""
        self._rounds = self._rounds + 1 if now == self._moved_at else 0
        self._moved_at = now
        if self._is_stuck(now, nothing_comes):
            self._errors += 1
            self._rounds, self._until = 0, now + self._limit
            return "stuck" if self._errors <= ERRORS else "hopeless"
        if now >= self._limit and not self._is_late:
            self._is_late = True
            return "late"
        return "fine"

    def _is_stuck(self, now: float, nothing_comes: Callable[[], bool]) -> bool:
        if self._rounds > (1000 if self._errors else ROUNDS):
            return True
        return now > self._until or (self._is_late and nothing_comes())
