"""A person's side: what users do in their apps, and the updates Telegram makes of it.

An act that the app would not allow (a press of a button that is not there, a message into a chat that is not)
raises `ImpossibleAct`: the mistake is the test's. Where the bot cannot see a chat, the act makes no update.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import attrs

from triolet.emulator.chats import BotStatus, Chat, ChatType, Message, User
from triolet.emulator.drafts import Place
from triolet.emulator.entities import detect_entities
from triolet.emulator.markup import buttons_of
from triolet.emulator.text import MAX_MESSAGE, FormattedText
from triolet.emulator.updates import LIVES
from triolet.emulator.world import World


class ImpossibleAct(ValueError):
    """No person could do this in this chat now."""


class People(ABC):
    """The acts. Times are seconds of the emulator's clock."""

    def __init__(self, world: World, *, string_draft_ids: bool) -> None:
        self.world = world
        self._string_draft_ids = string_draft_ids
        self._callback_ids = itertools.count(1)

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
        """A group with the bot in it; only a supergroup can have topics."""
        if chat_id >= 0 or chat_id in self.world.chats or (topics and not supergroup):
            raise ImpossibleAct(f"{chat_id} cannot be the id of such a new group")
        if bot_status not in get_args(BotStatus):
            raise ImpossibleAct(f"{bot_status!r} is none of {get_args(BotStatus)}")
        people = list(members)
        for each in people:
            self.world.users.setdefault(each, User(each, f"User {each}"))
        kind: ChatType = "supergroup" if supergroup else "group"
        self.world.chats[chat_id] = Chat(chat_id, kind, title, None, people, dict(topics or {}), bot_status)

    def add_topic(self, chat_id: int, thread_id: int, name: str) -> None:
        chat = self._chat(chat_id)
        if chat.type == "group" or thread_id in chat.topics:
            raise ImpossibleAct(f"chat {chat_id} cannot get a new topic {thread_id}")
        chat.topics[thread_id] = name

    def delete_topic(self, chat_id: int, thread_id: int, now: float) -> None:
        """The topic goes with its messages; the bot is not told."""
        self.settle(now)
        chat = self._chat(chat_id)
        self._check_topic(chat, thread_id)
        self.world.delete_topic(chat, thread_id, now)

    def user_sends(
        self,
        chat_id: int,
        text: str,
        now: float,
        *,
        user_id: int | None = None,
        reply_to: int | None = None,
        thread_id: int | None = None,
    ) -> int:
        """A member writes; returns the message's id. Writing to the bot in private starts it."""
        self.settle(now)
        chat = self._chat(chat_id)
        sender = self._member(chat, user_id)
        if chat.type == "private":
            self._check_not_blocked(chat)
            chat.bot_status = "member"
        reply = self._message(chat, reply_to) if reply_to is not None else None
        thread_id = thread_id if thread_id is not None or reply is None else reply.thread_id
        self._check_topic(chat, thread_id)
        message = self.world.new_message(chat, sender, _typed(text), now)
        message = attrs.evolve(message, thread_id=thread_id, reply_to=reply_to)
        self.world.post(message, now)
        self._tell(chat, "message", self.world.message_json(message), now)
        return message.id

    def user_edits(self, chat_id: int, message_id: int, text: str, now: float) -> None:
        """The sender changes a message of theirs."""
        self.settle(now)
        chat = self._chat(chat_id)
        message = self._message(chat, message_id)
        if message.sender.is_bot:
            raise ImpossibleAct(f"message {message_id} is the bot's")
        message = attrs.evolve(message, content=_typed(text), edit_date=self.world.date(now))
        self.world.edit(message, now)
        self._tell(chat, "edited_message", self.world.message_json(message), now)

    def user_deletes_message(self, chat_id: int, message_id: int, now: float) -> None:
        """Somebody deletes a message; bots are never told."""
        self.settle(now)
        self.world.delete(self._message(self._chat(chat_id), message_id), now)

    def user_presses_stop(self, chat_id: int, now: float, thread_id: int | None = None) -> int:
        """Press the Stop button of the live draft; returns the draft's id."""
        self.settle(now)
        chat = self._chat(chat_id)
        place: Place = (chat.id, thread_id)
        live = self.world.drafts.at(place)
        if live is None or not live.has_button:
            raise ImpossibleAct(f"no Stop button is on screen in {place}")
        draft_id = self.world.stop_draft(place, now).id
        topic = {} if thread_id is None else {"message_thread_id": thread_id}
        # documented as an Integer, and yet it arrives as a string
        shown = str(draft_id) if self._string_draft_ids else draft_id
        self._tell(chat, "stopped_message_generation", {"chat": chat.to_json(), **topic, "draft_id": shown}, now)
        return draft_id

    def user_presses_button(
        self, chat_id: int, message_id: int, data: str, now: float, user_id: int | None = None
    ) -> str:
        """Press the button with this callback data; returns the callback query's id."""
        self.settle(now)
        chat = self._chat(chat_id)
        message, user = self._message(chat, message_id), self._member(chat, user_id)
        if data not in [button.get("callback_data") for row in buttons_of(message.keyboard) for button in row]:
            raise ImpossibleAct(f"message {message_id} has no button with the data {data!r}")
        query_id = f"{chat.id}:{next(self._callback_ids)}"
        self.world.callbacks[query_id] = (now + LIVES["callback_query"], chat.id)
        query = {
            "id": query_id,
            "from": user.to_json(),
            "message": self.world.message_json(message),
            "chat_instance": str(chat.id),
            "data": data,
        }
        self._tell(chat, "callback_query", query, now)
        return query_id

    def user_blocks_bot(self, user_id: int, now: float) -> None:
        self._set_bot_status(user_id, "kicked", None, now)

    def user_unblocks_bot(self, user_id: int, now: float) -> None:
        self._set_bot_status(user_id, "member", None, now)

    def group_removes_bot(self, chat_id: int, now: float, user_id: int | None = None, *, kicked: bool = True) -> None:
        self._set_bot_status(chat_id, "kicked" if kicked else "left", user_id, now)

    def group_adds_bot(self, chat_id: int, now: float, user_id: int | None = None) -> None:
        self._set_bot_status(chat_id, "member", user_id, now)

    def push_update(self, kind: str, payload: dict[str, Any], now: float) -> int | None:
        """A raw update of any kind, as it is; returns its id, or ``None`` if the bot did not ask for the kind."""
        self.settle(now)
        return self.world.updates.push(kind, payload, now)

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

    def _tell(self, chat: Chat, kind: str, payload: dict[str, Any], now: float) -> None:
        if chat.bot_status in {"member", "administrator"}:
            self.world.updates.push(kind, payload, now)

    def _chat(self, chat_id: int) -> Chat:
        chat = self.world.chats.get(chat_id)
        if chat is None:
            raise ImpossibleAct(f"there is no chat {chat_id}")
        return chat

    def _member(self, chat: Chat, user_id: int | None) -> User:
        found = next((each for each in chat.members if user_id in {None, each}), None)
        if found is None:
            raise ImpossibleAct(f"user {user_id} is not in chat {chat.id}")
        return self.world.users[found]

    def _message(self, chat: Chat, message_id: int) -> Message:
        message = self.world.message(chat.id, message_id)
        if message is None:
            raise ImpossibleAct(f"chat {chat.id} has no message {message_id}")
        return message

    def _check_topic(self, chat: Chat, thread_id: int | None) -> None:
        if thread_id is not None and thread_id not in chat.topics:
            raise ImpossibleAct(f"chat {chat.id} has no topic {thread_id}")

    def _check_not_blocked(self, chat: Chat) -> None:
        if chat.bot_status == "kicked":
            raise ImpossibleAct(f"user {chat.id} has blocked the bot")


def _typed(text: str) -> FormattedText:
    if not text.strip() or len(text) > MAX_MESSAGE:
        raise ImpossibleAct("an app sends texts of 1 to 4096 characters")
    return FormattedText(text, detect_entities(text))
