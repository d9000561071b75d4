"""One chat's calls, in order: what may begin now, and when something may.

Rules:

1. One call of a chat is in flight at a time, because Telegram orders nothing between two of them: a late draft
   would show as a ghost over the final message.
2. Lasting messages go in the order they were committed, before any interim frame.
3. A 429 parks the chat until its time, for every call; other chats do not notice.
"""

from __future__ import annotations

import math
from collections import deque

from triolet.core.budget import ChatBudget, Cost, Priority
from triolet.core.delivery import Call, Delivery, Outcome, Refused, State, absorb


class Lane:
    def __init__(self, budget: ChatBudget) -> None:
        self._budget = budget
        self._in_flight: Call | None = None
        self._lasting: deque[Delivery] = deque()
        self._parked_until = -math.inf

    def __repr__(self) -> str:
        flight = self._in_flight.method if self._in_flight else "idle"
        return f"<Lane {flight}, {len(self._lasting)} lasting>"

    @property
    def has_lasting(self) -> bool:
        return bool(self._lasting)

    def commit(self, delivery: Delivery) -> None:
        self._lasting.append(delivery)

    def interim_at(self, now: float, cost: Cost, priority: Priority) -> float:
        """The earliest time for an interim call; ``inf`` while another call or a lasting message goes first."""
        if self._in_flight is not None or self._lasting:
            return math.inf
        return max(self._parked_until, self._budget.free_at(now, cost, priority))

    def lasting_at(self, now: float) -> float:
        """The earliest time for the first lasting message; ``inf`` if there is none or a call is in flight."""
        if self._in_flight is not None or not self._lasting:
            return math.inf
        free = self._budget.free_at(now, Cost.MESSAGE, Priority.LASTING)
        return max(free, self._parked_until, self._lasting[0].not_before)

    def next_lasting(self) -> Call:
        return self._lasting[0].next_call()

    def begin(self, call: Call) -> None:
        assert self._in_flight is None, f"{call.method} begun while {self!r}"  # noqa: S101  # rule 1
        self._in_flight = call
        for allowance in self._budget.allowances(call.cost):
            allowance.begin()

    def end(self, call: Call, outcome: Outcome, now: float) -> Outcome:
        """The call is over: returns its outcome as its owner is to see it."""
        self._in_flight = None
        for allowance in self._budget.allowances(call.cost):
            allowance.end(now)
        if isinstance(outcome, Refused) and outcome.retry_after is not None:
            self._parked_until = max(self._parked_until, now + outcome.retry_after)
        return absorb(call, outcome)

    def settle(self, call: Call, outcome: Outcome, now: float) -> Delivery | None:
        """Give the first lasting message its call's outcome; returns it if it is settled now."""
        delivery = self._lasting[0]
        delivery.settle(call, outcome, now)
        if delivery.state is State.WAITING:
            return None
        return self._lasting.popleft()
