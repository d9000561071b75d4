"""The pace of drafts alone, without the bot around it: what its numbers do to an even answer, in milliseconds.

`triolet.core.pace.FramePace` and `triolet.core.budget.ChatBudget` are the bot's own; the loop does what the draft
window and the outbox do when nothing fails. `freshness.py --simulate` tells how far that is from the whole bot.
"""

from __future__ import annotations

import math

from even_model import Speech

from triolet.core.budget import ChatBudget, Cost, Priority, open_overall
from triolet.core.pace import Due, FramePace


class SimulatedDrafts:
    """One answer in a fresh private chat, whose model is asked at 0 and speaks from ``speech.after`` on."""

    def __init__(self, speech: Speech, pace: FramePace, *, round_trip: float) -> None:
        self._speech = speech
        self._pace = pace
        self._round_trip = round_trip
        self._budget = ChatBudget.open(private=True, overall=open_overall())
        self._end = speech.written(speech.tokens - 1)

    def run(self) -> list[tuple[float, int]]:
        """When each call begins and how many tokens it shows; the last one is the final."""
        calls: list[tuple[float, int]] = []
        now = 0.0
        while now < self._end:
            command = self._pace.poll(now, self._spoken(now))
            if isinstance(command, Due):
                begin = self._slot(now, Priority.URGENT if command.urgent else Priority.FRAME)
                if begin >= self._end:
                    break
                calls.append((begin, self._spoken(begin)))
                now = self._call(begin)
            else:
                now = min(command.until, self._next_token(now)) if command.newer else command.until
        replied = calls[-1][0] + self._round_trip
        return [*calls, (max(self._end, replied), self._speech.tokens)]

    def _slot(self, now: float, priority: Priority) -> float:
        while (free := self._budget.free_at(now, Cost.DRAFT, priority)) > now:
            now = free
        return now

    def _call(self, begin: float) -> float:
        """Returns when the reply comes."""
        reply = begin + self._round_trip
        self._budget.begin(Cost.DRAFT)
        self._budget.end(Cost.DRAFT, reply)
        self._pace.begun(begin)
        slack = self._budget.slack(reply, Cost.DRAFT, self._pace.cadence)
        spoken = self._spoken(begin)
        self._pace.ended(spoken, shown=True, text=spoken > 0, slack=slack)
        return reply

    def _spoken(self, now: float) -> int:
        """A billionth is forgiven: the clock adds what this divides."""
        spoken = math.floor((now - self._speech.after) / self._speech.every + 1e-9) + 1
        return max(0, min(spoken, self._speech.tokens))

    def _next_token(self, now: float) -> float:
        return self._speech.written(self._spoken(now))
