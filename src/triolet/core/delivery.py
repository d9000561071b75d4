"""A lasting message's way to the screen, and an old one's way off it.

What a call's outcome means for it. Rules:

1. *Delivered*: it is done.
2. *Refused*: what can be mended is mended and repeated (a wait, a lost connection, formatting, length, a deleted
   message, a topic or a group that is gone); anything else is final, and the message is dead.
3. *Unknown*: an edit is repeated, for it does no harm twice. A send never is: it is looked for, by edits of the ids
   that it may have. If it is found, it is what was to be sent. If it is in none of these places, a line that says so is
   sent until one is confirmed, and edited into the message: so there is one copy at most, and it is marked. Where
   nobody could look in time, as after a crash, it is as configured: the same (*resend*); a line *asks* whether it is
   missing, with a button that sends it; or nothing more is done (*skip*).
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from triolet.core.calls import (
    CAPABILITY_CODES,
    NEVER_LEFT,
    Bubble,
    Call,
    Delivered,
    Keyboard,
    Outcome,
    Refused,
    Unknown,
    delete_call,
    is_gone,
    message_call,
    search_call,
)
from triolet.core.content import marked
from triolet.core.markup.layout import plainer
from triolet.core.text import MESSAGE_LIMIT, Content, FormattedText, RichText, italic, split_message

SEARCH_AFTER = 2.0
"""Seconds: a server that is late with an answer may be late with the message too."""

SENDING_AGAIN = italic("↻ Telegram did not confirm a message. Here it comes again…")

BELOW = italic("⤵ the answer is below")
SENT_AGAIN = "↻ sent again: Telegram did not confirm the first copy"
UNCONFIRMED = "Telegram did not confirm it"
NOT_CONFIRMED = italic("↻ Telegram did not confirm a message that belongs here. Is it missing?")

Uncertain: TypeAlias = Literal["ask", "resend", "skip"]
"""What becomes of a message that may be there: rule 3."""

MAX_REFUSED = 5
"""Repetitions of what was refused for no reason we know: half a minute."""

MAX_UNKNOWN = 20
"""Unknown outcomes of one edit in a row, after which it is given up: seven minutes at least."""

_BACK_OFF = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before the first, the second ... repetition; a long outage stays at the last."""

_TOO_LONG = ("message is too long", "message_too_long", "text is too long", "entities_too_long", "text_too_long")


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


