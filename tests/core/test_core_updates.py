"""Updates: what each means, and that no JSON object whatever stops the poller."""

from __future__ import annotations

import copy
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.conversation import ConversationKey
from triolet.core.ports import RawUpdate
from triolet.core.updates import (
    ALLOWED_UPDATES,
    BotIdentity,
    ButtonPressed,
    Edited,
    Ignored,
    Incoming,
    Moved,
    Removed,
    StopPressed,
    Update,
    parse_update,
)

BOT = BotIdentity(7, "TrioletBot")
PERSON = {"id": 3, "is_bot": False, "first_name": "Ann"}
PRIVATE = {"id": 3, "type": "private", "first_name": "Ann"}
GROUP = {"id": -100, "type": "supergroup", "title": "G"}
FORUM = GROUP | {"is_forum": True}


def message(text: Any = "hello", chat: Any = PRIVATE, *, sender: Any = PERSON, **fields: Any) -> RawUpdate:
    return {"update_id": 1, "message": {"message_id": 9, "from": sender, "chat": chat, "text": text, **fields}}


def without(name: str, update: RawUpdate) -> RawUpdate:
    return {"update_id": 1, "message": {key: value for key, value in update["message"].items() if key != name}}


def edited(raw: RawUpdate) -> RawUpdate:
    return {"update_id": 1, "edited_message": raw["message"] | {"edit_date": 2}}


def membership(status: str, chat: Any = PRIVATE) -> RawUpdate:
    member = {"user": {"id": 7, "is_bot": True}, "status": status}
    change = {"chat": chat, "from": PERSON, "date": 1, "old_chat_member": member, "new_chat_member": member}
    return {"update_id": 1, "my_chat_member": change}


def stopped(**fields: Any) -> RawUpdate:
    return {"update_id": 1, "stopped_message_generation": {"chat": PRIVATE, "draft_id": 42, **fields}}


def pressed(shown: Any = None, **fields: Any) -> RawUpdate:
    shown = {"message_id": 9, "date": 1, "chat": PRIVATE} if shown is None else shown
    query = {"id": "q1", "from": PERSON, "chat_instance": "7", "message": shown, "data": "n1"}
    return {"update_id": 1, "callback_query": query | fields}


def unpressed(*names: str) -> RawUpdate:
    """A press without these fields."""
    query = pressed()["callback_query"]
    return {"update_id": 1, "callback_query": {key: value for key, value in query.items() if key not in names}}


def mention(offset: int, length: int, kind: str = "mention") -> list[dict[str, Any]]:
    return [{"type": kind, "offset": offset, "length": length}]


HELLO = Incoming(1, ConversationKey(3), user_id=3, message_id=9, private=True, addressed=False, text="hello")
GROUP_HELLO = attrs.evolve(HELLO, key=ConversationKey(-100), private=False)
FORUM_HELLO = attrs.evolve(GROUP_HELLO, forum=True)
PRESSED = ButtonPressed(1, "q1", ConversationKey(3), message_id=9, user_id=3, data="n1")


def addressed(text: str) -> Incoming:
    return attrs.evolve(GROUP_HELLO, text=text, addressed=True)


