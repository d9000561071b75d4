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

from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from triolet.core.calls import (
    CAPABILITY_CODES,
    Bubble,
    Call,
    Keyboard,
    Outcome,
    Refused,
    is_gone,
    message_call,
)
from triolet.core.content import marked
from triolet.core.errands import Errand, Removal, State
from triolet.core.markup.layout import plainer
from triolet.core.text import MESSAGE_LIMIT, Content, FormattedText, RichText, italic, split_message

SENDING_AGAIN = italic("↻ Telegram did not confirm a message. Here it comes again…")
SENT_AGAIN = "↻ sent again: Telegram did not confirm the first copy"
UNCONFIRMED = "Telegram did not confirm it"
NOT_CONFIRMED = italic("↻ Telegram did not confirm a message that belongs here. Is it missing?")

Uncertain: TypeAlias = Literal["ask", "resend", "skip"]
"""What becomes of a message that may be there: rule 3."""

_TOO_LONG = ("message is too long", "message_too_long", "text is too long", "entities_too_long", "text_too_long")


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
        self._resend: Keyboard = ()
        self._repairing = False
        self._asking = False
        self._marked = False
        self._behind: list[FormattedText] = []
        self._turned = False
        self._room = 1.0
        """How far it is to the position of what was committed next."""
        if is_copy:
            self._mark_copy()

    @property
    def anew(self) -> bool:
        """Whether a new message is to take the place of what is on screen."""
        return self._anew or self.replaces is not None

    @property
    def if_found(self) -> Content:
        """What a message of it shows that a later run finds: of a line that asks it can only make a copy."""
        is_line = self._asking and self.state is State.WAITING and not _is_marked(self.content)
        return marked(self.content, SENT_AGAIN) if is_line else self.content

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
            self._resend = self._resend or self._offer(self.bubble)
            return message_call(self.bubble, NOT_CONFIRMED, keyboard=self._resend)
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
            self._mark_copy()  # now, so that a later run that finds the line makes it the marked copy
        elif self._uncertain == "skip":
            self._end(State.UNCERTAIN, UNCONFIRMED)
        else:
            self._asking = True

    def _mark_copy(self) -> None:
        """Say below it that it is a copy, or, where there is no room for that, behind it."""
        if self._marked or _is_marked(self.content):
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
            return []
        return [*self._beside(self._behind), *self._take_its_place()]

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
            return self._beside(rest)
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

    def _beside(self, contents: list[FormattedText]) -> list[Errand]:
        """Further messages, which come directly behind this one."""
        self._room /= len(contents) + 1
        return [self._piece(content, place) for place, content in enumerate(contents, start=1)]

    def _piece(self, content: FormattedText, place: int) -> Delivery:
        self.owner.unsettled += 1
        bubble = Bubble(self.bubble.place, 0, silent=True, replies=False, turn=self.owner.turn)
        bubble.position = self.bubble.position + place * self._room
        piece = Delivery(bubble, content, self.owner, uncertain=self._uncertain, offer=self._offer)
        piece._room = self._room
        return piece


def _is_marked(content: Content) -> bool:
    source = content.source.rstrip("_") if isinstance(content, RichText) else content.text
    return source.endswith(SENT_AGAIN)


def _plainer(content: Content, refusal: Refused) -> list[FormattedText]:
    """What to send instead of refused content, in order; nothing if there is nothing plainer or shorter."""
    forms = plainer(content)
    if forms or isinstance(content, RichText):
        return forms
    if any(words in refusal.description.lower() for words in _TOO_LONG):
        return split_message(content, max(len(content.text) // 2, 1)) if len(content.text) > 1 else []
    return []
