"""Updates of the Bot API, as the conversation understands them.

Sources: https://core.telegram.org/bots/api#update, #callbackquery, #chatmemberupdated and #messagegenerationstopped.
What is malformed or of no use becomes `Ignored` with the reason: an update must never stop the poller.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import attrs
import msgspec

from triolet.core.conversation import GENERAL, ConversationKey
from triolet.core.ports import RawUpdate
from triolet.core.text import utf16_slice

ALLOWED_UPDATES = ("message", "edited_message", "callback_query", "stopped_message_generation", "my_chat_member")
"""What getUpdates asks for: exactly what `parse_update` understands."""


@attrs.frozen
class BotIdentity:
    """Who we are, from getMe."""

    user_id: int
    username: str


@attrs.frozen
class Incoming:
    """A message for the bot. In a group, ``addressed`` says that it mentions or answers the bot.

    ``text`` is empty for anything that is not text; ``forum`` says that the chat has topics. ``sent_at`` is in seconds
    since 1970.
    """

    update_id: int
    key: ConversationKey
    user_id: int
    message_id: int
    private: bool
    addressed: bool
    text: str
    forum: bool = False
    sent_at: float = 0.0


@attrs.frozen
class Edited:
    """``message`` is a message for the bot as it is now; Telegram tells of it whatever has changed, text or not."""

    update_id: int
    message: Incoming


@attrs.frozen
class StopPressed:
    """The native Stop button of a draft was pressed. Telegram names no user, for drafts live in private chats."""

    update_id: int
    key: ConversationKey
    draft_id: int


@attrs.frozen
class ButtonPressed:
    """A button under a message was pressed: ``query_id`` has to be answered, ``data`` is what the button carries."""

    update_id: int
    query_id: str
    key: ConversationKey
    message_id: int
    user_id: int
    data: str


@attrs.frozen
class Moved:
    """The group has become a supergroup, which is another chat."""

    update_id: int
    chat_id: int
    to: int


@attrs.frozen
class Removed:
    """The bot can say nothing there any more: it was blocked, or is no member."""

    update_id: int
    chat_id: int


@attrs.frozen
class Ignored:
    """Nothing is done about it; one that is malformed may be a question that nobody answers."""

    update_id: int
    why: str
    is_malformed: bool = False


Update: TypeAlias = Incoming | Edited | StopPressed | ButtonPressed | Moved | Removed | Ignored


_Id: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What the store can hold; Telegram's own ids have at most 52 bits."""


class _User(msgspec.Struct):
    id: _Id
    is_bot: bool = False


class _Chat(msgspec.Struct):
    id: _Id
    type: Literal["private", "group", "supergroup", "channel"]
    is_forum: bool = False


class _Entity(msgspec.Struct):
    type: str
    offset: int
    length: int


class _Reply(msgspec.Struct):
    from_: _User | None = msgspec.field(name="from", default=None)


class _Message(msgspec.Struct):
    message_id: _Id
    chat: _Chat
    from_: _User | None = msgspec.field(name="from", default=None)
    sender_chat: _Chat | None = None
    message_thread_id: _Id | None = None
    is_topic_message: bool = False
    reply_to_message: _Reply | None = None
    migrate_to_chat_id: _Id | None = None
    date: _Id = 0
    text: str = ""
    entities: list[_Entity] = []


class _Stopped(msgspec.Struct):
    chat: _Chat
    draft_id: int | str
    message_thread_id: _Id | None = None


class _Shown(msgspec.Struct):
    """The message under which a button is; of one that is too old, only this much is told."""

    message_id: _Id
    chat: _Chat
    message_thread_id: _Id | None = None
    is_topic_message: bool = False


class _Query(msgspec.Struct):
    id: str
    from_: _User = msgspec.field(name="from")
    message: _Shown | None = None
    data: str = ""


class _Member(msgspec.Struct):
    status: str


class _Membership(msgspec.Struct):
    chat: _Chat
    new_chat_member: _Member


class _Update(msgspec.Struct):
    message: _Message | None = None
    edited_message: _Message | None = None
    callback_query: _Query | None = None
    stopped_message_generation: _Stopped | None = None
    my_chat_member: _Membership | None = None


