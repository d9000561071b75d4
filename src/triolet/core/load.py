"""How busy the process is, and how much further apart that puts frames.

One process serves everybody: where it cannot show every answer as often as the budgets allow, it shows all of them less
often, and none late. Rules:

1. Above `BUSY` everything is stretched a bit more each time it is looked at, below `IDLE` a bit less; between them it
   stays. A loop that wakes late is busy whatever its CPU says: somebody else has the processor.
2. Nothing is stretched by more than `MOST`.
"""

from __future__ import annotations

from typing import Final

BUSY: Final = 0.8
IDLE: Final = 0.6
"""Shares of the time in which the loop's thread computes."""

LATE: Final = 0.1
"""Seconds."""

MOST: Final = 3.0

WIDER: Final = 1.25
DENSER: Final = 1.1


class Load:
    """Told by `observe`, once in a while, what was seen since the last time."""

    def __init__(self) -> None:
        self.stretch = 1.0
        """1 in calm; so many times further apart are frames and reads."""

    def observe(self, *, busy: float, late: float) -> None:
        """``busy`` is a share of the time, ``late`` the seconds by which the loop woke later than it should have."""
        if busy > BUSY or late > LATE:
            self.stretch = min(self.stretch * WIDER, MOST)
        elif busy < IDLE:
            self.stretch = max(self.stretch / DENSER, 1.0)
