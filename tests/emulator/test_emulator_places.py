"""What people do to chats: block, remove, migrate, open and close topics; and what the bot hears and is told."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import (
    ANN,
    ANN_CHAT,
    ANN_JSON,
    BEN,
    EPOCH,
    FORUM,
    GROUP,
    STRANGER,
    TOPIC,
    ask,
    only,
    refusal,
    reply_to,
    scene,
    staged,
)

from triolet.emulator import GENERAL, EmulatedTelegram, ImpossibleAct


def test_blocking_and_unblocking_are_told() -> None:
    telegram = scene()
    telegram.user_blocks_bot(ANN, 1.0)
    change = only(telegram, "my_chat_member")
    bot = {"id": 42, "is_bot": True, "first_name": "Triolet", "username": "triolet_bot"}
    assert change == {
        "chat": ANN_CHAT,
        "from": ANN_JSON,
        "date": EPOCH + 1,
        "old_chat_member": {"user": bot, "status": "member"},
        "new_chat_member": {"user": bot, "status": "kicked", "until_date": 0},
    }
    assert refusal(telegram, "sendMessage", chat_id=ANN, text="x") == "Forbidden: bot was blocked by the user"
    with pytest.raises(ImpossibleAct, match="user 7 has blocked the bot"):
        telegram.user_sends(ANN, "x", 2.0)
    telegram.user_unblocks_bot(ANN, 3.0)
    ask(telegram, "sendMessage", chat_id=ANN, text="x")


def test_a_group_that_removed_the_bot_is_silent_until_it_is_back() -> None:
    telegram = scene()
    telegram.group_removes_bot(GROUP, 0.0, user_id=BEN)
    change = only(telegram, "my_chat_member")
    assert (change["from"]["id"], change["new_chat_member"]["status"]) == (BEN, "kicked")
    telegram.updates.drop_all()
    telegram.user_sends(GROUP, "unheard", 1.0)
    assert telegram.updates.pending == []
    telegram.group_adds_bot(GROUP, 2.0)
    telegram.user_sends(GROUP, "heard", 3.0)
    assert [next(iter(update.keys() - {"update_id"})) for update in telegram.updates.pending] == [
        "my_chat_member",
        "message",
    ]
    telegram.group_removes_bot(GROUP, 4.0, kicked=False)
    assert telegram.updates.pending[-1]["my_chat_member"]["new_chat_member"]["status"] == "left"


NEW_GROUP = -1002
MOVED = {
    "ok": False,
    "error_code": 400,
    "description": "Bad Request: group chat was upgraded to a supergroup chat",
    "parameters": {"migrate_to_chat_id": NEW_GROUP},
}


def migrated() -> EmulatedTelegram:
    """The staged scene, where the group was made a supergroup by Ben after the bot had written to it."""
    telegram = staged()
    ask(telegram, "sendMessage", chat_id=GROUP, text="from the bot")
    telegram.updates.drop_all()
    telegram.group_migrates(GROUP, NEW_GROUP, 5.0, user_id=BEN)
    return telegram


def test_both_chats_of_a_migration_are_told_of_it() -> None:
    telegram = migrated()
    old, new = (update["message"] for update in telegram.updates.pending)
    ben = {"id": BEN, "is_bot": False, "first_name": "Ben", "language_code": "en"}
    assert old == {
        "message_id": 5,
        "from": ben,
        "chat": {"id": GROUP, "type": "group", "title": "Family"},
        "date": EPOCH + 5,
        "migrate_to_chat_id": NEW_GROUP,
    }
    assert new == {
        "message_id": 1,
        "from": ben,
        "chat": {"id": NEW_GROUP, "type": "supergroup", "title": "Family"},
        "date": EPOCH + 5,
        "migrate_from_chat_id": GROUP,
    }
    upgraded = "The group was upgraded to a supergroup"
    assert telegram.visible(GROUP, 5.0) == ["in the group", "from the bot", upgraded]
    assert telegram.visible(NEW_GROUP, 5.0) == [upgraded]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("sendMessage", {"text": "x"}),
        ("editMessageText", {"message_id": 4, "text": "x"}),
        ("deleteMessage", {"message_id": 4}),
        ("sendChatAction", {"action": "typing"}),
        ("sendMessageDraft", {"draft_id": 1, "text": "x"}),
    ],
)
@pytest.mark.parametrize("status", ["member", "kicked"])
def test_a_migrated_group_answers_every_call_with_its_successor(
    method: str, params: dict[str, Any], status: Any
) -> None:
    telegram = migrated()
    telegram.world.chats[GROUP].bot_status = status
    before = telegram.revision
    reply = reply_to(telegram, method, chat_id=GROUP, **params)
    assert (reply.status, reply.body) == (400, MOVED)
    assert telegram.revision == before


def test_in_the_new_supergroup_everything_goes_on() -> None:
    telegram = migrated()
    telegram.updates.drop_all()
    telegram.user_sends(NEW_GROUP, "here we are", 6.0, user_id=ANN)
    assert only(telegram, "message")["chat"]["id"] == NEW_GROUP
    with pytest.raises(ImpossibleAct):
        telegram.user_edits(NEW_GROUP, 1, "a service message", 6.0)
    ask(telegram, "sendMessage", chat_id=NEW_GROUP, text="x", reply_parameters={"message_id": 2})
    telegram.world.chats[NEW_GROUP].bot_status = "administrator"
    said = refusal(telegram, "deleteMessage", chat_id=NEW_GROUP, message_id=1)
    assert said == "Bad Request: message can't be deleted"
    assert ask(telegram, "deleteMessage", chat_id=NEW_GROUP, message_id=2) is True


def test_a_bot_that_was_removed_hears_nothing_of_a_migration() -> None:
    telegram = scene()
    telegram.group_removes_bot(GROUP, 0.0)
    telegram.updates.drop_all()
    telegram.group_migrates(GROUP, NEW_GROUP, 1.0)
    assert telegram.updates.pending == []
    said = refusal(telegram, "sendMessage", chat_id=NEW_GROUP, text="x")
    assert said == "Forbidden: bot was kicked from the supergroup chat"


def test_nobody_acts_in_a_migrated_group_but_all_may_look() -> None:
    telegram = migrated()
    pending = telegram.updates.pending
    for act, args in (
        ("user_sends", (GROUP, "x", 6.0)),
        ("user_edits", (GROUP, 3, "x", 6.0)),
        ("user_deletes_message", (GROUP, 3, 6.0)),
        ("group_removes_bot", (GROUP, 6.0)),
        ("group_migrates", (GROUP, -1003, 6.0)),
    ):
        with pytest.raises(ImpossibleAct, match="group -5 has become the supergroup -1002"):
            getattr(telegram, act)(*args)
    assert telegram.updates.pending == pending
    assert telegram.transcript(GROUP)[-1].at == 5.0


def test_a_deleted_topic_takes_its_messages_and_its_draft_along() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=ANN, text="x", message_thread_id=TOPIC)
    ask(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1, text="y", message_thread_id=TOPIC)
    telegram.delete_topic(ANN, TOPIC, 1.0)
    assert telegram.visible(ANN, 1.0, TOPIC) == []
    assert [row.kind for row in telegram.transcript(ANN)] == ["message", "draft", "delete", "draft_cleared"]
    said = refusal(telegram, "sendMessage", chat_id=ANN, text="x", message_thread_id=TOPIC)
    assert said == "Bad Request: message thread not found"
    telegram.add_topic(ANN, TOPIC, "again")
    ask(telegram, "sendMessage", chat_id=ANN, text="x", message_thread_id=TOPIC)


def test_what_is_outside_of_topics_in_a_forum_is_in_general() -> None:
    telegram = scene()
    telegram.user_sends(FORUM, "hi", 0.0)
    message = only(telegram, "message")
    assert message["chat"]["is_forum"]
    assert not message.keys() & {"message_thread_id", "is_topic_message"}
    ask(telegram, "sendChatAction", 1.0, chat_id=FORUM, action="typing", message_thread_id=GENERAL)
    assert telegram.screen(FORUM, 1.0).typing
    said = refusal(telegram, "sendMessage", chat_id=FORUM, text="x", message_thread_id=GENERAL)
    assert said == "Bad Request: message thread not found"
    assert telegram.visible(FORUM, 1.0) == ["hi"]


def test_only_a_forum_has_a_general_topic() -> None:
    telegram = scene()
    telegram.add_group(NEW_GROUP, "No forum", [ANN], supergroup=True)
    for chat_id in (ANN, GROUP, NEW_GROUP):
        said = refusal(telegram, "sendChatAction", chat_id=chat_id, action="typing", message_thread_id=GENERAL)
        assert said == "Bad Request: message thread not found"


def test_a_reply_outside_of_topics_names_a_thread_that_is_no_topic() -> None:
    telegram = scene()
    telegram.user_sends(FORUM, "first", 0.0)
    telegram.user_sends(FORUM, "second", 0.0, reply_to=1)
    telegram.updates.drop_all()
    telegram.user_sends(FORUM, "third", 0.0, reply_to=2)
    message = only(telegram, "message")
    for each in (message, message["reply_to_message"]):
        assert each["message_thread_id"] == 1
        assert "is_topic_message" not in each
    said = refusal(telegram, "sendMessage", chat_id=FORUM, text="x", message_thread_id=1)
    assert said == "Bad Request: message thread not found"
    sent = ask(telegram, "sendMessage", chat_id=FORUM, text="x", reply_parameters={"message_id": 3})
    assert (sent["message_thread_id"], "is_topic_message" in sent) == (1, False)


def test_replies_elsewhere_name_no_thread_but_their_topic() -> None:
    telegram = scene()
    for chat_id, thread_id in ((ANN, None), (GROUP, None), (FORUM, TOPIC)):
        telegram.updates.drop_all()
        first = telegram.user_sends(chat_id, "first", 0.0, thread_id=thread_id)
        telegram.user_sends(chat_id, "second", 0.0, reply_to=first)
        assert telegram.updates.pending[-1]["message"].get("message_thread_id") == thread_id


@pytest.mark.parametrize(
    ("thread_id", "where"), [(TOPIC, {"message_thread_id": TOPIC, "is_topic_message": True}), (GENERAL, {})]
)
def test_a_closed_topic_takes_nothing_of_the_bots_until_it_is_open_again(thread_id: int, where: dict[str, Any]) -> None:
    telegram = scene()
    params = {"message_thread_id": TOPIC} if where else {}
    sent = ask(telegram, "sendMessage", chat_id=FORUM, text="before", **params)
    telegram.close_topic(FORUM, thread_id, 1.0, user_id=ANN)
    telegram.user_sends(FORUM, "I may", 2.0, thread_id=params.get("message_thread_id"))
    assert refusal(telegram, "sendMessage", chat_id=FORUM, text="x", **params) == "Bad Request: TOPIC_CLOSED"
    reply: dict[str, Any] = {"reply_parameters": {"message_id": sent["message_id"]}}
    assert refusal(telegram, "sendMessage", chat_id=FORUM, text="x", **reply) == "Bad Request: TOPIC_CLOSED"
    ask(telegram, "editMessageText", chat_id=FORUM, message_id=sent["message_id"], text="after")
    elsewhere = {} if where else {"message_thread_id": TOPIC}
    ask(telegram, "sendMessage", chat_id=FORUM, text="x", **elsewhere)
    with pytest.raises(ImpossibleAct):
        telegram.close_topic(FORUM, thread_id, 2.5)
    with pytest.raises(ImpossibleAct):
        telegram.reopen_topic(FORUM, thread_id, 2.5, user_id=STRANGER)
    assert refusal(telegram, "sendMessage", chat_id=FORUM, text="x", **params) == "Bad Request: TOPIC_CLOSED"
    telegram.reopen_topic(FORUM, thread_id, 3.0)
    with pytest.raises(ImpossibleAct):
        telegram.reopen_topic(FORUM, thread_id, 3.0)
    ask(telegram, "sendMessage", chat_id=FORUM, text="y", **params)
    closed, _, reopened = (update["message"] for update in telegram.updates.pending)
    assert (closed["forum_topic_closed"], reopened["forum_topic_reopened"]) == ({}, {})
    assert closed["from"]["id"] == ANN
    for told in (closed, reopened):
        assert "text" not in told
        assert {name: told[name] for name in told if "topic_message" in name or "thread" in name} == where
    place = params.get("message_thread_id")
    assert telegram.visible(FORUM, 3.0, place) == ["after", "Topic closed", "I may", "Topic reopened", "y"]


def test_a_topic_that_comes_again_is_open() -> None:
    telegram = scene()
    telegram.close_topic(FORUM, TOPIC, 0.0)
    telegram.delete_topic(FORUM, TOPIC, 0.0)
    telegram.add_topic(FORUM, TOPIC, "again")
    ask(telegram, "sendMessage", chat_id=FORUM, text="x", message_thread_id=TOPIC)
