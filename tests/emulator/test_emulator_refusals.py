"""Every refusal, in Telegram's words or the emulator's own, as tables."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import ANN, BEN, FORUM, GROUP, STRANGER, TOPIC, ask, refusal, reply_to, scene, staged

from triolet.emulator import EmulatedTelegram, Reply

SMILE = "😀"
NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as "
    "a current content and reply markup of the message"
)
PARSE_MODE = "can't parse entities: the emulator refuses parse_mode; send entities"
X = {"chat_id": ANN, "text": "x"}


def keyboard(**button: Any) -> dict[str, Any]:
    return {"inline_keyboard": [[button]]}


# (method, parameters, description after "Bad Request: ")
BAD_REQUESTS: list[tuple[str, dict[str, Any], str]] = [
    ("sendMessage", {"text": "x"}, "chat_id is empty"),
    ("sendMessage", {"chat_id": 404, "text": "x"}, "chat not found"),
    ("sendMessage", {"chat_id": "@nobody", "text": "x"}, "chat not found"),
    ("sendMessage", {"chat_id": ANN}, "message text is empty"),
    ("sendMessage", {"chat_id": ANN, "text": ""}, "message text is empty"),
    ("sendMessage", {"chat_id": ANN, "text": " \n\t"}, "text must be non-empty"),
    ("sendMessage", {"chat_id": ANN, "text": "x" * 4097}, "message is too long"),
    ("sendMessage", {"chat_id": ANN, "text": SMILE * 4097}, "message is too long"),
    ("sendMessage", {"chat_id": ANN, "text": "x" * 32769}, "text is too long"),
    ("sendMessage", {"chat_id": ANN, "text": "half \ud83d"}, "strings must be encoded in UTF-8"),
    ("sendMessage", {"chat_id": BEN, "text": "x", "message_thread_id": TOPIC}, "message thread not found"),
    ("sendMessage", {"chat_id": FORUM, "text": "x", "message_thread_id": 12}, "message thread not found"),
    ("sendMessage", {"chat_id": FORUM, "text": "x", "message_thread_id": 1}, "message thread not found"),
    ("sendMessage", {**X, "reply_parameters": {"message_id": 99}}, "message to be replied not found"),
    ("sendMessage", {**X, "reply_markup": keyboard(text="x")}, "Text buttons are unallowed in the inline keyboard"),
    ("sendMessage", {**X, "reply_markup": keyboard(text="x", callback_data="")}, "BUTTON_DATA_INVALID"),
    ("sendMessage", {**X, "reply_markup": keyboard(text="x", callback_data="é" * 33)}, "BUTTON_DATA_INVALID"),
    (
        "sendMessage",
        {**X, "reply_markup": {"inline_keyboard": [[{"text": "x", "url": "u"}] * 8] * 13}},
        "reply markup is too long",
    ),
    ("sendMessage", {"chat_id": ANN, "text": "*x*", "parse_mode": "MarkdownV2"}, PARSE_MODE),
    ("editMessageText", {"chat_id": ANN, "message_id": 1, "text": "x", "parse_mode": ""}, PARSE_MODE),
    ("sendMessageDraft", {"chat_id": ANN, "draft_id": 1, "parse_mode": "HTML"}, PARSE_MODE),
    ("editMessageText", {"chat_id": ANN, "text": "x"}, "message identifier is not specified"),
    ("editMessageText", {"chat_id": ANN, "message_id": 99, "text": "x"}, "message to edit not found"),
    ("editMessageText", {"chat_id": ANN, "message_id": 2, "text": "x"}, "message can't be edited"),
    ("editMessageText", {"chat_id": ANN, "message_id": 1, "text": "x" * 4097}, "MESSAGE_TOO_LONG"),
    ("editMessageText", {"chat_id": ANN, "message_id": 1, "text": "x" * 32769}, "text is too long"),
    (
        "editMessageText",
        {"chat_id": ANN, "message_id": 1, "text": "first "},
        NOT_MODIFIED.removeprefix("Bad Request: "),
    ),
    ("editMessageText", {"chat_id": ANN, "message_id": 1}, "message text is empty"),
    ("deleteMessage", {"message_id": 1}, "chat_id is empty"),
    ("deleteMessage", {"chat_id": 404, "message_id": 1}, "chat not found"),
    ("deleteMessage", {"chat_id": ANN}, "message identifier is not specified"),
    ("deleteMessage", {"chat_id": ANN, "message_id": 99}, "message to delete not found"),
    ("deleteMessage", {"chat_id": GROUP, "message_id": 3}, "message can't be deleted"),
    ("sendMessageDraft", {"chat_id": ANN, "draft_id": 0, "text": "x"}, "RANDOM_ID_INVALID"),
    ("sendMessageDraft", {"chat_id": ANN, "text": "x"}, "RANDOM_ID_INVALID"),
    ("sendMessageDraft", {"chat_id": GROUP, "draft_id": 1, "text": "x"}, "TEXTDRAFT_PEER_INVALID"),
    (
        "sendMessageDraft",
        {"chat_id": FORUM, "draft_id": 1, "text": "x", "message_thread_id": TOPIC},
        "TEXTDRAFT_PEER_INVALID",
    ),
    ("sendMessageDraft", {"chat_id": 404, "draft_id": 1, "text": "x"}, "chat not found"),
    ("sendMessageDraft", {"chat_id": BEN, "draft_id": 1, "message_thread_id": TOPIC}, "message thread not found"),
    ("sendMessageDraft", {"chat_id": ANN, "draft_id": 1, "text": "x" * 4097}, "MESSAGE_TOO_LONG"),
    ("sendMessageDraft", {"chat_id": ANN, "draft_id": 1, "text": "x" * 32769}, "text is too long"),
    ("sendChatAction", {"chat_id": ANN, "action": "dancing"}, "wrong parameter action in request"),
    ("sendChatAction", {"chat_id": BEN, "action": "typing", "message_thread_id": TOPIC}, "message thread not found"),
    (
        "answerCallbackQuery",
        {"callback_query_id": "x"},
        "query is too old and response timeout expired or query ID is invalid",
    ),
    ("answerCallbackQuery", {"callback_query_id": "x", "text": "x" * 201}, "MESSAGE_TOO_LONG"),
    ("setMyCommands", {"commands": [{"command": "Start", "description": "x"}]}, "BOT_COMMAND_INVALID"),
    ("setMyCommands", {"commands": [{"command": "start", "description": ""}]}, "BOT_COMMAND_DESCRIPTION_INVALID"),
    (
        "setMyCommands",
        {"commands": [{"command": "start", "description": "x" * 257}]},
        "BOT_COMMAND_DESCRIPTION_INVALID",
    ),
    ("setMyCommands", {"commands": [{"command": "a", "description": "x"}] * 101}, "BOT_COMMANDS_TOO_MUCH"),
]

# (method, parameters, the emulator's own objection)
OBJECTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("sendMessage", {**X, "txet": "y"}, "sendMessage has no parameter 'txet'"),
    ("sendMessage", {**X, "message_effect_id": "1"}, "sendMessage: the parameter 'message_effect_id' is not modelled"),
    ("sendMessage", {"chat_id": "7", "text": "x"}, 'sendMessage: chat_id must be Integer or @name, not "7"'),
    ("sendMessage", {"chat_id": True, "text": "x"}, "sendMessage: chat_id must be Integer or @name, not true"),
    (
        "sendMessage",
        {"chat_id": 1 << 63, "text": "x"},
        "sendMessage: chat_id must be Integer or @name, not 9223372036854775808",
    ),
    ("sendMessage", {"chat_id": ANN, "text": 5}, "sendMessage: text must be String, not 5"),
    ("sendMessage", {"chat_id": ANN, "text": None}, "sendMessage: text must be String, not null"),
    ("sendMessage", {**X, "entities": "[]"}, 'sendMessage: entities must be Array, not "[]"'),
    ("sendMessage", {**X, "disable_notification": 1}, "sendMessage: disable_notification must be Boolean, not 1"),
    (
        "sendMessage",
        {**X, "link_preview_options": {"disabled": True}},
        "link_preview_options: the field 'disabled' is unknown or not modelled",
    ),
    (
        "sendMessage",
        {**X, "link_preview_options": {"is_disabled": 1}},
        "link_preview_options.is_disabled must be bool, not 1",
    ),
    ("sendMessage", {**X, "reply_parameters": {}}, "reply_parameters lacks 'message_id'"),
    (
        "sendMessage",
        {**X, "reply_parameters": {"message_id": 1, "quote": "f"}},
        "reply_parameters: the field 'quote' is unknown or not modelled",
    ),
    (
        "sendMessage",
        {**X, "message_thread_id": TOPIC, "reply_parameters": {"message_id": 1}},
        "reply_parameters and message_thread_id name different topics",
    ),
    (
        "sendMessage",
        {**X, "reply_markup": {"keyboard": []}},
        "reply_markup is not {'inline_keyboard': [[button, ...], ...]}",
    ),
    (
        "sendMessage",
        {**X, "reply_markup": {"inline_keyboard": [], "force_reply": True}},
        "reply_markup is not {'inline_keyboard': [[button, ...], ...]}",
    ),
    (
        "sendMessage",
        {**X, "reply_markup": {"inline_keyboard": [{}]}},
        "reply_markup is not {'inline_keyboard': [[button, ...], ...]}",
    ),
    ("sendMessage", {**X, "reply_markup": keyboard(text=" ", url="u")}, "reply_markup: a button has no text"),
    (
        "sendMessage",
        {**X, "reply_markup": keyboard(text="x", url=1)},
        "reply_markup: {'text': 'x', 'url': 1} is no button with texts only",
    ),
    (
        "sendMessage",
        {**X, "reply_markup": keyboard(text="x", url="u", style="pink")},
        "reply_markup: 'pink' is no button style",
    ),
    (
        "sendMessage",
        {**X, "reply_markup": keyboard(text="x", switch_inline_query="u")},
        "reply_markup: a field of the button 'x' is not modelled",
    ),
    (
        "sendMessageDraft",
        {"chat_id": "@ann_s", "draft_id": 1},
        'sendMessageDraft: chat_id must be Integer, not "@ann_s"',
    ),
    ("sendMessageDraft", {"chat_id": ANN, "draft_id": "1"}, 'sendMessageDraft: draft_id must be Integer, not "1"'),
    (
        "sendMessageDraft",
        {"chat_id": ANN, "draft_id": 1, "reply_markup": {}},
        "sendMessageDraft has no parameter 'reply_markup'",
    ),
    ("sendChatAction", {"chat_id": ANN}, "sendChatAction needs the parameter 'action'"),
    ("getMe", {"x": 1}, "getMe has no parameter 'x'"),
    ("setMyCommands", {"commands": ["start"]}, "setMyCommands: 'start' is not {'command': ..., 'description': ...}"),
]


@pytest.mark.parametrize(
    ("method", "params", "description"),
    [*BAD_REQUESTS, *((method, params, f"emulator: {said}") for method, params, said in OBJECTIONS)],
)
def test_a_bad_request_is_refused_in_these_words_and_changes_nothing(
    method: str, params: dict[str, Any], description: str
) -> None:
    telegram = staged()
    before = telegram.revision
    reply = reply_to(telegram, method, **params)
    assert (reply.status, reply.body) == (
        400,
        {"ok": False, "error_code": 400, "description": f"Bad Request: {description}"},
    )
    assert telegram.revision == before
    assert (telegram.journal[-1].outcome, telegram.journal[-1].carried_out) == ("refused", False)


@pytest.mark.parametrize(
    ("status", "chat_id", "description"),
    [
        ("kicked", ANN, "bot was blocked by the user"),
        ("left", ANN, "bot can't initiate conversation with a user"),
        ("kicked", GROUP, "bot was kicked from the group chat"),
        ("left", GROUP, "bot is not a member of the group chat"),
        ("kicked", FORUM, "bot was kicked from the supergroup chat"),
        ("left", FORUM, "bot is not a member of the supergroup chat"),
    ],
)
def test_who_is_not_wanted_may_do_nothing(status: Any, chat_id: int, description: str) -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=chat_id, text="while it was allowed")
    telegram.world.chats[chat_id].bot_status = status
    calls: list[tuple[str, dict[str, Any]]] = [
        ("sendMessage", {"text": "x"}),
        ("editMessageText", {"message_id": 1, "text": "x"}),
        ("deleteMessage", {"message_id": 1}),
        ("sendChatAction", {"action": "typing"}),
    ]
    if chat_id > 0:
        calls.append(("sendMessageDraft", {"draft_id": 1, "text": "x"}))
    for method, params in calls:
        assert reply_to(telegram, method, chat_id=chat_id, **params).status == 403
        assert refusal(telegram, method, chat_id=chat_id, **params) == f"Forbidden: {description}"


def test_a_stranger_is_reached_after_writing_first() -> None:
    telegram = scene()
    assert refusal(telegram, "sendMessage", chat_id=STRANGER, text="x").startswith("Forbidden: bot can't initiate")
    telegram.user_sends(STRANGER, "/start", 1.0)
    ask(telegram, "sendMessage", chat_id=STRANGER, text="x")


@pytest.mark.parametrize(
    ("token", "status", "description"),
    [
        ("42:wrong", 401, "Unauthorized"),
        ("43:emulator", 401, "Unauthorized"),
        ("emulator", 404, "Not Found"),
        ("42:", 404, "Not Found"),
        ("042:x", 404, "Not Found"),
        ("42:a b", 404, "Not Found"),
    ],
)
def test_a_wrong_token_is_refused(token: str, status: int, description: str) -> None:
    reply = scene().call("getMe", {}, 0.0, token)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (
        status,
        {"ok": False, "error_code": status, "description": description},
    )


def test_an_emulator_wants_a_token_it_can_hold_others_to() -> None:
    with pytest.raises(ValueError, match="a token is <bot id>:"):
        EmulatedTelegram("emulator")


@pytest.mark.parametrize("method", ["sendWidget", "sendmessage", "nonsense", ""])
def test_a_method_it_does_not_know_is_answered_as_by_an_older_server(method: str) -> None:
    assert reply_to(scene(), method, chat_id=ANN).status == 404
    assert refusal(scene(), method) == "Not Found: method not found"