def parse_update(raw: RawUpdate, bot: BotIdentity) -> Update:
    """Never raises for any JSON object that has an ``update_id``."""
    update_id = raw["update_id"]
    try:
        update = msgspec.convert(raw, _Update)
        if update.message is not None:
            return _message(update_id, update.message, bot, says=bool(_CONTENT & raw["message"].keys()))
        if update.edited_message is not None:
            return _edited(update_id, update.edited_message, bot)
        if update.my_chat_member is not None:
            return _membership(update_id, update.my_chat_member)
        if update.callback_query is not None:
            return _pressed(update_id, update.callback_query)
        if update.stopped_message_generation is not None:
            return _stopped(update_id, update.stopped_message_generation)
    except (msgspec.ValidationError, ValueError) as error:
        return Ignored(update_id, f"malformed: {error}", is_malformed=True)
    return Ignored(update_id, "of a kind that is not asked for")


_CONTENT = frozenset(
    {
        *("text", "animation", "audio", "document", "paid_media", "photo", "sticker", "story", "video", "video_note"),
        *("voice", "checklist", "contact", "dice", "game", "poll", "venue", "location", "rich_message"),
    }
)
"""What a person puts into a message (Bot API, Message); any other is a note of Telegram's own: somebody joined, say."""


def _message(update_id: int, message: _Message, bot: BotIdentity, *, says: bool) -> Update:
    sender = message.from_
    if message.migrate_to_chat_id is not None:
        return Moved(update_id, message.chat.id, message.migrate_to_chat_id)
    if not says:
        return Ignored(update_id, "a service message")
    if sender is None or sender.is_bot or message.sender_chat is not None:
        return Ignored(update_id, "not from a person")
    if message.chat.type == "channel":
        return Ignored(update_id, "from a channel")
    return Incoming(
        update_id,
        _key(message.chat, message.message_thread_id, is_topic=message.is_topic_message),
        user_id=sender.id,
        message_id=message.message_id,
        private=message.chat.type == "private",
        addressed=_is_addressed(message, bot),
        text=_without_mention(message, bot),
        forum=message.chat.is_forum,
        sent_at=message.date,
    )


def _edited(update_id: int, message: _Message, bot: BotIdentity) -> Update:
    edited = _message(update_id, message, bot, says=True)
    return Edited(update_id, edited) if isinstance(edited, Incoming) else edited


def _membership(update_id: int, membership: _Membership) -> Update:
    if membership.new_chat_member.status in {"kicked", "left"}:
        return Removed(update_id, membership.chat.id)
    return Ignored(update_id, "the bot is a member")


def _key(chat: _Chat, thread_id: int | None, *, is_topic: bool) -> ConversationKey:
    """A reply in a group without topics carries a thread id too; only topics are conversations of their own.

    General is the chat itself: messages into it are sent without a thread.
    """
    general = chat.type == "supergroup" and thread_id == GENERAL
    return ConversationKey(chat.id, thread_id if is_topic and not general else None)


def _pressed(update_id: int, query: _Query) -> Update:
    shown = query.message
    if shown is None:
        return Ignored(update_id, "a button of no message of ours")
    key = _key(shown.chat, shown.message_thread_id, is_topic=shown.is_topic_message)
    return ButtonPressed(update_id, query.id, key, shown.message_id, query.from_.id, query.data)


def _stopped(update_id: int, stopped: _Stopped) -> Update:
    key = ConversationKey(stopped.chat.id, stopped.message_thread_id)
    # Documented as an integer, seen as a string: take both.
    return StopPressed(update_id, key, int(stopped.draft_id))


def _is_addressed(message: _Message, bot: BotIdentity) -> bool:
    reply = message.reply_to_message
    if reply is not None and reply.from_ is not None and reply.from_.id == bot.user_id:
        return True
    return any(_is_mention(message, entity, bot) for entity in message.entities)


def _is_mention(message: _Message, entity: _Entity, bot: BotIdentity) -> bool:
    covered = utf16_slice(message.text, entity.offset, entity.length)
    return entity.type == "mention" and covered.lower() == f"@{bot.username}".lower()


def _without_mention(message: _Message, bot: BotIdentity) -> str:
    """The text without a mention of the bot at its beginning, which is an address and no content."""
    for entity in message.entities:
        if entity.offset == 0 and _is_mention(message, entity, bot):
            return message.text[entity.length :].lstrip(" ,:\n")
    return message.text
