"""The outbox: the one owner of every Bot API call about messages.

It holds calls, not answers: the one in flight, and the lasting messages that wait. Callers decide what to show; the
outbox decides when a call may go, makes it in a task of its own, and knows its outcome even if the caller has been
cancelled meanwhile: abandoning a request would make a known outcome unknown, and the draft would appear all the same.

What a turn does with it::

    await outbox.wait_slot(bubble, Cost.DRAFT, Priority.FRAME)   # the budget has room, nothing goes before
    outcome = await outbox.show(draft_call(bubble, text))        # bound to the newest text, sent at once
    outbox.commit(bubble, message)                               # synchronous: delivered in the outbox's own time
    await outbox.wait_settled(bubble)                            # delivered, or known to be impossible
    outbox.remove(bubble)                                        # taken off the screen, when there is time for it
"""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import attrs
import structlog
import trio

from triolet.core.budget import ChatBudget, Cost, Priority, open_overall
from triolet.core.calls import Bubble, Call, Keyboard, Outcome, Place, Unknown, message_call
from triolet.core.content import blank
from triolet.core.delivery import Delivery, Uncertain
from triolet.core.errands import Errand, State
from triolet.core.lane import Lane
from triolet.core.letters import Letter
from triolet.core.ports import Journal
from triolet.core.text import Content, FormattedText, italic, split_message
from triolet.core.written import bubble_of, delivery_of, letter_of, lost_call
from triolet.telegram.attempt import attempt
from triolet.telegram.client import BotApi
from triolet.telegram.lanes import ChatLane, Lanes
from triolet.telegram.logbook import Forgetful, Logbook
from triolet.telegram.presses import Presses

log = structlog.get_logger()

OfferResend: TypeAlias = Callable[[Place, int], Keyboard]
"""Gives the button that sends the letter of that number again."""

_UNDER_WAY = Unknown("the call is under way")

_ANYTHING: Final = italic("…")
"""What a message is looked for with that is to be removed."""


@attrs.define(eq=False)
class _Flight:
    """A call in the air; ``outcome`` is there when it has landed."""

    landed: trio.Event = attrs.Factory(trio.Event)
    outcome: Outcome = _UNDER_WAY


