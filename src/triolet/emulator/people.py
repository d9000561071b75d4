"""A person's side: what users do in a chat with their apps, and the updates Telegram makes of it.

As in `places`, an act that the app would not allow (a press of a button that is not there, a message into a chat
that is not) raises `ImpossibleAct`. Where the bot cannot see a chat, the act makes no update.
"""

from __future__ import annotations

from typing import Any

import attrs

from triolet.emulator.chats import Chat, Message
from triolet.emulator.drafts import Place
from triolet.emulator.entities import detect_entities
from triolet.emulator.markup import buttons_of
from triolet.emulator.places import ImpossibleAct, Places
from triolet.emulator.text import MAX_MESSAGE, FormattedText
from triolet.emulator.updates import LIVES
from triolet.emulator.world import World


class People(Places):
    """The acts. Times are seconds of the emulator's clock."""

    def __init__(self, world: World, *, string_draft_ids: bool) -> None:
        super().__init__(world)
        self._string_draft_ids = string_draft_ids
        self._callbacks = 0

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
        message = attrs.evolve(self.world.new_message(chat, sender, _typed(text), now, reply), thread_id=thread_id)
        self.world.post(message, now)
        self._tell(chat, "message", self.world.message_json(message), now)
        return message.id

    def user_edits(self, chat_id: int, message_id: int, text: str, now: float) -> None:
        """The sender changes a message of theirs."""
        self.settle(now)
        chat = self._chat(chat_id)
        message = self._message(chat, message_id)
        if message.sender.is_bot or message.service is not None:
            raise ImpossibleAct(f"message {message_id} is the bot's or Telegram's own")
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
        self._callbacks += 1
        query_id = f"{chat.id}:{self._callbacks}"
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

    def push_update(self, kind: str, payload: dict[str, Any], now: float) -> int | None:
        """A raw update of any kind, as it is; returns its id, or ``None`` if the bot did not ask for the kind."""
        self.settle(now)
        return self.world.updates.push(kind, payload, now)

    def _message(self, chat: Chat, message_id: int) -> Message:
        message = self.world.message(chat.id, message_id)
        if message is None:
            raise ImpossibleAct(f"chat {chat.id} has no message {message_id}")
        return message

    def _check_not_blocked(self, chat: Chat) -> None:
        if chat.bot_status == "kicked":
            raise ImpossibleAct(f"user {chat.id} has blocked the bot")


def _typed(text: str) -> FormattedText:
    if not text.strip() or len(text) > MAX_MESSAGE:
        raise ImpossibleAct("an app sends texts of 1 to 4096 characters")
    return FormattedText(text, detect_entities(text))
