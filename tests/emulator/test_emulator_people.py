"""What people do, and the update that Telegram makes of it. Times are the scene's own seconds."""

from __future__ import annotations

import inspect
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
    STOP,
    STRANGER,
    TOPIC,
    ask,
    only,
    refusal,
    scene,
    staged,
)

from triolet.emulator import GENERAL, ImpossibleAct
from triolet.emulator.people import People
from triolet.emulator.places import Places


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


def test_every_act_but_making_something_takes_a_time() -> None:
    for acts in (People, Places):
        for name, act in vars(acts).items():
            if inspect.isfunction(act) and not name.startswith(("_", "add_")):
                assert "now" in inspect.signature(act).parameters, name


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
    ("close_topic", (ANN, TOPIC, 0.0), {}),
    ("close_topic", (GROUP, GENERAL, 0.0), {}),
    ("close_topic", (FORUM, 99, 0.0), {}),
    ("close_topic", (FORUM, TOPIC, 0.0), {"user_id": STRANGER}),
    ("reopen_topic", (FORUM, TOPIC, 0.0), {}),
    ("reopen_topic", (FORUM, 99, 0.0), {}),
    ("add_topic", (FORUM, GENERAL, "x"), {}),
    ("delete_topic", (FORUM, GENERAL, 0.0), {}),
    ("add_group", (-6, "x", []), {"supergroup": True, "topics": {GENERAL: "x"}}),
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
