"""One Bot API call about a message, its outcome, and a lasting message's way to the screen.

A call has three outcomes. Rules:

1. *Delivered*: the server said so, or said that nothing had to change.
2. *Refused*: the server said no, or the request never left. What can be mended is mended and repeated (a wait,
   a lost connection, formatting, a deleted message); anything else is final, and the message is dead.
3. *Unknown*: it may have happened. An edit is repeated, for it does no harm twice; a send never is.
"""

from __future__ import annotations

import enum
from typing import Any, TypeAlias

import attrs

from triolet.core.budget import Cost
from triolet.core.conversation import ConversationKey
from triolet.core.text import FormattedText

NEVER_LEFT = 0
"""The ``code`` of a refusal that no server made: no connection, nothing sent."""

CAPABILITY_CODES = frozenset({400, 404})
"""Refusals of a draft that the next draft would meet too: a peer without drafts, a server older than them."""


@attrs.frozen
class Place:
    """Where messages of an answer go; ``reply_to`` is the asking message's id, in groups."""

    key: ConversationKey
    private: bool
    reply_to: int | None = None

    @property
    def params(self) -> dict[str, Any]:
        thread = self.key.thread_id
        return {"chat_id": self.key.chat_id} | ({} if thread is None else {"message_thread_id": thread})


@attrs.define(eq=False)
class Bubble:
    """One message on a screen, first as a draft or not yet there, then with the server's ``message_id``.

    ``lost`` says that a message of it may be on screen whose id nobody knows.
    """

    place: Place
    draft_id: int
    message_id: int | None = None
    lost: bool = False
    unsettled: int = 0


@attrs.frozen
class Call:
    """One Bot API call; ``sends`` ones make a message, so a repetition would make a second."""

    method: str
    params: dict[str, Any]
    cost: Cost
    bubble: Bubble
    sends: bool = False


@attrs.frozen
class Delivered:
    result: Any = True


@attrs.frozen
class Refused:
    code: int
    description: str
    retry_after: float | None = None


@attrs.frozen
class Unknown:
    reason: str


Outcome: TypeAlias = Delivered | Refused | Unknown


def draft_call(bubble: Bubble, text: str) -> Call:
    """A draft frame; empty text shows the client's own "Thinking…"."""
    params = bubble.place.params | {
        "draft_id": bubble.draft_id,
        "text": text,
        "can_stop": True,
        "keep_on_stop": True,
    }
    return Call("sendMessageDraft", params, Cost.DRAFT, bubble)


def typing_call(bubble: Bubble) -> Call:
    return Call("sendChatAction", bubble.place.params | {"action": "typing"}, Cost.DRAFT, bubble)


def message_call(bubble: Bubble, message: FormattedText) -> Call:
    """The call that makes the bubble show the message: a send the first time, an edit from then on."""
    content: dict[str, Any] = {"text": message.text, "link_preview_options": {"is_disabled": True}}
    if message.entities:
        content["entities"] = [entity.to_json() for entity in message.entities]
    if bubble.message_id is not None:
        target = {"chat_id": bubble.place.key.chat_id, "message_id": bubble.message_id}
        return Call("editMessageText", target | content, Cost.MESSAGE, bubble)
    if bubble.place.reply_to is not None:
        content["reply_parameters"] = {
            "message_id": bubble.place.reply_to,
            "allow_sending_without_reply": True,
        }
    return Call("sendMessage", bubble.place.params | content, Cost.MESSAGE, bubble, sends=True)


def absorb(call: Call, outcome: Outcome) -> Outcome:
    """Note on the call's bubble what its outcome tells, and name a harmless refusal for what it is."""
    if isinstance(outcome, Refused) and "message is not modified" in outcome.description:
        return Delivered()
    if call.sends and not isinstance(outcome, Refused):
        call.bubble.message_id = _message_id(outcome.result) if isinstance(outcome, Delivered) else None
        call.bubble.lost |= call.bubble.message_id is None
    if isinstance(outcome, Refused) and _is_gone(call, outcome):
        call.bubble.message_id = None
    return outcome


def _message_id(result: Any) -> int | None:
    """The id in a send's answer; one that names none is no reason to fall: the message is on screen all the same."""
    found = result.get("message_id") if isinstance(result, dict) else None
    return found if isinstance(found, int) else None


_GONE = ("message to edit not found", "message can't be edited", "there is no text in the message to edit")


def _is_gone(call: Call, refusal: Refused) -> bool:
    return call.method == "editMessageText" and any(words in refusal.description for words in _GONE)


MAX_UNKNOWN = 20
"""Repetitions of an edit whose outcome stays unknown: eight minutes at least."""

_BACK_OFF = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before the first, the second ... repetition; a long outage stays at the last."""


class State(enum.Enum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    UNCERTAIN = "uncertain"
    DEAD = "dead"


class Delivery:
    """A lasting message on its way: it gives the next call, and takes its outcome.

    ``owner`` is the bubble that was committed; a long message's later parts are bubbles of their own.
    """

    def __init__(self, bubble: Bubble, message: FormattedText, owner: Bubble) -> None:
        self.bubble = bubble
        self.owner = owner
        self.state = State.WAITING
        self.not_before = 0.0
        self.reason = ""
        self._message = message
        self._failures = 0
        self._unknown = 0

    def next_call(self) -> Call:
        return message_call(self.bubble, self._message)

    def settle(self, call: Call, outcome: Outcome, now: float) -> None:
        """Take the outcome of the call, which `absorb` has seen, and decide what follows."""
        if isinstance(outcome, Delivered):
            self.state = State.DELIVERED
        elif isinstance(outcome, Unknown) and call.sends:
            self._end(State.UNCERTAIN, outcome.reason)
        elif isinstance(outcome, Unknown):
            self._repeat_edit(outcome.reason, now)
        elif outcome.code == NEVER_LEFT:
            self._back_off(now)
        elif outcome.retry_after is not None:
            self.not_before = now + outcome.retry_after
        elif not self._mend(call, outcome):
            self._end(State.DEAD, outcome.description)

    def _mend(self, call: Call, refusal: Refused) -> bool:
        if _is_gone(call, refusal):
            return True
        if refusal.code == 400 and self._message.entities:
            self._message = self._message.plain
            return True
        return False

    def _repeat_edit(self, reason: str, now: float) -> None:
        """Nobody behind it waits for ever: an edit that never becomes known is given up, however harmless it is."""
        self._unknown += 1
        if self._unknown >= MAX_UNKNOWN:
            self._end(State.UNCERTAIN, reason)
        else:
            self._back_off(now)

    def _back_off(self, now: float) -> None:
        self.not_before = now + _BACK_OFF[min(self._failures, len(_BACK_OFF) - 1)]
        self._failures += 1

    def _end(self, state: State, reason: str) -> None:
        self.state = state
        self.reason = reason
