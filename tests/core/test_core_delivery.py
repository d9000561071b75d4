"""Calls and their outcomes: what is sent, and what follows when it is delivered, refused or unknown."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs
import pytest

from triolet.core.budget import Cost
from triolet.core.calls import (
    CAPABILITY_CODES,
    NEVER_LEFT,
    Bubble,
    Call,
    Delivered,
    Outcome,
    Place,
    Refused,
    Unknown,
    absorb,
    draft_call,
    message_call,
    typing_call,
)
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import Delivery, State
from triolet.core.text import FormattedText, italic

PRIVATE = Place(ConversationKey(3), private=True)
TOPIC = Place(ConversationKey(3, 5), private=True)
GROUP = Place(ConversationKey(-100), private=False, reply_to=9)
PREVIEW = {"link_preview_options": {"is_disabled": True}}
REPLY = {"reply_parameters": {"message_id": 9, "allow_sending_without_reply": True}}

HELLO = FormattedText("hello")


def bubble(place: Place = PRIVATE, message_id: int | None = None) -> Bubble:
    return Bubble(place, draft_id=4, message_id=message_id)


# What is sent

DRAFT = {"draft_id": 4, "can_stop": True, "keep_on_stop": True}
ITALIC = {"text": "hello", "entities": [{"type": "italic", "offset": 0, "length": 5}]}

CALLS = [
    (draft_call(bubble(), "a"), "sendMessageDraft", DRAFT | {"chat_id": 3, "text": "a"}),
    (draft_call(bubble(), ""), "sendMessageDraft", DRAFT | {"chat_id": 3, "text": ""}),
    (draft_call(bubble(TOPIC), "a"), "sendMessageDraft", DRAFT | {"chat_id": 3, "message_thread_id": 5, "text": "a"}),
    (draft_call(bubble(GROUP), "a"), "sendMessageDraft", DRAFT | {"chat_id": -100, "text": "a"}),
    (typing_call(bubble()), "sendChatAction", {"chat_id": 3, "action": "typing"}),
    (typing_call(bubble(TOPIC)), "sendChatAction", {"chat_id": 3, "message_thread_id": 5, "action": "typing"}),
    (message_call(bubble(), HELLO), "sendMessage", {"chat_id": 3, "text": "hello"} | PREVIEW),
    (message_call(bubble(), italic("hello")), "sendMessage", {"chat_id": 3} | ITALIC | PREVIEW),
    (
        message_call(bubble(TOPIC), HELLO),
        "sendMessage",
        {"chat_id": 3, "message_thread_id": 5, "text": "hello"} | PREVIEW,
    ),
    (message_call(bubble(GROUP), HELLO), "sendMessage", {"chat_id": -100, "text": "hello"} | PREVIEW | REPLY),
    (
        message_call(bubble(message_id=8), italic("hello")),
        "editMessageText",
        {"chat_id": 3, "message_id": 8} | ITALIC | PREVIEW,
    ),
    (
        message_call(bubble(TOPIC, 8), HELLO),
        "editMessageText",
        {"chat_id": 3, "message_id": 8, "text": "hello"} | PREVIEW,
    ),
    (
        message_call(bubble(GROUP, 8), HELLO),
        "editMessageText",
        {"chat_id": -100, "message_id": 8, "text": "hello"} | PREVIEW,
    ),
]


@pytest.mark.parametrize(("call", "method", "params"), CALLS)
def test_what_is_sent(call: Call, method: str, params: dict[str, Any]) -> None:
    assert (call.method, call.params) == (method, params)
    assert call.cost is (Cost.MESSAGE if method in ("sendMessage", "editMessageText") else Cost.DRAFT)
    assert call.sends == (method == "sendMessage")


def test_thread_zero_is_a_thread() -> None:
    assert Place(ConversationKey(3, 0), private=True).params == {"chat_id": 3, "message_thread_id": 0}


def test_bubbles_are_told_apart_by_identity() -> None:
    """Two that look the same are two messages."""
    assert bubble() != bubble()


def test_what_the_next_draft_would_meet_too() -> None:
    assert {400, 404} == CAPABILITY_CODES
    assert NEVER_LEFT == 0, "no code of a server's"


def test_a_new_bubble_is_nowhere_yet() -> None:
    new = Bubble(PRIVATE, draft_id=4)
    assert (new.message_id, new.lost, new.unsettled) == (None, False, 0)
    assert Delivered().result is True, "what most methods return"


# What an outcome tells

NOT_MODIFIED = Refused(400, "Bad Request: message is not modified: specified new message content is the same")
GONE = Refused(400, "Bad Request: message to edit not found")
UNEDITABLE = Refused(400, "Bad Request: message can't be edited")
NO_TEXT = Refused(400, "Bad Request: there is no text in the message to edit")
FLOOD = Refused(429, "Too Many Requests: retry after 9", 9.0)
FORBIDDEN = Refused(403, "Forbidden: bot was blocked by the user")
UNPARSED = Refused(400, "Bad Request: can't parse entities")
UNSENT = Refused(NEVER_LEFT, "no connection")
LOST = Unknown("no answer")
SENT = Delivered({"message_id": 8})

# Whether the bubble had a message; the outcome; how its owner sees it; the message's id and if one may be lost.
ABSORBED: list[tuple[int | None, Outcome, Outcome, int | None, bool]] = [
    (None, SENT, SENT, 8, False),
    (None, Delivered(), Delivered(), None, True),
    (None, Delivered({}), Delivered({}), None, True),
    (None, Delivered({"message_id": "8"}), Delivered({"message_id": "8"}), None, True),
    (None, LOST, LOST, None, True),
    (None, FLOOD, FLOOD, None, False),
    (None, UNSENT, UNSENT, None, False),
    (None, GONE, GONE, None, False),
    (5, SENT, SENT, 5, False),
    (5, Delivered(), Delivered(), 5, False),
    (5, LOST, LOST, 5, False),
    (5, NOT_MODIFIED, Delivered(), 5, False),
    (5, GONE, GONE, None, False),
    (5, UNEDITABLE, UNEDITABLE, None, False),
    (5, NO_TEXT, NO_TEXT, None, False),
    (5, FLOOD, FLOOD, 5, False),
    (5, FORBIDDEN, FORBIDDEN, 5, False),
    (5, UNPARSED, UNPARSED, 5, False),
    (5, UNSENT, UNSENT, 5, False),
]


@pytest.mark.parametrize(("before", "outcome", "seen", "after", "lost"), ABSORBED)
def test_what_an_outcome_tells_of_a_message(
    before: int | None, outcome: Outcome, seen: Outcome, after: int | None, lost: bool
) -> None:
    target = bubble(message_id=before)
    assert absorb(message_call(target, HELLO), outcome) == seen
    assert (target.message_id, target.lost) == (after, lost)


@pytest.mark.parametrize("outcome", [Delivered(), SENT, LOST, GONE, FLOOD, UNSENT])
@pytest.mark.parametrize("make", [lambda target: draft_call(target, "a"), typing_call])
def test_an_interim_sign_tells_nothing_of_a_message(make: Any, outcome: Outcome) -> None:
    target = bubble(message_id=5)
    assert absorb(make(target), outcome) == outcome
    assert (target.message_id, target.lost) == (5, False)


def test_what_was_lost_stays_lost() -> None:
    """The message whose id nobody knows is on screen, whatever is sent after it."""
    target = bubble()
    absorb(message_call(target, HELLO), LOST)
    absorb(message_call(target, HELLO), SENT)
    assert (target.message_id, target.lost) == (8, True)


# A lasting message's way


@attrs.frozen
class Step:
    """A call, its outcome at a time, and what follows."""

    method: str
    now: float
    outcome: Outcome
    state: State
    not_before: float = 0.0
    reason: str = ""
    entities: bool = False


WAITING, DELIVERED, UNCERTAIN, DEAD = State.WAITING, State.DELIVERED, State.UNCERTAIN, State.DEAD
Way: TypeAlias = tuple[str, int | None, list[Step]]

WAYS: list[Way] = [
    ("sent", None, [Step("sendMessage", 1, SENT, DELIVERED)]),
    ("edited", 5, [Step("editMessageText", 1, Delivered(), DELIVERED)]),
    ("nothing to change", 5, [Step("editMessageText", 1, NOT_MODIFIED, DELIVERED)]),
    ("a send unknown", None, [Step("sendMessage", 1, LOST, UNCERTAIN, 0, "no answer")]),
    ("refused for good", None, [Step("sendMessage", 1, FORBIDDEN, DEAD, 0, FORBIDDEN.description)]),
    ("an edit refused for good", 5, [Step("editMessageText", 1, FORBIDDEN, DEAD, 0, FORBIDDEN.description)]),
    ("a malformed plain message", None, [Step("sendMessage", 1, UNPARSED, DEAD, 0, UNPARSED.description)]),
    ("gone is said of edits only", None, [Step("sendMessage", 1, GONE, DEAD, 0, GONE.description)]),
    (
        "a flood, and another",
        None,
        [
            Step("sendMessage", 1, FLOOD, WAITING, 10),
            Step("sendMessage", 10, FLOOD, WAITING, 19),
            Step("sendMessage", 19, SENT, DELIVERED, 19),
        ],
    ),
    (
        "a flood of no length",
        None,
        [Step("sendMessage", 1, Refused(429, "", 0.0), WAITING, 1), Step("sendMessage", 1, SENT, DELIVERED, 1)],
    ),
    (
        "gone, so sent anew",
        5,
        [Step("editMessageText", 1, GONE, WAITING), Step("sendMessage", 1, SENT, DELIVERED)],
    ),
    (
        "gone, and the new one unknown",
        5,
        [Step("editMessageText", 1, GONE, WAITING), Step("sendMessage", 2, LOST, UNCERTAIN, 0, "no answer")],
    ),
    (
        "gone after a flood",
        5,
        [
            Step("editMessageText", 1, FLOOD, WAITING, 10),
            Step("editMessageText", 10, GONE, WAITING, 10),
            Step("sendMessage", 11, SENT, DELIVERED, 10),
        ],
    ),
    (
        "never left, repeated ever later",
        None,
        [
            *(Step("sendMessage", 100, UNSENT, WAITING, 100 + wait) for wait in (1, 2, 4, 8, 16, 30, 30, 30)),
            Step("sendMessage", 200, SENT, DELIVERED, 130),
        ],
    ),
    (
        "an edit unknown, repeated ever later",
        5,
        [
            *(Step("editMessageText", 100, LOST, WAITING, 100 + wait) for wait in (1, 2, 4, 8, 16, 30, 30)),
            Step("editMessageText", 130, NOT_MODIFIED, DELIVERED, 130),
        ],
    ),
    (
        "both kinds of failure count together",
        5,
        [Step("editMessageText", 0, LOST, WAITING, 1), Step("editMessageText", 1, UNSENT, WAITING, 3)],
    ),
    (
        "a flood is no failure",
        None,
        [
            Step("sendMessage", 0, UNSENT, WAITING, 1),
            Step("sendMessage", 1, FLOOD, WAITING, 10),
            Step("sendMessage", 10, UNSENT, WAITING, 12),
        ],
    ),
]


def walk(delivery: Delivery, steps: list[Step]) -> list[Step]:
    """The steps as they went."""
    found = []
    for step in steps:
        assert delivery.state is State.WAITING
        call = delivery.next_call()
        delivery.settle(call, absorb(call, step.outcome), step.now)
        found.append(
            attrs.evolve(
                step,
                method=call.method,
                state=delivery.state,
                not_before=delivery.not_before,
                reason=delivery.reason,
                entities="entities" in call.params,
            )
        )
    return found


@pytest.mark.parametrize(("message_id", "steps"), [pytest.param(*row[1:], id=row[0]) for row in WAYS])
def test_a_lasting_message_s_way(message_id: int | None, steps: list[Step]) -> None:
    target = bubble(message_id=message_id)
    assert walk(Delivery(target, HELLO, target), steps) == steps


FORMATTED: list[Way] = [
    (
        "refused formatting is taken away",
        None,
        [
            Step("sendMessage", 1, UNPARSED, WAITING, entities=True),
            Step("sendMessage", 1, SENT, DELIVERED),
        ],
    ),
    (
        "once only",
        5,
        [
            Step("editMessageText", 1, UNPARSED, WAITING, entities=True),
            Step("editMessageText", 1, UNPARSED, DEAD, 0, UNPARSED.description),
        ],
    ),
    (
        "not for another refusal",
        None,
        [Step("sendMessage", 1, FORBIDDEN, DEAD, 0, FORBIDDEN.description, entities=True)],
    ),
    (
        "not if the message is gone",
        5,
        [
            Step("editMessageText", 1, GONE, WAITING, entities=True),
            Step("sendMessage", 1, SENT, DELIVERED, entities=True),
        ],
    ),
    (
        "not after a wait",
        None,
        [
            Step("sendMessage", 1, FLOOD, WAITING, 10, entities=True),
            Step("sendMessage", 10, UNSENT, WAITING, 11, entities=True),
            Step("sendMessage", 11, SENT, DELIVERED, 11, entities=True),
        ],
    ),
]


@pytest.mark.parametrize(("message_id", "steps"), [pytest.param(*row[1:], id=row[0]) for row in FORMATTED])
def test_a_formatted_message_s_way(message_id: int | None, steps: list[Step]) -> None:
    target = bubble(message_id=message_id)
    delivery = Delivery(target, italic("hello"), target)
    assert walk(delivery, steps) == steps
    assert delivery.next_call().params["text"] == "hello"


def test_a_new_delivery_waits() -> None:
    owner, part = bubble(), bubble(GROUP)
    delivery = Delivery(part, HELLO, owner)
    assert (delivery.state, delivery.not_before, delivery.reason) == (State.WAITING, 0.0, "")
    assert (delivery.bubble, delivery.owner) == (part, owner)
    assert delivery.next_call() == delivery.next_call() == message_call(part, HELLO)


def test_an_outage_of_days_ends_in_a_delivery() -> None:
    """Doubling a float a thousand times overflows."""
    target = bubble()
    delivery = Delivery(target, HELLO, target)
    now = 0.0
    while now < 3 * 24 * 3600.0:
        call = delivery.next_call()
        delivery.settle(call, absorb(call, UNSENT), now)
        assert now < delivery.not_before <= now + 30.0
        now = delivery.not_before
    call = delivery.next_call()
    delivery.settle(call, absorb(call, SENT), now)
    assert delivery.state is State.DELIVERED


def test_states_are_logged_by_their_names() -> None:
    assert all(state.value == state.name.lower() for state in State)
