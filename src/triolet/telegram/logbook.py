"""What the outbox writes down, so that a later run knows of every message what became of it.

Rules:

1. What makes a message is written down, on disk, before it leaves: who finds it so has to look for the message.
2. What edits one leaves when what it is to show is on disk: what a later run does again must be the same.
3. What came of a call is written down when it is known, and nobody waits for that: who does not know it, looks.
4. A disk that refuses, or hangs, delays a call by `PATIENCE` at most, and prevents none.
5. A message that grew, and that nobody made to stay when its answer is over, has to go: nothing is written for that.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from triolet.core.calls import Bubble, Call, Outcome, Refused, Unknown
from triolet.core.delivery import Delivery
from triolet.core.errands import Errand, Removal, Search, State
from triolet.core.letters import Letter, Undelivered
from triolet.core.ports import Journal, Posted
from triolet.core.written import letter_of, preview_of
from triolet.errors import StoreError

PATIENCE: Final = 2.0
"""Seconds."""


@attrs.frozen
class _Sending:
    """A call that makes a message has left, and nobody knows its outcome; ``newest`` was the newest id of the chat."""

    newest: int
    of_preview: bool


class Logbook:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._promised: dict[int, list[Delivery]] = {}
        """What is on its way to each message, in order: one may be changed once more before the first is there."""
        self._sending: dict[int, _Sending] = {}
        self._posted: dict[int, Posted] = {}

    def draw_number(self) -> int:
        return self._journal.draw_number()

    def promise(self, delivery: Delivery) -> None:
        """It is to be shown for good."""
        bubble = delivery.bubble
        if not bubble.number:
            bubble.number = self.draw_number()
            bubble.position = bubble.position or float(bubble.number)
        self._promised.setdefault(bubble.number, []).append(delivery)
        self._posted[bubble.number] = self._write(bubble)

    def recover(self, delivery: Delivery, newest: int | None, *, of_preview: bool = False) -> None:
        """As `promise`, for what an earlier run has written down; with ``newest`` of what was being sent."""
        self._promised.setdefault(delivery.bubble.number, []).append(delivery)
        if newest is not None:
            self._sending[delivery.bubble.number] = _Sending(newest, of_preview)

    async def announce(self, errand: Errand | None, call: Call, newest: int) -> None:
        """Returns when the call may leave: that of an errand, or the first of a message that grows.

        ``newest`` is the newest message id that is known in its chat. Cancelled, the call does not leave.
        """
        number = call.bubble.number
        posted = self._posted.pop(number, None)
        if call.sends:
            self._sending[number] = _Sending(newest, of_preview=errand is None)
            posted = self._write(call.bubble)
        if posted is None:
            return
        try:
            await _wait(posted)
        except trio.Cancelled:
            if call.sends:
                self.retract(call.bubble)
            raise

    def retract(self, bubble: Bubble) -> None:
        """The call that was announced, which makes the bubble's message, has not left."""
        del self._sending[bubble.number]
        if bubble.number in self._promised:
            self._write(bubble)
        else:
            self._journal.forget(bubble.number)

    def forget(self, bubble: Bubble) -> None:
        """There is nothing to be done about it any more."""
        self._journal.forget(bubble.number)

    def note_preview(self, bubble: Bubble, outcome: Outcome) -> None:
        """What came of that call."""
        if isinstance(outcome, Unknown) or bubble.candidates:
            return  # a search will tell
        self._sending.pop(bubble.number, None)
        if isinstance(outcome, Refused) and bubble.number not in self._promised:
            self._journal.forget(bubble.number)
        else:
            self._write(bubble)

    def note(self, errand: Errand, call: Call, outcome: Outcome, following: Iterable[Errand]) -> None:
        """What came of an errand's call."""
        if isinstance(errand, Removal):
            if errand.state is not State.WAITING:
                self._journal.forget(errand.bubble.number)
        elif isinstance(errand, Search):
            if errand.state is not State.WAITING:
                self._note_found(errand.bubble)
        elif not isinstance(outcome, Unknown) or errand.state is not State.WAITING:
            self._note_delivery(errand, is_known=call.sends, is_changed=bool(following))
        for later in following:
            self._follow(later)

    def note_closed(self, errand: Errand) -> None:
        """It is over without a call."""
        self._note_delivery(errand, is_known=True, is_changed=False)

    def _note_delivery(self, errand: Errand, *, is_known: bool, is_changed: bool) -> None:
        bubble, is_over = errand.bubble, errand.state is not State.WAITING
        was_sending = self._sending.pop(bubble.number, None) if is_known or is_over else None
        if was_sending is not None or is_changed or is_over:
            self._write(bubble)
        if is_over:
            promised = self._promised[bubble.number]
            promised.remove(errand)  # type: ignore[arg-type]  # what is promised is a delivery
            if not promised:
                del self._promised[bubble.number]

    def _note_found(self, bubble: Bubble) -> None:
        """A search is over. What is nowhere for all we know may be somewhere all the same, if it was to stay.

        What replaces another is sought again by a later run, until the other one goes.
        """
        promised = self._promised.get(bubble.number)
        if promised and (bubble.shown_id is None or promised[0].replaces is not None):
            return
        self._sending.pop(bubble.number, None)
        if bubble.shown_id is not None:
            self._write(bubble)
        else:
            self._journal.forget(bubble.number)

    def _follow(self, later: Errand) -> None:
        if isinstance(later, Delivery):
            self.promise(later)
        elif isinstance(later, Removal):
            later.bubble.number = self.draw_number()
            later.bubble.position, later.bubble.turn = float(later.bubble.number), None
            self._write(later.bubble)

    def _write(self, bubble: Bubble) -> Posted:
        promised, sending = self._promised.get(bubble.number), self._sending.get(bubble.number)
        letter = letter_of(promised[-1]) if promised else preview_of(bubble)
        if sending is not None:
            letter = attrs.evolve(letter, state="sending", newest=sending.newest, growing=sending.of_preview)
        return self._journal.keep(letter)


async def _wait(posted: Posted) -> None:
    with trio.move_on_after(PATIENCE), suppress(StoreError):  # of which the store has told the operator
        await posted


class Forgetful:
    """A journal that keeps nothing."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def draw_number(self) -> int:
        return next(self._numbers)

    def keep(self, letter: Letter) -> Posted:
        return _Done()

    def forget(self, number: int) -> Posted:
        return _Done()

    async def letters(self) -> list[Letter]:
        return []

    async def message_ids(self) -> dict[int, list[int]]:
        return {}

    async def undelivered(self, chat_id: int | None = None) -> list[Undelivered]:
        return []


class _Done:
    def __await__(self) -> Generator[Any, None, None]:
        yield from ()
