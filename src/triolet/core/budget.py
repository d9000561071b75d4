"""How many calls Telegram takes, and when the next may go.

Source: https://core.telegram.org/api/bots/ai (drafts and chat actions) and
https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this (messages). Rules:

1. Nobody knows when between sending and reply the server counts a call. So a call occupies its place from the
   moment it begins until its reply, and a window's length longer.
2. Interim calls leave a reserve, so that a lasting message, or the first frame of the next answer, finds a
   place at once.
"""

from __future__ import annotations

import enum
import math
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
    """What goes first. Only ``URGENT`` and ``LASTING`` may use the reserve."""

    LASTING = 0
    URGENT = 1
    FRAME = 2


class Allowance(Protocol):
    """Something that limits calls; every call that begins must end."""

    def free_at(self, now: float, *, reserve: bool) -> float:
        """The earliest time, at least ``now``, when one more call may begin; ``inf`` if a reply must come first.

        ``reserve`` allows the places that are kept for what cannot wait.
        """
        ...

    def begin(self) -> None: ...

    def end(self, now: float) -> None: ...


class Window:
    """At most ``limit`` calls in any ``period`` seconds, of which ``kept`` are a reserve."""

    def __init__(self, limit: int, period: float, *, kept: int = 0) -> None:
        self._limit = limit
        self._period = period
        self._kept = kept
        self._running = 0
        self._leaving: deque[float] = deque()  # when each ended call leaves the window, ascending

    def free_at(self, now: float, *, reserve: bool) -> float:
        while self._leaving and self._leaving[0] <= now:
            self._leaving.popleft()
        places = self._limit - (0 if reserve else self._kept)
        surplus = self._running + len(self._leaving) - places
        if surplus < 0:
            return now
        return self._leaving[surplus] if surplus < len(self._leaving) else math.inf

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

    def free_at(self, now: float, *, reserve: bool) -> float:
        spare = self._capacity - self._running - 1 - (0 if reserve else self._kept)
        return math.inf if spare < 0 else max(now, self._full_at - spare * self._period)

    def begin(self) -> None:
        self._running += 1

    def end(self, now: float) -> None:
        self._running -= 1
        self._full_at = max(self._full_at, now) + self._period


@attrs.frozen
class ChatBudget:
    """All that limits the calls to one chat."""

    drafts: tuple[Allowance, ...]
    messages: tuple[Allowance, ...]

    @classmethod
    def open(cls, *, private: bool, overall: Allowance) -> ChatBudget:
        """A fresh budget; ``overall`` is shared by all chats of a bot and does not count drafts."""
        own = Bucket(3, 1.0, kept=1) if private else Window(20, 60.0, kept=5)
        return cls(drafts=(Window(20, 5.0, kept=3), Window(40, 30.0, kept=4)), messages=(own, overall))

    def allowances(self, cost: Cost) -> tuple[Allowance, ...]:
        return self.drafts if cost is Cost.DRAFT else self.messages

    def free_at(self, now: float, cost: Cost, priority: Priority) -> float:
        reserve = priority is not Priority.FRAME
        return latest((a.free_at(now, reserve=reserve) for a in self.allowances(cost)), now)


def open_overall() -> Allowance:
    """The allowance that all chats of one bot share: 30 messages a second."""
    return Window(30, 1.0, kept=5)


def latest(times: Iterable[float], now: float) -> float:
    return max([now, *times])