MESSAGES: list[tuple[str, RawUpdate, Update]] = [
    ("a private message", message(), HELLO),
    ("a group's message", message(chat=GROUP), GROUP_HELLO),
    ("a small group's message", message(chat=GROUP | {"type": "group"}), GROUP_HELLO),
    (
        "in a private topic",
        message(message_thread_id=5, is_topic_message=True),
        attrs.evolve(HELLO, key=ConversationKey(3, 5)),
    ),
    (
        "in a forum's topic",
        message(chat=FORUM, message_thread_id=5, is_topic_message=True),
        attrs.evolve(FORUM_HELLO, key=ConversationKey(-100, 5)),
    ),
    ("in a forum's General topic", message(chat=FORUM), FORUM_HELLO),
    ("which may be named", message(chat=FORUM, message_thread_id=1, is_topic_message=True), FORUM_HELLO),
    (
        "but not in private",
        message(message_thread_id=1, is_topic_message=True),
        attrs.evolve(HELLO, key=ConversationKey(3, 1)),
    ),
    ("a reply in General", message(chat=FORUM, message_thread_id=7), FORUM_HELLO),
    ("a reply's thread is no topic", message(chat=GROUP, message_thread_id=5), GROUP_HELLO),
    ("a topic's message without its id", message(is_topic_message=True), HELLO),
    ("not text", without("text", message(photo=[{}], caption="look")), attrs.evolve(HELLO, text="")),
    ("somebody joined", without("text", message(new_chat_members=[PERSON])), Ignored(1, "a service message")),
    ("a group that moves", without("text", message(chat=GROUP, migrate_to_chat_id=-200)), Moved(1, -100, -200)),
    ("where it came from", without("text", message(migrate_from_chat_id=-1)), Ignored(1, "a service message")),
    ("nobody joined", without("from", without("text", message(pinned_message={}))), Ignored(1, "a service message")),
    ("an empty text", message(""), attrs.evolve(HELLO, text="")),
    ("a reply to the bot", message(chat=GROUP, reply_to_message={"from": {"id": 7}}), addressed("hello")),
    ("a reply to another", message(chat=GROUP, reply_to_message={"from": {"id": 8}}), GROUP_HELLO),
    ("a reply to a channel's post", message(chat=GROUP, reply_to_message={"message_id": 4}), GROUP_HELLO),
    ("a mention first", message("@TrioletBot hi", GROUP, entities=mention(0, 11)), addressed("hi")),
    ("in other case", message("@trioletbot: hi", GROUP, entities=mention(0, 11)), addressed("hi")),
    ("on a line of its own", message("@TrioletBot\n/stop", GROUP, entities=mention(0, 11)), addressed("/stop")),
    ("a mention alone", message("@TrioletBot", GROUP, entities=mention(0, 11)), addressed("")),
    ("a mention later", message("hi @TrioletBot", GROUP, entities=mention(3, 11)), addressed("hi @TrioletBot")),
    ("after an emoji", message("😀 @TrioletBot", GROUP, entities=mention(3, 11)), addressed("😀 @TrioletBot")),
    (
        "a mention first and later",
        message("@TrioletBot hi @TrioletBot", GROUP, entities=mention(15, 11) + mention(0, 11)),
        addressed("hi @TrioletBot"),
    ),
    (
        "a command, and a mention first",
        message("@TrioletBot hi /x", GROUP, entities=mention(15, 2, "bot_command") + mention(0, 11)),
        addressed("hi /x"),
    ),
    (
        "a mention of another",
        message("@TrioletBot2 hi", GROUP, entities=mention(0, 12)),
        attrs.evolve(GROUP_HELLO, text="@TrioletBot2 hi"),
    ),
    (
        "another kind of entity",
        message("@TrioletBot hi", GROUP, entities=mention(0, 11, "code")),
        attrs.evolve(GROUP_HELLO, text="@TrioletBot hi"),
    ),
    (
        "an entity that is none",
        message("@TrioletBotX", GROUP, entities=mention(0, -1)),
        attrs.evolve(GROUP_HELLO, text="@TrioletBotX"),
    ),
    (
        "a mention in private",
        message("@TrioletBot", entities=mention(0, 11)),
        attrs.evolve(
            addressed(""),
            key=ConversationKey(3),
            private=True,
        ),
    ),
    ("no entities", message(entities=[]), HELLO),
    ("fields of tomorrow", message(new={"deep": [1]}) | {"new": 1}, HELLO),
    ("with its time", message(date=1_700_000_000), attrs.evolve(HELLO, sent_at=1_700_000_000.0)),
    ("an edit has the time when it was first said", edited(message(date=5)), Edited(1, attrs.evolve(HELLO, sent_at=5))),
    ("from a sender of few words", message(sender={"id": 3}), HELLO),
    ("from nobody", without("from", message()), Ignored(1, "not from a person")),
    ("from a bot", message(sender=PERSON | {"is_bot": True}), Ignored(1, "not from a person")),
    ("in a channel's name", message(chat=GROUP, sender_chat=GROUP), Ignored(1, "not from a person")),
    ("from a channel", message(chat=GROUP | {"type": "channel"}), Ignored(1, "from a channel")),
    ("the stop button", stopped(), StopPressed(1, ConversationKey(3), 42)),
    ("its draft id as a string", stopped(draft_id="42"), StopPressed(1, ConversationKey(3), 42)),
    ("a long one", stopped(draft_id=str(2**60)), StopPressed(1, ConversationKey(3), 2**60)),
    ("in a topic", stopped(message_thread_id=5), StopPressed(1, ConversationKey(3, 5), 42)),
    ("a button", pressed(), PRESSED),
    (
        "in a forum's topic",
        pressed({"message_id": 9, "chat": FORUM, "message_thread_id": 5, "is_topic_message": True}),
        attrs.evolve(PRESSED, key=ConversationKey(-100, 5)),
    ),
    (
        "in General",
        pressed({"message_id": 9, "chat": FORUM, "message_thread_id": 1, "is_topic_message": True}),
        attrs.evolve(PRESSED, key=ConversationKey(-100)),
    ),
    (
        "under a reply in a group",
        pressed({"message_id": 9, "chat": GROUP, "message_thread_id": 5}),
        attrs.evolve(PRESSED, key=ConversationKey(-100)),
    ),
    ("by another", pressed(**{"from": {"id": 4}}), attrs.evolve(PRESSED, user_id=4)),
    ("of a game", unpressed("data"), attrs.evolve(PRESSED, data="")),
    ("of an inline message", unpressed("message"), Ignored(1, "a button of no message of ours")),
    ("nothing", {"update_id": 1}, Ignored(1, "of a kind that is not asked for")),
    ("of another kind", {"update_id": 1, "poll": {}}, Ignored(1, "of a kind that is not asked for")),
    ("an edit", edited(message()), Edited(1, HELLO)),
    ("of a caption", edited(without("text", message(photo=[{}]))), Edited(1, attrs.evolve(HELLO, text=""))),
    (
        "an edit with a mention first",
        edited(message("@TrioletBot hi", GROUP, entities=mention(0, 11))),
        Edited(1, addressed("hi")),
    ),
    ("an edit by nobody", edited(without("from", message())), Ignored(1, "not from a person")),
    ("an edit in a channel's name", edited(message(chat=GROUP, sender_chat=GROUP)), Ignored(1, "not from a person")),
    ("blocked", membership("kicked"), Removed(1, 3)),
    ("unblocked", membership("member"), Ignored(1, "the bot is a member")),
    ("thrown out", membership("kicked", GROUP), Removed(1, -100)),
    ("left", membership("left", GROUP), Removed(1, -100)),
    ("made an administrator", membership("administrator", GROUP), Ignored(1, "the bot is a member")),
    ("null", {"update_id": 1, "message": None}, Ignored(1, "of a kind that is not asked for")),
]


