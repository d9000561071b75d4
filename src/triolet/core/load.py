"""How busy the process is, and how much further apart that puts frames.

One process serves everybody: where it cannot show every answer as often as the budgets allow, it shows all of them less
often, and none late. Rules:

1. Above `BUSY` everything is stretched a bit more each time it is looked at, below `IDLE` a bit less; between them it
   stays. One look is not much: what counts is a mean, of which the last look is `NEWEST`. A loop that wakes late twice
   running is busy whatever its CPU says: somebody else has the processor.
2. Nothing is stretched by more than `MOST`.
"""

from __future__ import annotations

from typing import Final

BUSY: Final = 0.7
IDLE: Final = 0.5
"""Shares of the time in which the loop's thread computes."""

NEWEST: Final = 0.4

LATE: Final = 0.1
"""Seconds."""

MOST: Final = 3.0

RESTS: Final = 8.0
"""How many times longer a socket is left alone where frames are about to be stretched."""

WIDER: Final = 1.25
DENSER: Final = 1.1


class Load:
    """Told by `observe`, once in a while, what was seen since the last time."""

    def __init__(self) -> None:
        self.stretch = 1.0
        """1 in calm; so many times further apart are frames."""
        self.busy = 0.0
        self._was_late = False

    @property
    def share(self) -> float:
        """How near it is to where frames are stretched: from 0 to 1."""
        return min(self.busy / BUSY, 1.0)

    @property
    def rest(self) -> float:
        """How many times longer sockets are left alone: to save reads comes before saving frames."""
        return self.stretch * (1 + (RESTS - 1) * self.share)

    def observe(self, *, busy: float, late: float) -> None:
        """``busy`` is a share of the time, ``late`` the seconds by which the loop woke later than it should have."""
        self.busy += (busy - self.busy) * NEWEST
        was_late, self._was_late = self._was_late, late > LATE
        if self.busy > BUSY or (was_late and self._was_late):
            self.stretch = min(self.stretch * WIDER, MOST)
        elif self.busy < IDLE:
            self.stretch = max(self.stretch / DENSER, 1.0)