class Outbox:
    """Made by `open_outbox`."""

    def __init__(
        self, api: BotApi, nursery: trio.Nursery, first_draft_id: int, logbook: Logbook, uncertain: Uncertain
    ) -> None:
        self._api = api
        self._log = logbook
        self._uncertain = uncertain
        self._unconfirmed: dict[int, Letter] = {}
        self._message_ids: dict[int, Sequence[int]] = {}
        """What a chat's lane has to know that is opened anew: a search must not take what is ours already."""
        self.offer_resend: OfferResend = lambda place, number: ()
        """Gives the button under the line that asks whether a message is to be sent again."""
        self._nursery = nursery
        self._next_draft_id = first_draft_id
        self._overall = open_overall()
        self._lanes = Lanes(self._open_lane)
        self._presses = Presses(api)

    def open_bubble(
        self, place: Place, *, silent: bool = False, replies: bool = True, turn: int | None = None
    ) -> Bubble:
        """A message to be; its draft id is used for no other. ``silent``, ``replies`` and ``turn`` are `Bubble`'s."""
        number = self._log.draw_number()
        return Bubble(place, self.draw_draft_id(), silent=silent, replies=replies, number=number, turn=turn)

    def draw_draft_id(self) -> int:
        """A draft id that is used for nothing else."""
        self._next_draft_id += 1
        return self._next_draft_id - 1

    async def wait_slot(self, bubble: Bubble, cost: Cost, priority: Priority) -> None:
        """Returns when an interim call of that cost may begin; make it before the next checkpoint."""
        chat = self._chat(bubble)
        ticket = chat.lane.queue(cost, priority)
        try:
            await chat.wait_for(partial(chat.lane.slot_at, ticket=ticket))
        finally:
            chat.lane.leave(ticket)
            chat.change.announce()

    def slack(self, bubble: Bubble, cost: Cost, cadence: float) -> int:
        """How many calls of that cost its chat takes now, beyond one every ``cadence`` seconds."""
        return self._chat(bubble).lane.slack(trio.current_time(), cost, cadence)

    async def show(self, call: Call) -> Outcome:
        """Make an interim call in a slot just waited for. Cancelling ends the waiting, not the call."""
        flight = self._begin(self._chat(call.bubble), call)
        await flight.landed.wait()
        return flight.outcome

    def commit(self, bubble: Bubble, content: Content, *, anew: bool = False, keyboard: Keyboard = ()) -> None:
        """Make the bubble show this for good, in as many messages as it takes, in order.

        No frame of it may be shown from now on. With ``anew`` the last of them is a new message, which rings and
        takes the place of what is on screen of the bubble. The ``keyboard`` stands under the last of them.
        """
        chat = self._chat(bubble)
        parts: list[Content] = [*split_message(content)] if isinstance(content, FormattedText) else [content]
        # A part of white space alone would be refused, and shows nothing.
        parts = [part for part in parts if not blank(part)]
        for part in parts:
            target = bubble if part is parts[0] else self._open_next(bubble)
            bubble.unsettled += 1
            is_last = part is parts[-1]
            delivery = Delivery(
                target,
                part,
                owner=bubble,
                anew=anew and is_last,
                keyboard=keyboard if is_last else (),
                uncertain=self._uncertain,
                offer=self._offer,
            )
            self._log.promise(delivery)
            chat.lane.commit(delivery)
        self._start_delivering(chat)

    def _open_next(self, bubble: Bubble) -> Bubble:
        return self.open_bubble(bubble.place, silent=bubble.silent, replies=False, turn=bubble.turn)

    def _offer(self, bubble: Bubble) -> Keyboard:
        return self.offer_resend(bubble.place, bubble.number)

    def recover(self, letters: Iterable[Letter], message_ids: Mapping[int, Sequence[int]]) -> None:
        """Go on with what an earlier run has left, ahead of all that is committed from now on.

        ``message_ids`` are those that messages of ours are known to have, by their chat, ascending.
        """
        self._message_ids = dict(message_ids)
        for letter in letters:
            self._recover(letter)

    def _recover(self, letter: Letter) -> None:
        if letter.state == "uncertain":
            self._unconfirmed[letter.number] = letter
        if letter.state in {"uncertain", "dead"}:
            return
        bubble = bubble_of(letter, self.draw_draft_id())
        chat = self._chat(bubble)
        newest = letter.newest if letter.state == "sending" else None
        if letter.content is None:
            if newest is not None:
                chat.lane.recover(message_call(bubble, _ANYTHING), newest, trio.current_time())
            if bubble.target is None:
                self._log.forget(bubble)  # if it is anywhere, nobody can tell where
            chat.lane.remove(bubble)
        else:
            delivery = self._delivery_of(letter, bubble)
            if newest is not None:
                chat.lane.recover(lost_call(delivery, letter), newest, trio.current_time())
            self._log.recover(delivery, newest, of_preview=letter.growing)
            chat.lane.commit(delivery)
        self._start_delivering(chat)

    def _delivery_of(self, letter: Letter, bubble: Bubble, *, is_copy: bool = False) -> Delivery:
        bubble.unsettled += 1
        return delivery_of(letter, bubble, uncertain=self._uncertain, offer=self._offer, is_copy=is_copy)

    def resend(self, number: int) -> None:
        """Send a message again of which nobody knows whether it is there: it takes the place of the line that asks."""
        letter = self._unconfirmed.pop(number, None)
        if letter is None:
            return
        bubble = bubble_of(letter, self.draw_draft_id())
        delivery = self._delivery_of(letter, bubble, is_copy=True)
        self._log.promise(delivery)
        chat = self._chat(bubble)
        chat.lane.commit(delivery)
        self._start_delivering(chat)

    def remove(self, bubble: Bubble) -> None:
        """Take the bubble's message off the screen, as soon as nothing lasting waits."""
        chat = self._chat(bubble)
        chat.lane.remove(bubble)
        self._start_delivering(chat)

    def answer_press(self, query_id: str, text: str = "") -> None:
        """Tell who pressed a button that it was heard, with a line of text or without."""
        self._nursery.start_soon(self._presses.answer, query_id, text)

    def _start_delivering(self, chat: ChatLane) -> None:
        if chat.lane.has_errands and not chat.delivering:
            chat.delivering = True
            self._nursery.start_soon(self._deliver, chat)

    async def wait_settled(self, bubble: Bubble) -> None:
        """Returns when every part of what was committed is delivered, uncertain or dead."""
        await self._chat(bubble).wait_until(lambda: not bubble.unsettled)

    async def wait_idle(self) -> None:
        """Returns when no lasting message waits anywhere."""
        for chat in self._lanes:
            await chat.wait_idle()

    def note_message(self, place: Place) -> None:
        """Somebody has written the message that the place is an answer's to."""
        if place.asked is not None:
            self._lanes.at(place).lane.note_message(place.asked)

    def _chat(self, bubble: Bubble) -> ChatLane:
        return self._lanes.at(bubble.place)

    def _open_lane(self, place: Place) -> Lane:
        lane = Lane(ChatBudget.open(private=place.private, overall=self._overall))
        for message_id in self._message_ids.get(place.lane, ()):
            lane.note_message(message_id)
        return lane

    def _begin(self, chat: ChatLane, call: Call, errand: Errand | None = None) -> _Flight:
        chat.lane.begin(call)
        flight = _Flight()
        self._nursery.start_soon(self._fly, chat, call, flight, errand)
        return flight

    async def _fly(self, chat: ChatLane, call: Call, flight: _Flight, errand: Errand | None) -> None:
        if errand is not None or call.sends:
            await self._log.announce(errand, call, chat.lane.newest)
        outcome = await self._attempt(call)
        # Frames wait for a reply as soon as only the reserve is left, in whatever chat it comes.
        saturated = self._overall.free_at(0.0, Priority.COSMETIC) == math.inf
        flight.outcome = chat.lane.end(call, outcome, trio.current_time())
        if newest := chat.lane.newest:
            self._message_ids[call.bubble.place.lane] = (newest,)
        if errand is not None:  # here, where it is known: whoever waits may have been cancelled
            following = chat.lane.settle(errand, call, flight.outcome, trio.current_time())
            self._log.note(errand, call, flight.outcome, following)
        elif call.sends:
            self._log.note_preview(call.bubble, flight.outcome)
        self._start_delivering(chat)
        flight.landed.set()
        for each in self._lanes if saturated else [chat]:
            each.change.announce()

    async def _deliver(self, chat: ChatLane) -> None:
        while chat.lane.has_errands:
            await chat.wait_for(chat.lane.errand_at)
            errand = chat.lane.next_errand()
            if errand is None:
                continue
            if (call := errand.next_call()) is not None:
                await self._begin(chat, call, errand).landed.wait()
            else:
                chat.lane.close(errand)
                self._log.note_closed(errand)
            if errand.state is not State.WAITING:
                self._close(errand)
            chat.change.announce()
        chat.delivering = False
        chat.change.announce()  # also where there was nothing to do

    async def _attempt(self, call: Call) -> Outcome:
        left = trio.Event()
        try:
            return await attempt(self._api, call, leaving=left.set)
        except trio.Cancelled:
            if call.sends and not left.is_set():
                self._log.retract(call.bubble)
            raise

    def _close(self, errand: Errand) -> None:
        if not isinstance(errand, Delivery):
            return
        errand.owner.unsettled -= 1
        if errand.is_told:
            self._unconfirmed[errand.bubble.number] = letter_of(errand)
        if errand.state is not State.DELIVERED:
            chat_id = errand.bubble.place.key.chat_id
            log.error("outbox.undelivered", state=errand.state.value, chat_id=chat_id, reason=errand.reason)


@asynccontextmanager
async def open_outbox(
    api: BotApi,
    *,
    first_draft_id: int | None = None,
    journal: Journal | None = None,
    uncertain: Uncertain = "resend",
) -> AsyncIterator[Outbox]:
    """The outbox of one bot. Leaving it cancels the calls in flight; `Outbox.wait_idle` first, to lose nothing.

    What a later run has to know is written into the ``journal``, if there is one; ``uncertain`` says what becomes of a
    message that was sent and never confirmed. Draft ids start at a random place, so that two runs of the bot hardly
    ever use the same one.
    """
    first = secrets.randbits(47) + 1 if first_draft_id is None else first_draft_id
    logbook = Logbook(journal or Forgetful())
    async with trio.open_nursery() as nursery:
        yield Outbox(api, nursery, first, logbook, uncertain)
        nursery.cancel_scope.cancel(reason="the outbox closes")
