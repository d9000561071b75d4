"""One chat's calls, in order: what may begin now, and when something may.

Rules:

1. One call of a chat is in flight at a time, because Telegram orders nothing between two of them: a late draft
   would show as a ghost over the final message.
2. Lasting messages go in the order they were committed, before any interim frame; what they replaced goes next.
3. A 429 parks the chat until its time, for every call; other chats do not notice. Afterwards it is called less often.
4. Who waits for a slot gets it by priority, and among equals in turn: every topic of a chat has its share.
5. After a send whose outcome is unknown nothing else is sent until its message is found, or known to be nowhere: if it
   exists, it has one of the next ids, and only as long as nobody else gets them. Where no id of the chat is known, as
   after a start, it is not looked for.
"""

from __future__ import annotations

import itertools
import math
from collections import deque

import attrs

from triolet.core.budget import ChatBudget, Cost, Priority
from triolet.core.calls import Bubble, Call, Outcome, Refused, absorb, may_be_on_screen
from triolet.core.delivery import Delivery
from triolet.core.errands import Errand, Removal, Search, State

SOUGHT = 3
"""How many ids beyond the newest known one are looked at."""


@attrs.frozen(order=True)
class Ticket:
    """A place in the queue for a slot; the lowest goes first."""

    priority: Priority
    number: int
    cost: Cost = attrs.field(order=False)


class Lane:
    def __init__(self, budget: ChatBudget) -> None:
        self._budget = budget
        self._in_flight: Call | None = None
        self._lasting: deque[Errand] = deque()
        self._removals: deque[Errand] = deque()
        self._tickets: set[Ticket] = set()
        self._numbers = itertools.count()
        self._parked_until = -math.inf
        self._newest = 0
        self._known: deque[int] = deque(maxlen=100)
        self._newest_at_begin = 0

    def __repr__(self) -> str:
        flight = self._in_flight.method if self._in_flight else "idle"
        return f"<Lane {flight}, {len(self._lasting)} lasting>"

    @property
    def has_errands(self) -> bool:
        return bool(self._lasting or self._removals)

    def is_idle(self, now: float) -> bool:
        """Whether nothing is in flight, nobody waits, and no 429 holds it up any more."""
        is_free = self._parked_until <= now and self._budget.throttle.slowness(now) == 1
        return is_free and self._in_flight is None and not (self.has_errands or self._tickets)

    def note_message(self, message_id: int) -> None:
        """A message has this id: somebody else's, or one of an earlier run's. What is looked for is another one."""
        self._newest = max(self._newest, message_id)
        self._known.append(message_id)

    def commit(self, delivery: Delivery) -> None:
        self._lasting.append(delivery)

    def remove(self, bubble: Bubble) -> None:
        """Take the bubble's message off the screen, if it has one when nothing else is under way."""
        self._removals.append(Removal(bubble, bubble))

    def queue(self, cost: Cost, priority: Priority) -> Ticket:
        """Wait for a slot from now on."""
        ticket = Ticket(priority, next(self._numbers), cost)
        self._tickets.add(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Wait no longer: the slot is there, or not wanted any more."""
        self._tickets.discard(ticket)

    def slot_at(self, now: float, ticket: Ticket) -> float:
        """The earliest time for the ticket's call; ``inf`` while something else goes first."""
        when = self._interim_at(now, ticket)
        others = (other for other in self._tickets if other < ticket)
        return math.inf if when <= now and any(self._interim_at(now, other) <= now for other in others) else when

    def _interim_at(self, now: float, ticket: Ticket) -> float:
        if self._in_flight is not None or self._lasting or self._removes_at(now) <= now:
            return math.inf
        return max(self._parked_until, self._budget.free_at(now, ticket.cost, ticket.priority))

    def _removes_at(self, now: float) -> float:
        """When the next removal may go; ``inf`` if there is none."""
        return self._errand_at(now, self._removals[0]) if self._removals else math.inf

    def _errand_at(self, now: float, errand: Errand) -> float:
        free = self._budget.free_at(now, Cost.MESSAGE, Priority.LASTING)
        return max(free, self._parked_until, errand.not_before)

    def slack(self, now: float, cost: Cost, cadence: float) -> int:
        """How many calls of that cost the budget takes beyond one every ``cadence`` seconds."""
        return self._budget.slack(now, cost, cadence)

    def errand_at(self, now: float) -> float:
        """The earliest time for the next errand, or to see that there is none; ``inf`` while a call is in flight."""
        if self._in_flight is not None:
            return math.inf
        self._removals = deque(each for each in self._removals if each.bubble.target is not None)
        if not self.has_errands:
            return now
        return self._errand_at(now, self._next)

    @property
    def _next(self) -> Errand:
        return (self._lasting or self._removals)[0]

    def next_errand(self) -> Errand | None:
        return self._next if self.has_errands else None

    def begin(self, call: Call) -> None:
        assert self._in_flight is None, f"{call.method} begun while {self!r}"  # noqa: S101  # rule 1
        self._in_flight = call
        self._newest_at_begin = self._newest
        self._budget.begin(call.cost)

    def end(self, call: Call, outcome: Outcome, now: float) -> Outcome:
        """The call is over: returns its outcome as its owner is to see it."""
        self._in_flight = None
        self._budget.end(call.cost, now)
        if isinstance(outcome, Refused) and outcome.retry_after is not None:
            self._parked_until = max(self._parked_until, now + outcome.retry_after)
            self._budget.flooded(now)
        seen = absorb(call, outcome)
        if may_be_on_screen(call, outcome):
            self._seek(call, now)
        self._newest = max(self._newest, call.bubble.shown_id or 0)
        return seen

    @property
    def newest(self) -> int:
        """The highest message id that is known, 0 for none."""
        return self._newest

    def _seek(self, call: Call, now: float) -> None:
        if search := self._search(call, now):
            self._lasting.appendleft(search)

    def _search(self, call: Call, now: float) -> Search | None:
        known = range(self._newest_at_begin + 1, self._newest + SOUGHT + 1) if self._newest_at_begin else ()
        call.bubble.candidates = [number for number in known if number not in self._known]
        if call.bubble.candidates:
            return Search(call, now)
        call.bubble.lost = True
        return None

    def settle(self, errand: Errand, call: Call, outcome: Outcome, now: float) -> list[Errand]:
        """Give an errand its call's outcome; returns the errands that follow from it, which are in their places."""
        last_place = max(errand.bubble.candidates, default=0)
        following = errand.settle(call, outcome, now)
        if isinstance(errand, Search) and errand.state in {State.DEAD, State.UNCERTAIN}:
            self._newest = max(self._newest, last_place)  # it may be there: no other search takes it over
        queue = self._removals if isinstance(errand, Removal) else self._lasting
        if errand.state is not State.WAITING:
            queue.remove(errand)
        place = 1 if errand.state is State.WAITING else 0
        for later in reversed(following):
            if isinstance(later, Removal):
                self._removals.append(later)
            else:
                self._lasting.insert(place, later)
        return following

    def close(self, errand: Errand) -> None:
        """An errand is over without a call."""
        self._lasting.remove(errand)

    def recover(self, lost: Call, newest: int, now: float) -> None:
        """Look for a message that an earlier run may have sent, when ``newest`` was the newest id."""
        self._newest = max(self._newest, newest)
        self._newest_at_begin = newest
        if search := self._search(lost, now):
            ahead = sum(isinstance(errand, Search) for errand in self._lasting)
            self._lasting.insert(ahead, search)  # before anything makes a message, which would have one of those ids
