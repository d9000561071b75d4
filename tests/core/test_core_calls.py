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
    may_be_on_screen,
    message_call,
    search_call,
    typing_call,
)
from triolet.core.conversation import ConversationKey
from triolet.core.text import Content, FormattedText, RichText, italic

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
    (
        message_call(bubble(), HELLO, keyboard=(("⏹", "n1"),)),
        "sendMessage",
        {"chat_id": 3, "text": "hello"} | PREVIEW | STOP,
    ),
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
        message_call(bubble(group(5, forum=True), silent=True), RICH, keyboard=(("⏹", "n1"),)),
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
        message_call(bubble(group(5), 8, silent=True), HELLO, keyboard=(("⏹", "n1"),)),
        "editMessageText",
        {"chat_id": -100, "message_id": 8, "text": "hello"} | PREVIEW | STOP,
    ),
    (
        message_call(bubble(group(), 8, home=-100), HELLO),
        "editMessageText",
        {"chat_id": -100, "message_id": 8, "text": "hello"} | PREVIEW,
    ),
    (
        message_call(bubble(group(), 8, home=-99), HELLO),
        "sendMessage",
        {"chat_id": -100, "text": "hello"} | PREVIEW | REPLY,
    ),
    (
        message_call(sought(12, 13), HELLO),
        "editMessageText",
        {"chat_id": 3, "message_id": 12, "text": "hello"} | PREVIEW,
    ),
    (delete_call(bubble(message_id=8)), "deleteMessage", {"chat_id": 3, "message_id": 8}),
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


# A message that a send may have made: how it was sent, and what is shown at the first id that it may have.
SEARCHES: list[tuple[Bubble, Content, dict[str, Any]]] = [
    (bubble(), HELLO, {"chat_id": 3, "text": "hello"} | PREVIEW),
    (bubble(private(5), silent=True), italic("hello"), {"chat_id": 3} | ITALIC | PREVIEW),
    (bubble(group()), HELLO, {"chat_id": -100, "text": "hello"} | PREVIEW),
    (bubble(group(5, forum=True), silent=True), RICH, {"chat_id": -100} | HTML),
]


@pytest.mark.parametrize(("target", "content", "shown"), SEARCHES)
def test_what_is_shown_where_a_message_may_be(target: Bubble, content: Content, shown: dict[str, Any]) -> None:
    """All that it was to show, its button as well, and nothing that only a send can say."""
    lost = message_call(target, content, keyboard=(("⏹", "n1"),))
    call = search_call(attrs.evolve(lost, bubble=attrs.evolve(target, candidates=[12, 13])))
    assert (call.method, call.params) == ("editMessageText", shown | STOP | {"message_id": 12})
    assert (call.sends, call.cost) == (False, Cost.MESSAGE)


def test_a_search_is_about_the_lost_message_and_goes_where_its_chat_is_now() -> None:
    target = bubble(group())
    lost = message_call(target, HELLO)
    target.candidates = [12, 13]
    target.place.mend(UPGRADED)
    assert search_call(lost).bubble is target
    assert search_call(lost).params["chat_id"] == -200


def test_bubbles_are_told_apart_by_identity() -> None:
    """Two that look the same are two messages."""
    assert bubble() != bubble()


def test_a_new_bubble_is_nowhere_yet() -> None:
    new = Bubble(private(), draft_id=4)
    assert (new.message_id, new.home, new.candidates, new.lost, new.unsettled) == (None, None, [], False, 0)
    assert (new.shown_id, new.target) == (None, None)
    assert (new.silent, new.replies) == (False, True)
    assert Delivered().result is True, "what most methods return"


# Its id, the chat of that id, and the ids that it may have; which one is its message's, and which one an edit goes to.
IDS: list[tuple[int | None, int | None, list[int], int | None, int | None]] = [
    (8, None, [], 8, 8),
    (8, -100, [], 8, 8),
    (8, -99, [], None, None),
    (None, -100, [], None, None),
    (None, None, [12, 13], None, 12),
    (8, -99, [12, 13], None, 12),
]


