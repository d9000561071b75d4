"""What the bot does to chats: send, edit, delete, draft, type; with Telegram's checks in Telegram's words.

Where several things are wrong, the text comes first (the server looks at it before it asks Telegram), then the
chat, the bot's place in it, the topic, and what only Telegram's own servers measure. The order among those is
this emulator's choice.
"""

from __future__ import annotations

from typing import Any

import attrs

from triolet.emulator.answers import Refused, bad_request, objection, upgraded
from triolet.emulator.chats import GENERAL, Chat, Message
from triolet.emulator.drafts import Draft
from triolet.emulator.entities import check_entities
from triolet.emulator.markup import check_keyboard
from triolet.emulator.rich import Content, read_rich
from triolet.emulator.text import MAX_MESSAGE, FormattedText, check_raw
from triolet.emulator.world import World

Params = dict[str, Any]

ACTIONS = frozenset({
    "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
    "choose_sticker", "find_location", "record_video_note", "upload_video_note",
})  # fmt: skip
PREVIEW_OPTIONS: dict[str, type] = {
    "is_disabled": bool,
    "url": str,
    "prefer_small_media": bool,
    "prefer_large_media": bool,
    "show_above_text": bool,
}
REPLY_OPTIONS: dict[str, type] = {"message_id": int, "allow_sending_without_reply": bool}
DELETABLE_FOR = 48 * 3600
MIGRATIONS = ("migrate_to_chat_id", "migrate_from_chat_id")


def send_message(world: World, params: Params, now: float) -> dict[str, Any]:
    return _send(world, params, _message_text(params), now)


def send_rich_message(world: World, params: Params, now: float) -> dict[str, Any]:
    return _send(world, params, read_rich(params.get("rich_message")), now)


def _send(world: World, params: Params, content: Content, now: float) -> dict[str, Any]:
    chat = _writable_chat(world, params)
    reply = _replied(world, chat, params)
    thread_id = _thread(chat, params, reply)
    if thread_id in chat.closed:
        raise bad_request("TOPIC_CLOSED")
    _check_length(content, "message is too long")
    keyboard = check_keyboard(params.get("reply_markup"))
    link_preview = _checked(params, "link_preview_options", PREVIEW_OPTIONS)
    message = attrs.evolve(
        world.new_message(chat, world.bot.as_user(), content, now, reply),
        thread_id=thread_id,
        keyboard=keyboard,
        link_preview=link_preview,
        rang=not params.get("disable_notification", False),
        protected=params.get("protect_content", False),
    )
    world.post(message, now)
    return world.message_json(message)


def edit_message_text(world: World, params: Params, now: float) -> dict[str, Any]:
    content = _edited_content(world, params)
    chat = _writable_chat(world, params)
    old = world.message(chat.id, _message_id(params))
    if old is None:
        raise bad_request("message to edit not found")
    if old.sender.id != world.bot.id:
        raise bad_request("message can't be edited")
    new = attrs.evolve(
        old,
        content=content,
        keyboard=check_keyboard(params.get("reply_markup")),
        link_preview=_checked(params, "link_preview_options", PREVIEW_OPTIONS),
    )
    _check_length(content, "MESSAGE_TOO_LONG")
    if new == old:
        raise bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same as a "
            "current content and reply markup of the message"
        )
    new = attrs.evolve(new, edit_date=world.date(now))
    world.edit(new, now)
    return world.message_json(new)


def delete_message(world: World, params: Params, now: float) -> bool:
    chat = _writable_chat(world, params)
    message = world.message(chat.id, _message_id(params))
    if message is None:
        raise bad_request("message to delete not found")
    own = message.sender.id == world.bot.id
    allowed = own or chat.type == "private" or chat.bot_status == "administrator"
    migration = message.service is not None and not message.service.keys().isdisjoint(MIGRATIONS)
    if not allowed or migration or world.date(now) - message.date > DELETABLE_FOR:
        raise bad_request("message can't be deleted")
    world.delete(message, now)
    return True


def _edited_content(world: World, params: Params) -> Content:
    """Text may become rich and the other way round."""
    if "rich_message" not in params or not world.rich:
        return _message_text(params)
    for other in ("text", "entities", "link_preview_options"):
        if other in params:
            raise objection(f"editMessageText: rich_message and {other} are given together")
    return read_rich(params["rich_message"])