@pytest.mark.parametrize(("raw", "expected"), [pytest.param(*row[1:], id=row[0]) for row in MESSAGES])
def test_what_an_update_means(raw: RawUpdate, expected: Update) -> None:
    assert parse_update(raw, BOT) == expected


MALFORMED: list[tuple[str, RawUpdate, str]] = [
    ("no message", {"update_id": 1, "message": 3}, "$.message"),
    ("no chat", without("chat", message()), "`chat`"),
    ("no message id", without("message_id", message()), "`message_id`"),
    ("a chat of another type", message(chat=PRIVATE | {"type": "room"}), "$.message.chat.type"),
    ("a chat without id", message(chat={"type": "private"}), "`id`"),
    ("text that is none", message(text=3), "$.message.text"),
    ("a time that is none", message(date="today"), "$.message.date"),
    ("an entity without length", message(entities=[{"type": "mention", "offset": 0}]), "`length`"),
    ("a sender that is none", message(sender=[3]), "$.message.from"),
    ("a button of no query", unpressed("id"), "`id`"),
    ("a button that nobody pressed", unpressed("from"), "`from`"),
    ("a button under nothing", pressed({"chat": PRIVATE}), "`message_id`"),
    ("a button nowhere", pressed({"message_id": 9}), "`chat`"),
    ("a draft id that is no number", stopped(draft_id="x"), "'x'"),
    ("an edit of nothing", {"update_id": 1, "edited_message": 3}, "$.edited_message"),
    ("a membership without status", {"update_id": 1, "my_chat_member": {"chat": PRIVATE}}, "`new_chat_member`"),
    ("an empty draft id", stopped(draft_id=""), "''"),
    ("a draft id beyond all numbers", stopped(draft_id="9" * 5000), "digits"),
    ("a draft id of another type", stopped(draft_id=[]), "$.stopped_message_generation.draft_id"),
]


