"""How many calls Telegram takes, and when the next may go.

Source: https://core.telegram.org/api/bots/ai (drafts and chat actions) and
https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this (messages). Rules:

1. Nobody knows when between sending and reply the server counts a call. So a call occupies its place from the
   moment it begins until its reply, and a window's length longer.
2. Interim calls leave a reserve, so that a lasting message, or the first frame of the next answer, finds a
   place at once; cosmetic calls leave a quarter of everything, so that they are the first to be left out.
3. Nobody asks the next question in the instant in which an answer ends. Where a window allows it, the reserve is
   what will be free a second later.
4. The published numbers are not all: a chat that was refused with a 429 is called less often than they allow, and
   comes back to them slowly.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from typing import Protocol

import attrs


class Cost(enum.Enum):
    """Which allowances a call draws on."""

    DRAFT = "draft"
    """sendMessageDraft and sendChatAction: both are typing actions to the server."""
    MESSAGE = "message"
    """sendMessage and editMessageText."""


class Priority(enum.IntEnum):
    """What goes first. Only ``LASTING`` and ``URGENT`` may use the reserve."""

    LASTING = 0
    """A message that stays."""
    URGENT = 1
    """The first sign of an answer, and its first text."""
    FRAME = 2
    """The text as it grows."""
    COSMETIC = 3
    """Chat actions."""


class Allowance(Protocol):
    """Something that limits calls; every call that begins must end."""

    def free_at(self, now: float, priority: Priority) -> float:
        """The earliest time, at least ``now``, when one more call may begin; ``inf`` if a reply must come first."""
        ...

    def begin(self) -> None: ...

    def end(self, now: float) -> None: ...


def _places(capacity: int, kept: int, priority: Priority) -> int:
    """How many of the places a call of that priority may fill."""
    if priority <= Priority.URGENT:
        return capacity
    return capacity - (kept if priority is Priority.FRAME else max(kept, capacity // 4))


class Window:
    """At most ``limit`` calls in any ``period`` seconds.

    ``kept`` of them are a reserve, which has to be there ``ahead`` seconds after the call.
    """

    def __init__(self, limit: int, period: float, *, kept: int = 0, ahead: float = 0.0) -> None:
        self._limit = limit
        self._period = period
        self._kept = kept
        self._ahead = ahead
        self._running = 0
        self._leaving: deque[float] = deque()  # when each ended call leaves the window, ascending

    def free_at(self, now: float, priority: Priority) -> float:
        while self._leaving and self._leaving[0] <= now:
            self._leaving.popleft()
        reserved = self._room_at(_places(self._limit, self._kept, priority))
        return max(now, self._room_at(self._limit), reserved - self._ahead)

    def _room_at(self, places: int) -> float:
        """When fewer than so many places will be taken."""
        surplus = self._running + len(self._leaving) - places
        if surplus < 0:
            return -math.inf
        return self._leaving[surplus] if surplus < len(self._leaving) else math.inf

    def slack(self, now: float, cadence: float) -> int:
        """How many more calls than one every ``cadence`` seconds the window takes before it is all new.

        Negative if not even those find room.
        """
        return min(self._spare(now + step * cadence) - step for step in range(int(self._period / cadence) + 1))

    def _spare(self, then: float) -> int:
        """How many frames could begin then, if no other call began before."""
        reserved = self._limit - self._kept - self._taken(then + self._ahead)
        return min(self._limit - self._taken(then), reserved)

    def _taken(self, then: float) -> int:
        return self._running + len(self._leaving) - bisect_right(self._leaving, then)

    def begin(self) -> None:
        self._running += 1

    def end(self, now: float) -> None:
        self._running -= 1
        self._leaving.append(now + self._period)


class Bucket:
    """``capacity`` calls at once, and one more every ``period`` seconds; ``kept`` of the capacity are a reserve."""

    def __init__(self, capacity: int, period: float, *, kept: int = 0) -> None:
        self._capacity = capacity
        self._period = period
        self._kept = kept
        self._running = 0
        self._full_at = -math.inf

    def free_at(self, now: float, priority: Priority) -> float:
        spare = _places(self._capacity, self._kept, priority) - self._running - 1
        return math.inf if spare < 0 else max(now, self._full_at - spare * self._period)

    def slack(self, now: float, cadence: float) -> int:
        """How many calls could begin at once, beyond the one every ``period`` seconds; ``cadence`` is no other."""
        missing = max(0.0, self._full_at - now) / self._period
        return self._capacity - self._kept - self._running - math.ceil(missing - 1e-9)

    def begin(self) -> None:
        self._running += 1

    def end(self, now: float) -> None:
        self._running -= 1
        self._full_at = max(self._full_at, now) + self._period


RECOVERY = 900.0
"""Seconds without a 429 after which a slowed chat may be called a little more often."""

_RECOVERED = 0.85
_SLOWEST = 8.0


class Throttle:
    """Slows a chat down once a 429 has shown that the published numbers are too many for it.

    Calls are then ``slowness`` times as far apart as their windows allow for ever, whatever was called before. Each
    429 doubles it, up to eight; each quarter of an hour without one takes 15 % off. A lasting message is not held up,
    and a cosmetic call takes no place that a frame could have.
    """

    def __init__(self) -> None:
        self._slowness = 1.0
        self._flooded_at = -math.inf
        self._last_end = -math.inf

    def slowness(self, now: float) -> float:
        """By now; 1 when everything is as published."""
        if self._slowness == 1.0:
            return 1.0
        quarters = int((now - self._flooded_at) // RECOVERY)
        return max(1.0, self._slowness * math.pow(_RECOVERED, quarters))

    def free_at(self, now: float, priority: Priority, pace: float) -> float:
        """As `Allowance.free_at`, for a call of which the windows allow one every ``pace`` seconds."""
        slowness = self.slowness(now)
        if priority is Priority.LASTING or slowness == 1.0:
            return now
        distance = slowness * pace * (2 if priority is Priority.COSMETIC else 1)
        return max(now, self._last_end + distance)

    def end(self, now: float) -> None:
        self._last_end = now

    def flooded(self, now: float) -> None:
        self._slowness = min(2 * self.slowness(now), _SLOWEST)
        self._flooded_at = now


@attrs.frozen
class ChatBudget:
    """All that limits the calls to one chat.

    ``paced`` is, for each cost, the allowance that an answer of any length has to be paced for; ``paces`` are the
    seconds between two calls that it allows for ever.
    """

    drafts: tuple[Allowance, ...]
    messages: tuple[Allowance, ...]
    paced: dict[Cost, Window | Bucket]
    paces: dict[Cost, float]
    throttle: Throttle = attrs.Factory(Throttle)

    @classmethod
    def open(cls, *, private: bool, overall: Allowance) -> ChatBudget:
        """A fresh budget; ``overall`` is shared by all chats of a bot and does not count drafts."""
        drafts = Window(40, 30.0, kept=1, ahead=1.0)
        messages = Bucket(3, 1.0, kept=1) if private else Window(20, 60.0, kept=5)
        return cls(
            drafts=(Window(20, 5.0, kept=3, ahead=1.0), drafts),
            messages=(messages, overall),
            paced={Cost.DRAFT: drafts, Cost.MESSAGE: messages},
            paces={Cost.DRAFT: 0.75, Cost.MESSAGE: 1.0 if private else 3.0},
        )

    def free_at(self, now: float, cost: Cost, priority: Priority) -> float:
        """The earliest time when a call may begin; ``inf`` if a reply must come first."""
        pace = max(self.paces.values()) if priority is Priority.COSMETIC else self.paces[cost]
        slowed = self.throttle.free_at(now, priority, pace)
        return latest((a.free_at(now, priority) for a in self._allowances(cost)), slowed)

    def slack(self, now: float, cost: Cost, cadence: float) -> int:
        """How many calls could be made beyond one every ``cadence`` seconds, for ever."""
        return self.paced[cost].slack(now, cadence)

    def begin(self, cost: Cost) -> None:
        for allowance in self._allowances(cost):
            allowance.begin()

    def end(self, cost: Cost, now: float) -> None:
        for allowance in self._allowances(cost):
            allowance.end(now)
        self.throttle.end(now)

    def flooded(self, now: float) -> None:
        """The server refused a call to the chat with a 429."""
        self.throttle.flooded(now)

    def _allowances(self, cost: Cost) -> tuple[Allowance, ...]:
        return self.drafts if cost is Cost.DRAFT else self.messages


def open_overall() -> Allowance:
    """The allowance that all chats of one bot share: 30 messages a second."""
    return Window(30, 1.0, kept=5)


def latest(times: Iterable[float], now: float) -> float:
    return max([now, *times])