class Delivery(Errand):
    """A message on its way to the screen.

    With ``anew``, what is on screen of it already is replaced and not edited, for an edit makes no sound: the older
    message is deleted when the new one is there, and becomes it when there can be no new one. ``offer`` gives the
    button that sends a bubble's message again; one that ``is_copy`` says that it may be there twice.
    """

    def __init__(
        self,
        bubble: Bubble,
        content: Content,
        owner: Bubble,
        *,
        anew: bool = False,
        keyboard: Keyboard = (),
        uncertain: Uncertain = "resend",
        offer: Callable[[Bubble], Keyboard] = lambda bubble: (),
        is_copy: bool = False,
    ) -> None:
        super().__init__(bubble, owner)
        self.content = content
        self.keyboard = keyboard
        self.replaces: Bubble | None = None
        self.was_sent = False
        self.is_recovered = False
        self._anew = anew
        self._uncertain = uncertain
        self._offer = offer
        self._repairing = False
        self._asking = False
        self._marked = False
        self._behind: list[FormattedText] = []
        self._turned = False
        if is_copy:
            self._mark_copy()

    @property
    def anew(self) -> bool:
        """Whether a new message is to take the place of what is on screen."""
        return self._anew or self.replaces is not None

    @property
    def is_told(self) -> bool:
        """Whether a line on the screen asks about it."""
        return self._asking

    def next_call(self) -> Call | None:
        if self._anew and self.bubble.shown_id is not None:
            self.replaces, self.bubble = self.bubble, attrs.evolve(self.bubble, message_id=None, silent=False)
        elif self._anew:
            self.bubble.silent = False
        self._anew = False
        if self.bubble.lost and self.bubble.target is None:
            self._repair()
        if self.state is not State.WAITING:
            return None
        if self._asking:
            return message_call(self.bubble, NOT_CONFIRMED, keyboard=self._offer(self.bubble))
        if self._repairing:
            return message_call(self.bubble, SENDING_AGAIN)
        return message_call(self.bubble, self.content, keyboard=self.keyboard)

    def _repair(self) -> None:
        """It may be on screen, and is not found: what is there for sure becomes it, or else it is as rule 3 says."""
        if self.replaces is not None:
            self._mark_copy()
            self.replaces.lost = True  # should it be gone too, there is a copy to be told of all the same
            self._edit_instead()
        elif self._uncertain == "resend" or not self.was_sent or (self.bubble.sought and not self.is_recovered):
            self._repairing = True
        elif self._uncertain == "skip":
            self._end(State.UNCERTAIN, UNCONFIRMED)
        else:
            self._asking = True

    def _mark_copy(self) -> None:
        """Say below it that it is a copy, or, where there is no room for that, behind it."""
        if self._marked:
            return
        self._marked = True
        copy = marked(self.content, SENT_AGAIN)
        if isinstance(copy, FormattedText) and len(copy.text) > MESSAGE_LIMIT:
            self._behind = [italic(SENT_AGAIN)]
        else:
            self.content = copy

    def settle(self, call: Call, outcome: Outcome, now: float) -> list[Errand]:
        following = super().settle(call, outcome, now)
        if self.state is not State.DELIVERED:
            return following
        if self._asking:
            self._end(State.UNCERTAIN, UNCONFIRMED)
            return []
        if self._repairing:
            self._repairing, self.state = False, State.WAITING
            self._mark_copy()
            return []
        behind = [self._beside(content) for content in self._behind]
        return [*behind, *self._take_its_place()]

    def _take_its_place(self) -> list[Errand]:
        """The bubble is the new message from now on, and the old one goes."""
        if self.replaces is None:
            return []
        old = attrs.evolve(self.replaces)
        self.replaces.message_id, self.replaces.home = self.bubble.message_id, self.bubble.home
        return [Removal(old, self.owner)]

    def _settle_unknown(self, call: Call, reason: str, now: float) -> None:
        if call.sends and not (self._repairing or self._asking):
            self.was_sent = True
            return  # a search goes first, and tells
        super()._settle_unknown(call, reason, now)

    def _settle_refused(self, call: Call, refusal: Refused, now: float) -> list[Errand]:
        if is_gone(call, refusal) or refusal.mended:
            return []  # so it is sent anew, or elsewhere
        if (
            refusal.code in CAPABILITY_CODES
            and not (self._repairing or self._asking)
            and (forms := _plainer(self.content, refusal))
        ):
            self.content, *rest = forms
            return [self._beside(content) for content in rest]
        if not self._repeats_refused(refusal, now):
            self._settle_hopeless(call, refusal)
        return []

    def _settle_hopeless(self, call: Call, refusal: Refused) -> None:
        """The other way is tried, once: to edit what could not be replaced, to replace what could not be edited."""
        if self._turned or refusal.unreachable:
            self._end(State.DEAD, refusal.description)
        elif self.replaces is not None:
            self._edit_instead()
        elif not call.sends:
            self.replaces, self.bubble = self.bubble, attrs.evolve(self.bubble, message_id=None, lost=False)
        else:
            self._end(State.DEAD, refusal.description)
        self._turned = True

    def _edit_instead(self) -> None:
        assert self.replaces is not None  # noqa: S101  # what the callers asked
        self.bubble, self.replaces = self.replaces, None

    def _beside(self, content: Content) -> Delivery:
        self.owner.unsettled += 1
        bubble = Bubble(self.bubble.place, 0, silent=True, replies=False, turn=self.owner.turn)
        return Delivery(bubble, content, self.owner, uncertain=self._uncertain, offer=self._offer)


def _plainer(content: Content, refusal: Refused) -> list[FormattedText]:
    """What to send instead of refused content, in order; nothing if there is nothing plainer or shorter."""
    forms = plainer(content)
    if forms or isinstance(content, RichText):
        return forms
    if any(words in refusal.description.lower() for words in _TOO_LONG):
        return split_message(content, max(len(content.text) // 2, 1)) if len(content.text) > 1 else []
    return []


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