def send_message_draft(world: World, params: Params, now: float) -> bool:
    return _draft(world, params, _text(params), now)


def send_rich_message_draft(world: World, params: Params, now: float) -> bool:
    return _draft(world, params, read_rich(params.get("rich_message"), draft=True), now)


def _draft(world: World, params: Params, content: Content, now: float) -> bool:
    if params.get("draft_id", 0) == 0:
        raise bad_request("RANDOM_ID_INVALID")
    chat = _known_chat(world, params)
    if chat.type != "private":
        raise bad_request("TEXTDRAFT_PEER_INVALID")
    _check_membership(chat)
    thread_id = _thread(chat, params, None)
    _check_length(content, "MESSAGE_TOO_LONG")
    stop = {name: params.get(name, False) for name in ("can_stop", "keep_on_stop")}
    world.show_draft((chat.id, thread_id), Draft(params["draft_id"], content, **stop), now)
    return True


def send_chat_action(world: World, params: Params, now: float) -> bool:
    if params["action"] not in ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat = _writable_chat(world, params)
    general = chat.is_forum and params.get("message_thread_id") == GENERAL
    world.type((chat.id, None if general else _thread(chat, params, None)), now)
    return True


def _text(params: Params) -> FormattedText:
    """The text and entities as given, checked and trimmed; it may be empty."""
    raw = params.get("text", "")
    check_raw(raw)
    return FormattedText(raw, check_entities(raw, params.get("entities", []))).trimmed()


def _message_text(params: Params) -> FormattedText:
    content = _text(params)
    if not content.text:
        raise bad_request("text must be non-empty" if params.get("text") else "message text is empty")
    return content


def _check_length(content: Content, description: str) -> None:
    """A rich message has measured itself."""
    if isinstance(content, FormattedText) and len(content.text) > MAX_MESSAGE:
        raise bad_request(description)


def _known_chat(world: World, params: Params) -> Chat:
    if "chat_id" not in params:
        raise bad_request("chat_id is empty")
    chat = world.chats.get(params["chat_id"])
    if chat is None:
        raise bad_request("chat not found")
    if chat.migrated_to is not None:
        raise upgraded(chat.migrated_to)
    return chat


def _check_membership(chat: Chat) -> None:
    refusal = chat.refusal()
    if refusal is not None:
        raise Refused(403, f"Forbidden: {refusal}")


def _writable_chat(world: World, params: Params) -> Chat:
    chat = _known_chat(world, params)
    _check_membership(chat)
    return chat


def _message_id(params: Params) -> int:
    if "message_id" not in params:
        raise bad_request("message identifier is not specified")
    return int(params["message_id"])


def _thread(chat: Chat, params: Params, reply: Message | None) -> int | None:
    """The topic a call goes to: the one it names, or that of the message it replies to."""
    inherited = reply.thread_id if reply else None
    thread_id: int | None = params.get("message_thread_id", inherited)
    if thread_id is not None and thread_id not in chat.topics:
        raise bad_request("message thread not found")
    if reply is not None and thread_id != inherited:
        raise objection("reply_parameters and message_thread_id name different topics")
    return thread_id


def _replied(world: World, chat: Chat, params: Params) -> Message | None:
    options = _checked(params, "reply_parameters", REPLY_OPTIONS)
    if options is None:
        return None
    if "message_id" not in options:
        raise objection("reply_parameters lacks 'message_id'")
    message = world.message(chat.id, options["message_id"])
    if message is None and not options.get("allow_sending_without_reply", False):
        raise bad_request("message to be replied not found")
    return message


def _checked(params: Params, name: str, options: dict[str, type]) -> dict[str, Any] | None:
    """An object parameter whose fields are all among ``options`` and of their types."""
    if name not in params:
        return None
    value: dict[str, Any] = params[name]
    for field, given in value.items():
        if field not in options:
            raise objection(f"{name}: the field {field!r} is unknown or not modelled")
        if type(given) is not options[field]:
            raise objection(f"{name}.{field} must be {options[field].__name__}, not {given!r}")
    return dict(value)
