"""What a call that succeeds does to the chat, and that no call can break the emulator."""

from __future__ import annotations

import json
from typing import Any

import pytest
from emulator_scenes import ANN, BEN, EPOCH, FORUM, GROUP, STOP, TOPIC, ask, refusal, scene, staged, waiting
from hypothesis import given
from hypothesis import strategies as st

from triolet.emulator import BotUser, Button, Delay, Reply
from triolet.emulator.parameters import SIGNATURES

SMILE = "😀"


def test_getme_describes_the_bot() -> None:
    assert ask(scene(bot=BotUser(5, "Bot", "a_bot", has_topics_enabled=True)), "getMe") == {
        "id": 5,
        "is_bot": True,
        "first_name": "Bot",
        "username": "a_bot",
        "can_join_groups": True,
        "can_read_all_group_messages": True,
        "supports_guest_queries": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": True,
        "allows_users_to_create_topics": False,
    }
    assert not ask(scene(), "getMe")["has_topics_enabled"]


@pytest.mark.parametrize("data", ["x", "é" * 32])
def test_a_button_carries_1_to_64_bytes(data: str) -> None:
    keyboard = {"inline_keyboard": [[{"text": "x", "callback_data": data}]]}
    assert ask(scene(), "sendMessage", chat_id=ANN, text="x", reply_markup=keyboard)["reply_markup"] == keyboard


def test_a_keyboard_has_at_most_a_hundred_buttons_and_may_have_none() -> None:
    rows = [[{"text": "x", "url": "u", "style": "danger"}] * 10] * 10
    full = ask(scene(), "sendMessage", chat_id=ANN, text="x", reply_markup={"inline_keyboard": rows})
    assert full["reply_markup"]["inline_keyboard"] == rows
    nothing: list[list[list[Any]]] = [[], [[]]]
    for empty in nothing:
        sent = ask(scene(), "sendMessage", chat_id=ANN, text="x", reply_markup={"inline_keyboard": empty})
        assert "reply_markup" not in sent


def test_a_plain_message_has_nothing_but_its_text() -> None:
    sent = ask(scene(), "sendMessage", chat_id=BEN, text="x")
    assert sent.keys() == {"message_id", "from", "chat", "date", "text"}


def test_a_message_comes_back_as_it_was_understood() -> None:
    telegram = staged()
    sent = ask(
        telegram,
        "sendMessage",
        2.5,
        chat_id=ANN,
        text="  two\n",
        entities=[{"type": "bold", "offset": 2, "length": 3}],
        reply_parameters={"message_id": 2},
        reply_markup=STOP,
        link_preview_options={"is_disabled": True},
        disable_notification=True,
        protect_content=True,
    )
    reply = sent.pop("reply_to_message")
    assert (reply["message_id"], reply["text"], reply["from"]["id"]) == (2, "hello", ANN)
    assert sent == {
        "message_id": 4,
        "from": {"id": 42, "is_bot": True, "first_name": "Triolet", "username": "triolet_bot"},
        "chat": {"id": ANN, "type": "private", "first_name": "Ann", "username": "ann_s"},
        "date": EPOCH + 2,
        "text": "two",
        "entities": [{"type": "bold", "offset": 0, "length": 3}],
        "link_preview_options": {"is_disabled": True},
        "reply_markup": STOP,
        "has_protected_content": True,
    }
    shown = telegram.screen(ANN, 3.0).messages[-1]
    assert (shown.rang, shown.reply_to, shown.edited) == (False, 2, False)
    assert shown.buttons == ((Button("⏹", "stop"),),)
    assert telegram.screen(ANN, 3.0).messages[0].rang


@pytest.mark.parametrize("text", ["x" * 4096, SMILE * 4096, " " * 100 + "x" * 4096 + "\n" * 100])
def test_the_limit_counts_code_points_after_trimming(text: str) -> None:
    telegram = scene()
    assert ask(telegram, "sendMessageDraft", chat_id=ANN, text=text, draft_id=1) is True
    assert ask(telegram, "sendMessage", chat_id=ANN, text=text)["text"] == text.strip()
    ask(telegram, "editMessageText", chat_id=ANN, message_id=1, text="x")
    assert ask(telegram, "editMessageText", chat_id=ANN, message_id=1, text=text)["text"] == text.strip()


def test_a_phone_rings_for_what_is_new_of_the_bot_and_not_silent() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", 1.0, chat_id=ANN, text="loud")
    ask(telegram, "sendMessage", 2.0, chat_id=ANN, text="silent", disable_notification=True)
    ask(telegram, "sendMessage", 3.0, chat_id=ANN, text="in a topic", message_thread_id=TOPIC)
    ask(telegram, "sendMessage", 3.5, chat_id=BEN, text="elsewhere")
    ask(telegram, "sendMessageDraft", 4.0, chat_id=ANN, draft_id=1, text="no message")
    ask(telegram, "editMessageText", 5.0, chat_id=ANN, message_id=1, text="louder")
    telegram.user_sends(ANN, "mine", 6.0)
    ask(telegram, "deleteMessage", 7.0, chat_id=ANN, message_id=1)  # who heard it has heard it
    assert telegram.rings(ANN) == [1.0, 3.0]
    assert telegram.screen(ANN, 7.0).rings == (1.0,)
    assert telegram.screen(ANN, 7.0, TOPIC).rings == (3.0,)
    assert telegram.rings(GROUP) == []


def test_a_late_message_has_rung_by_the_time_one_asks() -> None:
    telegram = scene(latency=Delay(before=5.0))
    telegram.abandon(waiting(telegram, "sendMessage", chat_id=ANN, text="x"), 1.0)
    assert (telegram.rings(ANN), telegram.rings(ANN, 4.9), telegram.rings(ANN, 5.0)) == ([], [], [5.0])


