"""Updates: what people do becomes which update, and how the bot gets them. Times are the scene's own seconds."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import ANN, BEN, EPOCH, FORUM, GROUP, STOP, STRANGER, TOPIC, ask, refusal, scene, staged, waiting

from triolet.emulator import EmulatedTelegram, ImpossibleAct, Reply

CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
ANN_JSON = {"id": ANN, "is_bot": False, "first_name": "Ann", "username": "ann_s", "language_code": "en"}
ANN_CHAT = {"id": ANN, "type": "private", "first_name": "Ann", "username": "ann_s"}


def ids(telegram: EmulatedTelegram, now: float = 0.0, **params: Any) -> list[int]:
    return [update["update_id"] for update in ask(telegram, "getUpdates", now, **params)]


def only(telegram: EmulatedTelegram, kind: str) -> Any:
    (update,) = telegram.updates.pending
    return update[kind]


def five() -> EmulatedTelegram:
    telegram = scene(first_update_id=1000)
    for number in range(5):
        telegram.user_sends(ANN, f"message {number}", 0.0)
    return telegram


@pytest.mark.parametrize(
    ("params", "expected", "left"),
    [
        ({}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"limit": 2}, [1000, 1001], 5),
        ({"limit": 0}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"limit": 101}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"offset": 1000}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"offset": 1003}, [1003, 1004], 2),
        ({"offset": 1003, "limit": 1}, [1003], 2),
        ({"offset": 1005}, [], 0),
        ({"offset": 5000}, [], 0),
        ({"offset": -2}, [1003, 1004], 2),
        ({"offset": -9}, [1000, 1001, 1002, 1003, 1004], 5),
    ],
)
def test_an_offset_acknowledges_everything_below_it(params: dict[str, int], expected: list[int], left: int) -> None:
    telegram = five()
    assert ids(telegram, **params) == expected
    assert len(telegram.updates.pending) == left


def test_allowed_updates_persist_and_concern_what_is_made_afterwards() -> None:
    telegram = five()
    assert len(ids(telegram, allowed_updates=["callback_query", "no_such_kind"])) == 5
    telegram.user_sends(ANN, "unheard", 1.0)
    assert ids(telegram, offset=1005) == []
    assert ids(telegram, allowed_updates=[]) == []
    telegram.user_sends(ANN, "heard", 2.0)
    assert ids(telegram) == [1005]


@pytest.mark.parametrize("unknown", [[], ["no_such_kind"], [5]])
def test_an_empty_list_means_the_default_kinds(unknown: list[Any]) -> None:
    telegram = scene()
    ask(telegram, "getUpdates", allowed_updates=unknown)
    assert telegram.push_update("chat_member", {}, 0.0) is None
    assert telegram.push_update("message_reaction", {}, 0.0) is None
    assert telegram.push_update("stopped_message_generation", {}, 0.0) == 1000
    with pytest.raises(ValueError, match="'nonsense' is no kind of update"):
        telegram.push_update("nonsense", {}, 0.0)


def test_a_stop_is_not_heard_where_a_list_leaves_it_out() -> None:
    telegram = scene()
    ask(telegram, "getUpdates", allowed_updates=["message"])
    ask(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1, text="x", can_stop=True)
    telegram.user_presses_stop(ANN, 1.0)
    assert telegram.updates.pending == []


@pytest.mark.parametrize(("timeout", "deadline"), [(1, 11.0), (50, 60.0), (900, 60.0)])
def test_a_long_poll_waits_at_most_fifty_seconds(timeout: int, deadline: float) -> None:
    telegram = scene()
    wait = waiting(telegram, "getUpdates", 10.0, timeout=timeout)
    assert (wait.at, wait.on_update) == (deadline, True)
    assert telegram.resume(wait, deadline - 0.1) == wait
    assert telegram.resume(wait, deadline) == Reply(200, {"ok": True, "result": []}, serial=0)


def test_a_negative_timeout_does_not_wait() -> None:
    assert ids(scene(), timeout=-1) == []


def test_a_waiting_poll_is_answered_by_the_next_update() -> None:
    telegram = scene()
    wait = waiting(telegram, "getUpdates", timeout=30)
    telegram.user_sends(ANN, "hi", 3.0)
    reply = telegram.resume(wait, 3.0)
    assert isinstance(reply, Reply)
    assert isinstance(reply.body, dict)
    assert [update["update_id"] for update in reply.body["result"]] == [1000]


def test_a_second_poll_ends_the_first_with_a_conflict() -> None:
    telegram = scene()
    first = waiting(telegram, "getUpdates", timeout=30)
    second = waiting(telegram, "getUpdates", 1.0, timeout=30)
    reply = telegram.resume(first, 1.0)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (
        409,
        {"ok": False, "error_code": 409, "description": CONFLICT},
    )
    telegram.user_sends(ANN, "hi", 2.0)
    assert isinstance(telegram.resume(second, 2.0), Reply)


def test_the_client_of_an_ended_poll_leaves_without_ending_the_next() -> None:
    telegram = scene()
    first, second = (waiting(telegram, "getUpdates", timeout=30) for _ in range(2))
    telegram.abandon(first, 1.0)
    waiting(telegram, "getUpdates", 2.0, timeout=30)
    reply = telegram.resume(second, 2.0)
    assert isinstance(reply, Reply)
    assert reply.status == 409


@pytest.mark.parametrize("params", [{}, {"limit": 100}, {"limit": 101}, {"limit": 0}])
def test_one_answer_holds_at_most_a_hundred_updates(params: dict[str, int]) -> None:
    telegram = scene()
    for _ in range(101):
        telegram.user_sends(ANN, "x", 0.0)
    assert len(ids(telegram, **params)) == 100


def test_a_poll_whose_client_left_conflicts_with_nobody() -> None:
    telegram = scene()
    telegram.abandon(waiting(telegram, "getUpdates", timeout=30), 1.0)
    assert telegram.journal[0].outcome == "dropped"
    assert ids(telegram, 2.0) == []


def test_updates_die_after_a_day_and_presses_after_150_seconds() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=ANN, text="x", reply_markup=STOP)
    telegram.user_presses_button(ANN, 1, "stop", 0.0)
    telegram.user_sends(ANN, "hi", 0.0)
    assert ids(telegram, 149.9) == [1000, 1001]
    assert ids(telegram, 150.0) == [1001]
    assert ids(telegram, 86399.9) == [1001]
    assert ids(telegram, 86400.0) == []


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
    assert ask(telegram, "answerCallbackQuery", 1.0, callback_query_id=first, text="Stopped") is True
    assert [(row.kind, row.text) for row in telegram.transcript(GROUP)][-1] == ("toast", "Stopped")
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
    assert only(telegram, "my_chat_member")["from"]["id"] == BEN
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
    telegram.user_sends(STRANGER, "/start", 0.0)
    assert only(telegram, "message")["chat"]["id"] == STRANGER
