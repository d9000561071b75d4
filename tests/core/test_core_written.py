"""Letters: what is written down of a message, and what a later run makes of it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.calls import Bubble, Delivered, Keyboard, Outcome, Place, Refused, Unknown, absorb, message_call
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import SENDING_AGAIN, SENT_AGAIN, UNCONFIRMED, Delivery, Uncertain
from triolet.core.errands import State
from triolet.core.letters import Letter
from triolet.core.text import FormattedText
from triolet.core.written import bubble_of, delivery_of, letter_of, lost_call, preview_of

HELLO = FormattedText("hello")
KEYS: Keyboard = (("Press", "n1"),)
SENT = Delivered({"message_id": 21})
NO_CHAT = Refused(400, "Bad Request: chat not found")
ODD = Refused(413, "Request Entity Too Large")
LOST = Unknown("no answer")


def place() -> Place:
    return Place(ConversationKey(-100, 5), private=False, asked=9)


def bubble(message_id: int | None = None, **fields: Any) -> Bubble:
    return Bubble(place(), 4, message_id, number=7, turn=3, **fields)


def no_button(_: Bubble) -> Keyboard:
    return ()


def ask_button(_: Bubble) -> Keyboard:
    return (("Again", "n2"),)


def settle(delivery: Delivery, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        call = delivery.next_call()
        assert call is not None
        delivery.settle(call, absorb(call, outcome), 1.0)


def letter(**fields: Any) -> Letter:
    return attrs.evolve(Letter(7, place(), turn=3, content=HELLO), **fields)


def facts(letter: Letter) -> dict[str, Any]:
    """What differs from a plain one that waits; its place is the same wherever it is now."""
    assert (letter.place.key, letter.place.asked) == (place().key, 9)
    names = [field.name for field in attrs.fields(Letter) if field.name not in {"number", "place", "turn", "content"}]
    return {name: getattr(letter, name) for name in names if getattr(letter, name) != getattr(Letter(7, place()), name)}


# What is written down

LETTERS: list[tuple[str, int | None, bool, list[Outcome], dict[str, Any]]] = [
    ("to be sent", None, False, [], {}),
    ("to be edited", 5, False, [], {"message_id": 5}),
    ("to be sent in the place of another", 5, True, [], {"message_id": 5, "anew": True}),
    ("to be sent anew, with nothing to replace", None, True, [], {"anew": True}),
    ("sent", None, False, [SENT], {"state": "sent", "message_id": 21}),
    ("edited", 5, False, [Delivered()], {"state": "sent", "message_id": 5}),
    ("refused for now", None, False, [ODD], {}),
    ("dead", None, False, [NO_CHAT], {"state": "dead", "reason": NO_CHAT.description}),
    (
        "that took another's place",
        5,
        True,
        [SENT],
        {"state": "sent", "message_id": 21, "anew": True},
    ),
    (
        "that is to take another's place, which cannot be edited",
        5,
        False,
        [NO_CHAT],
        {"message_id": 5, "anew": True},
    ),
    ("whose edit was given up", 5, False, [LOST] * 20, {"message_id": 5, "reason": "no answer"}),
]


@pytest.mark.parametrize(
    ("message_id", "anew", "outcomes", "expected"), [pytest.param(*row[1:], id=row[0]) for row in LETTERS]
)
def test_what_is_known_of_a_message(
    message_id: int | None, anew: bool, outcomes: list[Outcome], expected: dict[str, Any]
) -> None:
    target = bubble(message_id)
    delivery = Delivery(target, HELLO, target, anew=anew)
    settle(delivery, *outcomes)
    written = letter_of(delivery)
    assert (written.number, written.turn, written.content) == (7, 3, HELLO)
    assert facts(written) == expected


@pytest.mark.parametrize("fields", [{"silent": True}, {"replies": False}])
def test_how_it_is_to_come_is_written_down(fields: dict[str, bool]) -> None:
    target = bubble(**fields)
    written = letter_of(Delivery(target, HELLO, target, keyboard=KEYS))
    assert facts(written) == fields | {"keyboard": KEYS}
    assert facts(preview_of(bubble(5, **fields))) == fields | {"state": "sent", "growing": True, "message_id": 5}


def test_a_letter_stays_as_it_was_when_its_place_is_mended() -> None:
    target = bubble()
    delivery = Delivery(target, HELLO, target)
    before, preview = letter_of(delivery), preview_of(target)
    settle(delivery, Refused(400, "upgraded", migrate_to=-200))
    assert (before.place.key, preview.place.key) == (ConversationKey(-100, 5), ConversationKey(-100, 5))
    assert letter_of(delivery).place.key == ConversationKey(-200, 5)


def test_an_id_of_the_chat_that_a_group_was_is_no_id_of_its_own() -> None:
    target = bubble(5, home=-99)
    assert letter_of(Delivery(target, HELLO, target)).message_id is None
    assert preview_of(target).message_id is None


@pytest.mark.parametrize("uncertain", ["ask", "skip"])
def test_what_nobody_knows_is_uncertain_and_not_pending(uncertain: Uncertain) -> None:
    """Also where a line on the screen asks about it: that one is not it."""
    target = bubble(lost=True)
    delivery = Delivery(target, HELLO, target, uncertain=uncertain, offer=ask_button)
    delivery.was_sent = True
    if uncertain == "ask":
        settle(delivery, SENT)
    else:
        assert delivery.next_call() is None
    shown = {"message_id": 21} if uncertain == "ask" else {}
    assert facts(letter_of(delivery)) == {"state": "uncertain", "reason": UNCONFIRMED} | shown


# What a later run makes of it


@pytest.mark.parametrize("message_id", [None, 5])
def test_a_letter_s_bubble_is_the_one_that_was(message_id: int | None) -> None:
    found = bubble_of(letter(message_id=message_id, silent=True, replies=False), 77)
    assert (found.draft_id, found.message_id, found.shown_id) == (77, message_id, message_id)
    assert (found.silent, found.replies, found.number, found.turn) == (True, False, 7, 3)
    found.place.key = ConversationKey(-200)
    assert found.shown_id is None, "its id is one of the chat that it was written down for"


LETTER = st.builds(
    Letter,
    st.just(7),
    st.builds(place),
    turn=st.none() | st.just(3),
    content=st.just(HELLO),
    keyboard=st.sampled_from([(), KEYS]),
    anew=st.booleans(),
    silent=st.booleans(),
    replies=st.booleans(),
    message_id=st.none() | st.just(5),
)


@given(LETTER)
def test_what_is_read_is_what_was_written(written: Letter) -> None:
    read = delivery_of(written, bubble_of(written, 4), uncertain="ask", offer=no_button)
    again = letter_of(read)
    assert attrs.evolve(again, place=written.place) == written
    assert again.place.key == written.place.key
    assert read.owner is read.bubble


def test_a_letter_goes_on_as_the_message_that_it_was() -> None:
    written = letter(message_id=5, keyboard=KEYS)
    target = bubble_of(written, 4)
    read = delivery_of(written, target, uncertain="ask", offer=no_button)
    assert read.next_call() == message_call(target, HELLO, keyboard=KEYS)
    assert (read.was_sent, read.is_recovered, read.is_told) == (False, False, False)


def test_a_copy_says_that_it_is_one() -> None:
    written = letter()
    read = delivery_of(written, bubble_of(written, 4), uncertain="ask", offer=no_button, is_copy=True)
    call = read.next_call()
    assert call is not None
    assert call.params["text"] == f"hello\n\n{SENT_AGAIN}"


@pytest.mark.parametrize("growing", [True, False])
def test_what_was_being_sent_is_looked_for_as_it_was_sent(growing: bool) -> None:
    """Its content has left unless it was a preview that did: then it is still to be shown for the first time."""
    written = letter(state="sending", newest=20, growing=growing)
    target = bubble_of(written, 4)
    read = delivery_of(written, target, uncertain="ask", offer=ask_button)
    lost = lost_call(read, written)
    assert lost == message_call(target, HELLO)
    assert (read.was_sent, read.is_recovered) == (not growing, True)
    target.lost = target.sought = True
    call = read.next_call()
    assert call is not None
    asks = "reply_markup" in call.params
    assert asks is not growing
    assert growing == (call.params["text"] == SENDING_AGAIN.text)


def test_what_is_to_replace_another_is_sought_as_a_message_of_its_own() -> None:
    written = letter(state="sending", anew=True, message_id=5, newest=20)
    target = bubble_of(written, 4)
    read = delivery_of(written, target, uncertain="ask", offer=no_button)
    lost = lost_call(read, written)
    assert lost.sends
    assert lost.bubble is read.bubble
    assert lost.bubble is not target
    assert read.replaces is target
    assert read.state is State.WAITING
