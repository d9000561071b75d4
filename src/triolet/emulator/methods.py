"""The table of methods: everything this server answers except getUpdates, which may have to wait."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from triolet.emulator.answers import bad_request, objection
from triolet.emulator.screen import Change
from triolet.emulator.sending import (
    delete_message,
    edit_message_text,
    send_chat_action,
    send_message,
    send_message_draft,
    send_rich_message,
    send_rich_message_draft,
)
from triolet.emulator.world import World

Params: TypeAlias = dict[str, Any]
Method: TypeAlias = Callable[[World, Params, float], Any]

COMMAND_NAME = re.compile(r"[a-z0-9_]{1,32}")
MAX_COMMANDS = 100
MAX_TOAST = 200


def get_me(world: World, params: Params, now: float) -> dict[str, Any]:
    return world.bot.to_json()


def delete_webhook(world: World, params: Params, now: float) -> bool:
    """There never is a webhook; only the pending updates can go."""
    if params.get("drop_pending_updates", False):
        world.updates.drop_all()
    return True


def get_webhook_info(world: World, params: Params, now: float) -> dict[str, Any]:
    waiting = len(world.updates.pending)
    return {"url": "", "has_custom_certificate": False, "pending_update_count": waiting}


def set_my_commands(world: World, params: Params, now: float) -> bool:
    commands = params["commands"]
    if len(commands) > MAX_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        _check_command(command)
    world.commands = [dict(command) for command in commands]
    return True


def _check_command(command: Any) -> None:
    if not isinstance(command, dict) or command.keys() != {"command", "description"}:
        raise objection(f"setMyCommands: {command!r} is not {{'command': ..., 'description': ...}}")
    name, description = command["command"], command["description"]
    if not isinstance(name, str) or not COMMAND_NAME.fullmatch(name):
        raise bad_request("BOT_COMMAND_INVALID")
    if not isinstance(description, str) or not 1 <= len(description.strip()) <= 256:
        raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")


def answer_callback_query(world: World, params: Params, now: float) -> bool:
    """A press is answered once, while its update lives."""
    text = params.get("text", "")
    if len(text) > MAX_TOAST:
        raise bad_request("MESSAGE_TOO_LONG")
    dies, chat_id = world.callbacks.pop(params["callback_query_id"], (now, 0))
    if dies <= now:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    if text:
        world.changed(Change(now, "toast", chat_id, text=text))
    return True


METHODS: dict[str, Method] = {
    "getMe": get_me,
    "deleteWebhook": delete_webhook,
    "getWebhookInfo": get_webhook_info,
    "setMyCommands": set_my_commands,
    "answerCallbackQuery": answer_callback_query,
    "sendMessage": send_message,
    "sendRichMessage": send_rich_message,
    "editMessageText": edit_message_text,
    "deleteMessage": delete_message,
    "sendMessageDraft": send_message_draft,
    "sendRichMessageDraft": send_rich_message_draft,
    "sendChatAction": send_chat_action,
}