@pytest.mark.parametrize(("message_id", "home", "candidates", "shown_id", "target"), IDS)
def test_an_id_is_one_of_its_chat(
    message_id: int | None, home: int | None, candidates: list[int], shown_id: int | None, target: int | None
) -> None:
    found = bubble(group(), message_id, home=home, candidates=candidates)
    assert (found.shown_id, found.target) == (shown_id, target)


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
SUPERGROUP = Place(ConversationKey(-200), private=False, asked=9)

MENDED: list[tuple[str, Place, Refused, bool, Place]] = [
    (
        "the group is a supergroup",
        group(),
        UPGRADED,
        True,
        SUPERGROUP,
    ),
    (
        "its topics stay",
        group(5, forum=True),
        UPGRADED,
        True,
        Place(ConversationKey(-200, 5), private=False, asked=9, forum=True),
    ),
    ("the group was one before", SUPERGROUP, UPGRADED, False, SUPERGROUP),
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
    assert found.lane == place.key.chat_id, "its messages keep one order"


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

# The outcome of a send; the message's id, and whether it may be on screen under an id that nobody knows.
SENDS: list[tuple[Outcome, int | None, bool]] = [
    (SENT, 8, False),
    (Delivered({"message_id": 0}), 0, False),
    (Delivered(), None, True),
    (Delivered({}), None, True),
    (Delivered([8]), None, True),
    (Delivered({"message_id": "8"}), None, True),
    (Delivered({"message_id": True}), None, True),
    (LOST, None, True),
    (FLOOD, None, False),
    (UNSENT, None, False),
    (FORBIDDEN, None, False),
    (GONE, None, False),
    (UNEDITABLE, None, False),
]


@pytest.mark.parametrize("content", [HELLO, RICH])
@pytest.mark.parametrize(("outcome", "message_id", "is_unknown"), SENDS)
def test_what_a_send_s_outcome_tells(
    content: Content, outcome: Outcome, message_id: int | None, is_unknown: bool
) -> None:
    target = bubble()
    call = message_call(target, content)
    assert absorb(call, outcome) == outcome
    assert (target.message_id, target.shown_id, target.candidates, target.lost) == (message_id, message_id, [], False)
    assert target.home == (3 if isinstance(outcome, Delivered) else None)
    assert may_be_on_screen(call, outcome) is is_unknown


@pytest.mark.parametrize("outcome", [Delivered(), LOST, GONE, FLOOD])
@pytest.mark.parametrize("make", [lambda target: draft_call(target, HELLO), typing_call])
def test_no_other_call_makes_a_message(make: Callable[[Bubble], Call], outcome: Outcome) -> None:
    assert not may_be_on_screen(make(bubble()), outcome)


def test_a_message_has_its_id_where_it_was_sent() -> None:
    """Not where its chat has moved to while it was on its way: there it is sent anew."""
    target = bubble(group())
    call = message_call(target, HELLO)
    target.place.mend(UPGRADED)
    absorb(call, SENT)
    assert (target.message_id, target.home, target.shown_id) == (8, -100, None)
    absorb(message_call(target, HELLO), Delivered({"message_id": 2}))
    assert (target.message_id, target.home, target.shown_id) == (2, -200, 2)


# An edit's outcome; how its owner sees it; and the message's id.
EDITS: list[tuple[Outcome, Outcome, int | None]] = [
    (SENT, SENT, 5),
    (Delivered(), Delivered(), 5),
    (NOT_MODIFIED, Delivered(), 5),
    (LOST, LOST, 5),
    (GONE, GONE, None),
    (UNEDITABLE, UNEDITABLE, 5),
    (NO_TEXT, NO_TEXT, 5),
    (FLOOD, FLOOD, 5),
    (FORBIDDEN, FORBIDDEN, 5),
    (UNPARSED, UNPARSED, 5),
    (UNSENT, UNSENT, 5),
]


@pytest.mark.parametrize(("outcome", "seen", "after"), EDITS)
def test_what_an_edit_s_outcome_tells(outcome: Outcome, seen: Outcome, after: int | None) -> None:
    target = bubble(message_id=5)
    call = message_call(target, HELLO)
    assert absorb(call, outcome) == seen
    assert (target.message_id, target.candidates, target.lost) == (after, [], False)
    assert not may_be_on_screen(call, outcome)
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
    call = message_call(target, HELLO)
    assert absorb(call, outcome) == seen
    assert (target.message_id, target.candidates, target.lost) == (message_id, candidates, lost)
    assert target.home == (None if message_id is None else 3)
    assert not may_be_on_screen(call, outcome), "it is sought already"


@pytest.mark.parametrize("outcome", [Delivered(), SENT, LOST, GONE, FLOOD, UNSENT])
@pytest.mark.parametrize("make", [lambda target: draft_call(target, HELLO), typing_call, delete_call])
@pytest.mark.parametrize(("message_id", "candidates"), [(5, []), (None, [21, 22])])
def test_other_calls_tell_nothing_of_a_message(
    make: Callable[[Bubble], Call], outcome: Outcome, message_id: int | None, candidates: list[int]
) -> None:
    target = bubble(message_id=message_id, candidates=list(candidates))
    assert absorb(make(target), outcome) == outcome
    assert (target.message_id, target.candidates, target.lost) == (message_id, candidates, False)


def test_what_was_lost_is_made_good_by_what_is_sent_for_sure() -> None:
    target = sought(23)
    absorb(message_call(target, HELLO), GONE)
    absorb(message_call(target, HELLO), SENT)
    assert (target.message_id, target.candidates, target.lost) == (8, [], False)


def test_what_is_found_in_another_chat_than_an_older_message_has_its_id_there() -> None:
    target = bubble(group(), 8, home=-99, candidates=[21, 22])
    absorb(message_call(target, HELLO), GONE)
    absorb(message_call(target, HELLO), Delivered())
    assert (target.shown_id, target.home) == (22, -100)


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
    seen = absorb(make(target), outcome)
    assert (isinstance(seen, Refused) and seen.mended) == mended
    assert (attrs.astuple(target.place) != before) == mended
    if isinstance(outcome, Refused):
        assert seen == attrs.evolve(outcome, mended=mended)


@given(
    candidates=st.lists(st.integers(1, 99), min_size=1, max_size=5, unique=True),
    at=st.integers(0, 5),
    outcomes=st.lists(st.sampled_from([LOST, FLOOD])),
)
def test_a_message_is_found_where_it_is_or_known_to_be_lost(
    candidates: list[int], at: int, outcomes: list[Outcome]
) -> None:
    """Every id is asked for once, but for calls that tell nothing."""
    target = sought(*candidates)
    asked: list[int] = []
    while target.candidates:
        call = message_call(target, HELLO)
        if outcomes:
            absorb(call, outcomes.pop())
            assert message_call(target, HELLO) == call
            continue
        asked.append(call.params["message_id"])
        assert len(asked) <= len(candidates)
        absorb(call, Delivered() if len(asked) > at else GONE)
    found = at < len(candidates)
    assert (target.message_id, target.lost) == ((candidates[at] if found else None), not found)
    assert asked == candidates[: at + 1]


def test_a_message_may_be_on_screen_whatever_there_was_in_another_chat() -> None:
    """An id of the chat that was left is none of the chat that is written to."""
    target = bubble(group(), 8, home=-99)
    assert may_be_on_screen(message_call(target, HELLO), LOST)
    assert not may_be_on_screen(message_call(bubble(group(), 8, home=-100), HELLO), LOST)
