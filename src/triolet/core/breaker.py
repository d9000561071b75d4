"""A circuit breaker: a model that fails again and again is left alone for a while.

Rules:

1. `MAX_FAILURES` within `WINDOW` seconds open it. One success closes it, and forgets them.
2. `REST` seconds after the last failure it is half open: one request may try, and the next one when that is over.
"""

from __future__ import annotations

from collections import deque

MAX_FAILURES = 5
WINDOW = 60.0
REST = 30.0


class Breaker:
    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=MAX_FAILURES)
        self._open = False
        self._probed = 0.0

    @property
    def is_open(self) -> bool:
        return self._open

    def allows(self, now: float) -> bool:
        """Whether a request makes sense now; if it does, it is taken to be made."""
        if not self._open:
            return True
        if now < max(self._failures[-1], self._probed) + REST:
            return False
        self._probed = now
        return True

    def failed(self, now: float) -> None:
        self._failures.append(now)
        self._open = self._open or (len(self._failures) == MAX_FAILURES and self._failures[0] > now - WINDOW)

    def succeeded(self) -> None:
        self._failures.clear()
        self._open = False
        self._probed = 0.0