def test_a_reply_to_nothing_may_be_allowed() -> None:
    sent = ask(
        scene(),
        "sendMessage",
        chat_id=ANN,
        text="x",
        reply_parameters={"message_id": 99, "allow_sending_without_reply": True},
    )
    assert "reply_to_message" not in sent


def test_a_message_lands_in_the_topic_it_names_or_that_of_its_reply() -> None:
    telegram = staged()
    named = ask(telegram, "sendMessage", chat_id=FORUM, text="x", message_thread_id=TOPIC)
    implied = ask(telegram, "sendMessage", chat_id=FORUM, text="y", reply_parameters={"message_id": 1})
    outside = ask(telegram, "sendMessage", chat_id=FORUM, text="z")
    for sent in (named, implied):
        assert (sent["message_thread_id"], sent["is_topic_message"]) == (TOPIC, True)
    assert "message_thread_id" not in outside
    assert outside["chat"]["is_forum"]
    assert telegram.visible(FORUM, 0.0, TOPIC) == ["in a topic", "x", "y"]
    assert telegram.visible(FORUM, 0.0) == ["z"]


def test_an_edit_replaces_text_and_drops_the_keyboard_it_does_not_repeat() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=ANN, text="one", reply_markup=STOP)
    edited = ask(telegram, "editMessageText", 4.0, chat_id=ANN, message_id=1, text="one")
    assert (edited["edit_date"], "reply_markup" in edited) == (EPOCH + 4, False)
    ask(telegram, "editMessageText", 5.0, chat_id=ANN, message_id=1, text="two", reply_markup=STOP)
    (shown,) = telegram.screen(ANN, 5.0).messages
    assert (shown.text, shown.edited, shown.buttons) == ("two", True, ((Button("⏹", "stop"),),))
    said = refusal(telegram, "editMessageText", chat_id=ANN, message_id=1, text="two", reply_markup=STOP)
    assert said.startswith("Bad Request: message is not modified: ")


def test_what_was_handed_out_is_not_the_state() -> None:
    telegram = scene()
    keyboard, preview = {"inline_keyboard": [[{"text": "x", "url": "u"}]]}, {"is_disabled": True}
    sent = ask(telegram, "sendMessage", chat_id=ANN, text="x", reply_markup=keyboard, link_preview_options=preview)
    for mine in (keyboard, sent["reply_markup"]):
        mine["inline_keyboard"][0][0]["text"] = "changed"
    preview["is_disabled"] = sent["link_preview_options"]["is_disabled"] = False
    said = refusal(
        telegram,
        "editMessageText",
        chat_id=ANN,
        message_id=1,
        text="x",
        reply_markup={"inline_keyboard": [[{"text": "x", "url": "u"}]]},
        link_preview_options={"is_disabled": True},
    )
    assert said.startswith("Bad Request: message is not modified: ")


def test_who_may_delete_what() -> None:
    telegram = staged()
    assert ask(telegram, "deleteMessage", chat_id=ANN, message_id=1) is True
    assert ask(telegram, "deleteMessage", chat_id=ANN, message_id=2) is True
    assert telegram.visible(ANN, 0.0) == []
    telegram.world.chats[GROUP].bot_status = "administrator"
    assert ask(telegram, "deleteMessage", chat_id=GROUP, message_id=3) is True
    two_days = 48 * 3600.0
    for text in ("old", "older"):
        ask(telegram, "sendMessage", chat_id=ANN, text=text)
    assert ask(telegram, "deleteMessage", two_days, chat_id=ANN, message_id=4) is True
    said = refusal(telegram, "deleteMessage", two_days + 1, chat_id=ANN, message_id=5)
    assert said == "Bad Request: message can't be deleted"


def test_supergroups_number_their_own_messages() -> None:
    telegram = scene()
    ids = [ask(telegram, "sendMessage", chat_id=chat, text="x")["message_id"] for chat in (ANN, BEN, GROUP, FORUM)]
    assert ids == [1, 2, 3, 1]


def test_commands_are_kept_and_a_webhook_never_is() -> None:
    telegram = scene()
    commands = [{"command": "stop", "description": "x" * 256}]
    assert ask(telegram, "setMyCommands", commands=commands, scope={"type": "default"}) is True
    assert telegram.commands == commands
    assert ask(telegram, "setMyCommands", commands=commands * 100) is True
    telegram.user_sends(ANN, "x", 0.0)
    assert ask(telegram, "getWebhookInfo") == {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": 1,
    }
    assert ask(telegram, "deleteWebhook") is True
    assert len(telegram.updates.pending) == 1
    assert ask(telegram, "deleteWebhook", drop_pending_updates=True) is True
    assert telegram.updates.pending == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for each in SIGNATURES.values() for name in {*each.optional, *each.required}})
PLAUSIBLE = st.sampled_from([
    ANN, GROUP, FORUM, 1, TOPIC, "x", "typing", True, [], STOP, {"message_id": 1}, {"html": "<p>x</p>"},
])  # fmt: skip


@given(
    st.sampled_from([*SIGNATURES, "nonsense"]),
    st.dictionaries(st.sampled_from(NAMES) | st.text(), PLAUSIBLE | JSON, max_size=6),
)
def test_no_parameters_can_break_it(method: str, params: dict[str, Any]) -> None:
    telegram = staged()
    step = telegram.call(method, params, 0.0)
    if isinstance(step, Reply):
        json.loads(step.encode())
        assert step.status in {200, 400, 404}
    json.dumps([entry.to_json() for entry in telegram.journal])
    json.dumps(telegram.screen(ANN, 0.0).to_json())