@pytest.mark.parametrize(("raw", "part"), [pytest.param(*row[1:], id=row[0]) for row in MALFORMED])
def test_what_is_malformed_says_where(raw: RawUpdate, part: str) -> None:
    update = parse_update(raw, BOT)
    assert isinstance(update, Ignored)
    assert update.update_id == 1
    assert update.why.startswith("malformed: ")
    assert part in update.why


def test_each_kind_that_is_asked_for_is_understood() -> None:
    kinds = {"message", "edited_message", "callback_query", "stopped_message_generation", "my_chat_member"}
    assert set(ALLOWED_UPDATES) == kinds
    for kind in ALLOWED_UPDATES:
        update = parse_update({"update_id": 5, kind: {}}, BOT)
        assert isinstance(update, Ignored)
        assert (update.update_id, update.why[:10]) == (5, "malformed:")


# Any JSON

VALID: list[RawUpdate] = [row[1] for row in MESSAGES]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["\ud800", "@TrioletBot", "private", "mention", "9" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to each value inside of an update."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [place for key, part in inner for place in places(part, (*path, key))]
    return [path, *found] if path else found


def put(update: RawUpdate, path: tuple[Any, ...], value: Any) -> RawUpdate:
    """The update with another value at that place."""
    changed = copy.deepcopy(update)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


def assert_understood_or_ignored(raw: RawUpdate) -> None:
    before = copy.deepcopy(raw)
    update = parse_update(raw, BOT)
    assert isinstance(update, Incoming | Edited | StopPressed | ButtonPressed | Moved | Removed | Ignored)
    assert update.update_id == raw["update_id"]
    assert repr(raw) == repr(before), "the raw update is not ours to change"
    if isinstance(update, StopPressed):
        assert isinstance(update.draft_id, int)
    if isinstance(update, Incoming):
        assert update.text in raw["message"].get("text", "")
    if isinstance(update, Edited):
        assert update.message.update_id == update.update_id
        assert update.message.text in raw["edited_message"].get("text", "")


@given(st.integers(), st.dictionaries(st.sampled_from(ALLOWED_UPDATES) | st.text(max_size=3), JSON))
def test_any_json_object_is_understood_or_ignored(update_id: int, raw: RawUpdate) -> None:
    assert_understood_or_ignored(raw | {"update_id": update_id})


@given(st.sampled_from(VALID), st.data())
def test_a_valid_update_with_anything_in_it_is_understood_or_ignored(valid: RawUpdate, data: st.DataObject) -> None:
    raw = valid
    for _ in range(data.draw(st.integers(1, 3))):
        inner = [path for path in places(raw) if path != ("update_id",)]
        if inner:
            raw = put(raw, data.draw(st.sampled_from(inner)), data.draw(JSON))
    assert_understood_or_ignored(raw)


WRONG: list[Any] = [None, True, 0, -1, 10**40, 0.5, float("nan"), "", "x", "\ud800", [], [[]], {}, {"id": {}}]


def test_each_value_of_each_valid_update_may_be_of_any_type() -> None:
    for valid in VALID:
        for path in places(valid):
            for wrong in WRONG if path != ("update_id",) else ():
                assert_understood_or_ignored(put(valid, path, wrong))


@given(st.text(max_size=12), st.integers(-20, 20), st.integers(-20, 20))
def test_any_range_of_any_text_may_be_called_a_mention(text: str, offset: int, length: int) -> None:
    assert_understood_or_ignored(message(f"@TrioletBot{text}", GROUP, entities=mention(offset, length)))


def test_deep_json_is_ignored_or_unread() -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    assert parse_update(message(new=deep), BOT) == HELLO
    assert isinstance(parse_update(message(entities=deep), BOT), Ignored)
