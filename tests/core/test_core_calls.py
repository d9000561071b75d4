"""Calls and what their outcomes tell: what is sent, where to, and where a message may be that nobody confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.budget import Cost
from triolet.core.calls import (
    CAPABILITY_CODES,
    NEVER_LEFT,
    PROBED,
    Bubble,
    Call,
    Delivered,
    Outcome,
    Place,
    Refused,
    Unknown,
    absorb,
    delete_call,
    draft_call,
    is_gone,
    message_call,
    typing_call,
)
from triolet.core.conversation import ConversationKey
from triolet.core.text import FormattedText, RichText, italic

PREVIEW = {"link_preview_options": {"is_disabled": True}}
REPLY = {"reply_parameters": {"message_id": 9, "allow_sending_without_reply": True}}
HELLO = FormattedText("hello")
RICH = RichText("<p>hello</p>", "hello")


def private(thread: int | None = None) -> Place:
    """Asked by message 9, as all places here."""
    return Place(ConversationKey(3, thread), private=True, asked=9)


def group(thread: int | None = None, *, forum: bool = False) -> Place:
    return Place(ConversationKey(-100, thread), private=False, asked=9, forum=forum)


def bubble(place: Place | None = None, message_id: int | None = None, **fields: Any) -> Bubble:
    return Bubble(place or private(), draft_id=4, message_id=message_id, **fields)


def sought(*candidates: int) -> Bubble:
    """A bubble that may have one of these ids, after a send with an unknown outcome."""
    return bubble(candidates=list(candidates))


# What is sent

DRAFT = {"draft_id": 4, "can_stop": True, "keep_on_stop": True}
ITALIC = {"text": "hello", "entities": [{"type": "italic", "offset": 0, "length": 5}]}
HTML = {"rich_message": {"html": "<p>hello</p>", "skip_entity_detection": True}}
STOP = {"reply_markup": {"inline_keyboard": [[{"text": "⏹", "callback_data": "n1"}]]}}
QUIET = {"disable_notification": True}

CALLS: list[tuple[Call, str, dict[str, Any]]] = [
    (draft_call(bubble(), HELLO), "sendMessageDraft", DRAFT | {"chat_id": 3, "text": "hello"}),
    (draft_call(bubble(), FormattedText("")), "sendMessageDraft", DRAFT | {"chat_id": 3, "text": ""}),
    (draft_call(bubble(), FormattedText(" \n")), "sendMessageDraft", DRAFT | {"chat_id": 3, "text": ""}),
    (draft_call(bubble(), RichText("", "")), "sendMessageDraft", DRAFT | {"chat_id": 3, "text": ""}),
    (
        draft_call(bubble(private(5)), RichText("<p> </p>", " ")),
        "sendMessageDraft",
        DRAFT | private(5).params | {"text": ""},
    ),
    (draft_call(bubble(), italic("hello")), "sendMessageDraft", DRAFT | {"chat_id": 3} | ITALIC),
    (draft_call(bubble(), RICH), "sendRichMessageDraft", DRAFT | {"chat_id": 3} | HTML),
    (
        draft_call(bubble(private(5)), HELLO),
        "sendMessageDraft",
        DRAFT | {"chat_id": 3, "message_thread_id": 5, "text": "hello"},
    ),
    (draft_call(bubble(group()), HELLO), "sendMessageDraft", DRAFT | {"chat_id": -100, "text": "hello"}),
    (typing_call(bubble()), "sendChatAction", {"chat_id": 3, "action": "typing"}),
    (typing_call(bubble(private(5))), "sendChatAction", {"chat_id": 3, "message_thread_id": 5, "action": "typing"}),
    (typing_call(bubble(group())), "sendChatAction", {"chat_id": -100, "action": "typing"}),
    (
        typing_call(bubble(group(forum=True))),
        "sendChatAction",
        {"chat_id": -100, "message_thread_id": 1, "action": "typing"},
    ),
    (
        typing_call(bubble(group(5, forum=True))),
        "sendChatAction",
        {"chat_id": -100, "message_thread_id": 5, "action": "typing"},
    ),
    (message_call(bubble(), HELLO), "sendMessage", {"chat_id": 3, "text": "hello"} | PREVIEW),
    (message_call(bubble(), italic("hello")), "sendMessage", {"chat_id": 3} | ITALIC | PREVIEW),
    (message_call(bubble(), RICH), "sendRichMessage", {"chat_id": 3} | HTML),
    (message_call(bubble(), HELLO, button="n1"), "sendMessage", {"chat_id": 3, "text": "hello"} | PREVIEW | STOP),
    (message_call(bubble(silent=True), HELLO), "sendMessage", {"chat_id": 3, "text": "hello"} | PREVIEW | QUIET),
    (
        message_call(bubble(private(5)), HELLO),
        "sendMessage",
        {"chat_id": 3, "message_thread_id": 5, "text": "hello"} | PREVIEW,
    ),
    (message_call(bubble(group()), HELLO), "sendMessage", {"chat_id": -100, "text": "hello"} | PREVIEW | REPLY),
    (
        message_call(bubble(group(), replies=False), HELLO),
        "sendMessage",
        {"chat_id": -100, "text": "hello"} | PREVIEW,
    ),
    (
        message_call(bubble(group(5, forum=True), silent=True), RICH, button="n1"),
        "sendRichMessage",
        {"chat_id": -100, "message_thread_id": 5} | HTML | REPLY | STOP | QUIET,
    ),
    (
        message_call(bubble(group(forum=True)), HELLO),
        "sendMessage",
        {"chat_id": -100, "text": "hello"} | PREVIEW | REPLY,
    ),
    (
        message_call(bubble(message_id=8), italic("hello")),
        "editMessageText",
        {"chat_id": 3, "message_id": 8} | ITALIC | PREVIEW,
    ),
    (message_call(bubble(message_id=8), RICH), "editMessageText", {"chat_id": 3, "message_id": 8} | HTML),
    (
        message_call(bubble(group(5), 8, silent=True), HELLO, button="n1"),
        "editMessageText",
        {"chat_id": -100, "message_id": 8, "text": "hello"} | PREVIEW | STOP,
    ),
    (
        message_call(sought(12, 13), HELLO),
        "editMessageText",
        {"chat_id": 3, "message_id": 12, "text": "hello"} | PREVIEW,
    ),
    (delete_call(sought(12, 13)), "deleteMessage", {"chat_id": 3, "message_id": 12}),
    (delete_call(bubble(group(5), 8)), "deleteMessage", {"chat_id": -100, "message_id": 8}),
]


@pytest.mark.parametrize(("call", "method", "params"), CALLS)
def test_what_is_sent(call: Call, method: str, params: dict[str, Any]) -> None:
    assert (call.method, call.params) == (method, params)
    assert call.cost is (Cost.DRAFT if "Draft" in method or "Action" in method else Cost.MESSAGE)
    assert call.sends == (method in ("sendMessage", "sendRichMessage"))
    assert call.formatted == ("entities" in params or "rich_message" in params)


def test_a_call_knows_its_bubble() -> None:
    target = bubble(message_id=8)
    for call in (draft_call(target, HELLO), typing_call(target), message_call(target, HELLO), delete_call(target)):
        assert call.bubble is target


def test_thread_zero_is_a_thread() -> None:
    assert private(0).params == {"chat_id": 3, "message_thread_id": 0}


@pytest.mark.parametrize(("asked", "newest"), [(None, 0), (9, 9)])
def test_no_message_of_an_answer_is_older_than_its_question(asked: int | None, newest: int) -> None:
    assert Place(ConversationKey(3), private=True, asked=asked).newest == newest


def test_bubbles_are_told_apart_by_identity() -> None:
    """Two that look the same are two messages."""
    assert bubble() != bubble()


def test_a_new_bubble_is_nowhere_yet() -> None:
    new = Bubble(private(), draft_id=4)
    assert (new.message_id, new.target, new.candidates, new.lost, new.unsettled) == (None, None, [], False, 0)
    assert (new.silent, new.replies) == (False, True)
    assert Delivered().result is True, "what most methods return"


def test_what_the_next_draft_would_meet_too() -> None:
    assert {400, 404} == CAPABILITY_CODES
    assert NEVER_LEFT == 0, "no code of a server's"


# What a refusal says

FORBIDDEN = Refused(403, "Forbidden: bot was blocked by the user")
UNPARSED = Refused(400, "Bad Request: can't parse entities")

REFUSALS = [
    (FORBIDDEN, True, True),
    (Refused(403, ""), True, True),
    (Refused(400, "Bad Request: chat not found"), False, True),
    (Refused(400, "Bad Request: not enough rights to send text messages to the chat"), False, True),
    (Refused(400, "Bad Request: have no write access to the chat"), False, True),
    (Refused(400, "Bad Request: CHAT_WRITE_FORBIDDEN"), False, True),
    (Refused(400, "Bad Request: CHAT_RESTRICTED"), False, True),
    (UNPARSED, False, False),
    (Refused(401, "Unauthorized"), False, False),
    (Refused(404, "Not Found: method not found"), False, False),
    (Refused(413, "Request Entity Too Large"), False, False),
    (Refused(NEVER_LEFT, "no connection"), False, False),
]


@pytest.mark.parametrize(("refusal", "unreachable", "final"), REFUSALS)
def test_what_a_refusal_says(refusal: Refused, unreachable: bool, final: bool) -> None:
    assert (refusal.unreachable, refusal.final) == (unreachable, final)


UPGRADED = Refused(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to=-200)
NO_TOPIC = Refused(400, "Bad Request: message thread not found")
NO_QUESTION = Refused(400, "Bad Request: message to be replied not found")

MENDED: list[tuple[str, Place, Refused, bool, Place]] = [
    (
        "the group is a supergroup",
        group(),
        UPGRADED,
        True,
        Place(ConversationKey(-200), private=False, asked=9),
    ),
    (
        "its topics stay",
        group(5, forum=True),
        UPGRADED,
        True,
        Place(ConversationKey(-200, 5), private=False, asked=9, forum=True),
    ),
    ("the topic is gone", group(5), NO_TOPIC, True, Place(ConversationKey(-100), private=False)),
    (
        "the topic was deleted",
        group(5),
        Refused(400, "Bad Request: TOPIC_DELETED"),
        True,
        Place(ConversationKey(-100), private=False),
    ),
    (
        "the topic was closed",
        private(5),
        Refused(400, "Bad Request: TOPIC_CLOSED"),
        True,
        Place(ConversationKey(3), private=True),
    ),
    ("there was no topic", group(), NO_TOPIC, False, group()),
    ("the question is gone", group(), NO_QUESTION, True, Place(ConversationKey(-100), private=False)),
    ("in a topic", group(5), NO_QUESTION, True, Place(ConversationKey(-100, 5), private=False)),
    ("nothing was replied to", private(), NO_QUESTION, False, private()),
    (
        "nothing was asked",
        Place(ConversationKey(-100), private=False),
        NO_QUESTION,
        False,
        Place(ConversationKey(-100), private=False),
    ),
    ("of something else", group(5), UNPARSED, False, group(5)),
    ("of a message", group(5), Refused(400, "Bad Request: message to edit not found"), False, group(5)),
]


@pytest.mark.parametrize(("place", "refusal", "mended", "after"), [pytest.param(*row[1:], id=row[0]) for row in MENDED])
def test_a_place_is_mended(place: Place, refusal: Refused, mended: bool, after: Place) -> None:
    found = Place(place.key, private=place.private, asked=place.asked, forum=place.forum)
    assert found.mend(refusal) is mended
    assert (found.key, found.private, found.asked, found.forum) == (after.key, after.private, after.asked, after.forum)


def test_a_place_is_mended_for_all_messages_of_its_answer() -> None:
    place = group(5)
    first, second = bubble(place), bubble(place, 8)
    first.place.mend(NO_TOPIC)
    first.place.mend(UPGRADED)
    assert message_call(first, HELLO).params == {"chat_id": -200, "text": "hello"} | PREVIEW
    assert message_call(second, HELLO).params["chat_id"] == -200


# What an outcome tells

NOT_MODIFIED = Refused(400, "Bad Request: message is not modified: specified new message content is the same")
GONE = Refused(400, "Bad Request: message to edit not found")
UNEDITABLE = Refused(400, "Bad Request: message can't be edited")
NO_TEXT = Refused(400, "Bad Request: there is no text in the message to edit")
FLOOD = Refused(429, "Too Many Requests: retry after 9", 9.0)
UNSENT = Refused(NEVER_LEFT, "no connection")
LOST = Unknown("no answer")
SENT = Delivered({"message_id": 8})

# The outcome of a send when 20 is the newest id that is known; the message's id, and those that it may have.
SENDS: list[tuple[Outcome, int | None, list[int]]] = [
    (SENT, 8, []),
    (Delivered({"message_id": 0}), 0, []),
    (Delivered(), None, [21, 22, 23]),
    (Delivered({}), None, [21, 22, 23]),
    (Delivered([8]), None, [21, 22, 23]),
    (Delivered({"message_id": "8"}), None, [21, 22, 23]),
    (Delivered({"message_id": True}), None, [21, 22, 23]),
    (LOST, None, [21, 22, 23]),
    (FLOOD, None, []),
    (UNSENT, None, []),
    (FORBIDDEN, None, []),
    (GONE, None, []),
    (UNEDITABLE, None, []),
]


@pytest.mark.parametrize("content", [HELLO, RICH])
@pytest.mark.parametrize(("outcome", "message_id", "candidates"), SENDS)
def test_what_a_send_s_outcome_tells(
    content: FormattedText | RichText, outcome: Outcome, message_id: int | None, candidates: list[int]
) -> None:
    target = bubble()
    assert absorb(message_call(target, content), outcome, newest=20) == outcome
    assert (target.message_id, target.candidates, target.lost) == (message_id, candidates, False)


# An edit's outcome; how its owner sees it; and the message's id.
EDITS: list[tuple[Outcome, Outcome, int | None]] = [
    (SENT, SENT, 5),
    (Delivered(), Delivered(), 5),
    (NOT_MODIFIED, Delivered(), 5),
    (LOST, LOST, 5),
    (GONE, GONE, None),
    (UNEDITABLE, UNEDITABLE, None),
    (NO_TEXT, NO_TEXT, None),
    (FLOOD, FLOOD, 5),
    (FORBIDDEN, FORBIDDEN, 5),
    (UNPARSED, UNPARSED, 5),
    (UNSENT, UNSENT, 5),
]


@pytest.mark.parametrize(("outcome", "seen", "after"), EDITS)
def test_what_an_edit_s_outcome_tells(outcome: Outcome, seen: Outcome, after: int | None) -> None:
    target = bubble(message_id=5)
    call = message_call(target, HELLO)
    assert absorb(call, outcome, newest=20) == seen
    assert (target.message_id, target.candidates, target.lost) == (after, [], False)
    assert (isinstance(seen, Refused) and is_gone(call, seen)) == (after is None)


# A probe's outcome; how its owner sees it; the message's id, the ids that it may have, and whether it had none.
PROBES: list[tuple[Bubble, Outcome, Outcome, int | None, list[int], bool]] = [
    (sought(21, 22, 23), Delivered(), Delivered(), 21, [], False),
    (sought(22, 23), SENT, SENT, 22, [], False),
    (sought(23), NOT_MODIFIED, Delivered(), 23, [], False),
    (sought(21, 22, 23), GONE, GONE, None, [22, 23], False),
    (sought(22, 23), UNEDITABLE, UNEDITABLE, None, [23], False),
    (sought(23), NO_TEXT, NO_TEXT, None, [], True),
    (sought(23), LOST, LOST, None, [23], False),
    (sought(23), FLOOD, FLOOD, None, [23], False),
    (sought(23), UNSENT, UNSENT, None, [23], False),
    (sought(23), UNPARSED, UNPARSED, None, [23], False),
    (sought(23), FORBIDDEN, FORBIDDEN, None, [23], False),
]


@pytest.mark.parametrize(("target", "outcome", "seen", "message_id", "candidates", "lost"), PROBES)
def test_what_a_probe_s_outcome_tells(
    target: Bubble, outcome: Outcome, seen: Outcome, message_id: int | None, candidates: list[int], lost: bool
) -> None:
    target = sought(*target.candidates)
    assert absorb(message_call(target, HELLO), outcome, newest=20) == seen
    assert (target.message_id, target.candidates, target.lost) == (message_id, candidates, lost)


@pytest.mark.parametrize("outcome", [Delivered(), SENT, LOST, GONE, FLOOD, UNSENT])
@pytest.mark.parametrize("make", [lambda target: draft_call(target, HELLO), typing_call, delete_call])
@pytest.mark.parametrize(("message_id", "candidates"), [(5, []), (None, [21, 22])])
def test_other_calls_tell_nothing_of_a_message(
    make: Callable[[Bubble], Call], outcome: Outcome, message_id: int | None, candidates: list[int]
) -> None:
    target = bubble(message_id=message_id, candidates=list(candidates))
    assert absorb(make(target), outcome, newest=20) == outcome
    assert (target.message_id, target.candidates, target.lost) == (message_id, candidates, False)


def test_what_was_lost_stays_lost() -> None:
    """It may come to light all the same, whatever is sent after it."""
    target = sought(23)
    absorb(message_call(target, HELLO), GONE, newest=20)
    absorb(message_call(target, HELLO), SENT, newest=20)
    assert (target.message_id, target.candidates, target.lost) == (8, [], True)


def test_a_second_send_is_sought_behind_the_first() -> None:
    target = sought(21)
    absorb(message_call(target, HELLO), GONE, newest=20)
    absorb(message_call(target, HELLO), LOST, newest=40)
    assert (target.target, target.candidates) == (41, [41, 42, 43])


# A mended place, whatever the call was about; and the same place after any other outcome.
MENDING: list[tuple[Outcome, bool]] = [
    (UPGRADED, True),
    (NO_TOPIC, True),
    (NO_QUESTION, True),
    (UNPARSED, False),
    (FLOOD, False),
    (LOST, False),
    (SENT, False),
    (GONE, False),
]


@pytest.mark.parametrize("make", [lambda target: draft_call(target, HELLO), lambda target: message_call(target, HELLO)])
@pytest.mark.parametrize("message_id", [None, 5])
@pytest.mark.parametrize(("outcome", "mended"), MENDING)
def test_a_place_is_mended_by_the_outcome_of_any_call(
    make: Callable[[Bubble], Call], message_id: int | None, outcome: Outcome, mended: bool
) -> None:
    target = bubble(group(5), message_id)
    before = attrs.astuple(target.place)
    seen = absorb(make(target), outcome, newest=20)
    assert (isinstance(seen, Refused) and seen.mended) == mended
    assert (attrs.astuple(target.place) != before) == mended
    if isinstance(outcome, Refused):
        assert seen == attrs.evolve(outcome, mended=mended)


@given(newest=st.integers(0, 99), at=st.none() | st.integers(1, 9), outcomes=st.lists(st.sampled_from([LOST, FLOOD])))
def test_a_message_is_found_where_it_is_or_known_to_be_lost(
    newest: int, at: int | None, outcomes: list[Outcome]
) -> None:
    """Every id is asked for once, but for calls that tell nothing."""
    target = bubble()
    absorb(message_call(target, HELLO), LOST, newest)
    asked = []
    while target.candidates:
        call = message_call(target, HELLO)
        if outcomes:
            absorb(call, outcomes.pop(), newest)
            assert message_call(target, HELLO) == call
            continue
        asked.append(call.params["message_id"] - newest)
        absorb(call, Delivered() if asked[-1] == at else GONE, newest)
    found = at is not None and at <= PROBED
    assert (target.message_id, target.lost) == ((newest + at if at and found else None), not found)
    assert asked == [1, 2, 3][: at if found else None]
