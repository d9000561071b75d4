"""Something lasting that is to be done on a screen: errands, of which a chat's lane has one carried out at a time.

An errand gives the next call, takes its outcome, and decides what follows. Two are here, those that make nothing: a
search, and a removal. The third, which shows something, is `core.delivery`'s.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod

from triolet.core.calls import (
    NEVER_LEFT,
    Bubble,
    Call,
    Delivered,
    Outcome,
    Refused,
    Unknown,
    delete_call,
    is_gone,
    message_call,
    search_call,
)
from triolet.core.text import italic

SEARCH_AFTER = 2.0
"""Seconds: a server that is late with an answer may be late with the message too."""

BELOW = italic("⤵ the answer is below")

MAX_REFUSED = 5
"""Repetitions of what was refused for no reason we know: half a minute."""

MAX_UNKNOWN = 20
"""Unknown outcomes of one edit in a row, after which it is given up: seven minutes at least."""

_BACK_OFF = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before the first, the second ... repetition; a long outage stays at the last."""


class State(enum.Enum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    UNCERTAIN = "uncertain"
    DEAD = "dead"


class Errand(ABC):
    """Something lasting that is to be done: it gives the next call, and takes its outcome.

    ``owner`` is the bubble that was committed; ``bubble`` the one that the next call is about.
    """

    def __init__(self, bubble: Bubble, owner: Bubble) -> None:
        self.bubble = bubble
        self.owner = owner
        self.state = State.WAITING
        self.not_before = 0.0
        self.reason = ""
        self._failures = 0
        self._unknown = 0
        self._refusals = 0

    @abstractmethod
    def next_call(self) -> Call | None:
        """The call to make now; None if it is over without one."""

    def settle(self, call: Call, outcome: Outcome, now: float) -> list[Errand]:
        """Take the outcome of the call, which `absorb` has seen, and decide what follows.

        Returns the errands that have to follow this one at once.
        """
        if isinstance(outcome, Delivered):
            self.state = State.DELIVERED
        elif isinstance(outcome, Unknown):
            self._settle_unknown(call, outcome.reason, now)
        elif outcome.code == NEVER_LEFT:
            self._back_off(now)
        elif outcome.retry_after is not None:
            self.not_before = now + outcome.retry_after
        else:
            return self._settle_refused(call, outcome, now)
        return []

    def _settle_unknown(self, call: Call, reason: str, now: float) -> None:
        """Nobody behind it waits for ever: what never becomes known is given up, however harmless it is."""
        self._unknown += 1
        if self._unknown >= MAX_UNKNOWN:
            self._end(State.UNCERTAIN, reason)
        else:
            self._back_off(now)

    @abstractmethod
    def _settle_refused(self, call: Call, refusal: Refused, now: float) -> list[Errand]:
        """What follows from a refusal that is no wait."""

    def _repeats_refused(self, refusal: Refused, now: float) -> bool:
        """Whether it is tried once more as it is: a refusal that we know nothing about may be a mood."""
        if refusal.final or self._refusals >= MAX_REFUSED:
            return False
        self._refusals += 1
        self._back_off(now)
        return True

    def _back_off(self, now: float) -> None:
        self.not_before = now + _BACK_OFF[min(self._failures, len(_BACK_OFF) - 1)]
        self._failures += 1

    def _end(self, state: State, reason: str) -> None:
        self.state = state
        self.reason = reason


class Search(Errand):
    """Looks for the message that a send with an unknown outcome may have made, before anything else is sent."""

    def __init__(self, lost: Call, now: float) -> None:
        super().__init__(lost.bubble, lost.bubble)
        self.not_before = now + SEARCH_AFTER
        self._lost = lost

    def next_call(self) -> Call:
        return search_call(self._lost)

    def settle(self, call: Call, outcome: Outcome, now: float) -> list[Errand]:
        super().settle(call, outcome, now)
        if self.state is not State.WAITING:
            self.bubble.lost = self.bubble.lost or self.bubble.shown_id is None
            self.bubble.candidates = []
        return []

    def _settle_refused(self, call: Call, refusal: Refused, now: float) -> list[Errand]:
        if not self.bubble.candidates or refusal.mended:
            self.bubble.sought = not refusal.mended
            self._end(State.DEAD, "it is nowhere")
        elif call.params["message_id"] == self.bubble.target and not self._repeats_refused(refusal, now):
            self._end(State.DEAD, refusal.description)
        return []


class Removal(Errand):
    """A message on its way off the screen. One that cannot be deleted says where the answer is."""

    def __init__(self, bubble: Bubble, owner: Bubble) -> None:
        super().__init__(bubble, owner)
        self._undeletable = False

    def next_call(self) -> Call:
        return message_call(self.bubble, BELOW) if self._undeletable else delete_call(self.bubble)

    def _settle_refused(self, call: Call, refusal: Refused, now: float) -> list[Errand]:
        if "message to delete not found" in refusal.description or is_gone(call, refusal):
            self.state = State.DELIVERED
        elif self._repeats_refused(refusal, now):
            pass
        elif self._undeletable:
            self._end(State.DEAD, refusal.description)
        else:
            self._undeletable = True
        return []
