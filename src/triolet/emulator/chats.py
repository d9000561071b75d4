"""Who there is: the bot, its users, and the chats they meet in; and what one message is."""

from __future__ import annotations

import copy
from typing import Any, Literal, TypeAlias

import attrs

from triolet.emulator.rich import Content, RichContent

ChatType: TypeAlias = Literal["private", "group", "supergroup"]
BotStatus: TypeAlias = Literal["member", "administrator", "left", "kicked"]


@attrs.frozen
class User:
    """A person, or a bot."""

    id: int
    first_name: str
    username: str | None = None
    language_code: str | None = None
    is_bot: bool = False

    def to_json(self) -> dict[str, Any]:
        return _without_none(attrs.asdict(self))


@attrs.frozen
class BotUser:
    """The bot itself, as getMe describes it."""

    id: int = 42
    first_name: str = "Triolet"
    username: str = "triolet_bot"
    has_topics_enabled: bool = False

    def as_user(self) -> User:
        return User(self.id, self.first_name, self.username, is_bot=True)

    def to_json(self) -> dict[str, Any]:
        """The User object of getMe, with the fields that only getMe gives."""
        return self.as_user().to_json() | {
            "can_join_groups": True,
            "can_read_all_group_messages": True,
            "supports_guest_queries": False,
            "supports_inline_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": self.has_topics_enabled,
            "allows_users_to_create_topics": False,
        }


REFUSALS: dict[tuple[ChatType, BotStatus], str] = {
    ("private", "kicked"): "bot was blocked by the user",
    ("private", "left"): "bot can't initiate conversation with a user",
    ("group", "kicked"): "bot was kicked from the group chat",
    ("group", "left"): "bot is not a member of the group chat",
    ("supergroup", "kicked"): "bot was kicked from the supergroup chat",
    ("supergroup", "left"): "bot is not a member of the supergroup chat",
}


GENERAL = 1
"""The thread id of the topic that every forum has, and whose messages come without one."""


@attrs.define(eq=False)
class Chat:
    """A private chat has its user's id and that one member; a group's id is negative.

    ``topics`` maps thread ids to names, and leaves out General, which is ``None`` in ``closed``; ``bot_status`` is
    "kicked" where a user blocked the bot, and "left" where they never started it. A basic group that has become a
    supergroup is over, and ``migrated_to`` that one.
    """

    id: int
    type: ChatType
    title: str  # a private chat's is the user's first name
    username: str | None
    members: list[int]
    topics: dict[int, str]
    bot_status: BotStatus
    migrated_to: int | None = None
    closed: set[int | None] = attrs.field(factory=set)

    @property
    def is_forum(self) -> bool:
        return self.type == "supergroup" and bool(self.topics)

    def refusal(self) -> str | None:
        """Why the bot may not write here, if it may not."""
        return REFUSALS.get((self.type, self.bot_status))

    def to_json(self) -> dict[str, Any]:
        private = self.type == "private"
        return _without_none({
            "id": self.id,
            "type": self.type,
            "first_name" if private else "title": self.title,
            "username": self.username,
            "is_forum": self.is_forum or None,
        })  # fmt: skip


@attrs.frozen
class Message:
    """A message as it is now; ``date`` and ``edit_date`` are Unix times, ``rang`` tells whether it notified.

    ``root`` is the message that the chain of replies began with, where this one is a reply. A service message has
    its own fields in the place of its text, which is then what an app shows.
    """

    id: int
    chat_id: int
    sender: User
    date: int
    content: Content
    thread_id: int | None = None
    reply_to: int | None = None
    root: int | None = None
    keyboard: dict[str, Any] | None = None
    link_preview: dict[str, Any] | None = None
    rang: bool = True
    protected: bool = False
    edit_date: int | None = None
    service: dict[str, Any] | None = None


def message_json(message: Message, chat: Chat, reply: Message | None = None) -> dict[str, Any]:
    """The Message object of the Bot API; the message it replies to comes without its own reply.

    In a supergroup a reply outside of topics names the message that began the replies as its thread, though that is
    no topic and nothing can be sent to it (tdlib/telegram-bot-api#447).
    """
    outside = message.root if chat.type == "supergroup" else None
    return _without_none({
        "message_id": message.id,
        "from": message.sender.to_json(),
        "chat": chat.to_json(),
        "date": message.date,
        "edit_date": message.edit_date,
        "message_thread_id": outside if message.thread_id is None else message.thread_id,
        "is_topic_message": True if message.thread_id is not None else None,
        "reply_to_message": message_json(reply, chat) if reply else None,
        **_content_json(message),
        "link_preview_options": copy.deepcopy(message.link_preview),
        "reply_markup": copy.deepcopy(message.keyboard),
        "has_protected_content": message.protected or None,
    })  # fmt: skip


def _content_json(message: Message) -> dict[str, Any]:
    if message.service is not None:
        return copy.deepcopy(message.service)
    if isinstance(message.content, RichContent):
        return {"rich_message": message.content.to_json()}
    entities = [dict(entity) for entity in message.content.entities]
    return {"text": message.content.text, "entities": entities or None}


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
