"""The chats themselves: who makes them, joins, leaves, blocks, and the topics they have.

An act that the app would not allow raises `ImpossibleAct`: the mistake is the test's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import attrs

from triolet.emulator.chats import GENERAL, BotStatus, Chat, ChatType, User
from triolet.emulator.text import FormattedText
from triolet.emulator.world import World

UPGRADED = "The group was upgraded to a supergroup"


class ImpossibleAct(ValueError):
    """No person could do this in this chat now."""


class Places(ABC):
    """The acts that change a chat and not its messages. Times are seconds of the emulator's clock."""

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def settle(self, now: float) -> None:
        """Let everything happen that is due until now."""

    def add_private_chat(
        self,
        user_id: int,
        first_name: str = "User",
        *,
        username: str | None = None,
        language_code: str = "en",
        started: bool = True,
        topics: Mapping[int, str] | None = None,
    ) -> None:
        """A user's chat with the bot; with ``started`` off they never pressed Start."""
        if user_id <= 0 or user_id in self.world.chats:
            raise ImpossibleAct(f"{user_id} cannot be the id of a new user's chat")
        self.world.users[user_id] = User(user_id, first_name, username, language_code)
        status: BotStatus = "member" if started else "left"
        self.world.chats[user_id] = Chat(
            user_id, "private", first_name, username, [user_id], dict(topics or {}), status
        )

    def add_group(
        self,
        chat_id: int,
        title: str,
        members: Iterable[int],
        *,
        supergroup: bool = False,
        topics: Mapping[int, str] | None = None,
        bot_status: BotStatus = "member",
    ) -> None:
        """A group with the bot in it; only a supergroup can have topics, and then it has General besides."""
        topics = dict(topics or {})
        if chat_id >= 0 or chat_id in self.world.chats or (topics and not supergroup) or GENERAL in topics:
            raise ImpossibleAct(f"{chat_id} cannot be the id of such a new group")
        if bot_status not in get_args(BotStatus):
            raise ImpossibleAct(f"{bot_status!r} is none of {get_args(BotStatus)}")
        people = list(members)
        for each in people:
            self.world.users.setdefault(each, User(each, f"User {each}"))
        kind: ChatType = "supergroup" if supergroup else "group"
        self.world.chats[chat_id] = Chat(chat_id, kind, title, None, people, topics, bot_status)

    def add_topic(self, chat_id: int, thread_id: int, name: str) -> None:
        chat = self._chat(chat_id)
        general = thread_id == GENERAL and chat.type == "supergroup"
        if chat.type == "group" or general or thread_id in chat.topics:
            raise ImpossibleAct(f"chat {chat_id} cannot get a new topic {thread_id}")
        chat.topics[thread_id] = name

    def delete_topic(self, chat_id: int, thread_id: int, now: float) -> None:
        """The topic goes with its messages; the bot is not told."""
        self.settle(now)
        chat = self._chat(chat_id)
        self._check_topic(chat, thread_id)
        self.world.delete_topic(chat, thread_id, now)

    def close_topic(self, chat_id: int, thread_id: int, now: float, user_id: int | None = None) -> None:
        """A forum's topic takes no more messages of the bot. Whoever still writes there is an administrator.

        `GENERAL` closes the General topic.
        """
        chat, topic = self._forum_topic(chat_id, thread_id, now)
        if topic in chat.closed:
            raise ImpossibleAct(f"the topic {thread_id} of chat {chat_id} is closed already")
        member = self._member(chat, user_id)
        chat.closed.add(topic)
        self._serve(chat, topic, member, {"forum_topic_closed": {}}, "Topic closed", now)

    def reopen_topic(self, chat_id: int, thread_id: int, now: float, user_id: int | None = None) -> None:
        chat, topic = self._forum_topic(chat_id, thread_id, now)
        if topic not in chat.closed:
            raise ImpossibleAct(f"the topic {thread_id} of chat {chat_id} is open")
        member = self._member(chat, user_id)
        chat.closed.remove(topic)
        self._serve(chat, topic, member, {"forum_topic_reopened": {}}, "Topic reopened", now)

    def group_migrates(self, chat_id: int, new_chat_id: int, now: float, user_id: int | None = None) -> None:
        """A basic group becomes a supergroup: its members move, and each of the two is left a message that says so.

        Who appears as the sender of these messages is not documented; here it is the member who did it.
        """
        self.settle(now)
        old = self._chat(chat_id)
        if old.type != "group":
            raise ImpossibleAct(f"chat {chat_id} is no basic group")
        member = self._member(old, user_id)
        self.add_group(new_chat_id, old.title, old.members, supergroup=True, bot_status=old.bot_status)
        new = self.world.chats[new_chat_id]
        self._serve(old, None, member, {"migrate_to_chat_id": new.id}, UPGRADED, now)
        self._serve(new, None, member, {"migrate_from_chat_id": old.id}, UPGRADED, now)
        old.migrated_to = new.id

    def user_blocks_bot(self, user_id: int, now: float) -> None:
        self._set_bot_status(user_id, "kicked", None, now)

    def user_unblocks_bot(self, user_id: int, now: float) -> None:
        self._set_bot_status(user_id, "member", None, now)

    def group_removes_bot(self, chat_id: int, now: float, user_id: int | None = None, *, kicked: bool = True) -> None:
        self._set_bot_status(chat_id, "kicked" if kicked else "left", user_id, now)

    def group_adds_bot(self, chat_id: int, now: float, user_id: int | None = None) -> None:
        self._set_bot_status(chat_id, "member", user_id, now)

    def _set_bot_status(self, chat_id: int, status: BotStatus, user_id: int | None, now: float) -> None:
        """Change the bot's own membership, of which it is told even when it loses it."""
        self.settle(now)
        chat = self._chat(chat_id)
        before, chat.bot_status = chat.bot_status, status
        change = {
            "chat": chat.to_json(),
            "from": self._member(chat, user_id).to_json(),
            "date": self.world.date(now),
            "old_chat_member": self._bot_member(before),
            "new_chat_member": self._bot_member(status),
        }
        self.world.updates.push("my_chat_member", change, now)

    def _bot_member(self, status: BotStatus) -> dict[str, Any]:
        until = {"until_date": 0} if status == "kicked" else {}
        return {"user": self.world.bot.as_user().to_json(), "status": status, **until}

    def _serve(
        self, chat: Chat, topic: int | None, member: User, service: dict[str, Any], shown: str, now: float
    ) -> None:
        """Post a service message, of which the bot is told."""
        message = self.world.new_message(chat, member, FormattedText(shown), now)
        message = attrs.evolve(message, thread_id=topic, service=service)
        self.world.post(message, now)
        self._tell(chat, "message", self.world.message_json(message), now)

    def _tell(self, chat: Chat, kind: str, payload: dict[str, Any], now: float) -> None:
        if chat.bot_status in {"member", "administrator"}:
            self.world.updates.push(kind, payload, now)

    def _chat(self, chat_id: int) -> Chat:
        """A chat where something can still happen."""
        chat = self._any_chat(chat_id)
        if chat.migrated_to is not None:
            raise ImpossibleAct(f"group {chat_id} has become the supergroup {chat.migrated_to}")
        return chat

    def _any_chat(self, chat_id: int) -> Chat:
        chat = self.world.chats.get(chat_id)
        if chat is None:
            raise ImpossibleAct(f"there is no chat {chat_id}")
        return chat

    def _member(self, chat: Chat, user_id: int | None) -> User:
        found = next((each for each in chat.members if user_id in {None, each}), None)
        if found is None:
            raise ImpossibleAct(f"user {user_id} is not in chat {chat.id}")
        return self.world.users[found]

    def _forum_topic(self, chat_id: int, thread_id: int, now: float) -> tuple[Chat, int | None]:
        """The chat, and the topic as its messages know it."""
        self.settle(now)
        chat = self._chat(chat_id)
        topic = None if thread_id == GENERAL else thread_id
        if not chat.is_forum:
            raise ImpossibleAct(f"chat {chat_id} is no forum")
        self._check_topic(chat, topic)
        return chat, topic

    def _check_topic(self, chat: Chat, thread_id: int | None) -> None:
        if thread_id is not None and thread_id not in chat.topics:
            raise ImpossibleAct(f"chat {chat.id} has no topic {thread_id}")
