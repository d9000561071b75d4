"""What people do, and the update that Telegram makes of it. Times are the scene's own seconds."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import ANN, BEN, EPOCH, FORUM, GROUP, STOP, STRANGER, TOPIC, ask, refusal, reply_to, scene, staged

from triolet.emulator import EmulatedTelegram, ImpossibleAct

ANN_JSON = {"id": ANN, "is_bot": False, "first_name": "Ann", "username": "ann_s", "language_code": "en"}
ANN_CHAT = {"id": ANN, "type": "private", "first_name": "Ann", "username": "ann_s"}


def only(telegram: EmulatedTelegram, kind: str) -> Any:
    (update,) = telegram.updates.pending
    return update[kind]


def test_a_message_update_is_telegrams() -> None:
    telegram = staged()
    telegram.updates.drop_all()
    message_id = telegram.user_sends(ANN, "👋 /new to @triolet_bot", 2.0, reply_to=1)
    message = only(telegram, "message")
    reply = message.pop("reply_to_message")
    assert (reply["text"], reply["from"]["is_bot"]) == ("first", True)
    assert message == {
        "message_id": message_id,
        "from": ANN_JSON,
        "chat": ANN_CHAT,
        "date": EPOCH + 2,
        "text": "👋 /new to @triolet_bot",
        "entities": [
            {"type": "bot_command", "offset": 3, "length": 4},
            {"type": "mention", "offset": 11, "length": 12},
        ],
    }


def test_a_message_in_a_topic_says_so() -> None:
    telegram = scene()
    telegram.user_sends(FORUM, "hi", 0.0, user_id=ANN, thread_id=TOPIC)
    message = only(telegram, "message")
    assert (message["message_thread_id"], message["is_topic_message"]) == (TOPIC, True)
    assert message["chat"] == {"id": FORUM, "type": "supergroup", "title": "Work", "is_forum": True}
    assert message["from"] == ANN_JSON


def test_an_edit_is_an_update_and_a_deletion_is_none() -> None:
    telegram = scene()
    message_id = telegram.user_sends(ANN, "helo", 0.0)
    telegram.updates.drop_all()
    telegram.user_edits(ANN, message_id, "hello", 5.0)
    edited = only(telegram, "edited_message")
    assert (edited["message_id"], edited["text"], edited["edit_date"]) == (message_id, "hello", EPOCH + 5)
    telegram.updates.drop_all()
    telegram.user_deletes_message(ANN, message_id, 6.0)
    assert telegram.updates.pending == []
    assert telegram.visible(ANN, 6.0) == []


def test_a_press_of_a_button_is_answered_once_and_in_time() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=GROUP, text="x", reply_markup=STOP)
    first = telegram.user_presses_button(GROUP, 1, "stop", 0.0, user_id=BEN)
    query = only(telegram, "callback_query")
    assert (query["id"], query["data"], query["from"]["id"]) == (first, "stop", BEN)
    assert (query["message"]["message_id"], query["message"]["chat"]["id"]) == (1, GROUP)
    assert ask(telegram, "answerCallbackQuery", 1.0, callback_query_id=first, text="x" * 200) is True
    assert [(row.kind, row.text) for row in telegram.transcript(GROUP)][-1] == ("toast", "x" * 200)
    second = telegram.user_presses_button(GROUP, 1, "stop", 0.0)
    for late in (
        refusal(telegram, "answerCallbackQuery", 2.0, callback_query_id=first),
        refusal(telegram, "answerCallbackQuery", 150.0, callback_query_id=second),
    ):
        assert late.startswith("Bad Request: query is too old")


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


IMPOSSIBLE: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("user_sends", (404, "x", 0.0), {}),
    ("user_sends", (ANN, "  ", 0.0), {}),
    ("user_sends", (ANN, "x" * 4097, 0.0), {}),
    ("user_sends", (ANN, "x", 0.0), {"user_id": BEN}),
    ("user_sends", (ANN, "x", 0.0), {"reply_to": 99}),
    ("user_sends", (ANN, "x", 0.0), {"thread_id": 99}),
    ("user_edits", (ANN, 1, "x", 0.0), {}),
    ("user_edits", (ANN, 99, "x", 0.0), {}),
    ("user_deletes_message", (ANN, 99, 0.0), {}),
    ("user_presses_stop", (ANN, 0.0), {}),
    ("user_presses_button", (ANN, 1, "stop", 0.0), {}),
    ("delete_topic", (ANN, 99, 0.0), {}),
    ("group_migrates", (ANN, -6, 0.0), {}),
    ("group_migrates", (FORUM, -6, 0.0), {}),
    ("group_migrates", (GROUP, FORUM, 0.0), {}),
    ("group_migrates", (GROUP, 6, 0.0), {}),
    ("group_migrates", (GROUP, -6, 0.0), {"user_id": STRANGER}),
    ("user_sends", (-6, "x", 0.0), {}),
    ("add_topic", (GROUP, 1, "x"), {}),
    ("add_topic", (ANN, TOPIC, "x"), {}),
    ("add_private_chat", (ANN,), {}),
    ("add_private_chat", (-1,), {}),
    ("add_group", (GROUP, "x", []), {}),
    ("add_group", (3, "x", []), {}),
    ("add_group", (-6, "x", []), {"topics": {1: "x"}}),
    ("add_group", (-6, "x", []), {"bot_status": "owner"}),
    ("screen", (404, 0.0), {}),
    ("transcript", (404,), {}),
    ("rings", (404,), {}),
]


@pytest.mark.parametrize(("act", "args", "options"), IMPOSSIBLE)
def test_what_nobody_could_do_is_the_tests_mistake(act: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    telegram = staged()
    before = (telegram.revision, telegram.updates.pending)
    with pytest.raises(ImpossibleAct):
        getattr(telegram, act)(*args, **options)
    assert (telegram.revision, telegram.updates.pending) == before


def test_strangers_write_and_are_known() -> None:
    telegram = scene()
    telegram.user_sends(STRANGER, "/start" + "x" * 4090, 0.0)
    assert only(telegram, "message")["chat"]["id"] == STRANGER
